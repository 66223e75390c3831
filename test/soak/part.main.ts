// SPDX-License-Identifier: MIT
/** Soak: the program of one part; its argument names the part. */

import { openSync } from 'node:fs';
import { makeBroker } from './broker-part.ts';
import { makeFlows } from './flows-part.ts';
import { makeGuests } from './guests-part.ts';
import type { Answer, Order, Part, PartMaker, PartName, PartOptions, Plant } from './part.ts';
import { readProcess, ThreadReader, usedCpuMs } from './reading.ts';
import { makeTcpClients } from './tcp-clients-part.ts';
import { makeTcpServer } from './tcp-server-part.ts';
import { makeUdpReceiver } from './udp-receiver-part.ts';
import { makeUdpSender } from './udp-sender-part.ts';

const MAKERS: Readonly<Record<PartName, PartMaker>> = {
  broker: makeBroker,
  'tcp-server': makeTcpServer,
  'udp-receiver': makeUdpReceiver,
  'broker-flows': makeFlows,
  'broker-guests': makeGuests,
  'tcp-clients': makeTcpClients,
  'udp-sender': makeUdpSender,
};

/** What a plant keeps at a time. */
const PLANTED_ARRAY_ITEMS = 1 << 15;

const name = process.argv[2] as PartName;
const thread = new ThreadReader('');
let part: Part | undefined;
let plants: readonly Plant[] = [];
const planted: unknown[] = [];
let isLeaving = false;

process.on('message', (order: Order) => {
  obey(order).then(
    (answer) =>
      process.send?.(answer, undefined, undefined, () => {
        // Nothing keeps the process any more.
        if (order.kind !== 'exit') return;
        isLeaving = true;
        process.disconnect();
      }),
    (error: Error) => process.send?.({ id: order.id, kind: 'failed', reason: error.stack ?? '' }),
  );
});

// The run has been killed: no process is left to end the load.
process.on('disconnect', () => {
  if (!isLeaving) process.exit(1);
});

async function obey(order: Order): Promise<Answer> {
  const { id } = order;
  switch (order.kind) {
    case 'make':
      part = await make(order.options);
      return { id, kind: 'made', ports: part.ports };
    case 'sample':
      return sample(id, order.isMinute);
    case 'exit':
      thread.close();
      break;
    default:
      await part?.[order.kind]?.();
  }
  const complaints = part?.tallies.flatMap(({ complaint }) => complaint ?? []) ?? [];
  return { id, kind: 'done', complaints };
}

function make(options: PartOptions): Promise<Part> {
  plants = options.plants;
  return MAKERS[name](options);
}

async function sample(id: number, isMinute: boolean): Promise<Answer> {
  for (const kind of plants) plant(kind);
  const cpuMs = usedCpuMs();
  if (!isMinute) return { id, kind: 'sample', reading: readProcess(part?.pool), cpuMs, loads: {} };
  const loads = Object.fromEntries(
    part?.tallies.map((tally) => [tally.name, tally.takeMinute()]) ?? [],
  );
  const others = await part?.readThreads?.();
  const reading = { ...thread.read(), ...others, ...readProcess(part?.pool) };
  return { id, kind: 'sample', reading, cpuMs, loads };
}

/** Leaks something on purpose. */
function plant(kind: Plant): void {
  if (kind === 'buffer') part?.pool?.tryAcquire();
  else if (kind === 'descriptor') openSync('/dev/null', 'r');
  else planted.push(Array.from({ length: PLANTED_ARRAY_ITEMS }, () => 0));
}
