// SPDX-License-Identifier: MIT
/** Test program: a thread that uses one primitive in every way, until it is told to stop. */
import { workerData } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import {
  Barrier,
  type BarrierHandle,
  Countdown,
  type CountdownHandle,
  Event,
  type EventHandle,
  Gate,
  type GateHandle,
  Mutex,
  type MutexHandle,
  NO_SIGNAL,
  Once,
  type OnceHandle,
  RwLock,
  type RwLockHandle,
  Semaphore,
  type SemaphoreHandle,
  SeqLock,
  type SeqLockHandle,
  SignalTree,
  type SignalTreeHandle,
  WaitGroup,
  type WaitGroupHandle,
} from 'busbar/sync';
import { Random } from '../../src/base/random.ts';
import { turn } from '../turns.ts';
import * as at from './sync-board.ts';

const task = workerData as at.SyncTask;
const pool = BufferPool.attach(task.pool);
const board = new Int32Array(task.board);
const random = new Random(task.seed);

/** Options of a wait that may be given up, or not at all. */
function patience(): { signal?: AbortSignal; timeoutMs?: number } {
  const way = random.below(4);
  if (way === 0) return { timeoutMs: random.below(3) };
  if (way > 1) return {};
  const controller = new AbortController();
  setImmediate(() => controller.abort());
  return { signal: controller.signal };
}

/** Takes it, says so, and never gives it back. */
function hold(take: () => unknown): never {
  take();
  Atomics.add(board, at.DONE + task.id, 1);
  for (;;) Atomics.wait(board, at.STOP, 0);
}

/** Uses each of many, in turn, until it says that it is done with it. */
function inTurn<One>(
  all: readonly One[],
  use: (one: One, index: number) => Promise<boolean>,
): () => Promise<boolean> {
  let index = 0;
  return async () => {
    if (index === all.length || !(await use(all[index], index))) return false;
    index++;
    return true;
  };
}

const USES: Readonly<Record<string, () => () => Promise<boolean>>> = {
  /** Reads and writes snapshots, whose words are all equal. */
  'busbar/seqlock': () => {
    const lock = SeqLock.attach(pool, task.sync as SeqLockHandle);
    const words = new Int32Array(lock.length);
    return async () => {
      const way = random.below(5);
      let result: string;
      if (way === 0) result = lock.tryRead(words);
      else if (way === 1) result = lock.readSync(words, random.below(3));
      else {
        const values = new Int32Array(lock.length).fill(Atomics.add(board, at.FIRST, 1));
        if (way === 2) result = lock.tryWrite(values);
        else if (way === 3) result = lock.writeSync(values);
        else result = await lock.write(values, patience());
      }
      if (result === 'timeout' || result === 'aborted') Atomics.add(board, at.GIVEN_UP, 1);
      if (result === 'read' && words.some((word) => word !== words[0])) {
        throw new Error(`parts of several snapshots: ${[...new Set(words)]}`);
      }
      return result === 'written';
    };
  },
  /** Sets signals, and takes those of any thread. */
  'busbar/signalTree': () => {
    const tree = SignalTree.attach(pool, task.sync as SignalTreeHandle);
    return async () => {
      const way = random.below(5);
      if (way < 2) {
        const nth = random.below(at.SIGNALS);
        Atomics.add(board, at.FIRST, 1);
        Atomics.add(board, at.MADE + nth, 1);
        tree.set(nth * at.SIGNAL_STEP);
        return false;
      }
      let index: number;
      if (way === 2) index = tree.tryTake();
      else if (way === 3) index = tree.takeSync(random.below(3));
      else index = await tree.take({ timeoutMs: random.below(5) }).catch(() => NO_SIGNAL);
      if (index === NO_SIGNAL) return false;
      const sent = Atomics.exchange(board, at.MADE + index / at.SIGNAL_STEP, 0);
      Atomics.add(board, at.SECOND, sent);
      return true;
    };
  },
  /** Counts itself while it works, and waits for those that work. */
  'busbar/waitGroup': () => {
    const group = WaitGroup.attach(pool, task.sync as WaitGroupHandle);
    return async () => {
      group.join();
      for (let i = random.below(200); i > 0; i--) Atomics.load(board, at.STOP);
      if (random.below(8) === 0) await turn();
      group.done();
      const way = random.below(6);
      if (way === 0) group.waitSync();
      else if (way === 1) await group.wait();
      return true;
    };
  },
  'busbar/mutex': () => {
    const mutex = Mutex.attach(pool, task.sync as MutexHandle);
    if (task.isHolder) hold(() => mutex.lockSync());
    return async () => {
      const way = random.below(5);
      let result: string;
      if (way === 0) result = mutex.tryLock();
      else if (way === 1) result = mutex.lockSync();
      else if (way === 2) result = mutex.lockSync(random.below(3));
      else result = await mutex.lock(patience());
      if (result === 'timeout' || result === 'aborted') Atomics.add(board, at.GIVEN_UP, 1);
      if (result !== 'acquired') return false;
      if (mutex.ownerDied) {
        Atomics.add(board, at.HEIRS, 1);
        board[at.SECOND] = board[at.FIRST];
      } else if (board[at.FIRST] !== board[at.SECOND]) {
        throw new Error(`${board[at.FIRST]} and ${board[at.SECOND]}: another thread is inside`);
      }
      board[at.FIRST]++;
      for (let i = random.below(200); i > 0; i--) Atomics.load(board, at.STOP);
      // Now and then it keeps the lock for a turn of its event loop.
      if (random.below(8) === 0) await turn();
      board[at.SECOND]++;
      mutex.unlock();
      return true;
    };
  },
  'busbar/rwlock': () => {
    const lock = RwLock.attach(pool, task.sync as RwLockHandle);
    if (task.isHolder) hold(() => (task.writes ? lock.writeSync() : lock.readSync()));
    const reads = async (): Promise<string> => {
      const way = random.below(4);
      let result: string;
      if (way === 0) result = lock.tryRead();
      else if (way === 1)
        result = lock.readSync(random.below(2) === 0 ? random.below(3) : Infinity);
      else result = await lock.read(patience());
      if (result !== 'acquired') return result;
      check(lock.ownerDied);
      if (random.below(8) === 0) await turn();
      check(lock.ownerDied);
      lock.unlockRead();
      return 'read';
    };
    const check = (ownerDied: boolean): void => {
      if (board[at.FIRST] === board[at.SECOND] || ownerDied) return;
      throw new Error(`${board[at.FIRST]} and ${board[at.SECOND]}: another thread is inside`);
    };
    return async () => {
      if (random.below(3) > 0) {
        await reads();
        return false;
      }
      const way = random.below(4);
      let result: string;
      if (way === 0) result = lock.tryWrite();
      else if (way === 1) {
        result = lock.writeSync(random.below(2) === 0 ? random.below(3) : Infinity);
      } else result = await lock.write(patience());
      if (result === 'timeout' || result === 'aborted') Atomics.add(board, at.GIVEN_UP, 1);
      if (result !== 'acquired') return false;
      check(lock.ownerDied);
      if (lock.ownerDied) {
        Atomics.add(board, at.HEIRS, 1);
        board[at.SECOND] = board[at.FIRST];
      }
      board[at.FIRST]++;
      for (let i = random.below(200); i > 0; i--) Atomics.load(board, at.STOP);
      if (random.below(8) === 0) await turn();
      board[at.SECOND]++;
      if (random.below(2) === 0) lock.unlockWrite();
      else {
        lock.downgrade();
        check(false);
        lock.unlockRead();
      }
      return true;
    };
  },
  /** Lets through as often as it was set. Where threads die, they set it as well, and wait on. */
  'busbar/event': () => {
    const event = Event.attach(pool, task.sync as EventHandle);
    return async () => {
      const way = random.below(task.mayDie ? 6 : 3);
      let result: string;
      if (way === 0) result = event.tryWait();
      else if (way === 1) result = event.waitSync(random.below(5));
      else if (way === 2) result = await event.wait({ timeoutMs: random.below(5) });
      else if (way === 3) result = event.waitSync();
      else if (way === 4) result = await event.wait();
      else {
        Atomics.add(board, at.FIRST, 1);
        if (event.set() === 'already') Atomics.sub(board, at.FIRST, 1);
        return false;
      }
      if (result === 'timeout') Atomics.add(board, at.GIVEN_UP, 1);
      return result === 'set';
    };
  },
  /** Makes each of many, once. */
  'busbar/once': () => {
    const all = task.more.map((handle) => Once.attach(pool, handle as OnceHandle));
    return inTurn(all, async (once, index) => {
      const make = (): number => {
        // A thread that died has left 1.
        if (Atomics.add(board, at.MADE + index, 1) > 0) {
          if (!once.ownerDied) throw new Error(`${index} was begun before`);
          Atomics.add(board, at.HEIRS, 1);
        }
        for (let i = random.below(2000); i > 0; i--) Atomics.load(board, at.STOP);
        return index;
      };
      const way = random.below(3);
      let result: string;
      if (way === 0) result = once.tryRun(make);
      else if (way === 1) result = once.runSync(make);
      else result = await once.run(make, patience());
      if (result === 'timeout' || result === 'aborted') Atomics.add(board, at.GIVEN_UP, 1);
      if (result !== 'done') return false;
      if (once.value !== index) throw new Error(`${once.value} is the value of ${index}`);
      return true;
    });
  },
  /**
   * Arrives once at each of many, and waits for it. Where threads die, one that comes in time is
   * counted as well, and is responsible for itself.
   */
  'busbar/countdown': () => {
    const all = task.more.map((handle) => Countdown.attach(pool, handle as CountdownHandle));
    return inTurn(all, async (countdown, index) => {
      const spin = (): void => {
        for (let i = random.below(2000); i > 0; i--) Atomics.load(board, at.STOP);
      };
      const action = (): void => {
        Atomics.add(board, at.MADE + index, 1);
        if (task.mayDie) spin();
      };
      if (!task.mayDie || countdown.join() === 'entered') {
        Atomics.add(board, at.JOINED + index, 1);
        if (task.mayDie) spin();
        const result = countdown.run(action);
        if (result === 'done' || (result === 'failed' && !task.mayDie)) throw new Error(result);
      }
      const end = random.below(2) === 0 ? countdown.waitSync() : await countdown.wait();
      const made = Atomics.load(board, at.MADE + index);
      const isRight = end === 'done' ? made === 1 : task.mayDie && end === 'failed' && made < 2;
      if (!isRight) throw new Error(`${end}, it has run ${made} times`);
      return true;
    });
  },
  /** Joins many, in turn, and waits for the other parties. */
  'busbar/barrier': () => {
    const all = task.more.map((handle) => Barrier.attach(pool, handle as BarrierHandle));
    return inTurn(all, async (barrier) => {
      if (barrier.join() === 'entered') {
        for (let i = random.below(2000); i > 0; i--) Atomics.load(board, at.STOP);
        barrier.done();
      }
      const end = random.below(2) === 0 ? barrier.waitSync() : await barrier.wait();
      if (end !== 'done') throw new Error(end);
      if (barrier.partyDied) Atomics.add(board, at.HEIRS, 1);
      return true;
    });
  },
  /** Enters in batches of four, by whichever way. */
  'busbar/gate': () => {
    const gate = Gate.attach(pool, task.sync as GateHandle);
    const decide = (entries: number): boolean => {
      if (Atomics.add(board, at.INSIDE, 1) > 0 && !task.mayDie) throw new Error('two are inside');
      for (let i = random.below(200); i > 0; i--) Atomics.load(board, at.STOP);
      Atomics.sub(board, at.INSIDE, 1);
      return entries < 4;
    };
    return async () => {
      const way = random.below(5);
      const timeoutMs = random.below(5);
      let result: string;
      if (way === 0) result = gate.tryEnter();
      else if (way === 1) result = gate.enterSync(timeoutMs);
      else if (way === 2) result = await gate.enter({ timeoutMs });
      else if (way === 3) result = gate.decideSync(decide, timeoutMs);
      else result = await gate.decide(decide, { timeoutMs });
      if (result === 'timeout') Atomics.add(board, at.GIVEN_UP, 1);
      return result === 'entered';
    };
  },
  /** A limiter. */
  'busbar/semaphore': () => {
    const semaphore = Semaphore.attach(pool, task.sync as SemaphoreHandle);
    if (task.isHolder) hold(() => semaphore.acquireSync(semaphore.max));
    return async () => {
      const way = random.below(5);
      const count = 1 + random.below(semaphore.max);
      let result: string;
      if (way === 0) result = semaphore.tryAcquire(count);
      else if (way === 1) result = semaphore.acquireSync(count);
      else if (way === 2) result = semaphore.acquireSync(count, random.below(3));
      else result = await semaphore.acquire(count, patience());
      if (result === 'timeout' || result === 'aborted') Atomics.add(board, at.GIVEN_UP, 1);
      if (result !== 'acquired') return false;
      // A thread that dies here stays counted as inside, so that only tests without deaths look.
      if (Atomics.add(board, at.INSIDE, count) + count > semaphore.max && !task.mayDie) {
        throw new Error('there are more permits than there should be');
      }
      for (let i = random.below(200); i > 0; i--) Atomics.load(board, at.STOP);
      if (random.below(8) === 0) await turn();
      Atomics.sub(board, at.INSIDE, count);
      if (semaphore.release(count) !== 'released') throw new Error('not released');
      return true;
    };
  },
};

const use = USES[task.sync.kind]();
while (Atomics.load(board, at.STOP) === 0) {
  if (await use()) Atomics.add(board, at.DONE + task.id, 1);
  else if (random.below(4) === 0) await turn();
}
pool.detach();
