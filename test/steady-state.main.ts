// SPDX-License-Identifier: MIT
/**
 * Program of steady-state.test.ts: sends messages through framer, packet, writer and flusher on one
 * thread, each round between two marks.
 */

import { Framer, LengthPrefixCodec } from 'busbar/framer';
import { type BufferId, BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';

const messages = Number(process.argv[2]);
const PREFIX_BYTES = 4;
const PAYLOAD_BYTES = 60;
const FRAME_BYTES = PREFIX_BYTES + PAYLOAD_BYTES;
const FRAMES_PER_CHUNK = 100;
const FLUSH_MESSAGES = 1000;
/** On a busy machine the engine compiles what is hot long after the warm-up. */
const ROUNDS = 3;

const pool = BufferPool.create({ bufferSize: 8192, bufferCount: 256, maxThreads: 2 });
const framer = new Framer(pool, new LengthPrefixCodec('u32'));
const flusher = WriteFlusher.create(pool);
const writer = new LocalWriter(flusher);
const { bytes, view } = pool;
/** A channel of one slot: where a packet lies between its sending and its receiving. */
const slot = new Int32Array(new SharedArrayBuffer(16));

let sequence = 0;
let expected = 0;
let drained = 0;

function sink(_writerId: number, _offset: number, length: number, bufferId: BufferId): void {
  drained += length;
  pool.release(bufferId);
}

/** What a socket would do: frames into the staging space, as many as fit, cut anywhere. */
function arrive(): void {
  const at = framer.lend();
  if (at < 0) throw new Error('the pool ran dry');
  const count = Math.min(FRAMES_PER_CHUNK, Math.floor(framer.lentBytes / FRAME_BYTES));
  for (let i = 0; i < count; i++) {
    view.setUint32(at + i * FRAME_BYTES, PAYLOAD_BYTES);
    view.setUint32(at + i * FRAME_BYTES + PREFIX_BYTES, sequence++);
  }
  if (count > 0) {
    framer.report(count * FRAME_BYTES);
    return;
  }
  // Less room than a frame: this one straddles two buffers.
  const head = framer.lentBytes;
  view.setUint32(at, PAYLOAD_BYTES);
  if (head < 8) throw new Error('the staging space is smaller than the least it should be');
  view.setUint32(at + PREFIX_BYTES, sequence++);
  framer.report(head);
  framer.lend();
  framer.report(FRAME_BYTES - head);
}

/** What a program would do: keep the frame, pass it on, write it out. */
function forward(): void {
  const { frameOffset, frameLength, frameBufferId } = framer;
  pool.retain(frameBufferId);
  pool.moveInto(frameBufferId, frameOffset, frameLength, slot, 0);
  const id = pool.moveFrom(slot, 0);
  const to = writer.tryReserve(frameLength);
  if (to < 0) throw new Error('the writer found no buffer');
  for (let i = 0; i < frameLength; i++) bytes[to + i] = bytes[frameOffset + i];
  if (view.getUint32(to) !== expected++) throw new Error('a message is not what was sent');
  writer.commit(to, frameLength);
  pool.release(id);
}

function run(count: number): void {
  const until = expected + count;
  let sinceFlush = 0;
  while (expected < until) {
    arrive();
    while (framer.next()) {
      forward();
      sinceFlush++;
    }
    if (sinceFlush < FLUSH_MESSAGES) continue;
    sinceFlush = 0;
    writer.flush();
    flusher.drain(sink);
  }
}

run(1_000_000);
for (let round = 0; round < ROUNDS; round++) {
  process.stdout.write('begin\n');
  run(messages);
  process.stdout.write('end\n');
}
writer.close();
flusher.drain(sink);
framer.close();
if (drained !== expected * PAYLOAD_BYTES) throw new Error('bytes are missing');
const { heldByThreads, inTransit } = pool.close();
process.stdout.write(`messages ${expected} held ${heldByThreads} in transit ${inTransit}\n`);
