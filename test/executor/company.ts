// SPDX-License-Identifier: MIT
/** Test tool: a group of executors that follow commands, and checks of what it leaves behind. */
import { readdirSync } from 'node:fs';
import {
  ExecutorGroup,
  type ExecutorGroupOptions,
  type ExecutorGroup as Group,
} from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect } from 'vitest';
import { auditPool } from '../pool-audit.ts';
import { until } from '../turns.ts';
import * as deeds from './deeds.ts';

/** Where scripts/build.mjs puts the modules. */
export function moduleUrl(name: string): URL {
  return new URL(`../../build/test/executor/${name}.worker.js`, import.meta.url);
}

export function createPool(bufferCount: number = 256): BufferPool {
  return BufferPool.create({ bufferSize: 256, bufferCount, batchSize: 4, maxThreads: 8 });
}

/** A packet of a text. */
export function packetOf(pool: BufferPool, text: string): Packet {
  const packet = Packet.tryFrom(pool, new TextEncoder().encode(text));
  if (packet === undefined) throw new Error('the pool is empty');
  return packet;
}

/** Options of a group that does deeds, and the words that it shares. */
export function company(
  pool: BufferPool,
  plan: Omit<deeds.Plan, 'words'> = {},
): { options: ExecutorGroupOptions; words: Int32Array<SharedArrayBuffer> } {
  const words = new Int32Array(new SharedArrayBuffer(4 * deeds.WORDS));
  const data: deeds.Plan = { ...plan, words: words.buffer };
  return { options: { pool, module: moduleUrl('deeds'), count: 2, data }, words };
}

/** Tells an executor to do something; its lane must have room. */
export function tell(group: Group, pool: BufferPool, index: number, deed: string): void {
  expect(group.trySendTo(index, packetOf(pool, deed))).toBe(true);
}

/** What executors say to the host, in the order in which it comes. */
export function hear(group: Group): { from: number; text: string }[] {
  const heard: { from: number; text: string }[] = [];
  group.mailbox.handle((packet, from) => {
    heard.push({ from, text: packet.toString() });
    packet.release();
  });
  return heard;
}

/** Waits at the gate for this many executors that block or spin. */
export async function untilAtGate(words: Int32Array, count: number): Promise<void> {
  await until(() => Atomics.load(words, deeds.AT_GATE) === count);
}

export function openGate(words: Int32Array): void {
  Atomics.store(words, deeds.GATE, 1);
  Atomics.notify(words, deeds.GATE);
}

/** Only this thread is in the pool, and no buffer is missing. */
export function expectAllBack(pool: BufferPool): void {
  const { held, inTransit, threads, capacity, freeCached, freeShared } = pool.who();
  expect({ held, inTransit, threads: threads.length, missing: capacity - freeCached - freeShared })
    // No thread holds a buffer.
    .toEqual({ held: 0, inTransit: 0, threads: 1, missing: 0 });
  expect(auditPool(pool)).toEqual([]);
}

/** Threads and open files of this process. */
export function belongings(): { threads: number; files: number } {
  const count = (folder: string): number => readdirSync(folder).length;
  return { threads: count('/proc/self/task'), files: count('/proc/self/fd') };
}

export { ExecutorGroup };
