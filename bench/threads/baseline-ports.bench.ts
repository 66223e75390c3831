// SPDX-License-Identifier: MIT
/** What Node itself offers between threads: `postMessage` to a worker, and between two workers. */

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Histogram } from '../histogram.ts';
import { type PingerData, type PortData, PortPinger, PortSource } from './baseline-ports.ts';
import { Crew } from './crew.ts';

export const portCases: readonly BenchCase[] = [
  {
    id: 'baseline/post-message-64B',
    what: '64 B posted to a worker, one way, streaming',
    unit: 1000,
    threads: 2,
    prepare: preparePostMessage,
  },
  {
    id: 'baseline/message-channel-64B',
    what: '64 B posted from worker to worker, one way, streaming',
    unit: 1000,
    threads: 2,
    prepare: prepareMessageChannel,
  },
  {
    id: 'baseline/post-message-round-trip',
    what: '64 B posted to a worker and back, one at a time',
    unit: 100,
    threads: 2,
    prepare: prepareRoundTrip,
  },
  {
    id: 'baseline/message-channel-round-trip',
    what: '64 B posted from worker to worker and back, one at a time',
    unit: 100,
    threads: 2,
    prepare: prepareChannelRoundTrip,
  },
];

async function preparePostMessage(): Promise<PreparedCase> {
  const crew = await Crew.start([{ role: 'port-sink', data: {} }]);
  const source = new PortSource(crew.workers[0]);
  return {
    run(ops) {
      crew.begin(ops);
      source.post(ops);
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}

async function prepareMessageChannel(): Promise<PreparedCase> {
  const { port1, port2 } = new MessageChannel();
  const crew = await Crew.start([portPart('port-source', port1), portPart('port-sink', port2)]);
  return inCrew(crew);
}

async function prepareRoundTrip(): Promise<PreparedCase> {
  const crew = await Crew.start([{ role: 'port-echo', data: {} }]);
  const latencies = new Histogram();
  const pinger = new PortPinger(crew.workers[0], latencies);
  return {
    latencies,
    async run(ops) {
      crew.begin(ops);
      await pinger.ping(ops);
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}

async function prepareChannelRoundTrip(): Promise<PreparedCase> {
  const { port1, port2 } = new MessageChannel();
  const latencies = Histogram.createShared();
  const data = { port: port1, histogram: latencies.words } as PingerData;
  const crew = await Crew.start([
    { role: 'port-pinger', data, transfer: [port1] },
    portPart('port-echo', port2),
  ]);
  return { latencies, ...inCrew(crew) };
}

/** A case that is played by other threads alone: this one sleeps. */
function inCrew(crew: Crew): PreparedCase {
  return {
    run(ops) {
      crew.begin(ops);
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}

function portPart(role: string, port: MessagePort) {
  const data: PortData = { port };
  return { role, data, transfer: [port] };
}
