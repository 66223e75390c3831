// SPDX-License-Identifier: MIT
/** What a bus of one thread costs, beside what Node has for the same. */

import { EventEmitter } from 'node:events';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { Bus } from 'busbar/bus';
import { BufferPool } from 'busbar/pool';
import type { BenchCase } from './bench-case.ts';

const UNIT = 1000;
const PAYLOAD_BYTES = 64;
const SUBJECT = 'orders.eu.paid';

/** A payload whose first byte is different each time. */
function payload(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(PAYLOAD_BYTES).fill(7);
}

function newBus(): Bus {
  return new Bus(BufferPool.create({ bufferSize: 16_384, bufferCount: 64 }));
}

function busCase(id: string, what: string, subscribers: number): BenchCase {
  return {
    id,
    what,
    unit: UNIT,
    threads: 1,
    prepare() {
      const bus = newBus();
      const bytes = payload();
      let sum = 0;
      for (let i = 0; i < subscribers; i++) {
        bus.subscribe(SUBJECT, (message) => {
          sum += bus.pool.bytes[message.offset];
        });
      }
      return {
        run(ops) {
          sum = 0;
          for (let i = 0; i < ops; i++) {
            bytes[0] = i;
            if (!bus.tryPublish(SUBJECT, bytes)) throw new Error('not now');
          }
          return sum;
        },
        close: () => bus.close(),
      };
    },
  };
}

export const busCases: readonly BenchCase[] = [
  busCase(
    'bus/publish-deliver-64B',
    '64 bytes, copied into the pool, one subscriber that reads a byte',
    1,
  ),
  busCase('bus/publish-deliver-64B-to-8', 'the same with eight subscribers; a message', 8),
  {
    id: 'bus/event-emitter-64B',
    what: 'for comparison: EventEmitter.emit of a copy of 64 bytes, one listener',
    unit: UNIT,
    threads: 1,
    prepare() {
      const emitter = new EventEmitter();
      const bytes = payload();
      let sum = 0;
      emitter.on(SUBJECT, (copy: Uint8Array) => {
        sum += copy[0];
      });
      return {
        run(ops) {
          sum = 0;
          for (let i = 0; i < ops; i++) {
            bytes[0] = i;
            emitter.emit(SUBJECT, Buffer.from(bytes));
          }
          return sum;
        },
        close() {},
      };
    },
  },
  {
    id: 'bus/message-port-64B',
    what: 'for comparison: MessagePort.postMessage of 64 bytes, receiveMessageOnPort',
    unit: UNIT,
    threads: 1,
    prepare() {
      const { port1, port2 } = new MessageChannel();
      const bytes = payload();
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            bytes[0] = i;
            port1.postMessage(bytes);
            sum += (receiveMessageOnPort(port2) as { message: Uint8Array }).message[0];
          }
          return sum;
        },
        close() {
          port1.close();
          port2.close();
        },
      };
    },
  },
  {
    id: 'bus/request-reply',
    what: 'await request of 64 bytes, answered by a handler; release',
    unit: 100,
    threads: 1,
    prepare() {
      const bus = newBus();
      const bytes = payload();
      bus.subscribe('echo', (message) => {
        if (!message.tryRespond(bytes)) throw new Error('not now');
      });
      return {
        async run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const answer = await bus.request('echo', bytes);
            sum += answer.length;
            answer.release();
          }
          return sum;
        },
        close: () => bus.close(),
      };
    },
  },
];
