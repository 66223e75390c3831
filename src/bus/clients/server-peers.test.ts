// SPDX-License-Identifier: MIT
/** The threads of a server; here one thread plays them all. A message is five bytes: `a.007`. */

import { afterEach, expect, test } from 'vitest';
import { type BufferId, BufferPool } from '../../pool/index.ts';
import type { PeerGroup, RegionReceiver } from '../peer/peer-carrier.ts';
import { type Bytes, hashSubject } from '../subject.ts';
import type { TokenNode } from '../token-tree.ts';
import type { MessageReader } from './arrivals.ts';
import { Backpressure, type PressedClient } from './backpressure.ts';
import { FairShare } from './fair-share.ts';
import {
  DECLINED,
  FanOut,
  type FanOutClient,
  type FanOutMessage,
  type FanOutSubscription,
  NO_ROOM,
  TAKEN,
} from './fan-out.ts';
import { CHANGES_MAX, ServerPeers } from './server-peers.ts';

const MESSAGE_BYTES = 5;

class Client implements FanOutClient<FanOutMessage, Subscription> {
  readonly heard: string[] = [];
  isHeldBack = false;
  isFull = false;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  offer({ begin, end }: FanOutMessage, _subscription: Subscription, from: unknown): number {
    if (from === this) return DECLINED;
    if (this.isFull) return NO_ROOM;
    this.heard.push(Buffer.from(this.#pool.bytes.slice(begin, end)).toString());
    return TAKEN;
  }
}

class Subscription implements FanOutSubscription<FanOutMessage, Subscription> {
  readonly owner: Client;
  readonly subject: Bytes;
  readonly queue: string;
  readonly textBytes = 0;
  isStalled = false;
  node: TokenNode<Subscription> | undefined = undefined;
  place = -1;

  constructor(owner: Client, subject: string, queue: string) {
    this.owner = owner;
    this.subject = Buffer.from(subject);
    this.queue = queue;
  }
}

class Reader implements MessageReader<FanOutMessage> {
  subjectBegin = 0;
  subjectEnd = 0;
  subjectHash = 0;
  readonly isRepeated = false;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  read(begin: number): FanOutMessage {
    this.subjectBegin = begin;
    this.subjectEnd = begin + 1;
    this.subjectHash = hashSubject(this.#pool.view, begin, begin + 1);
    return { begin, end: begin + MESSAGE_BYTES };
  }
}

interface Region {
  readonly bufferId: BufferId;
  readonly offset: number;
  readonly length: number;
  readonly from: number;
}

/** One thread, with its clients. */
class Server {
  readonly fanOut: FanOut<FanOutMessage, Subscription>;
  readonly backpressure: Backpressure;
  readonly peers: ServerPeers<FanOutMessage, Subscription>;
  readonly pool: BufferPool;
  delivered = 0;
  receive: RegionReceiver = () => {};

  constructor(world: World, index: number) {
    const { pool } = world;
    this.pool = pool;
    const share = new FairShare((run) => world.turns.push(run));
    this.fanOut = new FanOut(share, pool.bytes, pool.view, index);
    const none: PressedClient[] = [];
    this.backpressure = new Backpressure(pool, share, none, {
      maxPendingBytes: 1 << 20,
      stallMs: 1000,
    });
    const group: PeerGroup = {
      index,
      epoch: 1,
      carriers: world.lanes.map((lane, to) => {
        if (to === index) return undefined;
        return {
          capacity: 64,
          trySend: (bufferId, offset, length) => {
            lane.push({ bufferId, offset, length, from: index });
            return 1;
          },
        };
      }),
      onRegion: (receiver) => {
        this.receive = receiver;
      },
    };
    const { fanOut, backpressure } = this;
    this.peers = new ServerPeers(
      {
        pool,
        fanOut,
        backpressure,
        windowBytes: 4096,
        windowRegions: 16,
        reader: () => new Reader(pool),
        delivered: (count) => {
          this.delivered += count;
        },
      },
      group,
    );
  }

  add(owner: Client, subject: string, queue: string = ''): Subscription {
    const subscription = new Subscription(owner, subject, queue);
    this.peers.add(subscription);
    return subscription;
  }

  /** Publishes messages that lie in one buffer; returns who took each here. */
  publish(from: Client, ...texts: string[]): number[] {
    const { pool, fanOut } = this;
    const bufferId = pool.tryAcquire();
    const offset = pool.offsetOf(bufferId);
    pool.bytes.set(Buffer.from(texts.join('')), offset);
    const taken = texts.map((_text, i) => {
      const begin = offset + i * MESSAGE_BYTES;
      fanOut.share.begin();
      const found = fanOut.find(begin, begin + 1, hashSubject(pool.view, begin, begin + 1));
      if (found.beyond?.isStalled === true) return NO_ROOM;
      return fanOut.route({ begin, end: begin + MESSAGE_BYTES }, from, found);
    });
    pool.release(bufferId);
    return taken;
  }
}

class World {
  readonly pool: BufferPool = BufferPool.create({ bufferSize: 1024, bufferCount: 128 });
  readonly turns: (() => void)[] = [];
  readonly lanes: Region[][];
  readonly servers: Server[];
  regions = 0;

  constructor(count: number) {
    const all = Array.from({ length: count }, (_, index) => index);
    this.lanes = all.map(() => []);
    this.servers = all.map((index) => new Server(this, index));
    this.settle();
  }

  /** Everything arrives, and everybody has had turns. */
  settle(): void {
    for (let round = 0; round < 20; round++) {
      for (const { peers } of this.servers) peers.flush();
      for (const [to, lane] of this.lanes.entries()) {
        for (const { bufferId, offset, length, from } of lane.splice(0)) {
          this.regions++;
          (this.servers[to] as Server).receive(bufferId, offset, length, from);
        }
      }
      for (const run of this.turns.splice(0)) run();
    }
  }

  end(): void {
    for (const { peers, backpressure } of this.servers) {
      peers.close();
      backpressure.close();
    }
    for (const { bufferId } of this.lanes.flat()) this.pool.release(bufferId);
    expect(this.pool.stats().held).toBe(0);
    this.pool.close();
  }
}

let world: World | undefined;

afterEach(() => {
  world?.end();
  world = undefined;
});

function start(count: number): readonly [World, ...Server[]] {
  world = new World(count);
  return [world, ...world.servers];
}

test('messages go to the clients of all threads, those in a row as one region', () => {
  const [all, one, two, three] = start(3);
  expect([one.peers.isSynced, one.peers.isAlone]).toEqual([true, false]);
  const [here, there, nobody] = Array.from({ length: 3 }, () => new Client(all.pool));
  one.add(here, 'a');
  two.add(there, '*');
  three.add(nobody, 'b');
  all.settle();
  const before = all.regions;
  const texts = Array.from({ length: 50 }, (_, i) => `a.${`${i}`.padStart(3, '0')}`);
  expect(one.publish(new Client(all.pool), ...texts)).toEqual(texts.map(() => 1));
  all.settle();
  expect([here.heard, there.heard, nobody.heard]).toEqual([texts, texts, []]);
  expect([two.delivered, three.delivered]).toEqual([50, 0]);
  // One with the messages, and some that say how far it has come.
  expect(all.regions - before).toBeLessThan(5);
});

test('one member of a group gets a message, wherever it is', () => {
  const [all, one, two] = start(2);
  const clients = Array.from({ length: 4 }, () => new Client(all.pool));
  for (const [i, client] of clients.entries()) (i === 0 ? one : two).add(client, 'a', 'g');
  all.settle();
  for (let i = 0; i < 400; i++) {
    one.publish(new Client(all.pool), 'a.000');
    if (i % 10 === 0) all.settle();
  }
  all.settle();
  const counts = clients.map(({ heard }) => heard.length);
  expect(counts.reduce((sum, count) => sum + count)).toBe(400);
  // A hundred each, with a standard deviation of 9.
  for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(60);
});

test('behind a message without room what follows waits; a fence passes after it', async () => {
  const [all, one, two] = start(2);
  const client = new Client(all.pool);
  two.add(client, 'a');
  all.settle();
  client.isFull = true;
  one.publish(new Client(all.pool), 'a.001', 'a.002');
  let isPassed = false;
  const passed = one.peers.fence().then(() => {
    isPassed = true;
  });
  all.settle();
  await Promise.resolve();
  expect([client.heard, two.peers.blockedCount, isPassed]).toEqual([[], 1, false]);
  client.isFull = false;
  two.backpressure.proceed();
  all.settle();
  expect(client.heard).toEqual(['a.001', 'a.002']);
  await passed;
  expect(two.peers.blockedCount).toBe(0);
});

test('what is stalled holds back publishers elsewhere until it is not', () => {
  const [all, one, two] = start(2);
  const client = new Client(all.pool);
  const subscription = two.add(client, 'a');
  all.settle();
  two.peers.stall(subscription);
  two.peers.stall(subscription);
  all.settle();
  expect(one.publish(new Client(all.pool), 'a.001')).toEqual([NO_ROOM]);
  two.peers.relieve(client);
  all.settle();
  expect(one.publish(new Client(all.pool), 'a.002')).toEqual([0]);
  all.settle();
  expect(client.heard).toEqual(['a.002']);
});

test('a client waits with changes that others have not heard, and leaves in parts', () => {
  const [all, one, two] = start(2);
  const client = new Client(all.pool);
  const left: Subscription[] = [];
  while (one.peers.mayChange) left.push(one.add(client, `s${left.length}`));
  expect(left.length).toBeLessThanOrEqual(CHANGES_MAX);
  all.settle();
  expect(one.peers.mayChange).toBe(true);
  for (let i = 0; i < 5000; i++) {
    left.push(one.add(client, `s${left.length}`));
    if (i % 100 === 0) all.settle();
  }
  all.settle();
  one.peers.removeAll(left.values());
  expect(one.fanOut.index.count).toBeGreaterThan(0);
  for (let round = 0; round < 100; round++) all.settle();
  expect(one.fanOut.index.count).toBe(0);
  // The other has forgotten them, too.
  expect(two.publish(new Client(all.pool), 's.000')).toEqual([0]);
  expect(all.lanes.flat()).toEqual([]);
});

test('goodbye comes after the last message; one that has died needs to say none', async () => {
  const [all, one, two, three] = start(3);
  const client = new Client(all.pool);
  two.add(client, 'a');
  all.settle();
  const changed = two.peers.change();
  one.publish(new Client(all.pool), 'a.001');
  one.peers.sayBye();
  expect(two.peers.hasHeardBye).toBe(false);
  all.settle();
  await changed;
  expect(client.heard).toEqual(['a.001']);
  expect(two.peers.hasHeardBye).toBe(false);
  three.peers.close();
  two.peers.lost(2, 1);
  expect(two.peers.hasHeardBye).toBe(true);
  expect(() => one.peers.sayBye()).toThrow('the last message is sent once');
});
