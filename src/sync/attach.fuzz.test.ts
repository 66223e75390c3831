// SPDX-License-Identifier: MIT
/**
 * Whatever threads have done with a primitive, and wherever one of them has left it, a thread that
 * comes later can attach: the check of its options and its state refuses no real one.
 */
import { expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../base/random.ts';
import { BufferPool } from '../pool/index.ts';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  Once,
  RwLock,
  Semaphore,
  SignalTree,
  WaitGroup,
} from './index.ts';

const ROUNDS = 40;
const STEPS = 40;
const PERMITS = 3;

/** One primitive as one thread sees it, and what the thread may do; `look` as another attaches. */
type Ops<P> = readonly ((one: P, random: Random, look: () => void) => unknown)[];

interface Kind<P> {
  create(pool: BufferPool, random: Random): P;
  attach(pool: BufferPool, made: P): P & { recover(): unknown };
  readonly ops: Ops<P>;
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.below(values.length)];
}

/** A decision or a function that throws as often as not. */
function moody<Result>(random: Random, look: () => void, result: Result): () => Result {
  return () => {
    look();
    if (random.chance(0.5)) throw new Error('on purpose');
    return result;
  };
}

function kind<P>(
  create: Kind<P>['create'],
  attach: (pool: BufferPool, made: P) => unknown,
  ops: Ops<P>,
): Kind<unknown> {
  return { create, attach, ops } as Kind<unknown>;
}

const deaths = (random: Random) => pick(random, ['handOver', 'poison'] as const);

const KINDS: Readonly<Record<string, Kind<unknown>>> = {
  mutex: kind<Mutex>(
    (pool, random) =>
      Mutex.create(pool, {
        order: pick(random, ['barging', 'lifo', 'fair'] as const),
        onOwnerDeath: deaths(random),
      }),
    (pool, { handle }) => Mutex.attach(pool, handle),
    [(one) => one.tryLock(), (one) => one.lockSync(0), (one) => one.unlock()],
  ),
  'read-write lock': kind<RwLock>(
    (pool, random) => RwLock.create(pool, { onOwnerDeath: deaths(random) }),
    (pool, { handle }) => RwLock.attach(pool, handle),
    [
      (one) => one.tryRead(),
      (one) => one.readSync(0),
      (one) => one.unlockRead(),
      (one) => one.tryWrite(),
      (one) => one.writeSync(0),
      (one) => one.unlockWrite(),
      (one) => one.downgrade(),
    ],
  ),
  semaphore: kind<Semaphore>(
    (pool, random) =>
      Semaphore.create(pool, { permits: PERMITS, max: PERMITS + 1, owned: random.chance(0.5) }),
    (pool, { handle }) => Semaphore.attach(pool, handle),
    [
      (one, random) => one.tryAcquire(1 + random.below(PERMITS)),
      (one, random) => one.acquireSync(1 + random.below(PERMITS), 0),
      (one, random) => one.release(1 + random.below(PERMITS)),
      (one, random) => random.chance(0.1) && one.disable(),
    ],
  ),
  event: kind<Event>(
    (pool, random) => Event.create(pool, { reset: pick(random, ['manual', 'auto'] as const) }),
    (pool, { handle }) => Event.attach(pool, handle),
    [(one) => one.set(), (one) => one.reset(), (one) => one.tryWait(), (one) => one.waitSync(0)],
  ),
  'wait group': kind<WaitGroup>(
    (pool) => WaitGroup.create(pool),
    (pool, { handle }) => WaitGroup.attach(pool, handle),
    [
      (one, random) => one.add(1 + random.below(3)),
      (one) => one.join(),
      (one) => one.enter(),
      (one) => one.done(),
      (one) => one.withdraw(),
      (one) => one.waitSync(0),
    ],
  ),
  countdown: kind<Countdown>(
    (pool, random) => Countdown.create(pool, 1 + random.below(4)),
    (pool, { handle }) => Countdown.attach(pool, handle),
    [
      (one) => one.add(),
      (one) => one.join(),
      (one) => one.enter(),
      (one) => one.arrive(),
      (one) => one.withdraw(),
      (one) => one.finish(),
      (one) => one.fail(),
      (one, random, look) => one.run(moody(random, look, undefined)),
      (one) => one.waitSync(0),
    ],
  ),
  barrier: kind<Barrier>(
    (pool) => Barrier.create(pool),
    (pool, { handle }) => Barrier.attach(pool, handle),
    [
      (one) => one.spawn(),
      (one) => one.join(),
      (one) => one.enter(),
      (one) => one.done(),
      (one) => one.withdraw(),
      (one, random) => random.chance(0.1) && one.cancel(),
      (one) => one.waitSync(0),
    ],
  ),
  gate: kind<Gate>(
    (pool, random) => Gate.create(pool, random.chance(0.5) ? { batch: 3 } : {}),
    (pool, { handle }) => Gate.attach(pool, handle),
    [
      (one) => one.open(),
      (one) => one.close(),
      (one) => one.tryEnter(),
      (one) => one.enterSync(0),
      (one, random, look) => one.tryDecide(moody(random, look, random.chance(0.5))),
      (one, _, look) =>
        one.tryDecide(() => {
          one.close();
          look();
          return true;
        }),
    ],
  ),
  once: kind<Once>(
    (pool, random) => Once.create(pool, { onError: pick(random, ['retry', 'poison'] as const) }),
    (pool, { handle }) => Once.attach(pool, handle),
    [
      (one) => one.tryBegin(),
      (one) => one.beginSync(0),
      (one) => one.finish(7),
      (one) => one.fail(),
      (one, random, look) => one.tryRun(moody(random, look, 7)),
    ],
  ),
  'signal tree': kind<SignalTree>(
    (pool, random) => SignalTree.create(pool, { signals: 1 + random.below(40) }),
    (pool, { handle }) => SignalTree.attach(pool, handle),
    [
      (one, random) => one.set(random.below(one.length)),
      (one) => one.tryTake(),
      (one) => one.takeSync(0),
    ],
  ),
};

/** A code of the library, or an error of the test's own: anything else is a defect. */
function attempt(step: () => unknown, where: string): void {
  try {
    step();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    expect(code ?? message, where).toMatch(/^(on purpose|ERR_BUSBAR_(NOT_OWNER|DEADLOCK))$/);
  }
}

test.each(Object.entries(KINDS))('%s: a thread attaches after whatever others did', (_, kind) => {
  const seed = arbitrarySeed();
  const random = new Random(seed);
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 4 });
  const late = BufferPool.attach(pool.handle);
  for (let round = 0; round < ROUNDS; round++) {
    const made = kind.create(pool, random);
    const where = `seed ${seed}, round ${round}`;
    const look = (): void => {
      expect(() => kind.attach(late, made), where).not.toThrow();
    };
    let dying = BufferPool.attach(pool.handle);
    let ends = [made, kind.attach(dying, made)];
    for (let step = 0; step < STEPS; step++) {
      if (random.chance(0.1)) {
        // It leaves whatever it holds.
        dying.detach();
        look();
        if (random.chance(0.5)) kind.attach(late, made).recover();
        look();
        dying = BufferPool.attach(pool.handle);
        ends = [made, kind.attach(dying, made)];
      }
      attempt(() => pick(random, kind.ops)(pick(random, ends), random, look), where);
      look();
    }
    dying.detach();
  }
});
