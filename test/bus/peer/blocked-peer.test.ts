// SPDX-License-Identifier: MIT
/** What a peer that takes nothing costs, while interests come and go: a difference, not a log. */

import { expect, test } from 'vitest';
import { Random } from '../../../src/base/random.ts';
import type { BusSubscription } from '../../../src/bus/bus-subscription.ts';
import { FrameMemory } from '../../../src/bus/frame-memory.ts';
import { interestKey } from '../../../src/bus/peer/own-interest.ts';
import {
  NOT_NOW,
  type PeerGroup,
  type RegionReceiver,
  SENT,
} from '../../../src/bus/peer/peer-carrier.ts';
import { Peers } from '../../../src/bus/peer/peers.ts';
import type { Bytes } from '../../../src/bus/subject.ts';
import { SubscriptionIndex } from '../../../src/bus/subscription-index.ts';
import { type BufferId, BufferPool } from '../../../src/pool/index.ts';
import { expectAllHome } from '../../pool-expectations.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? 5);
const WINDOW_BYTES = 2048;
/** An INTEREST takes at least so much of a window. */
const INTEREST_BYTES_MIN = 20;

interface Region {
  readonly bufferId: BufferId;
  readonly offset: number;
  readonly length: number;
}

class Wanted {
  readonly subject: Bytes;
  readonly queue: string;
  isStalled: boolean = false;

  constructor(subject: string, queue: string = '') {
    this.subject = Buffer.from(subject);
    this.queue = queue;
  }

  get key(): string {
    return interestKey(this.subject, this.queue);
  }
}

/** One of two peers. */
class Party {
  readonly peers: Peers<BusSubscription>;
  readonly memory: FrameMemory;
  /** The lane to the other one has room for so many regions. */
  room: number = Infinity;
  /** What the other one wants, by its key, as it was announced. */
  readonly heard: Map<string, number> = new Map();
  receive: RegionReceiver = () => {};

  constructor(pool: BufferPool, index: number, lane: Region[]) {
    this.memory = new FrameMemory(pool);
    const carrier = {
      capacity: 64,
      trySend: (bufferId: BufferId, offset: number, length: number) => {
        if (this.room <= 0) return NOT_NOW;
        this.room--;
        lane.push({ bufferId, offset, length });
        return SENT;
      },
    };
    const group: PeerGroup = {
      index,
      epoch: 1,
      carriers: index === 0 ? [undefined, carrier] : [carrier, undefined],
      onRegion: (receiver) => {
        this.receive = receiver;
      },
    };
    const home = {
      name: `${index}`,
      memory: this.memory,
      windowRegions: 16,
      windowBytes: WINDOW_BYTES,
      heard: () => {},
      flushSoon: () => {},
      lacksBuffer: () => {},
    };
    this.peers = new Peers<BusSubscription>(home, group, new SubscriptionIndex());
    const { remote } = this.peers;
    const set = remote.set.bind(remote);
    remote.set = (peer, subject, queue, weight) => {
      const key = interestKey(subject, queue);
      if (weight === 0) this.heard.delete(key);
      else this.heard.set(key, weight);
      return set(peer, subject, queue, weight);
    };
  }

  get unheard(): number {
    return this.peers.out.reduce((sum, each) => sum + (each?.unheardInterests ?? 0), 0);
  }
}

/** Both parties, which know each other. */
class World {
  readonly pool: BufferPool = BufferPool.create({ bufferSize: 1024, bufferCount: 64 });
  readonly #lanes: Region[][] = [[], []];
  readonly first: Party = new Party(this.pool, 0, this.#lanes[1]);
  readonly second: Party = new Party(this.pool, 1, this.#lanes[0]);

  constructor() {
    this.settle();
    expect(this.first.peers.isSettled && this.second.peers.isSettled).toBe(true);
  }

  settle(): void {
    const parties = [this.first, this.second];
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      for (const [to, party] of parties.entries()) {
        party.peers.flush();
        for (const { bufferId, offset, length } of this.#lanes[to].splice(0)) {
          isMoving = true;
          party.receive(bufferId, offset, length, 1 - to);
        }
      }
    }
  }

  end(): void {
    for (const { peers, memory } of [this.first, this.second]) {
      peers.destroy();
      memory.close();
    }
    for (const lane of this.#lanes) {
      for (const { bufferId } of lane.splice(0)) this.pool.release(bufferId);
    }
    expectAllHome(this.pool);
  }
}

test('a peer that takes nothing holds a window, however many come and go', () => {
  const world = new World();
  const { first, pool } = world;
  const kept = Array.from({ length: 10 }, (_, i) => new Wanted(`kept.${i}`));
  for (const each of kept) first.peers.add(each);
  world.settle();
  first.room = 0;
  const window = WINDOW_BYTES / INTEREST_BYTES_MIN;
  let most = 0;
  for (let i = 0; i < 20_000; i++) {
    const wanted = new Wanted(i % 2 === 0 ? `new.${i}` : 'again');
    first.peers.add(wanted);
    first.peers.flush();
    first.peers.remove(wanted);
    first.peers.flush();
    const old = kept[i % kept.length];
    first.peers.remove(old);
    first.peers.add(old);
    most = Math.max(most, first.unheard);
  }
  // Those in the window, and those that the peer knows by it, and that are wanted no more.
  expect(most).toBeLessThanOrEqual(2 * window + kept.length);
  expect(pool.who().held + pool.who().inTransit).toBeLessThan(8);
  first.room = Infinity;
  world.settle();
  expect([...world.second.heard.keys()].sort()).toEqual(kept.map(({ key }) => key).sort());
  world.end();
});

test('whatever comes and goes while a peer is slow, it knows in the end what holds', () => {
  const random = new Random(SEED);
  const world = new World();
  const { first, second } = world;
  const here: Wanted[] = [];
  const weights = (): [string, number][] => {
    const own = [...first.peers.own.all()];
    return own.map(({ subject, queue, count, stalledCount }) => {
      const isStalled = queue === '' ? stalledCount > 0 : stalledCount === count;
      const weight = queue === '' ? 1 : count;
      return [interestKey(subject, queue), isStalled ? -weight : weight];
    });
  };
  for (let step = 0; step < 20_000; step++) {
    const at = random.below(here.length + 1);
    if (at === here.length || random.chance(0.4)) {
      const wanted = new Wanted(`s.${random.below(40)}`, random.chance(0.3) ? 'crew' : '');
      here.push(wanted);
      first.peers.add(wanted);
    } else if (random.chance(0.3)) {
      first.peers.setStalled(here[at], !here[at].isStalled);
    } else {
      first.peers.remove(here[at]);
      here.splice(at, 1);
    }
    if (random.chance(0.02)) first.room = random.chance(0.5) ? 0 : Infinity;
    if (random.chance(0.1)) first.peers.flush();
    if (random.chance(0.01)) {
      first.room = Infinity;
      world.settle();
      const about = `seed ${SEED}, step ${step}`;
      expect([...second.heard].sort(), about).toEqual(weights().sort());
      expect(first.unheard, about).toBeLessThan(WINDOW_BYTES / INTEREST_BYTES_MIN);
    }
    // At most one for each of 40 subjects, plain and in the group, and a window.
    expect(first.unheard).toBeLessThanOrEqual(80 + WINDOW_BYTES / INTEREST_BYTES_MIN);
  }
  world.end();
});
