// SPDX-License-Identifier: MIT
/** The way of 64 bytes to another thread and back, while both spin, or while both serve sockets. */

import { PacketChannel } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { NO_BUFFER } from 'busbar/pool';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Histogram } from '../histogram.ts';
import { Stopwatch } from '../latency.ts';
import { createMessagePool, createPacketChannel } from './channel-packets.bench.ts';
import { type EchoData, sendMessage, tryTakeMessage } from './channel-packets.ts';
import { Crew, ROUNDS_PER_CHECK } from './crew.ts';
import { MESSAGE_BYTES, nextNumber, writeMessage } from './message.ts';
import { listen } from './socket.ts';

/** One trip of this many is timed by itself: reading the clock costs as much as half a trip. */
const TRIPS_PER_SAMPLE = 8;
const ECHO_CAPACITY = 16;

export const hopCases: readonly BenchCase[] = [
  {
    id: 'hop/one-way-64B',
    what: '64 B in a packet to a thread that looks once per turn of its event loop, streaming',
    unit: 1000,
    threads: 2,
    prepare: prepareOneWay,
  },
  {
    id: 'hop/round-trip-spin',
    what: '64 B in a packet there and back, one at a time, both threads spin',
    unit: TRIPS_PER_SAMPLE * 100,
    threads: 2,
    prepare: prepareSpin,
  },
  {
    id: 'hop/round-trip-io',
    what: 'the same, both threads look once per turn of their event loop, a TCP server in it',
    unit: 100,
    threads: 2,
    prepare: prepareTurns,
  },
];

async function prepareOneWay(): Promise<PreparedCase> {
  const { pool, channel, data } = createPacketChannel();
  const crew = await Crew.start([{ role: 'turning-sink', data }]);
  const sender = channel.sender();
  const trySendMessage = (number: number): boolean => {
    const id = pool.tryAcquire();
    if (id === NO_BUFFER) return false;
    const offset = pool.offsetOf(id);
    writeMessage(pool.view, offset, number);
    const packet = Packet.wrap(pool, id, offset, MESSAGE_BYTES);
    if (sender.trySend(packet)) return true;
    packet.release();
    return false;
  };
  return {
    async run(ops) {
      crew.begin(ops);
      for (let i = 0, number = 0; i < ops; i++, number = nextNumber(number)) {
        while (!trySendMessage(number)) {
          await new Promise((resolve) => setImmediate(resolve));
          crew.check();
        }
      }
      await crew.finishAsync();
      return ops;
    },
    close: () => crew.closeWith(sender, pool),
  };
}

async function prepareSpin(): Promise<PreparedCase> {
  const { pool, sender, receiver, crew, close } = await createEcho('spinning-echo');
  const latencies = new Histogram();
  const watch = new Stopwatch(latencies);
  const trip = (number: number): void => {
    sendMessage(pool, sender, number);
    for (let rounds = 1; !tryTakeMessage(pool, receiver, number); rounds++) {
      if (rounds % ROUNDS_PER_CHECK === 0) crew.check();
    }
  };
  return {
    latencies,
    run(ops) {
      crew.begin(ops);
      for (let i = 0, number = 0; i < ops; i++, number = nextNumber(number)) {
        const isTimed = i % TRIPS_PER_SAMPLE === 0;
        if (isTimed) watch.begin();
        trip(number);
        if (isTimed) watch.end();
      }
      crew.finish();
      return ops;
    },
    close,
  };
}

async function prepareTurns(): Promise<PreparedCase> {
  const { pool, sender, receiver, crew, close } = await createEcho('turning-echo');
  const latencies = new Histogram();
  const watch = new Stopwatch(latencies);
  const server = await listen();
  const trips = (ops: number): Promise<void> =>
    new Promise((resolve, reject) => {
      let left = ops;
      let number = 0;
      const send = (): void => {
        watch.begin();
        sendMessage(pool, sender, number);
      };
      const turn = (): void => {
        try {
          if (tryTakeMessage(pool, receiver, number)) {
            watch.end();
            number = nextNumber(number);
            if (--left === 0) {
              resolve();
              return;
            }
            send();
          }
          setImmediate(turn);
        } catch (error) {
          reject(error);
        }
      };
      send();
      setImmediate(turn);
    });
  return {
    latencies,
    async run(ops) {
      crew.begin(ops);
      await trips(ops);
      await crew.finishAsync();
      return ops;
    },
    async close() {
      server.close();
      await close();
    },
  };
}

async function createEcho(role: string) {
  const pool = createMessagePool();
  const options = { kind: 'spsc', capacity: ECHO_CAPACITY } as const;
  const there = PacketChannel.create(pool, options);
  const back = PacketChannel.create(pool, options);
  const data: EchoData = { pool: pool.handle, there: there.handle, back: back.handle };
  const crew = await Crew.start([{ role, data }]);
  const sender = there.sender();
  const receiver = back.receiver();
  const close = async (): Promise<void> => {
    await crew.close();
    sender.close();
    receiver.close();
    pool.detach();
  };
  return { pool, sender, receiver, crew, close };
}
