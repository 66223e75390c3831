// SPDX-License-Identifier: MIT
/** Primitives whose users die before each of their atomic accesses in turn: no other hangs. */
import { expect, test } from 'vitest';
import { BufferPool } from '../../src/pool/index.ts';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  NO_SIGNAL,
  Once,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from '../../src/sync/index.ts';
import { dieAt } from '../accesses.ts';
import { die } from '../simulated-death.ts';
import { turn } from '../turns.ts';

const ACCESSES_MAX = 1000;
/** For what blocks: a thread that hangs shows as a failure. */
const LONG_MS = 60_000;

/** Three threads, as far as the pool knows: one dies, two live. */
class Stage {
  readonly pool: BufferPool = BufferPool.create({ bufferSize: 64, bufferCount: 1, maxThreads: 4 });
  readonly victims: BufferPool = BufferPool.attach(this.pool.handle);
  readonly other: BufferPool = BufferPool.attach(this.pool.handle);
}

interface Act {
  /** The shared memory that the victim writes. */
  readonly blocks: readonly ArrayBufferLike[];
  /** What the victim does, and dies in it. */
  readonly run: () => void;
  /** What the others do then, after `recover`; ends unless they hang. */
  readonly after: () => unknown;
}

type Play = (stage: Stage) => Act;

/** One primitive as its three threads see it. */
interface Kind<One> {
  readonly attach: (pool: BufferPool, handle: never) => One;
}

interface Primitive {
  readonly handle: { readonly control: SharedArrayBuffer };
  recover(): boolean;
}

/** `play` gets the victim's object and those of two others. */
function plays<One extends Primitive>(
  kind: Kind<One>,
  create: (pool: BufferPool) => One,
  play: (victim: One, a: One, b: One) => Pick<Act, 'run' | 'after'>,
): Play {
  return (stage) => {
    const a = create(stage.pool);
    const [victim, b] = [stage.victims, stage.other].map((pool) =>
      kind.attach(pool, a.handle as never),
    );
    const { run, after } = play(victim, a, b);
    return {
      blocks: [a.handle.control, (a.handle as { bits?: SharedArrayBuffer }).bits].filter(
        (block) => block !== undefined,
      ),
      run,
      after: async () => {
        a.recover();
        return await after();
      },
    };
  };
}

const isDone = (result: string) => expect(result).toBe('done');
const isAcquired = (result: string) => expect(result).toBe('acquired');

const PLAYS: Record<string, Play> = {};

for (const order of ['barging', 'lifo', 'fair'] as const) {
  const create = (pool: BufferPool) => Mutex.create(pool, { order });
  const free = (mutex: Mutex) => {
    isAcquired(mutex.lockSync(LONG_MS));
    mutex.unlock();
    expect(mutex.state).toBe('free');
  };
  PLAYS[`mutex ${order}: lock, unlock`] = plays(Mutex, create, (victim, a, b) => ({
    run() {
      victim.lockSync();
      victim.tag = 7;
      victim.unlock();
    },
    after() {
      free(a);
      free(b);
    },
  }));
  PLAYS[`mutex ${order}: unlock, others wait`] = plays(Mutex, create, (victim, a, b) => {
    victim.tryLock();
    const waits = [a, b].map(async (mutex) => {
      isAcquired(await mutex.lock());
      mutex.unlock();
    });
    return { run: () => victim.unlock(), after: () => Promise.all(waits) };
  });
  PLAYS[`mutex ${order}: a wait that ends`] = plays(Mutex, create, (victim, a, b) => {
    a.tryLock();
    return {
      run: () => expect(victim.lockSync(1)).toBe('timeout'),
      after() {
        a.unlock();
        free(b);
        free(a);
      },
    };
  });
}

const limiter = (pool: BufferPool) => Semaphore.create(pool, { permits: 3, owned: true });
const haveAll = (semaphore: Semaphore) => {
  isAcquired(semaphore.acquireSync(3, LONG_MS));
  expect(semaphore.release(3)).toBe('released');
};
PLAYS['semaphore: acquire, release'] = plays(Semaphore, limiter, (victim, a, b) => ({
  run() {
    victim.acquireSync(2);
    victim.release(2);
  },
  after() {
    haveAll(a);
    haveAll(b);
  },
}));
PLAYS['semaphore: release, another waits'] = plays(Semaphore, limiter, (victim, a) => {
  victim.tryAcquire(3);
  const waiting = a.acquire(3);
  return { run: () => void victim.release(3), after: async () => isAcquired(await waiting) };
});
PLAYS['semaphore: a wait that ends'] = plays(Semaphore, limiter, (victim, a, b) => {
  a.tryAcquire(3);
  return {
    run: () => expect(victim.acquireSync(3, 1)).toBe('timeout'),
    after() {
      a.release(3);
      haveAll(b);
    },
  };
});
PLAYS['semaphore: disable'] = plays(Semaphore, limiter, (victim, a, b) => {
  a.tryAcquire(3);
  const waiting = b.acquire();
  return {
    run: () => victim.disable(),
    async after() {
      // Begun or not.
      if (!a.disabled) a.release(3);
      a.recover();
      expect(['acquired', 'disabled']).toContain(await waiting);
    },
  };
});

const lock = (pool: BufferPool) => RwLock.create(pool);
const write = (one: RwLock) => {
  isAcquired(one.writeSync(LONG_MS));
  one.unlockWrite();
  expect(one.state).toBe('free');
};
PLAYS['read-write lock: read'] = plays(RwLock, lock, (victim, a, b) => ({
  run() {
    victim.readSync();
    victim.unlockRead();
  },
  after() {
    write(a);
    write(b);
  },
}));
PLAYS['read-write lock: write, downgrade'] = plays(RwLock, lock, (victim, a, b) => ({
  run() {
    victim.writeSync();
    victim.downgrade();
    victim.unlockRead();
  },
  after() {
    isAcquired(a.readSync(LONG_MS));
    a.unlockRead();
    write(b);
  },
}));
PLAYS['read-write lock: writes, others wait'] = plays(RwLock, lock, (victim, a, b) => {
  victim.tryWrite();
  const waits = [a.read().then(() => a.unlockRead()), b.write().then(() => b.unlockWrite())];
  return { run: () => victim.unlockWrite(), after: () => Promise.all(waits) };
});
PLAYS['read-write lock: waits to write that end'] = plays(RwLock, lock, (victim, a, b) => {
  a.tryRead();
  return {
    run: () => expect(victim.writeSync(1)).toBe('timeout'),
    after() {
      a.unlockRead();
      write(b);
    },
  };
});
PLAYS['read-write lock: waits to read that end'] = plays(RwLock, lock, (victim, a, b) => {
  a.tryWrite();
  return {
    run: () => expect(victim.readSync(1)).toBe('timeout'),
    after() {
      a.unlockWrite();
      write(b);
    },
  };
});

for (const reset of ['manual', 'auto'] as const) {
  const create = (pool: BufferPool) => Event.create(pool, { reset });
  PLAYS[`event ${reset}: set, others wait`] = plays(Event, create, (victim, a, b) => {
    const waits = [a.wait(), b.wait()];
    return {
      run() {
        victim.set();
        victim.reset();
      },
      async after() {
        const seen: string[] = [];
        for (const waiting of waits) waiting.then((result) => seen.push(result));
        while (seen.length < waits.length) {
          a.set();
          await turn();
        }
        expect(seen).toEqual(['set', 'set']);
      },
    };
  });
  PLAYS[`event ${reset}: a wait`] = plays(Event, create, (victim, a, b) => ({
    run() {
      victim.waitSync(1);
      victim.set();
      victim.waitSync(1);
    },
    after() {
      a.set();
      expect(b.waitSync(LONG_MS)).toBe('set');
    },
  }));
}

const countdown = (pool: BufferPool) => Countdown.create(pool, 2);
PLAYS['countdown: the last'] = plays(Countdown, countdown, (victim, a, b) => {
  a.arrive();
  const waiting = b.wait();
  return {
    run() {
      victim.enter();
      victim.run(() => {});
    },
    async after() {
      // Who dies before enter() is unknown.
      a.run(() => {});
      expect(['done', 'failed']).toContain(await waiting);
    },
  };
});
PLAYS['wait group: join, done'] = plays(
  WaitGroup,
  (pool) => WaitGroup.create(pool),
  (victim, a, b) => {
    a.add();
    const waits = [a.wait(), b.wait()];
    return {
      run() {
        victim.join();
        victim.done();
      },
      async after() {
        a.done();
        (await Promise.all(waits)).forEach(isDone);
      },
    };
  },
);
for (const end of ['done', 'cancel'] as const) {
  PLAYS[`barrier: join, ${end}`] = plays(
    Barrier,
    (pool) => Barrier.create(pool),
    (victim, a, b) => {
      const waiting = b.wait();
      return {
        run() {
          victim.join();
          victim[end]();
        },
        async after() {
          a.done();
          expect(['done', 'cancelled']).toContain(await waiting);
        },
      };
    },
  );
}

const once = (pool: BufferPool) => Once.create(pool);
for (const end of ['finish', 'fail'] as const) {
  PLAYS[`once: begin, ${end}`] = plays(Once, once, (victim, a, b) => ({
    run() {
      victim.beginSync();
      victim[end]();
    },
    async after() {
      isDone(await a.run(() => 1));
      isDone(b.runSync(() => 2, LONG_MS));
    },
  }));
}
PLAYS['once: finish, others wait'] = plays(Once, once, (victim, a, b) => {
  victim.tryBegin();
  const waits = [a, b].map((one) => one.run(() => 1));
  return {
    run: () => victim.finish(),
    after: async () => (await Promise.all(waits)).forEach(isDone),
  };
});

const gate = (pool: BufferPool) => Gate.create(pool);
PLAYS['gate: open, decide, close'] = plays(Gate, gate, (victim, a, b) => {
  const waiting = b.enter();
  return {
    run() {
      victim.open();
      victim.decideSync(() => true, 1);
      victim.close();
    },
    async after() {
      a.open();
      expect(await waiting).toBe('entered');
      expect(a.enterSync(LONG_MS)).toBe('entered');
    },
  };
});

const SIGNALS = 2000;
const tree = (pool: BufferPool) => SignalTree.create(pool, { signals: SIGNALS });
PLAYS['signal tree: set, another waits'] = plays(SignalTree, tree, (victim, a, b) => {
  const waiting = b.take();
  return {
    run: () => void victim.set(SIGNALS - 1),
    async after() {
      a.set(3);
      expect([3, SIGNALS - 1]).toContain(await waiting);
    },
  };
});
PLAYS['signal tree: take'] = plays(SignalTree, tree, (victim, a, b) => {
  a.set(7);
  a.set(SIGNALS - 1);
  return {
    run() {
      while (victim.takeSync(1) !== NO_SIGNAL);
    },
    after() {
      while (b.tryTake() !== NO_SIGNAL);
      for (const index of [7, 8, SIGNALS - 1]) {
        a.set(index);
        expect(b.takeSync(LONG_MS)).toBe(index);
      }
    },
  };
});

PLAYS['seqlock: write'] = (stage) => {
  const a = SeqLock.create(stage.pool, { words: 4 });
  const [victim, b] = [stage.victims, stage.other].map((pool) => SeqLock.attach(pool, a.handle));
  a.tryWrite(Int32Array.of(1, 1, 1, 1));
  const seen = new Int32Array(4);
  return {
    blocks: [a.handle.writers.control, a.handle.data],
    run: () => void victim.writeSync(Int32Array.of(2, 2, 2, 2)),
    after() {
      expect(b.tryRead(seen)).toBe('read');
      expect([...new Set(seen)].length).toBe(1);
      expect(b.writeSync(Int32Array.of(3, 3, 3, 3), LONG_MS)).toBe('written');
      expect([a.readSync(seen), seen.join()]).toEqual(['read', '3,3,3,3']);
    },
  };
};

test.each(Object.keys(PLAYS))(
  '%s: a death before any access',
  { timeout: 600_000 },
  async (name) => {
    let k = 1;
    for (; ; k++) {
      expect(k).toBeLessThan(ACCESSES_MAX);
      const stage = new Stage();
      const { blocks, run, after } = PLAYS[name](stage);
      const hasDied = dieAt(k, run, [stage.pool.handle.control, ...blocks]);
      if (hasDied) die(stage.victims);
      await after();
      stage.other.detach();
      stage.pool.detach();
      if (!hasDied) break;
    }
    expect(k).toBeGreaterThan(1);
  },
);
