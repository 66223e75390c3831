// SPDX-License-Identifier: MIT
/** Costs of assembling frames by hand and of finding them in a stream. */

import { Framer, LengthPrefixCodec } from 'busbar/framer';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';
import { checkSum, FrameSource, READ_BYTES, STREAM_FRAMES } from './stream.ts';

/** The buffers that bab's own framer benchmark uses. */
const HAND_BUFFER_SIZE = 16_384;
const HAND_FRAME_BYTES = 16;
const BUFFER_COUNT = 16;

export const framerCases: readonly BenchCase[] = [
  {
    id: 'framer/16B-copy',
    what: 'tryWrite of 16 B, finishFrame, a reference on the frame taken and given up',
    unit: 1000,
    threads: 1,
    prepare() {
      const { pool, framer } = createHandFramer();
      const source = new Uint8Array(HAND_FRAME_BYTES).fill(7);
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            framer.tryWrite(source);
            framer.finishFrame();
            const id = framer.frameBufferId;
            pool.retain(id);
            sum = (sum + framer.frameLength) | 0;
            pool.release(id);
          }
          return sum;
        },
        close: () => closeFramer(pool, framer),
      };
    },
  },
  {
    id: 'framer/16B-in-place',
    what: 'tryReserve, four u32 written in place, commit, finishFrame, a reference as above',
    unit: 1000,
    threads: 1,
    prepare() {
      const { pool, framer } = createHandFramer();
      const { view } = pool;
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const offset = framer.tryReserve(HAND_FRAME_BYTES);
            view.setUint32(offset, i, true);
            view.setUint32(offset + 4, i, true);
            view.setUint32(offset + 8, i, true);
            view.setUint32(offset + 12, i, true);
            framer.commit(HAND_FRAME_BYTES);
            framer.finishFrame();
            const id = framer.frameBufferId;
            pool.retain(id);
            sum = (sum + framer.frameLength) | 0;
            pool.release(id);
          }
          return sum;
        },
        close: () => closeFramer(pool, framer),
      };
    },
  },
  {
    id: 'framer/60B-u32',
    what: 'read into lent space, next by numbers, the first word of each payload',
    unit: STREAM_FRAMES,
    threads: 1,
    prepare: prepareNumbers,
  },
  {
    id: 'framer/60B-u32-packets',
    what: 'read into lent space, a packet per frame, its first word, release',
    unit: STREAM_FRAMES,
    threads: 1,
    prepare: preparePackets,
  },
];

function prepareNumbers(): PreparedCase {
  const { pool, framer } = createStreamFramer();
  const { bytes, view } = pool;
  const source = new FrameSource();
  return {
    run(ops) {
      let sum = 0;
      let frames = 0;
      for (;;) {
        while (framer.next()) {
          sum = (sum + view.getInt32(framer.frameOffset, true)) | 0;
          if (++frames === ops) return checkSum(sum, ops);
        }
        const offset = framer.lend();
        framer.report(source.read(bytes, offset, framer.lentBytes));
      }
    },
    close: () => closeFramer(pool, framer),
  };
}

function preparePackets(): PreparedCase {
  const { pool, framer } = createStreamFramer();
  const { bytes } = pool;
  const source = new FrameSource();
  return {
    run(ops) {
      let sum = 0;
      let frames = 0;
      for (;;) {
        for (let frame = framer.tryReceive(); frame !== undefined; frame = framer.tryReceive()) {
          sum = (sum + frame.getInt32(0, true)) | 0;
          frame.release();
          if (++frames === ops) return checkSum(sum, ops);
        }
        const offset = framer.lend();
        framer.report(source.read(bytes, offset, framer.lentBytes));
      }
    },
    close: () => closeFramer(pool, framer),
  };
}

function createHandFramer(): { pool: BufferPool; framer: Framer } {
  const pool = BufferPool.create({ bufferSize: HAND_BUFFER_SIZE, bufferCount: BUFFER_COUNT });
  return { pool, framer: new Framer(pool, null) };
}

function createStreamFramer(): { pool: BufferPool; framer: Framer } {
  const pool = BufferPool.create({ bufferSize: READ_BYTES, bufferCount: BUFFER_COUNT });
  return { pool, framer: new Framer(pool, new LengthPrefixCodec('u32', { byteOrder: 'little' })) };
}

function closeFramer(pool: BufferPool, framer: Framer): void {
  framer.close();
  pool.detach();
}
