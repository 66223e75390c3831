// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { pauseAtEach } from '../../test/accesses.ts';
import { auditPool, controlLayout, controlWords } from '../../test/pool-audit.ts';
import { coded, drain, expectAllHome } from '../../test/pool-expectations.ts';
import { die } from '../../test/simulated-death.ts';
import { type BufferId, BufferPool, NO_BUFFER } from './index.ts';
import {
  badgeOf,
  claimedBy,
  GRANT,
  inStripe,
  LIFE,
  LIVES,
  NEXT,
  OWNER,
  STATE,
} from './pool-layout.ts';

const shape = { bufferSize: 8, bufferCount: 12, batchSize: 3, maxThreads: 4 };

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('reclaim refuses the living, and itself', () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const id = other.tryAcquire();
  const before = pool.stats();
  expect(() => pool.reclaim(other.threadSlot)).toThrow(coded('ERR_BUSBAR_THREAD_ALIVE'));
  expect(() => pool.reclaim(pool.threadSlot)).toThrow('slot 0 is the calling thread');
  expect(pool.reclaimDead()).toEqual([]);
  expect(pool.stats()).toEqual(before);
  other.release(id);
  expectAllHome(pool);
});

test('reclaim refuses what is no slot by name', () => {
  const pool = BufferPool.create(shape);
  for (const slot of [-1, 4, 0.5, NaN]) {
    expect(() => pool.reclaim(slot)).toThrow(
      new RangeError(`threadSlot must be an integer from 0 to 3, got ${slot}`),
    );
  }
  expect(() => pool.reclaim('1' as unknown as number)).toThrow(TypeError);
  expect(pool.reclaim(3)).toBe(0);
});

test('all that a dead thread held comes back: cache, buffers, shares', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const words = new Int32Array(12);
  const [a, b, c] = drain(other);
  const mine = other.tryAcquire();
  expect(mine).toBe(NO_BUFFER);
  other.retain(a);
  other.retain(b);
  other.moveInto(b, other.offsetOf(b), 1, words, 0);
  pool.moveFrom(words, 0);
  other.moveInto(c, other.offsetOf(c), 1, words, 4);
  die(other);
  // All but b, which this thread holds too, and c, which is in transit.
  expect(pool.reclaim(other.threadSlot)).toBe(10);
  expect(pool.reclaim(other.threadSlot)).toBe(0);
  expect(pool.reclaimDead()).toEqual([]);
  expect(pool.who()).toMatchObject({ held: 2, inTransit: 1, freeShared: 10 });
  expect(auditPool(pool)).toEqual([]);
  expect(pool.isSoleHolder(b)).toBe(true);
  pool.release(b);
  pool.release(pool.moveFrom(words, 4));
  expectAllHome(pool);
  expect(pool.stats().threads[0]?.reclaims).toBe(1);
  expect(BufferPool.attach(pool.handle).threadSlot).toBe(other.threadSlot);
});

test('reclaimDead finds every dead thread and says what each gave back', () => {
  const pool = BufferPool.create(shape);
  const others = [1, 2, 3].map(() => BufferPool.attach(pool.handle));
  others[0].tryAcquire();
  others[1].tryAcquire();
  const kept = others[2].tryAcquire();
  die(others[0]);
  die(others[2]);
  const reports = pool.reclaimDead();
  expect(reports).toEqual([
    { slot: 1, freed: 3 },
    { slot: 3, freed: 3 },
  ]);
  expect(pool.stats().threads.map(({ slot }) => slot)).toEqual([0, 2]);
  expect(kept).not.toBe(NO_BUFFER);
});

test('what a dead thread gives back goes to those who wait', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const ids = drain(other);
  const waiting = Promise.all([pool.acquire(), pool.acquire()]);
  die(other);
  pool.reclaim(other.threadSlot);
  expect(ids).toEqual(expect.arrayContaining(await waiting));
});

test('the wait of a dead thread ends, and a buffer that it was granted comes back', () => {
  for (const granted of [false, true]) {
    const pool = BufferPool.create(shape);
    const other = BufferPool.attach(pool.handle);
    const ids = drain(pool);
    const aborter = new AbortController();
    other.acquire({ signal: aborter.signal }).catch(() => {});
    if (granted) pool.release(ids.pop() as BufferId);
    const record = controlLayout(pool).thread(other.threadSlot);
    expect(controlWords(pool)[record + GRANT] > 0).toBe(granted);
    die(other);
    expect(pool.reclaim(other.threadSlot)).toBe(granted ? 1 : 0);
    for (const id of ids) pool.release(id);
    expectAllHome(pool);
    aborter.abort();
  }
});

test('a buffer that a dead thread had granted to a living one stays granted', async () => {
  const pool = BufferPool.create(shape);
  const giver = BufferPool.attach(pool.handle);
  const waiter = BufferPool.attach(pool.handle);
  const ids = drain(giver);
  const waiting = waiter.acquire();
  giver.release(ids[5]);
  die(giver);
  expect(pool.reclaim(giver.threadSlot)).toBe(11);
  expect(await waiting).toBe(ids[5]);
  expect(auditPool(pool)).toEqual([]);
  waiter.release(ids[5]);
  expectAllHome(pool);
});

test('a stripe that a dead thread had claimed is rebuilt', () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const words = controlWords(pool);
  const layout = controlLayout(pool);
  const at = layout.stripe(2);
  const head = words[at] - 1;
  // As if it had died in the midst of taking two buffers, with the chain's links in disorder.
  words[at] = claimedBy(other.threadSlot);
  words[layout.buffer(head) + OWNER] = other.threadSlot;
  words[layout.buffer(words[layout.buffer(head) + NEXT]) + OWNER] = other.threadSlot;
  for (let id = 0; id < 12; id++) {
    if (words[layout.buffer(id) + OWNER] === inStripe(2)) words[layout.buffer(id) + NEXT] = id;
  }
  const [first] = drain(pool);
  die(other);
  pool.reclaim(other.threadSlot);
  expect(auditPool(pool)).toEqual([]);
  expect(first + drain(pool).length).toBe(first + 3);
});

test('a thread that is asked whether it lives again and again goes on living', async () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const id = other.tryAcquire();
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 200; i++) {
      expect(() => pool.reclaim(other.threadSlot)).toThrow(coded('ERR_BUSBAR_THREAD_ALIVE'));
    }
    await settle();
  }
  die(other);
  pool.reclaim(other.threadSlot);
  expectAllHome(pool);
  expect(id).not.toBe(NO_BUFFER);
});

test('a thread often looked at by reclaimDead while busy is reclaimed once it is dead', () => {
  const pool = BufferPool.create(shape);
  const busy = BufferPool.attach(pool.handle);
  busy.tryAcquire();
  // It has no turn of its event loop between the looks:
  for (let i = 0; i < 1000; i++) expect(pool.reclaimDead()).toEqual([]);
  die(busy);
  expect(pool.reclaim(busy.threadSlot)).toBe(3);
  expectAllHome(pool);
});

test('looks at a thread that has left do not count against the next one in its slot', async () => {
  const pool = BufferPool.create(shape);
  for (let i = 0; i < 20; i++) {
    const other = BufferPool.attach(pool.handle);
    for (let k = 0; k < 5; k++) pool.reclaimDead();
    other.detach();
  }
  await settle();
  const last = BufferPool.attach(pool.handle);
  last.tryAcquire();
  die(last);
  expect(pool.reclaimDead()).toEqual([{ slot: 1, freed: 3 }]);
});

test('a thread is not taken for dead at any moment of attaching, living and leaving', () => {
  const pool = BufferPool.create(shape);
  let looks = 0;
  let other: BufferPool | undefined;
  pauseAtEach(
    () => {
      looks++;
      expect(pool.reclaimDead()).toEqual([]);
    },
    () => {
      other = BufferPool.attach(pool.handle);
      other.release(other.tryAcquire());
      other.detach();
    },
  );
  expect(looks).toBeGreaterThan(20);
  expectAllHome(pool);
});

test('a thread that leaves does not free the slot of its successor', () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  const successors = new Set<BufferPool>();
  pauseAtEach(
    () => {
      if (successors.size < 2) successors.add(BufferPool.attach(pool.handle));
      else for (let i = 0; i < 3; i++) pool.reclaimDead();
    },
    () => other.detach(),
  );
  const slots = pool.stats().threads.map(({ slot }) => slot);
  expect(slots).toEqual([0, ...Array.from(successors, (each) => each.threadSlot)].sort());
  for (const each of successors) each.detach();
  expectAllHome(pool);
});

test('a prober that saw the predecessor does not reclaim the successor', () => {
  const pool = BufferPool.create(shape);
  let other = BufferPool.attach(pool.handle);
  let moves = 0;
  pauseAtEach(
    () => {
      if (moves++ > 100) return;
      other.detach();
      other = BufferPool.attach(pool.handle);
    },
    () => {
      // Proofs of life may fail while the slot changes hands under the prober, but not the claim.
      try {
        expect(pool.reclaim(1)).toBe(0);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_BUSBAR_THREAD_ALIVE' });
      }
    },
  );
  expect(moves).toBeGreaterThan(2);
  expect(pool.stats().threads.map(({ slot }) => slot)).toEqual([0, 1]);
  expect(BufferPool.attach(pool.handle).threadSlot).toBe(2);
  expectAllHome(pool);
});

test('a thread that dies while attaching costs the pool neither a buffer nor a slot', () => {
  for (let fatal = 1; ; fatal++) {
    const pool = BufferPool.create({ ...shape, maxThreads: 2 });
    let accesses = 0;
    let attached = false;
    try {
      pauseAtEach(
        () => {
          if (++accesses === fatal) throw new Error('dead');
        },
        () => BufferPool.attach(pool.handle),
      );
      attached = true;
    } catch (error) {
      expect(error).toMatchObject({ message: 'dead' });
    }
    if (attached) break;
    // The waits that it had begun vanish with it.
    const words = controlWords(pool);
    const record = controlLayout(pool).thread(1);
    for (let i = 0; i < LIVES; i++) Atomics.notify(words, record + LIFE + i);
    pool.reclaimDead();
    const next = BufferPool.attach(pool.handle);
    expect(next.threadSlot).toBe(1);
    die(next);
    expect(pool.reclaimDead()).toEqual([{ slot: 1, freed: 0 }]);
    expectAllHome(pool);
  }
});

test('a slot that was taken away from a thread moving in is not spoilt by it', () => {
  const pool = BufferPool.create({ ...shape, maxThreads: 2 });
  let robber: BufferPool | undefined;
  const attach = (): void => {
    BufferPool.attach(pool.handle);
  };
  expect(() =>
    pauseAtEach(() => {
      robber ??= tryAttach(pool);
    }, attach),
  ).toThrow(coded('ERR_BUSBAR_THREAD_SLOTS'));
  expect(robber?.threadSlot).toBe(1);
  expect(pool.reclaimDead()).toEqual([]);
  robber?.tryAcquire();
  expect(() => pool.reclaim(1)).toThrow(coded('ERR_BUSBAR_THREAD_ALIVE'));
  die(robber as BufferPool);
  expect(pool.reclaim(1)).toBe(3);
  expectAllHome(pool);
});

/** Attaches where another is just moving in. */
function tryAttach(pool: BufferPool): BufferPool | undefined {
  const state = controlWords(pool)[controlLayout(pool).thread(1) + STATE];
  return state < 0 ? BufferPool.attach(pool.handle) : undefined;
}

test('a reclaim cut short is finished by anybody, also when its thread has a successor', () => {
  const pool = BufferPool.create(shape);
  const dead = BufferPool.attach(pool.handle);
  const reclaimer = BufferPool.attach(pool.handle);
  const layout = controlLayout(pool);
  const words = controlWords(pool);
  drain(dead);
  die(dead);
  words[layout.thread(dead.threadSlot) + STATE] = badgeOf(
    reclaimer.threadSlot,
    words[layout.thread(reclaimer.threadSlot) + STATE],
  );
  expect(pool.stats().threads[1]?.state).toBe('reclaiming');
  expect(pool.reclaim(dead.threadSlot)).toBe(0);
  die(reclaimer);
  expect(pool.reclaim(reclaimer.threadSlot)).toBe(0);
  const successor = BufferPool.attach(pool.handle);
  expect(successor.threadSlot).toBe(reclaimer.threadSlot);
  expect(pool.reclaim(dead.threadSlot)).toBe(12);
  expectAllHome(pool);
});

test('a closed pool is still reclaimed', () => {
  const pool = BufferPool.create(shape);
  const other = BufferPool.attach(pool.handle);
  drain(other);
  pool.close();
  die(other);
  expect(pool.reclaim(other.threadSlot)).toBe(12);
  expectAllHome(pool);
});

test('slots are used again and again', () => {
  const pool = BufferPool.create({ ...shape, maxThreads: 2 });
  for (let i = 0; i < 300; i++) {
    const other = BufferPool.attach(pool.handle);
    expect(other.threadSlot).toBe(1);
    const [id] = drain(other);
    if (i % 2 === 0) {
      die(other);
      expect(pool.reclaimDead()).toEqual([{ slot: 1, freed: 12 }]);
    } else {
      other.release(id);
      for (let k = 0; k < 12; k++) if (k !== id) other.release(k as BufferId);
      other.detach();
    }
    expectAllHome(pool);
  }
});

test('who reclaims may take references of the dead over', () => {
  const a = BufferPool.create(shape);
  const b = BufferPool.attach(a.handle);
  const words = new Int32Array(4);
  const send = (id: BufferId): void => {
    a.moveInto(id, a.offsetOf(id), 1, words, 0);
    b.moveFrom(words, 0);
  };
  const [sent, both, twice] = [a.tryAcquire(), a.tryAcquire(), a.tryAcquire()];
  for (const id of [both, twice]) a.retain(id);
  send(sent);
  send(both);
  send(twice);
  send(twice);
  const own = b.tryAcquire();
  const other = b.tryAcquire();
  const badge = b.badge;
  die(b);
  expect(a.declareBadgeExited(badge)).toBe(true);
  const seen: number[] = [];
  const chosen = Int32Array.from([sent, both, twice, twice, own, own, 11]);
  a.reclaimBadge(badge, (held) => {
    for (let id = 0; id < 12; id++) if (held(id) > 0) seen.push(id);
    return chosen;
  });
  expect(seen).toEqual([sent, both, twice, own, other].sort((x, y) => x - y));
  // Nobody had acquired the last one.
  expect([...chosen]).toEqual([sent, both, twice, twice, own, own, NO_BUFFER]);
  expect(auditPool(a)).toEqual([]);
  expect(a.stats().held).toBe(4);
  for (const id of [sent, both, both, twice, twice, own, own]) a.release(id);
  expectAllHome(a);
});
