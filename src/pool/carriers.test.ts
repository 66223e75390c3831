// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { asEndedThread, dieAt, pauseAt } from '../../test/accesses.ts';
import { auditPool, controlLayout, controlWords } from '../../test/pool-audit.ts';
import { ChannelLayout } from '../channel/channel-layout.ts';
import { PacketChannel, type PacketSender } from '../channel/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from './buffer-pool.ts';
import { CONDEMNED, ENTRY_COUNT, LEFT, OWNER, PARTY_COUNT_MAX, READY } from './carrier-layout.ts';
import { announceParty, type Carrier, isJoined } from './carriers.ts';

/** Calls `body` as a thread that ends before its k-th access. True if it came to its end before. */
function lives(k: number, body: () => void): boolean {
  let isDead = false;
  asEndedThread(() => {
    isDead = dieAt(k, body);
  });
  return !isDead;
}

const CAPACITY = 4;
const options = { kind: 'spsc', capacity: CAPACITY } as const;

function create(): BufferPool {
  return BufferPool.create({ bufferSize: 64, bufferCount: 16, batchSize: 2, maxThreads: 4 });
}

function claim(pool: BufferPool, laneCount = 2): Carrier | undefined {
  const { wordCount, slots, slotWords } = new ChannelLayout(
    'spsc',
    'packets',
    CAPACITY,
    pool.maxThreads,
  );
  const laneWords = Math.ceil(wordCount / 32) * 32;
  return pool.claimCarrier({
    partyCount: 2,
    laneCount,
    laneWords,
    slotsBegin: slots,
    slotWords,
    slotCount: CAPACITY,
  });
}

function fill(pool: BufferPool, sender: PacketSender): void {
  for (let i = 0; i < 2 * CAPACITY; i++) {
    const packet = Packet.tryFrom(pool, new Uint8Array(8)) as Packet;
    if (!sender.trySend(packet)) packet.release();
  }
}

/** What is not as in a new pool. */
function remains(pool: BufferPool): unknown {
  const words = controlWords(pool);
  const layout = controlLayout(pool);
  const { held, inTransit, freeCached, freeShared } = pool.who();
  const entries: number[] = [];
  for (let entry = 0; entry < ENTRY_COUNT; entry++) {
    const at = layout.carrierEntry(entry);
    entries.push(words[at + OWNER], words[at + READY]);
  }
  const pages = words.subarray(layout.carrierMap, layout.carrierMap + layout.carrierPageCount);
  return {
    wrong: auditPool(pool),
    lost: pool.bufferCount - freeCached - freeShared,
    held,
    inTransit,
    entries: entries.filter((word) => word !== 0),
    pages: pages.filter((page) => page !== 0).length,
  };
}

const NOTHING = { wrong: [], lost: 0, held: 0, inTransit: 0, entries: [], pages: 0 };

test('a thread that dies while it owns a carrier leaves nothing, wherever that is', () => {
  let deaths = 0;
  for (let k = 1; ; k++) {
    const survivor = create();
    const done = lives(k, () => {
      const owner = BufferPool.attach(survivor.handle);
      const carrier = claim(owner) as Carrier;
      const lane = PacketChannel.createAt(owner, options, carrier.lane(1));
      const receiver = lane.receiver();
      fill(owner, lane.sender());
      for (let i = 0; i < CAPACITY; i++) receiver.tryReceive()?.release();
      carrier.release();
      owner.detach();
    });
    survivor.reclaimDead();
    expect(remains(survivor), `died before call ${k}`).toEqual(NOTHING);
    if (done) break;
    deaths++;
  }
  expect(deaths).toBeGreaterThan(100);
});

test('packets between an owner and a party that both die come back, wherever that is', () => {
  for (const order of ['owner first', 'party first']) {
    for (let k = 1; ; k++) {
      const survivor = create();
      let slots: number[] = [];
      let done = false;
      asEndedThread(() => {
        const owner = BufferPool.attach(survivor.handle);
        const carrier = claim(owner) as Carrier;
        const to = PacketChannel.createAt(owner, options, carrier.lane(0));
        const from = PacketChannel.createAt(owner, options, carrier.lane(1));
        fill(owner, to.sender());
        done = lives(k, () => {
          const ticket = carrier.ticket(1);
          const party = BufferPool.attachAnnounced(survivor.handle, undefined, ticket);
          const receiver = PacketChannel.attach(party, to.handle).receiver();
          receiver.tryReceive()?.release();
          receiver.tryReceive();
          fill(party, PacketChannel.attach(party, from.handle).sender());
        });
      });
      slots = survivor.stats().threads.map(({ slot }) => slot);
      if (order === 'party first') slots.reverse();
      for (const slot of slots) if (slot !== survivor.threadSlot) survivor.reclaim(slot);
      expect(remains(survivor), `${order}, died before call ${k}`).toEqual(NOTHING);
      if (done) break;
    }
  }
});

test('one who sweeps may die, too', () => {
  for (let k = 1; ; k++) {
    const survivor = create();
    let slot = -1;
    asEndedThread(() => {
      const owner = BufferPool.attach(survivor.handle);
      slot = owner.threadSlot;
      const carrier = claim(owner) as Carrier;
      fill(owner, PacketChannel.createAt(owner, options, carrier.lane(0)).sender());
    });
    const done = lives(k, () => {
      const sweeper = BufferPool.attach(survivor.handle);
      sweeper.reclaim(slot);
      sweeper.detach();
    });
    survivor.reclaimDead();
    survivor.reclaimDead();
    expect(remains(survivor), `died before call ${k}`).toEqual(NOTHING);
    if (done) break;
  }
});

test('of two who reclaim at once one sees the last of the party gone', () => {
  for (let k = 1; ; k++) {
    const survivor = create();
    let slots: number[] = [];
    asEndedThread(() => {
      const owner = BufferPool.attach(survivor.handle);
      const carrier = claim(owner) as Carrier;
      fill(owner, PacketChannel.createAt(owner, options, carrier.lane(0)).sender());
      const party = BufferPool.attachAnnounced(survivor.handle, undefined, carrier.ticket(0));
      slots = [owner.threadSlot, party.threadSlot];
    });
    const other = BufferPool.attach(survivor.handle);
    // The other one does all of its work between two accesses of this one.
    const reclaimToo = (): unknown => other.reclaim(slots[1]);
    if (!pauseAt(k, reclaimToo, () => survivor.reclaim(slots[0]))) break;
    other.detach();
    expect(remains(survivor), `the other at call ${k}`).toEqual(NOTHING);
  }
});

test('while a thread of the party lives its lanes stay, and nobody else joins', () => {
  const survivor = create();
  const words = controlWords(survivor);
  const entry = controlLayout(survivor).carrierEntry(0);
  let carrier: Carrier | undefined;
  let ownerSlot = -1;
  let join = (): PacketSender => expect.unreachable();
  asEndedThread(() => {
    const owner = BufferPool.attach(survivor.handle);
    ownerSlot = owner.threadSlot;
    carrier = claim(owner) as Carrier;
    const lane = PacketChannel.createAt(owner, options, carrier.lane(0));
    fill(owner, lane.sender());
    join = () => PacketChannel.attach(survivor, lane.handle).sender();
  });
  const attach = (party: number): BufferPool =>
    BufferPool.attachAnnounced(survivor.handle, undefined, carrier?.ticket(party));
  const party = attach(0);
  survivor.reclaim(ownerSlot);
  expect(words[entry + OWNER]).toBe(CONDEMNED);
  expect(survivor.who().inTransit).toBeGreaterThan(0);
  const threads = survivor.stats().threads.length;
  expect(() => attach(1)).toThrow(/its host has died/);
  expect(survivor.stats().threads.length).toBe(threads);
  // The lane is a channel as before.
  expect(join().trySend(Packet.tryFrom(survivor, new Uint8Array(1)) as Packet)).toBe(false);
  party.detach();
  survivor.reclaimDead();
  expect(words[entry + OWNER]).toBe(0);
  expect(survivor.who().inTransit).toBe(0);
});

test('an owner that leaves the pool keeps its lanes out of use', () => {
  const survivor = create();
  const owner = BufferPool.attach(survivor.handle);
  const carrier = claim(owner) as Carrier;
  const lane = PacketChannel.createAt(owner, options, carrier.lane(0));
  fill(owner, lane.sender());
  owner.detach();
  survivor.reclaimDead();
  const words = controlWords(survivor);
  expect(words[controlLayout(survivor).carrierEntry(0) + OWNER]).toBe(LEFT);
  // Whoever has the handle may still have what was sent.
  const receiver = PacketChannel.attach(survivor, lane.handle).receiver();
  for (let i = 0; i < CAPACITY; i++) receiver.tryReceive()?.release();
  expect(remains(survivor)).toMatchObject({ lost: 0, inTransit: 0 });
});

test('there is room for some carriers, and for as many again when they are given back', () => {
  const pool = create();
  for (let round = 0; round < 3; round++) {
    const carriers: Carrier[] = [];
    for (let next = claim(pool, 60); next !== undefined; next = claim(pool, 60)) {
      carriers.push(next);
    }
    expect(carriers.length).toBeGreaterThan(1);
    const lanes = carriers.flatMap((carrier) => [carrier.lane(0), carrier.lane(59)]);
    expect(lanes).toEqual([...lanes].sort((a, b) => a - b));
    expect(new Set(lanes).size).toBe(lanes.length);
    for (const carrier of carriers) carrier.release();
    carriers[0].release();
    expect(remains(pool)).toEqual(NOTHING);
  }
});

test('a thread that joins too late writes into no lane that others have by then', () => {
  const pool = create();
  const next = BufferPool.attach(pool.handle);
  const words = controlWords(pool);
  const layout = controlLayout(pool);
  const carrier = claim(pool) as Carrier;
  const ticket = carrier.ticket(0);
  carrier.release();
  const others = claim(next) as Carrier;
  const lanes = words.slice(layout.carrierPages, layout.wordCount);
  announceParty(words, ticket, 12_345);
  expect(isJoined(words, layout, ticket)).toBe(false);
  expect(words.slice(layout.carrierPages, layout.wordCount)).toEqual(lanes);
  others.release();
});

test('a carrier for more threads than an entry names is refused', () => {
  const pool = create();
  const shape = { laneCount: 1, laneWords: 32, slotsBegin: 0, slotWords: 4, slotCount: 1 };
  expect(pool.claimCarrier({ ...shape, partyCount: PARTY_COUNT_MAX + 1 })).toBeUndefined();
  const largest = pool.claimCarrier({ ...shape, partyCount: PARTY_COUNT_MAX });
  expect(largest).toBeDefined();
  largest?.release();
});

test('a carrier that is given back twice does not take the next one of its thread along', () => {
  const pool = create();
  const first = claim(pool) as Carrier;
  first.release();
  const second = claim(pool) as Carrier;
  expect(second.lane(0)).toBe(first.lane(0));
  first.release();
  const other = claim(pool) as Carrier;
  expect(other.lane(0)).not.toBe(second.lane(0));
  expect(isJoined(controlWords(pool), controlLayout(pool), second.ticket(0))).toBe(true);
  second.release();
  other.release();
  pool.close();
});
