// SPDX-License-Identifier: MIT
/** What executors cost: packets sent by key, to all, and there and back with each idle strategy. */

import type { Idle } from 'busbar/executor';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Histogram } from '../histogram.ts';
import { Stopwatch } from '../latency.ts';
import { ROUNDS_PER_CHECK } from './crew.ts';
import { GroupCase } from './group-case.ts';
import { KEYS } from './group-work.ts';
import { checkMessage, MESSAGE_BYTES, nextNumber, writeMessage } from './message.ts';

const EXECUTORS = 2;

export const groupCases: readonly BenchCase[] = [
  {
    id: 'group/keyed-send',
    what: '64 B in a packet sent by key to one of two executors, until they have read it',
    unit: KEYS * 8,
    threads: EXECUTORS + 1,
    prepare: prepareKeyed,
  },
  {
    id: 'group/broadcast',
    what: '64 B in a packet sent to two executors, until both have read it',
    unit: 1000,
    threads: EXECUTORS + 1,
    prepare: prepareBroadcast,
  },
  roundTrip('adaptive'),
  roundTrip('spin'),
  roundTrip('poll'),
  roundTrip('park'),
];

async function prepareKeyed(): Promise<PreparedCase> {
  const target = await GroupCase.start({ kind: 'keyed-messages', count: EXECUTORS });
  const { group, pool } = target;
  let number = 0;
  return {
    async run(ops) {
      for (let i = 0; i < ops; i++, number = nextNumber(number)) {
        const packet = target.tryPacket(MESSAGE_BYTES) ?? (await target.packet(MESSAGE_BYTES));
        writeMessage(pool.view, packet.offset, number);
        const key = number % KEYS;
        if (!group.trySend(key, packet)) await group.send(key, packet);
      }
      target.expect(ops);
      await target.handled();
      return target.sum();
    },
    close: () => target.close(),
  };
}

async function prepareBroadcast(): Promise<PreparedCase> {
  const target = await GroupCase.start({ kind: 'all-messages', count: EXECUTORS });
  const { group, pool } = target;
  let number = 0;
  return {
    async run(ops) {
      for (let i = 0; i < ops; i++, number = nextNumber(number)) {
        const packet = target.tryPacket(MESSAGE_BYTES) ?? (await target.packet(MESSAGE_BYTES));
        writeMessage(pool.view, packet.offset, number);
        const { full } = group.tryBroadcast(packet);
        for (const index of full) await group.sendTo(index, packet.clone());
        packet.release();
      }
      target.expect(ops * EXECUTORS);
      await target.handled();
      return target.sum();
    },
    close: () => target.close(),
  };
}

function roundTrip(idle: Idle): BenchCase {
  return {
    id: `hop/executor-round-trip-${idle}`,
    what: `64 B in a packet to an executor and back, both ends idle by '${idle}'`,
    unit: 100,
    threads: 2,
    prepare: () => prepareRoundTrip(idle),
  };
}

/** This thread waits as the executor does, as far as it can: spinning, by turns, or asleep. */
async function prepareRoundTrip(idle: Idle): Promise<PreparedCase> {
  const target = await GroupCase.start({ kind: 'echo', count: 1, idle });
  const { group, pool } = target;
  const latencies = new Histogram();
  const watch = new Stopwatch(latencies);
  let number = 0;
  const receive = async () => {
    if (idle === 'park') return group.mailbox.receive();
    for (let rounds = 1; ; rounds++) {
      const packet = group.mailbox.tryReceive();
      if (packet !== undefined) return packet;
      if (idle === 'spin' && rounds % ROUNDS_PER_CHECK !== 0) continue;
      target.check();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return {
    latencies,
    async run(ops) {
      for (let i = 0; i < ops; i++, number = nextNumber(number)) {
        watch.begin();
        const packet = target.tryPacket(MESSAGE_BYTES) ?? (await target.packet(MESSAGE_BYTES));
        writeMessage(pool.view, packet.offset, number);
        if (!group.trySendTo(0, packet)) await group.sendTo(0, packet);
        const answer = await receive();
        if (answer === undefined) throw new Error('the executor has stopped');
        checkMessage(pool.view, answer.offset, number);
        answer.release();
        watch.end();
      }
      return ops;
    },
    close: () => target.close(),
  };
}
