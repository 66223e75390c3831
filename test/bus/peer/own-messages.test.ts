// SPDX-License-Identifier: MIT
/** Peers that carry messages in a format of one's own, some of which are refused for a while. */

import { expect, test } from 'vitest';
import { Random } from '../../../src/base/random.ts';
import type { BusSubscription } from '../../../src/bus/bus-subscription.ts';
import { FrameMemory } from '../../../src/bus/frame-memory.ts';
import type { PeerGroup } from '../../../src/bus/peer/peer-carrier.ts';
import { DONE, GROUPS, SERVE, SYNC, TELL } from '../../../src/bus/peer/peer-layout.ts';
import { Peers, type PeersHome } from '../../../src/bus/peer/peers.ts';
import { SubscriptionIndex } from '../../../src/bus/subscription-index.ts';
import { type BufferId, BufferPool } from '../../../src/pool/index.ts';
import { expectAllHome } from '../../pool-expectations.ts';

const SEEDS = Number(process.env.BUSBAR_WORLDS ?? 40);
const only = process.env.BUSBAR_SEED;
const WINDOW = 64;
const WINDOW_BYTES = 4096;
const MESSAGE_BYTES = 4;
const COST = 10;

interface Region {
  readonly bufferId: BufferId;
  readonly offset: number;
  readonly length: number;
}

/** One start of a party, and what it makes of the other's messages. */
class Party {
  readonly peers: Peers<BusSubscription>;
  readonly memory: FrameMemory;
  readonly got: number[] = [];
  /** Messages that it takes before it refuses the next. */
  appetite: number = Infinity;
  isBlocked: boolean = false;
  receive: (region: Region) => void = () => {};
  readonly #pool: BufferPool;
  readonly #index: number;

  constructor(pool: BufferPool, index: number, epoch: number, lane: Region[]) {
    this.#pool = pool;
    this.#index = index;
    this.memory = new FrameMemory(pool);
    const home: PeersHome = {
      name: `${index}:${epoch}`,
      memory: this.memory,
      windowRegions: 16,
      windowBytes: WINDOW_BYTES,
      windowInterests: WINDOW,
      arrivedOwn: (from, _id, begin, end) => {
        for (let at = begin; at < end; at += MESSAGE_BYTES) {
          if (this.appetite <= 0) {
            this.isBlocked = true;
            return at;
          }
          this.appetite--;
          this.got.push(Number(Buffer.from(pool.bytes.slice(at, at + MESSAGE_BYTES)).toString()));
          from.charge(COST);
        }
        return end;
      },
      heard: () => {},
      flushSoon: () => {},
      lacksBuffer: () => {},
    };
    const trySend = (bufferId: BufferId, offset: number, length: number): 0 | 1 => {
      if (lane.length >= 32) return 0;
      lane.push({ bufferId, offset, length });
      return 1;
    };
    const carrier = { capacity: 32, trySend };
    const group: PeerGroup = {
      index,
      epoch,
      carriers: [0, 1].map((at) => (at === index ? undefined : carrier)),
      isExpected: () => true,
      onRegion: (receiver) => {
        this.receive = ({ bufferId, offset, length }) => {
          receiver(bufferId, offset, length, 1 - index);
        };
      },
      poll: () => {},
      onGone: () => {},
    };
    this.peers = new Peers(home, group, new SubscriptionIndex());
    this.peers.flush();
  }

  get #out() {
    return this.peers.out[1 - this.#index] as NonNullable<(typeof this.peers.out)[number]>;
  }

  want(subject: string): void {
    this.peers.add({ subject: new TextEncoder().encode(subject), queue: '' });
  }

  /** False: not now. */
  send(number: number): boolean {
    if (this.#out.listener === 0 || !this.#out.hasRoom) return false;
    const at = this.memory.tryReserve(MESSAGE_BYTES);
    if (at < 0) return false;
    this.#pool.bytes.set(Buffer.from(`${number}`.padStart(MESSAGE_BYTES)), at);
    // As text that begins with no blank: that is how it differs from a frame.
    this.#out.postOwn(at, at + MESSAGE_BYTES, this.memory.bufferId, COST);
    return true;
  }

  /** Says for whom the next messages are, which is no notice. */
  serve(queue: string): void {
    expect(this.#out.trySetRecipients(GROUPS, queue)).toBe(true);
  }

  get outstanding(): number[] {
    return [this.#out.regionsOut, this.#out.bytesOut, this.#out.unheardInterests];
  }

  proceed(appetite: number): void {
    this.appetite = appetite;
    if (!this.isBlocked) return;
    this.isBlocked = false;
    this.peers.proceed(1 - this.#index);
  }

  end(): void {
    this.peers.destroy();
    this.memory.close();
  }
}

class Pair {
  readonly pool: BufferPool = BufferPool.create({ bufferSize: 1024, bufferCount: 256 });
  readonly lanes: [Region[], Region[]] = [[], []];
  readonly parties: [Party, Party];
  readonly #epochs = [0, 0];

  constructor() {
    this.parties = [this.start(0), this.start(1)];
  }

  start(index: 0 | 1): Party {
    return new Party(this.pool, index, ++this.#epochs[index], this.lanes[index]);
  }

  /** The first region to party `to` arrives. */
  deliver(to: 0 | 1): boolean {
    const region = this.lanes[1 - to].shift();
    if (region === undefined) return false;
    this.parties[to].receive(region);
    return true;
  }

  /** A region that party `from` would not send, or not now. */
  inject(from: 0 | 1, words: readonly number[]): void {
    const bufferId = this.pool.tryAcquire();
    const offset = this.pool.offsetOf(bufferId);
    new Int32Array(this.pool.bytes.buffer, offset, words.length).set(words);
    this.lanes[from].push({ bufferId, offset, length: 4 * words.length });
    while (this.deliver(from === 0 ? 1 : 0));
  }

  settle(): void {
    for (let round = 0; round < 200; round++) {
      for (const party of this.parties) party.peers.flush();
      for (let to: 0 | 1 = 0; ; to = 1) {
        while (this.deliver(to));
        if (to === 1) break;
      }
    }
  }

  end(): void {
    for (const party of this.parties) party.end();
    for (const { bufferId } of this.lanes.flat()) this.pool.release(bufferId);
    expectAllHome(this.pool);
    this.pool.close();
  }
}

test('no more interests are on their way than said, and SYNC follows the last', () => {
  const pair = new Pair();
  const [teller, listener] = pair.parties;
  pair.settle();
  const count = 2 * WINDOW + 10;
  // A new listener is told of all, and is settled only then.
  for (let i = 0; i < count; i++) teller.want(`to.${i}`);
  listener.end();
  pair.parties[1] = pair.start(1);
  const next = pair.parties[1];
  const known: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 20; i++) {
      teller.peers.flush();
      while (pair.deliver(1));
    }
    known.push(next.peers.remote.count);
    expect(next.peers.isSettled).toBe(next.peers.remote.count === count);
    next.peers.flush();
    while (pair.deliver(0));
  }
  for (let i = 1; i < known.length; i++) {
    expect((known[i] as number) - (known[i - 1] as number)).toBeLessThanOrEqual(WINDOW);
  }
  expect(known.at(-1)).toBe(count);
  pair.settle();
  expect(teller.outstanding[2]).toBeLessThan(WINDOW / 8);
  pair.end();
});

test('behind a refused message only notices are heard', async () => {
  const pair = new Pair();
  const [from, to] = pair.parties;
  pair.settle();
  to.appetite = 1;
  for (const number of [1001, 1002, 1003]) expect(from.send(number)).toBe(true);
  from.peers.flush();
  while (pair.deliver(1));
  expect(to.got).toEqual([1001]);
  from.want('news');
  let isPassed = false;
  void from.peers.fence().then(() => {
    isPassed = true;
  });
  expect(from.send(1004)).toBe(true);
  pair.settle();
  await Promise.resolve();
  expect([to.peers.remote.count, to.got, isPassed]).toEqual([1, [1001], false]);
  to.proceed(1);
  expect(to.got).toEqual([1001, 1002]);
  to.proceed(Infinity);
  expect(to.got).toEqual([1001, 1002, 1003, 1004]);
  pair.settle();
  await Promise.resolve();
  expect(isPassed).toBe(true);
  pair.end();
});

test.each(['an interest', 'a goodbye'])(
  '%s behind a refused message is not the word of a successor',
  (what) => {
    const pair = new Pair();
    const [from, to] = pair.parties;
    pair.settle();
    to.appetite = 0;
    expect(from.send(1001)).toBe(true);
    from.peers.flush();
    from.serve('q');
    from.want('old');
    from.peers.flush();
    if (what === 'a goodbye') from.peers.close();
    while (pair.deliver(1));
    from.end();
    const next = pair.start(0);
    pair.parties[0] = next;
    next.want('new');
    pair.settle();
    to.proceed(Infinity);
    pair.settle();
    expect([to.peers.remote.count, to.peers.isParted(0)]).toEqual([1, false]);
    expect(next.send(1002)).toBe(true);
    pair.settle();
    expect(to.got).toEqual([1001, 1002]);
    pair.end();
  },
);

test('a fence behind a refused message is not one of a successor', async () => {
  const pair = new Pair();
  const [from, to] = pair.parties;
  pair.settle();
  to.appetite = 0;
  expect(from.send(1001)).toBe(true);
  void from.peers.fence();
  from.peers.flush();
  while (pair.deliver(1));
  from.end();
  const next = pair.start(0);
  pair.parties[0] = next;
  pair.settle();
  expect(next.send(1002)).toBe(true);
  let isPassed = false;
  void next.peers.fence().then(() => {
    isPassed = true;
  });
  pair.settle();
  to.proceed(1);
  pair.settle();
  await Promise.resolve();
  expect([to.got, isPassed]).toEqual([[1001], false]);
  to.proceed(1);
  pair.settle();
  await Promise.resolve();
  expect([to.got, isPassed]).toEqual([[1001, 1002], true]);
  pair.end();
});

test('SYNC behind a refused message does not say that a successor has told all', () => {
  const pair = new Pair();
  const [from, to] = pair.parties;
  pair.settle();
  to.appetite = 0;
  expect(from.send(1001)).toBe(true);
  from.peers.flush();
  pair.inject(0, [SERVE, GROUPS, 0, SYNC]);
  from.end();
  pair.inject(0, [TELL, 1, 2, 16, WINDOW_BYTES, 0]);
  to.proceed(Infinity);
  expect([to.got, to.peers.count]).toEqual([[1001], 0]);
  pair.inject(0, [SYNC]);
  expect(to.peers.count).toBe(1);
  pair.parties[0] = pair.start(0);
  pair.end();
});

test('who is done with more than it was sent is sent no more, and passes no fence', async () => {
  const pair = new Pair();
  const [from, to] = pair.parties;
  pair.settle();
  const beyond = [DONE, 1, 1, 1 << 20, 1 << 20, 1 << 20, 1 << 20];
  pair.inject(1, beyond);
  for (let i = 0; i < 2 * WINDOW; i++) from.want(`to.${i}`);
  for (let i = 0; i < 10; i++) from.peers.flush();
  while (pair.deliver(1));
  expect(to.peers.remote.count).toBe(WINDOW);
  pair.settle();
  pair.inject(1, beyond);
  let isPassed = false;
  void from.peers.fence().then(() => {
    isPassed = true;
  });
  await Promise.resolve();
  expect(isPassed).toBe(false);
  pair.settle();
  await Promise.resolve();
  expect(isPassed).toBe(true);
  pair.inject(1, beyond);
  let sent = 0;
  while (from.send(1000)) sent++;
  expect(sent).toBe(Math.ceil(WINDOW_BYTES / (MESSAGE_BYTES + COST)));
  pair.end();
});

test('whatever is refused, dies and begins anew, messages come in order, none twice', () => {
  const seeds =
    only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)];
  for (const seed of seeds) {
    const random = new Random(seed);
    const pair = new Pair();
    let number = 1000;
    let last: number[] = [];
    for (let step = 0; step < 300; step++) {
      const [from, to] = pair.parties;
      const deed = random.below(100);
      if (deed < 30) {
        if (from.send(number)) last.push(number++);
      } else if (deed < 60) {
        pair.deliver(1);
      } else if (deed < 75) {
        pair.deliver(0);
      } else if (deed < 85) {
        to.proceed(random.below(4));
      } else if (deed < 95) {
        pair.parties[random.below(2)]?.peers.flush();
      } else if (deed < 97) {
        from.want(`s.${step}`);
      } else if (deed < 98) {
        from.end();
        pair.parties[0] = pair.start(0);
        last = [];
      }
    }
    for (let round = 0; round < 50; round++) {
      pair.parties[1].proceed(Infinity);
      pair.settle();
    }
    const { got } = pair.parties[1];
    const sorted = [...new Set(got)].sort((a, b) => a - b);
    expect(got, `seed ${seed}`).toEqual(sorted);
    expect(got.slice(got.length - last.length), `seed ${seed}`).toEqual(last);
    const [regions, bytes, interests] = pair.parties[0].outstanding as [number, number, number];
    expect([regions < 2, bytes < WINDOW_BYTES / 8, interests < WINDOW / 8], `seed ${seed}`).toEqual(
      [true, true, true],
    );
    expect(Math.min(regions, bytes, interests), `seed ${seed}`).toBeGreaterThanOrEqual(0);
    pair.end();
  }
});
