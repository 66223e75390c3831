// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { coded, expectAllHome } from '../../test/pool-expectations.ts';
import { BufferPool } from '../pool/index.ts';
import { HEADER_TAG } from '../pool/pool-layout.ts';
import {
  LocalWriter,
  type ReservationTicket,
  SharedWriter,
  type SharedWriterHandle,
  WriteFlusher,
} from './index.ts';
import { HEADER_LANE } from './shared-writer-layout.ts';

const shape = { bufferSize: 32, bufferCount: 40, batchSize: 1, maxThreads: 4 };

test('a handle fits its own flusher only, in its own pool', () => {
  const bad = coded('ERR_BUSBAR_BAD_HANDLE');
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const sibling = WriteFlusher.create(pool);
  const writer = SharedWriter.create(flusher);
  const stranger = poolWithTagOf(pool);
  const strange = WriteFlusher.create(stranger);
  expect(() => SharedWriter.attach(strange, writer.handle)).toThrow(bad);
  expect(() => SharedWriter.attach(sibling, writer.handle)).toThrow(bad);
  expect(() => WriteFlusher.attach(stranger, flusher.handle)).toThrow(bad);

  const { control, options, ...rest } = structuredClone(writer.handle);
  const laneless = new SharedArrayBuffer(control.byteLength);
  new Int32Array(laneless).set(new Int32Array(control));
  for (const lane of [-1, flusher.layout.writerCount]) {
    new Int32Array(laneless)[HEADER_LANE] = lane;
    const forged = { ...rest, options, control: laneless };
    expect(() => SharedWriter.attach(flusher, forged)).toThrow(bad);
  }
  for (const wrong of [
    { ...rest, control },
    { ...rest, control, options: null },
    { ...rest, options, control: new SharedArrayBuffer(6) },
  ]) {
    expect(() => SharedWriter.attach(flusher, wrong as SharedWriterHandle)).toThrow(bad);
  }
  const odd = { ...flusher.handle, control: new SharedArrayBuffer(6) };
  expect(() => WriteFlusher.attach(pool, odd)).toThrow(bad);

  const again = SharedWriter.attach(WriteFlusher.attach(pool, flusher.handle), writer.handle);
  for (const each of [again, writer, new LocalWriter(sibling)]) expect(each.close()).toBe(0);
  for (const each of [flusher, sibling, strange]) each.close();
  expectAllHome(pool);
});

test('a ticket is good once, for the reservation it was made for', () => {
  const bad = coded('ERR_BUSBAR_BAD_RESERVATION');
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool);
  const other = BufferPool.attach(pool.handle);
  const mine = SharedWriter.create(flusher);
  const theirs = SharedWriter.attach(WriteFlusher.attach(other, flusher.handle), mine.handle);
  const drain = (): number =>
    flusher.drain((_writer, _offset, _length, id) => {
      pool.release(id);
    });
  mine.tryWrite(new Uint8Array(3));
  const offset = mine.tryReserve(4);
  const kept = mine.tryReserve(4);
  const ticket = mine.handOver(offset);
  const free = pool.tryAcquire();
  const forged: Partial<ReservationTicket>[] = [
    { offset: pool.offsetOf(free) },
    { offset: offset + 1 },
    { offset: -1 },
    { offset: kept },
    { entry: ticket.entry + 2 },
    { entry: ticket.entry + 1 },
    { epoch: ticket.epoch + 1 },
    { threadSlot: other.threadSlot },
  ];
  for (const change of forged) {
    expect(() => theirs.takeOver({ ...ticket, ...change })).toThrow(bad);
  }
  for (const entry of [0, -1, 1.5, 1 << 20]) {
    expect(() => theirs.takeOver({ ...ticket, entry })).toThrow(RangeError);
  }
  const odd = { ...ticket, entry: 5n } as never;
  expect(() => theirs.takeOver(odd)).toThrow(/^ticket\.entry must be an integer/);
  pool.release(free);
  // There and back again: the first ticket names a reservation that its thread holds once more.
  expect(theirs.takeOver(ticket)).toBe(offset);
  expect(mine.takeOver(theirs.handOver(offset))).toBe(offset);
  expect(() => theirs.takeOver(ticket)).toThrow(bad);
  expect(() => mine.takeOver(ticket)).toThrow(bad);
  mine.commit(offset, 4);
  expect(() => mine.commit(offset, 4)).toThrow(bad);
  mine.commit(kept, 4);
  mine.flush();
  drain();

  // The same entry again, sixteen buffers later, handed over too: the old ticket does not fit.
  let next: ReservationTicket;
  for (;;) {
    const at = mine.tryReserve(4);
    next = mine.handOver(at);
    if (next.entry === ticket.entry && next.epoch !== ticket.epoch) break;
    mine.commit(mine.takeOver(next), 4);
    mine.flush();
    drain();
  }
  expect(next.epoch).toBe(ticket.epoch + 16);
  expect(() => theirs.takeOver(ticket)).toThrow(bad);
  expect(() => theirs.takeOver({ ...next, offset: ticket.offset + 32 })).toThrow(bad);
  theirs.abort(theirs.takeOver(next));
  expect(mine.close() + theirs.close()).toBe(0);
  drain();
  flusher.close();
  expectAllHome(pool);
});

/** Another pool whose packets carry the same tag, as one pool in 16 384 does by chance. */
function poolWithTagOf(pool: BufferPool): BufferPool {
  const handle = BufferPool.create(shape).handle;
  const [from, to] = [pool, { handle }].map(({ handle }) => new Int32Array(handle.control));
  to[HEADER_TAG] = from[HEADER_TAG];
  const stranger = BufferPool.attach(handle);
  expect(stranger.identity).toBe(pool.identity);
  return stranger;
}
