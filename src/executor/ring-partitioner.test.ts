// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashKey } from './key-hash.ts';
import { type RingPartitioner, ringPartitioner } from './ring-partitioner.ts';
import { hashWords } from './xxhash32.ts';

const KEYS = 20_000;

function mapOf(ring: RingPartitioner, keys = KEYS): number[] {
  return Array.from({ length: keys }, (_, key) => ring.partition(key, 1 << 20));
}

/** The shares of the executors on the ring as parts of the mean. */
function sharesOf(map: readonly number[]): number[] {
  const shares = new Map<number, number>();
  for (const index of map) shares.set(index, (shares.get(index) ?? 0) + 1);
  return [...shares.values()].map((share) => (share * shares.size) / map.length);
}

test('keys are shared about evenly, integers in a row among them', () => {
  for (const count of [2, 4, 16]) {
    const shares = sharesOf(mapOf(ringPartitioner({ count })));
    expect(shares).toHaveLength(count);
    for (const share of shares) {
      expect(share).toBeGreaterThan(0.8);
      expect(share).toBeLessThan(1.2);
    }
  }
});

test('more virtual nodes share more evenly', () => {
  const spread = (virtualNodes: number): number => {
    const shares = sharesOf(mapOf(ringPartitioner({ virtualNodes, count: 16 })));
    return Math.max(...shares) - Math.min(...shares);
  };
  expect(spread(4)).toBeGreaterThan(2 * spread(256));
});

test('who comes takes only what it is owed, who goes gives up only its own', () => {
  const ring = ringPartitioner({ count: 4 });
  const before = mapOf(ring);
  expect(ring.add(9)).toBe(true);
  const with9 = mapOf(ring);
  const moved = with9.filter((index, key) => index !== before[key]);
  expect(new Set(moved)).toEqual(new Set([9]));
  expect(moved.length / KEYS).toBeGreaterThan(0.16); // a fifth is ideal
  expect(moved.length / KEYS).toBeLessThan(0.24);
  expect(ring.remove(1)).toBe(true);
  const without1 = mapOf(ring);
  without1.forEach((index, key) => {
    if (with9[key] === 1) expect(index).not.toBe(1);
    else expect(index).toBe(with9[key]);
  });
  expect(ring.indexes).toEqual([0, 2, 3, 9]);
  ring.remove(9);
  ring.add(1);
  expect(mapOf(ring)).toEqual(before);
});

test('only who is on the ring decides, not the order in which they came and went', () => {
  const step = fc.record({ add: fc.boolean(), index: fc.integer({ min: 0, max: 7 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const options = { virtualNodes: 16 };
      const ring = ringPartitioner({ ...options, count: 1 });
      const members = new Set([0]);
      for (const { add, index } of steps) {
        if (add) {
          expect(ring.add(index)).toBe(!members.has(index));
          members.add(index);
        } else if (members.size > 1) {
          expect(ring.remove(index)).toBe(members.delete(index));
        }
      }
      const fresh = ringPartitioner(options);
      for (const index of [...members].reverse()) fresh.add(index);
      expect(ring.indexes).toEqual([...members].sort((a, b) => a - b));
      expect(mapOf(ring, 300)).toEqual(mapOf(fresh, 300));
    }),
  );
});

test('the owner of a key has the first point at or after its hash', () => {
  const members = [0, 3, 4, 17];
  const virtualNodes = 5;
  const ring = ringPartitioner({ virtualNodes, seed: 99 });
  for (const index of members) ring.add(index);
  const points = members
    .flatMap((index) =>
      Array.from({ length: virtualNodes }, (_, node) => ({
        index,
        point: hashWords(node, index, 99 ^ 0x5bd1e995) >>> 0,
      })),
    )
    .sort((a, b) => a.point - b.point);
  for (let key = 0; key < 2000; key++) {
    const hash = hashKey(key, 99) >>> 0;
    const owner = points.find(({ point }) => point >= hash) ?? points[0];
    expect(ring.partition(key, 18)).toBe(owner?.index);
  }
});

test('of points that collide the lower index owns the arc, and the other takes over', () => {
  const [low, high, other] = [1, 364_071, 3]; // the first two collide, as the test finds out
  const virtualNodes = 1024;
  const pointsOf = (index: number): number[] =>
    Array.from({ length: virtualNodes }, (_, node) => {
      return hashWords(node, index, 0x5bd1e995) >>> 0;
    });
  const points = new Set(pointsOf(low));
  const point = pointsOf(high).find((each) => points.has(each)) ?? -1;
  expect(point).toBeGreaterThanOrEqual(0);
  const all = [low, high, other].flatMap(pointsOf);
  const before = Math.max(...all.filter((each) => each < point));
  let key = 0;
  for (let hash = hashKey(key, 0) >>> 0; hash <= before || hash > point; ) {
    hash = hashKey(++key, 0) >>> 0;
  }
  const ring = ringPartitioner({ virtualNodes });
  ring.add(high);
  ring.add(other);
  expect(ring.partition(key, 1 << 20)).toBe(high);
  ring.add(low);
  expect(ring.partition(key, 1 << 20)).toBe(low);
  ring.remove(low);
  expect(ring.partition(key, 1 << 20)).toBe(high);
});

test('the last executor stays, and so does the ring when something is refused', () => {
  const ring = ringPartitioner({ count: 2 });
  ring.remove(0);
  expect(() => ring.remove(1)).toThrow('index must not be the last one on the ring, got 1');
  expect(ring.remove(0)).toBe(false);
  expect(ring.add(1)).toBe(false);
  expect(ring.partition('key', 2)).toBe(1);
  for (const wrong of [-1, 1.5, 1 << 20, Number.NaN]) {
    expect(() => ring.add(wrong)).toThrow(/^index must be an integer from 0 to/);
    expect(() => ring.remove(wrong)).toThrow(/^index must be an integer from 0 to/);
  }
});

test('a ring to which nothing was added takes those that it is first asked for', () => {
  const ring = ringPartitioner();
  expect(ring.indexes).toEqual([]);
  expect(() => ring.remove(0)).toThrow('a ring to which none was added yet');
  ring.partition('key', 3);
  expect(ring.indexes).toEqual([0, 1, 2]);
  expect(mapOf(ring)).toEqual(mapOf(ringPartitioner({ count: 3 })));
});

test('an executor on the ring that the group does not have is an error, not an index', () => {
  const ring = ringPartitioner();
  ring.add(5);
  expect(() => ring.partition('key', 5)).toThrow(
    new RangeError(
      'count must exceed the indexes on the ring: the key "key" belongs to executor 5, ' +
        'but count is 5',
    ),
  );
  expect(ring.partition('key', 6)).toBe(5);
});
