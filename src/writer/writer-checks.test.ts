// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { auditPool } from '../../test/pool-audit.ts';
import { coded } from '../../test/pool-expectations.ts';
import { BufferPool } from '../pool/index.ts';
import { LocalWriter, SharedWriter, WriteFlusher } from './index.ts';

const kinds = {
  LocalWriter: (flusher: WriteFlusher) => new LocalWriter(flusher),
  SharedWriter: (flusher: WriteFlusher) => SharedWriter.create(flusher),
};

for (const [name, create] of Object.entries(kinds)) {
  test(`${name}: the "not now" of tryReserve is not a reservation`, () => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 2, batchSize: 1, maxThreads: 1 });
    const flusher = WriteFlusher.create(pool);
    const victim = pool.tryAcquire();
    const writer = create(flusher);
    const bad = coded('ERR_BUSBAR_BAD_RESERVATION');
    const expectRefused = (): void => {
      for (const offset of [-1, -2, Number.NaN, undefined as never]) {
        for (const length of [0, 1, 40]) {
          expect(() => writer.commit(offset, length)).toThrow(bad);
          expect(() => writer.commitPacket(offset, length)).toThrow(bad);
        }
        expect(() => writer.abort(offset)).toThrow(bad);
      }
    };
    expectRefused();
    expect(writer.tryWrite(new Uint8Array(30).fill(1))).toBe(true);
    const open = [writer.tryReserve(8), writer.tryReserve(8)];
    expect(writer.tryReserve(32)).toBe(-1);
    expectRefused();
    for (const offset of open) writer.commit(offset, 0);
    expectRefused();
    expect(writer.tryWrite(new Uint8Array(8).fill(2))).toBe(true);
    expect(pool.bytes.subarray(pool.offsetOf(victim), pool.offsetOf(victim) + 64)).toEqual(
      new Uint8Array(64),
    );
    pool.release(victim);
    writer.flush();
    let length = 0;
    flusher.drain((_id, _offset, bytes, id) => {
      length += bytes;
      pool.release(id);
    });
    expect(length).toBe(38);
    expect(writer.close()).toBe(0);
    flusher.close();
    expect(auditPool(pool)).toEqual([]);
    expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
  });

  test(`${name}: tryWrite takes whole ranges of bytes only, and leaves nothing open`, () => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 1 });
    const flusher = WriteFlusher.create(pool);
    const writer = create(flusher);
    const bytes = new Uint8Array(8);
    for (const [begin, end] of [
      [0.5, 1.5],
      [0, 1.5],
      [Number.NaN, 1],
      [-1, 1],
      [2, 1],
      [0, 9],
      ['0' as never, 1],
    ]) {
      expect(() => writer.tryWrite(bytes, begin, end)).toThrow(/begin|end/);
    }
    for (const source of [
      { BYTES_PER_ELEMENT: 1, length: 8 },
      new Int8Array(8),
      new Uint16Array(8),
      [1, 2],
      12,
    ]) {
      expect(() => writer.tryWrite(source as never)).toThrow(TypeError);
    }
    expect(writer.tryWrite(Buffer.from('whole'), 1, 3)).toBe(true);
    expect(writer.flush()).toBe(true);
    expect(flusher.stats().waitingRegions).toBe(1);
    expect(writer.close()).toBe(0);
    expect(flusher.close()).toBe(2);
    expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
  });

  test(`${name}: notices a closed flusher at its next flush, close counts what it took`, () => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4, maxThreads: 1 });
    const flusher = WriteFlusher.create(pool);
    const writer = create(flusher);
    writer.tryWrite(new Uint8Array(3));
    flusher.close();
    expect(writer.tryWrite(new Uint8Array(4))).toBe(true);
    expect(() => writer.flush()).toThrow(coded('ERR_BUSBAR_FLUSHER_CLOSED'));
    expect(() => writer.tryWrite(new Uint8Array(60))).toThrow(coded('ERR_BUSBAR_FLUSHER_CLOSED'));
    expect(writer.close()).toBe(7);
    expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
  });
}
