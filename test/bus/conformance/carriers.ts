// SPDX-License-Identifier: MIT
/** Test tool: what carries a bus: one thread, executors, streams of bytes. */
import { Bus } from 'busbar/bus';
import { ExecutorGroup } from 'busbar/executor';
import type { Codec } from 'busbar/framer';
import { LoopbackNetwork, type TcpHandler, type TcpLink } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { expect } from 'vitest';
import { type PeerStream, StreamGroup } from '../../../src/bus/peer/stream-group.ts';
import { auditPool } from '../../pool-audit.ts';
import { expectAllHome } from '../../pool-expectations.ts';
import { turn, until } from '../../turns.ts';
import { BusParty } from './bus-party.ts';
import type { Case } from './cases.ts';
import { BUFFER_SIZE, type Party, type Stage } from './party.ts';
import type { Call, Return } from './party.worker.ts';

const MODULE = new URL('../../../build/test/bus/conformance/party.worker.js', import.meta.url);
const BUFFER_COUNT = 512;

export interface Carrier {
  readonly name: string;
  /** What it has of that which a case may need. */
  readonly has: readonly Case['needs'][];
  start(): Promise<Stage>;
}

const ALL: Carrier['has'] = ['several buses', 'one pool', 'deaths'];

export const CARRIERS: readonly Carrier[] = [
  { name: 'one thread', has: ['one pool'], start: startThread },
  { name: 'a group of 1 executor', has: ALL, start: () => startGroup(1) },
  { name: 'a group of 2 executors', has: ALL, start: () => startGroup(2) },
  { name: 'a group of 4 executors', has: ALL, start: () => startGroup(4) },
  { name: 'streams', has: ['several buses', 'deaths'], start: () => new Streams(3).start() },
];

async function startThread(): Promise<Stage> {
  const pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: BUFFER_COUNT });
  const bus = new Bus(pool);
  return {
    parties: [new BusParty(bus), new BusParty(bus), new BusParty(bus)],
    isOneBus: true,
    end: async () => {
      bus.close();
      expectAllHome(pool);
    },
  };
}

let groups = 0;

async function startGroup(count: number): Promise<Stage> {
  const name = `busbar-conformance-${process.pid}-${++groups}`;
  const pool = BufferPool.create({
    bufferSize: BUFFER_SIZE,
    bufferCount: BUFFER_COUNT,
    maxThreads: count + 3,
  });
  const channel = new BroadcastChannel(name);
  const waiting: Map<number, { resolve(result: unknown): void; reject(error: Error): void }> =
    new Map();
  const starts = Array.from({ length: count }, () => 0);
  channel.onmessage = (event: unknown): void => {
    const { from, id, result, error } = (event as { data: Return }).data;
    if (id === 0) starts[from] = (starts[from] ?? 0) + 1;
    else if (error === undefined) waiting.get(id)?.resolve(result);
    else waiting.get(id)?.reject(new Error(error));
    waiting.delete(id);
  };
  let calls = 0;
  const say = (to: number, name: string, args: readonly unknown[]): number => {
    const call: Call = { to, id: ++calls, name, args };
    channel.postMessage(call);
    return call.id;
  };
  const remote = (index: number): Party =>
    new Proxy({} as Party, {
      get: (_, method) => {
        if (method === 'then') return undefined;
        return (...args: unknown[]) => {
          const id = say(index, String(method), args);
          return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
        };
      },
    });
  const group = await ExecutorGroup.start({
    pool,
    module: MODULE,
    count,
    data: name,
    restart: { maxRestarts: 10, delayMs: 0 },
  });
  const bus = Bus.join(group);
  await until(() => starts.every((each) => each === 1));
  return {
    parties: [new BusParty(bus), ...starts.map((_, index) => remote(index))],
    isOneBus: false,
    replace: async (index) => {
      const before = starts[index - 1] ?? 0;
      say(index - 1, 'die', []);
      await until(() => (starts[index - 1] ?? 0) > before);
    },
    end: async () => {
      await group.stop();
      bus.close();
      channel.close();
      const { held, inTransit, capacity, freeCached, freeShared } = pool.who();
      const missing = capacity - freeCached - freeShared;
      expect({ held, inTransit, missing }).toEqual({ held: 0, inTransit: 0, missing: 0 });
      expect(auditPool(pool)).toEqual([]);
    },
  };
}

/** All bytes that have arrived are one frame. */
const RAW: Codec = {
  payloadSkip: 0,
  payloadTrim: 0,
  measure: (_bytes, begin, end) => end - begin,
};

/** A bus with a pool of its own, and its links. */
interface Station {
  readonly bus: Bus;
  readonly pool: BufferPool;
  readonly links: Set<TcpLink>;
  readonly group: StreamGroup;
}

/** Buses with pools of their own, over the links of a network. */
export class Streams {
  readonly network: LoopbackNetwork = new LoopbackNetwork({ delayMs: [0, 2] });
  readonly stations: (Station | undefined)[] = [];
  readonly #linkPool: BufferPool = BufferPool.create({ bufferSize: 4096, bufferCount: 512 });
  readonly #count: number;
  readonly #epochs: number[] = [];
  readonly #closings: Promise<void>[] = [];
  readonly #servers: Map<Station, () => Promise<void>> = new Map();

  constructor(count: number) {
    this.#count = count;
  }

  async start(): Promise<Stage> {
    const parties: Party[] = [];
    for (let i = 0; i < this.#count; i++) parties.push(new BusParty(await this.begin(i)));
    return {
      parties,
      isOneBus: false,
      replace: async (index) => {
        await this.kill(index);
        parties[index] = new BusParty(await this.begin(index));
      },
      end: () => this.end(),
    };
  }

  async begin(index: number): Promise<Bus> {
    const epoch = (this.#epochs[index] ?? 0) + 1;
    this.#epochs[index] = epoch;
    const pool = BufferPool.create({ bufferSize: BUFFER_SIZE, bufferCount: BUFFER_COUNT });
    const group = new StreamGroup(pool, index, epoch, this.#count);
    const bus = Bus.over(pool, group);
    const station: Station = { bus, pool, group, links: new Set() };
    const others = this.stations.flatMap((each, at) => (each === undefined ? [] : [at]));
    this.stations[index] = station;
    const codec = (): Codec => RAW;
    const handler = (link: TcpLink): TcpHandler => this.#attach(station, link);
    const server = await this.network.listen(this.#linkPool, {
      host: hostOf(index),
      port: 7,
      codec,
      handler,
    });
    this.#servers.set(station, () => server.close());
    for (const at of others) {
      await this.network.connect(this.#linkPool, {
        host: hostOf(at),
        port: 7,
        localAddress: hostOf(index),
        codec,
        handler,
      });
    }
    return bus;
  }

  /** It ends without a word: its streams break. */
  async kill(index: number): Promise<void> {
    const station = this.stations[index];
    if (station === undefined) return;
    this.stations[index] = undefined;
    for (const link of station.links) link.destroy();
    station.bus.destroy();
    this.#closings.push(this.#servers.get(station)?.() ?? Promise.resolve());
    await turn();
    expectAllHome(station.pool);
  }

  async end(): Promise<void> {
    for (let i = 0; i < this.#count; i++) await this.kill(i);
    await this.network.run();
    await Promise.all(this.#closings);
    expectAllHome(this.#linkPool);
  }

  #attach({ group, pool, links }: Station, link: TcpLink): TcpHandler {
    links.add(link);
    const sink = {
      bytesMax: 4096,
      tryWrite: (bytes: Uint8Array, begin: number, end: number): boolean => {
        if (!link.writable) return false;
        if (link.writer.tryWrite(bytes, begin, end)) return true;
        // Its lane is full, or the pool of links is empty.
        if (link.flush()) setImmediate(() => stream.drained());
        return false;
      },
    };
    const stream: PeerStream = group.open(sink);
    const { bytes } = link.pool;
    /** Reads what was left when no buffer was free. */
    const readLater = async (rest: Uint8Array): Promise<void> => {
      link.pause();
      pool.release(await pool.acquire());
      const at = stream.read(rest, 0, rest.length);
      if (at < rest.length) await readLater(rest.subarray(at));
      else if (!link.closed) link.resume();
    };
    return {
      onFrame: (offset, length) => {
        const at = stream.read(bytes, offset, offset + length);
        if (at < offset + length) void readLater(bytes.slice(at, offset + length));
      },
      onDrained: () => stream.drained(),
      onClose: () => {
        links.delete(link);
        stream.close();
      },
    };
  }
}

function hostOf(index: number): string {
  return `10.0.0.${index + 1}`;
}
