// SPDX-License-Identifier: MIT
/** Test worker: writes numbered messages, holds some reservations, aborts some. */
import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../../src/base/random.ts';
import { BufferPool, type BufferPoolHandle } from '../../src/pool/index.ts';
import {
  type FlushPolicy,
  LocalWriter,
  type ReservationTicket,
  SharedWriter,
  type SharedWriterHandle,
  WriteFlusher,
  type WriteFlusherHandle,
} from '../../src/writer/index.ts';
import { turn } from '../turns.ts';
import { HEADER_BYTES, putMessage } from './writer-message.ts';

/** What the test asks for. */
export interface ProducerTask {
  readonly pool: BufferPoolHandle;
  readonly flusher: WriteFlusherHandle;
  /** Absent: a LocalWriter. */
  readonly writer?: SharedWriterHandle;
  readonly thread: number;
  readonly seed: number;
  /** Reservations to make; Infinity: until it is terminated. */
  readonly count: number;
  readonly holdMax: number;
  readonly policy: FlushPolicy;
  /** Offer reservations to other threads. */
  readonly handsOver: boolean;
}

/** A reservation on its way to another producer. */
export interface Offer {
  readonly ticket: ReservationTicket;
  readonly length: number;
  readonly thread: number;
  readonly number: number;
}

/** What a producer says: where it is, what it gives away, what it has done. */
export type ProducerNews =
  | { readonly slot: number }
  | { readonly offer: Offer }
  | { readonly committed: number };

/** What a producer is told. */
export type ProducerOrder = { readonly offer: Offer } | { readonly end: true };

const task = workerData as ProducerTask;
const port = parentPort as NonNullable<typeof parentPort>;
const random = new Random(task.seed);
const pool = BufferPool.attach(task.pool);
const flusher = WriteFlusher.attach(pool, task.flusher);
const shared = task.writer === undefined ? undefined : SharedWriter.attach(flusher, task.writer);
const writer = shared ?? new LocalWriter(flusher, { flush: task.policy });
const open: { offset: number; length: number; thread: number; number: number }[] = [];
let committed = 0;
let isEnding = false;
let onEnd: () => void = () => {};

function tell(news: ProducerNews): void {
  port.postMessage(news);
}

function finish(index: number): void {
  const [{ offset, length, thread, number }] = open.splice(index, 1);
  if (random.chance(0.15)) {
    writer.abort(offset);
    return;
  }
  const bytes = HEADER_BYTES + random.below(length - HEADER_BYTES + 1);
  putMessage(pool.bytes, offset, bytes, thread, number);
  if (random.chance(0.05)) writer.commitPacket(offset, bytes).release();
  else writer.commit(offset, bytes);
  committed++;
}

/** Writes messages from private memory, one after another: a shared writer makes a run of them. */
async function writeSome(first: number, countMax: number): Promise<number> {
  while (open.length > 0) finish(0);
  const count = Math.min(countMax, 1 + random.below(12));
  for (let number = first; number < first + count; number++) {
    const bytes = HEADER_BYTES + random.below(16);
    const source = new Uint8Array(bytes);
    putMessage(source, 0, bytes, task.thread, number);
    if (!writer.tryWrite(source)) await writer.write(source);
    committed++;
  }
  return count;
}

async function reserve(length: number): Promise<number> {
  const offset = writer.tryReserve(length);
  if (offset >= 0) return offset;
  // Others may wait for the buffers that we hold.
  while (open.length > 0) finish(0);
  return (await writer.reserve(length)).offset;
}

async function produce(): Promise<void> {
  for (let number = 0; number < task.count; number++) {
    if (random.chance(0.1)) {
      number += (await writeSome(number, task.count - number)) - 1;
      continue;
    }
    const rest = random.below(random.chance(0.1) ? writer.messageBytesMax - HEADER_BYTES + 1 : 24);
    const length = Math.min(writer.messageBytesMax, HEADER_BYTES + rest);
    const offset = await reserve(length);
    open.push({ offset, length, thread: task.thread, number });
    if (shared !== undefined && task.handsOver && random.chance(0.01)) {
      const [held] = open.splice(random.below(open.length), 1);
      tell({ offer: { ...held, ticket: shared.handOver(held.offset) } });
    }
    while (open.length > task.holdMax || (open.length > 0 && random.chance(0.6))) {
      finish(random.below(open.length));
    }
    if (random.chance(0.1)) writer.flush();
    if (random.chance(0.005)) await turn();
  }
  while (open.length > 0) finish(0);
}

port.on('message', (order: ProducerOrder) => {
  if ('end' in order) {
    isEnding = true;
    onEnd();
    return;
  }
  const { ticket, length, thread, number } = order.offer;
  open.push({ offset: (shared as SharedWriter).takeOver(ticket), length, thread, number });
  finish(open.length - 1);
  writer.flush();
});

tell({ slot: pool.threadSlot });
await produce();
for (let i = 0; !writer.flush() && i < 1_000_000; i++) await turn();
tell({ committed });
if (!isEnding) {
  await new Promise<void>((resolve) => {
    onEnd = resolve;
  });
}
while (open.length > 0) finish(0);
while (!writer.flush()) await turn();
tell({ committed });
writer.close();
pool.detach();
port.close();
