// SPDX-License-Identifier: MIT
/** Readings by UDP, as the guide has them, beside `node:dgram`. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { UdpLink } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';

/** Readings before the sender lets the collector have its turn, and waits for them. */
const BATCH = 100;
const RECEIVE_BYTES = 1 << 20;

export const idiomUdpCases: readonly BenchCase[] = [
  {
    id: 'idiom/udp-packed',
    what: 'a reading of 12 B: tryWrite and onMessage, packed',
    unit: BATCH,
    threads: 1,
    prepare: () => prepareLinks('packed'),
  },
  {
    id: 'idiom/udp-message',
    what: 'the same, each in a datagram',
    unit: BATCH,
    threads: 1,
    prepare: () => prepareLinks('message'),
  },
  {
    id: 'idiom/udp-for-await',
    what: 'the same by await write; there for await (const datagram of link)',
    unit: BATCH,
    threads: 1,
    prepare: prepareLoop,
  },
  {
    id: 'idiom/udp-dgram',
    what: 'the same by node:dgram: socket.send, a message event',
    unit: BATCH,
    threads: 1,
    prepare: prepareDgram,
  },
];

/** Sums the numbers of the readings, and says when all of a batch have come. */
class Collector {
  #sum = 0;
  #left = 0;
  #done: () => void = () => {};

  take(number: number): void {
    this.#sum += number;
    if (--this.#left === 0) this.#done();
  }

  /** `send` sends reading by reading. */
  async run(ops: number, send: (reading: Uint8Array) => void | Promise<void>): Promise<number> {
    const reading = new DataView(new ArrayBuffer(12));
    const bytes = new Uint8Array(reading.buffer);
    for (let number = 0; number < ops; ) {
      this.#left = BATCH;
      const arrived = new Promise<void>((resolve) => {
        this.#done = resolve;
      });
      for (let i = 0; i < BATCH; i++, number++) {
        reading.setUint32(0, number);
        reading.setFloat64(4, Math.sin(number));
        const sent = send(bytes);
        if (sent !== undefined) await sent;
      }
      await arrived;
    }
    return this.#sum;
  }
}

function createPool(): BufferPool {
  return BufferPool.create({ bufferSize: 65_536, bufferCount: 64 });
}

async function prepareLinks(mode: 'packed' | 'message'): Promise<PreparedCase> {
  const pool = createPool();
  const collector = new Collector();
  const link = await UdpLink.open(pool, {
    mode,
    receiveBytes: RECEIVE_BYTES,
    handler: () => ({ onMessage: (offset) => collector.take(pool.view.getUint32(offset)) }),
  });
  const sensor = await UdpLink.open(pool, {
    mode,
    peer: { host: '127.0.0.1', port: link.local.port },
    handler: () => ({ onMessage() {} }),
  });
  return {
    run: (ops) =>
      collector.run(ops, (reading) => {
        if (!sensor.tryWrite(reading)) throw new Error('not now');
      }),
    async close() {
      await Promise.all([sensor.close(), link.close()]);
    },
  };
}

async function prepareLoop(): Promise<PreparedCase> {
  const pool = createPool();
  const collector = new Collector();
  const link = await UdpLink.open(pool, {
    receiveBytes: RECEIVE_BYTES,
    handler: async (datagrams) => {
      for await (const datagram of datagrams) {
        collector.take(datagram.getUint32(0));
        datagram.release();
      }
    },
  });
  const peer = { host: '127.0.0.1', port: link.local.port };
  const sensor = await UdpLink.open(pool, { peer });
  return {
    run: (ops) => collector.run(ops, (reading) => sensor.write(reading)),
    async close() {
      await Promise.all([sensor.close(), link.close()]);
    },
  };
}

async function prepareDgram(): Promise<PreparedCase> {
  const collector = new Collector();
  const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BYTES });
  socket.on('message', (message) => collector.take(message.readUInt32BE(0)));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const sensor = createSocket('udp4');
  sensor.connect(socket.address().port, '127.0.0.1');
  await once(sensor, 'connect');
  return {
    // It keeps the bytes until they are sent: each reading needs some of its own.
    run: (ops) => collector.run(ops, (reading) => sensor.send(Uint8Array.from(reading))),
    close() {
      sensor.close();
      socket.close();
    },
  };
}
