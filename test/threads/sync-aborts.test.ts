// SPDX-License-Identifier: MIT
/**
 * Waits that end by their signal, or their time, before each access of the call that grants them,
 * and grants before each access of the end of a wait: nothing is lost, and the next waiter is rung.
 * Without ticks, which would wake it in the end.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  Once,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from '../../src/sync/index.ts';
import { pauseAt } from '../accesses.ts';
import { turn } from '../turns.ts';

const ACCESSES_MAX = 1000;
/** So long the next waiter may take to be rung. */
const TURNS_MAX = 1000;

beforeAll(() => {
  vi.stubGlobal('setInterval', () => ({}));
});
afterAll(() => {
  vi.unstubAllGlobals();
});

/** What three threads do with one primitive. */
interface Play {
  /** Of the first: lets one waiter through, or all. */
  readonly grant: () => void;
  /** Of the second: waits, and is given up. */
  readonly ask: (signal: AbortSignal) => Promise<string>;
  /** Of the second, instead: blocks. */
  readonly askSync: () => string;
  /** Of the third: waits behind the second. */
  readonly next: () => Promise<string>;
  /** The result of a wait that was not given up. */
  readonly got: string;
  /** Of the second, once it has got it: the next one may have it. */
  readonly giveBack: () => void;
  /** All has ended, and the next one has got it. */
  readonly end: () => void;
}

/** How the three see it; `isOne`: the third is the second's own object. */
type Stage = <One>(
  kind: { attach(pool: BufferPool, handle: never): One },
  create: (pool: BufferPool) => One & { readonly handle: object },
) => readonly [One, One, One];

function stage(isOne: boolean): Stage {
  return (kind, create) => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
    const a = create(pool);
    const b = kind.attach(BufferPool.attach(pool.handle), a.handle as never);
    return [a, b, isOne ? b : kind.attach(BufferPool.attach(pool.handle), a.handle as never)];
  };
}

const nothing = (): void => {};
const isFree = (result: string): void => expect(result).toMatch(/^(acquired|released)$/);

const PLAYS: Record<string, (on: Stage) => Play> = {};

for (const order of ['barging', 'lifo', 'fair'] as const) {
  PLAYS[`mutex ${order}`] = (on) => {
    const [a, b, c] = on(Mutex, (pool) => Mutex.create(pool, { order }));
    a.tryLock();
    return {
      grant: () => a.unlock(),
      ask: (signal) => b.lock({ signal }),
      askSync: () => b.lockSync(0),
      next: () => c.lock(),
      got: 'acquired',
      giveBack: () => b.unlock(),
      end() {
        c.unlock();
        isFree(a.tryLock());
      },
    };
  };
}

for (const owned of [true, false]) {
  for (const [wants, next, gives] of [
    [1, 1, 1],
    [2, 1, 2],
    [2, 1, 1],
    [1, 2, 2],
  ]) {
    PLAYS[`semaphore ${owned ? 'owned ' : ''}${wants}, ${next} of ${gives}`] = (on) => {
      const [a, b, c] = on(Semaphore, (pool) => Semaphore.create(pool, { permits: 2, owned }));
      isFree(a.tryAcquire(2));
      let isRest = false;
      return {
        grant() {
          // If the second has got its one, the third is still to get its two.
          isFree(a.release(gives));
          isRest = gives === 1;
        },
        ask: (signal) => b.acquire(wants, { signal }),
        askSync: () => b.acquireSync(wants, 0),
        next: () => c.acquire(next),
        got: 'acquired',
        giveBack: () => isFree(b.release(wants)),
        end() {
          isFree(c.release(next));
          if (isRest) isFree(a.release(1));
          expect(a.permits).toBe(2);
          isFree(a.tryAcquire(2));
        },
      };
    };
  }
}

type Side = 'read' | 'write';
const unlock = (lock: RwLock, side: Side) =>
  side === 'read' ? lock.unlockRead() : lock.unlockWrite();
for (const [held, wants, next] of [
  ['write', 'write', 'write'],
  ['write', 'write', 'read'],
  ['write', 'read', 'write'],
  ['read', 'write', 'read'],
  ['read', 'write', 'write'],
] as const) {
  PLAYS[`${next} behind ${wants} behind ${held}`] = (on) => {
    const [a, b, c] = on(RwLock, (pool) => RwLock.create(pool));
    if (held === 'read') a.tryRead();
    else a.tryWrite();
    return {
      grant: () => unlock(a, held),
      ask: (signal) => b[wants]({ signal }),
      askSync: () => b[`${wants}Sync`](0),
      next: () => c[next](),
      got: 'acquired',
      giveBack: () => unlock(b, wants),
      end() {
        unlock(c, next);
        isFree(a.tryWrite());
      },
    };
  };
}
PLAYS['write behind read behind a downgrade'] = (on) => {
  const [a, b, c] = on(RwLock, (pool) => RwLock.create(pool));
  a.tryWrite();
  return {
    grant() {
      a.downgrade();
      a.unlockRead();
    },
    ask: (signal) => b.read({ signal }),
    askSync: () => b.readSync(0),
    next: () => c.write(),
    got: 'acquired',
    giveBack: () => b.unlockRead(),
    end() {
      c.unlockWrite();
      isFree(a.tryWrite());
    },
  };
};

for (const reset of ['auto', 'manual'] as const) {
  PLAYS[`event ${reset}`] = (on) => {
    const [a, b, c] = on(Event, (pool) => Event.create(pool, { reset }));
    const isAuto = reset === 'auto';
    return {
      grant() {
        expect(a.set()).toBe('set');
        if (!isAuto) a.reset();
      },
      ask: (signal) => b.wait({ signal }),
      askSync: () => b.waitSync(0),
      next: () => c.wait(),
      got: 'set',
      giveBack() {
        if (isAuto) expect(a.set()).toBe('set');
      },
      end: () => expect([a.isSet, b.tryWait()]).toEqual([false, 'unset']),
    };
  };
}

for (const way of ['enter', 'decide'] as const) {
  PLAYS[`gate: ${way}`] = (on) => {
    const [a, b, c] = on(Gate, (pool) => Gate.create(pool, { batch: 1 }));
    return {
      grant: () => void a.open(),
      ask: (signal) => (way === 'enter' ? b.enter({ signal }) : b.decide(() => true, { signal })),
      askSync: () => (way === 'enter' ? b.enterSync(0) : b.decideSync(() => true, 0)),
      next: () => c.enter(),
      got: 'entered',
      giveBack: () => expect(a.open()).toBe('opened'),
      end: () => expect([a.isOpen, a.entries]).toEqual([false, 1]),
    };
  };
}

for (const end of ['fail', 'finish'] as const) {
  PLAYS[`once: ${end}`] = (on) => {
    const [a, b, c] = on(Once, (pool) => Once.create(pool));
    a.tryBegin();
    return {
      grant: () => a[end](),
      ask: (signal) => b.begin({ signal }),
      askSync: () => b.beginSync(0),
      next: () => c.begin(),
      got: end === 'fail' ? 'begun' : 'done',
      giveBack() {
        if (end === 'fail') b.fail();
      },
      end() {
        if (end === 'fail') c.finish();
        expect(a.state).toBe('done');
      },
    };
  };
}

PLAYS.countdown = (on) => {
  const [a, b, c] = on(Countdown, (pool) => Countdown.create(pool, 1));
  return { ...counted(b, c), grant: () => void a.run(nothing) };
};
PLAYS['wait group'] = (on) => {
  const [a, b, c] = on(WaitGroup, (pool) => WaitGroup.create(pool));
  a.add();
  return {
    ...counted(b, c),
    grant() {
      a.done();
      a.add();
    },
  };
};
PLAYS.barrier = (on) => {
  const [a, b, c] = on(Barrier, (pool) => Barrier.create(pool));
  return { ...counted(b, c), grant: () => void a.done() };
};

type Counting = Countdown | WaitGroup | Barrier;
function counted(b: Counting, c: Counting): Omit<Play, 'grant'> {
  return {
    ask: (signal) => b.wait({ signal }),
    askSync: () => b.waitSync(0),
    next: () => c.wait(),
    got: 'done',
    giveBack: nothing,
    end: nothing,
  };
}

PLAYS['signal tree'] = (on) => {
  const [a, b, c] = on(SignalTree, (pool) => SignalTree.create(pool, { signals: 2000 }));
  const set = (): void => expect(a.set(1999)).toBe('set');
  return {
    grant: set,
    ask: (signal) => b.take({ signal }).then(String, () => 'aborted'),
    askSync: () => String(b.takeSync(0)).replace('-1', 'timeout'),
    next: () => c.take().then(String),
    got: '1999',
    giveBack: set,
    end: () => expect(a.tryTake()).toBe(-1),
  };
};

PLAYS.seqlock = (on) => {
  const writers: Mutex[] = [];
  const [a, b, c] = on(SeqLock, (pool) => {
    const lock = SeqLock.create(pool, { words: 1 });
    writers.push(Mutex.attach(pool, lock.handle.writers));
    return lock;
  });
  writers[0].tryLock();
  return {
    grant: () => writers[0].unlock(),
    ask: (signal) => b.write(Int32Array.of(1), { signal }),
    askSync: () => b.writeSync(Int32Array.of(1), 0),
    next: () => c.write(Int32Array.of(2)),
    got: 'written',
    giveBack: nothing,
    end: () => expect(a.writeSync(Int32Array.of(3), 0)).toBe('written'),
  };
};

/** What a promise becomes within so many turns. */
async function endOf(waiting: Promise<string>): Promise<string> {
  let result = 'it hangs';
  waiting.then(
    (value) => {
      result = value;
    },
    (error: unknown) => {
      result = String(error);
    },
  );
  for (let i = 0; i < TURNS_MAX && result === 'it hangs'; i++) await turn();
  return result;
}

const names = Object.keys(PLAYS);

/** Runs a play with its grant and the end of its wait at once, one before the k-th access. */
async function run(name: string, isOne: boolean, isGrantPaused: boolean, k: number) {
  const { grant, ask, next, got, giveBack, end } = PLAYS[name](stage(isOne));
  const controller = new AbortController();
  const asking = ask(controller.signal);
  await turn();
  const waiting = next();
  await turn();
  const abort = (): void => controller.abort();
  const [inner, outer] = isGrantPaused ? [abort, grant] : [grant, abort];
  const isWithin = pauseAt(k, inner, outer);
  if (!isWithin) inner();
  const asked = await endOf(asking);
  expect(['aborted', got], `${name} ${k}`).toContain(asked);
  if (asked === got) giveBack();
  expect(await endOf(waiting), `${name} ${k}, after ${asked}`).toBe(got);
  end();
  return isWithin;
}

test.each(names)(
  '%s: a signal before each access of the grant',
  { timeout: 600_000 },
  async (name) => {
    for (const isOne of [false, true]) {
      for (let k = 1; await run(name, isOne, true, k); k++) expect(k).toBeLessThan(ACCESSES_MAX);
    }
  },
);

test.each(names)(
  '%s: a grant before each access of a signal',
  { timeout: 600_000 },
  async (name) => {
    for (const isOne of [false, true]) {
      for (let k = 1; await run(name, isOne, false, k); k++) expect(k).toBeLessThan(ACCESSES_MAX);
    }
  },
);

test.each(names)(
  '%s: a grant before each access of a wait that blocks',
  { timeout: 600_000 },
  async (name) => {
    for (let isWithin = true, k = 1; isWithin; k++) {
      const { grant, askSync, next, got, giveBack, end } = PLAYS[name](stage(false));
      // Others wait already.
      const waiting = next();
      await turn();
      let asked = '';
      isWithin = pauseAt(k, grant, () => {
        asked = askSync();
      });
      if (!isWithin) grant();
      expect(['timeout', got], `${name} ${k}`).toContain(asked);
      if (asked === got) giveBack();
      expect(await endOf(waiting), `${name} ${k}, after ${asked}`).toBe(got);
      end();
    }
  },
);
