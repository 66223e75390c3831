// SPDX-License-Identifier: MIT
/** Hostile soak: the thread of the hostile clients. */

import { setMaxListeners } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../../../src/base/random.ts';
import { KINDS } from './kinds.ts';
import { traffic, Visitor } from './visitor.ts';

export interface HostileData {
  readonly port: number;
  readonly clients: number;
  readonly seed: number;
}

/** What the hostile clients have done so far. */
export interface HostileCounts {
  /** By kind. */
  readonly visits: Readonly<Record<string, number>>;
  /** Connections that they have opened, and those of them that they have left. */
  readonly opened: number;
  readonly left: number;
}

const STAY_MS_MIN = 200;
const STAY_MS_MAX = 6000;

const { port, clients, seed } = workerData as HostileData;
const stopping = new AbortController();
setMaxListeners(0, stopping.signal);
const visits: Record<string, number> = Object.fromEntries(
  Object.keys(KINDS).map((kind) => [kind, 0]),
);

parentPort?.on('message', (order: 'count' | 'stop') => {
  if (order === 'count') parentPort?.postMessage(counts());
  else stopping.abort();
});

await Promise.all(Array.from({ length: clients }, (_, number) => live(number)));
parentPort?.postMessage(counts());
parentPort?.close();

function counts(): HostileCounts {
  return { visits, ...traffic };
}

/** One hostile client, which is now of one kind, now of another. */
async function live(number: number): Promise<void> {
  const random = new Random(seed + number);
  const names = Object.keys(KINDS);
  while (!stopping.signal.aborted) {
    const name = names[random.below(names.length)];
    const stayMs = random.between(STAY_MS_MIN, STAY_MS_MAX);
    const visitor = new Visitor(port, number, stayMs, stopping.signal);
    await KINDS[name](visitor, random);
    await visitor.leave(random.chance(0.5));
    visits[name]++;
  }
}
