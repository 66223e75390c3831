// SPDX-License-Identifier: MIT
/** Writers with headroom or tailroom copy some regions: also where buffers are few. */

import { expect, test } from 'vitest';
import { expectAllHome } from '../../test/pool-expectations.ts';
import { BufferPool } from '../pool/index.ts';
import { LocalWriter, SharedWriter, WriteFlusher } from './index.ts';

test.each([3, 4, 8, 12, 17, 31])(
  'messages with gaps fill a pool of %i buffers, and are delivered',
  (bufferCount) => {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount, maxThreads: 1 });
    const flusher = WriteFlusher.create(pool, { writerCount: 1, regionCount: 64 });
    const writer = SharedWriter.create(flusher, { headroom: 4, tailroom: 4 });
    let sent = 0;
    let got = 0;
    const drain = (): number =>
      flusher.drain((_writer, offset, length, id) => {
        got += length / 8;
        pool.bytes.fill(0xff, offset - 4, offset);
        pool.bytes.fill(0xff, offset + length, offset + length + 4);
        pool.release(id);
      });
    for (let round = 0; round < 3; round++) {
      // Every second reservation is aborted: no region fills a segment.
      for (let isGap = false; ; isGap = !isGap) {
        const at = writer.tryReserve(8);
        if (at < 0) break;
        if (isGap) writer.abort(at);
        else writer.commit(at, 8);
        if (!isGap) sent++;
      }
      flushAll(writer, drain);
      expect({ round, got }).toEqual({ round, got: sent });
    }
    end(writer, drain);
  },
);

test.each([2, 3, 4])('a writer of one thread needs no more than %i buffers', (bufferCount) => {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount, maxThreads: 1 });
  const flusher = WriteFlusher.create(pool, { writerCount: 1, regionCount: 64 });
  const writer = new LocalWriter(flusher, { headroom: 4, tailroom: 4 });
  let sent = 0;
  let got = 0;
  const drain = (): number =>
    flusher.drain((_writer, _offset, length, id) => {
      got += length / 4;
      pool.release(id);
    });
  for (let round = 0; round < 5; round++) {
    for (;;) {
      // Three overlap; the one in the middle leaves a gap.
      const all = [writer.tryReserve(4), writer.tryReserve(8), writer.tryReserve(4)];
      const open = all.filter((at) => at >= 0);
      for (const at of open.reverse()) {
        if (at === all[1]) writer.abort(at);
        else writer.commit(at, 4);
        if (at !== all[1]) sent++;
      }
      if (all.includes(-1)) break;
    }
    flushAll(writer, drain);
    expect({ round, got }).toEqual({ round, got: sent });
  }
  end(writer, drain);
});

test.each([{ headroom: 4 }, { tailroom: 4 }])('with %o, too few buffers are refused', (margin) => {
  for (const bufferCount of [1, 2]) {
    const pool = BufferPool.create({ bufferSize: 64, bufferCount, maxThreads: 1 });
    const flusher = WriteFlusher.create(pool, { writerCount: 1, regionCount: 64 });
    expect(() => SharedWriter.create(flusher, margin)).toThrow('need 3 buffers');
    if (bufferCount === 1) {
      expect(() => new LocalWriter(flusher, margin)).toThrow('need 2 buffers');
    }
    // The only lane is free, and without margins all works.
    expect(new LocalWriter(flusher).close()).toBe(0);
    flusher.close();
    expectAllHome(pool);
  }
});

type Writer = LocalWriter | SharedWriter;

function flushAll(writer: Writer, drain: () => number): void {
  for (let tries = 0; !writer.flush() && tries < 200; tries++) drain();
  drain();
}

/** The writer has delivered all, and every buffer is free. */
function end(writer: Writer, drain: () => number): void {
  expect(writer.close()).toBe(0);
  drain();
  writer.flusher.close();
  expectAllHome(writer.pool);
}
