// SPDX-License-Identifier: MIT
/** Costs of the same work without busbar, measured in the same run on the same machine. */

import { ConcatFramer, RestFramer } from './baseline-framers.ts';
import type { BenchCase, PreparedCase } from './bench-case.ts';
import { checkSum, FRAME_BYTES, FrameSource, READ_BYTES, STREAM_FRAMES } from './stream.ts';

/** The size that bab's own benchmark allocates. */
const ALLOCATION_BYTES = 1033;

export const baselineCases: readonly BenchCase[] = [
  {
    id: 'baseline/allocUnsafe-1033',
    what: 'Buffer.allocUnsafe(1033), one byte written',
    unit: 1000,
    threads: 1,
    prepare() {
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) {
            const buffer = Buffer.allocUnsafe(ALLOCATION_BYTES);
            buffer[0] = i;
            sum = (sum + buffer.length) | 0;
          }
          return sum;
        },
        close() {},
      };
    },
  },
  {
    id: 'baseline/read-60B',
    what: 'the copy that stands for the kernel in the framer cases, per frame',
    unit: STREAM_FRAMES,
    threads: 1,
    prepare() {
      const source = new FrameSource();
      const chunk = new Uint8Array(READ_BYTES);
      return {
        run(ops) {
          let frames = 0;
          while (frames < ops) frames += source.read(chunk, 0, READ_BYTES) / FRAME_BYTES;
          return chunk[0] + frames;
        },
        close() {},
      };
    },
  },
  {
    id: 'baseline/concat-framer-60B',
    what: 'read, join with the rest, a view per frame, its first word',
    unit: STREAM_FRAMES,
    threads: 1,
    prepare: prepareConcatFramer,
  },
  {
    id: 'baseline/rest-framer-60B',
    what: 'read, keep a rest, offsets without views, the first word; owns and shares nothing',
    unit: STREAM_FRAMES,
    threads: 1,
    prepare: prepareRestFramer,
  },
];

function prepareConcatFramer(): PreparedCase {
  const source = new FrameSource();
  const framer = new ConcatFramer();
  const chunk = new Uint8Array(READ_BYTES);
  return {
    run(ops) {
      let sum = 0;
      let frames = 0;
      for (;;) {
        for (let frame = framer.next(); frame !== undefined; frame = framer.next()) {
          sum = (sum + frame.readInt32LE(0)) | 0;
          if (++frames === ops) return checkSum(sum, ops);
        }
        const size = source.read(chunk, 0, READ_BYTES);
        framer.push(size === READ_BYTES ? chunk : chunk.subarray(0, size));
      }
    },
    close() {},
  };
}

function prepareRestFramer(): PreparedCase {
  const source = new FrameSource();
  const framer = new RestFramer(FRAME_BYTES);
  const chunk = new Uint8Array(READ_BYTES);
  const view = new DataView(chunk.buffer);
  return {
    run(ops) {
      let sum = 0;
      let frames = 0;
      for (;;) {
        while (framer.next()) {
          sum = (sum + framer.view.getInt32(framer.offset, true)) | 0;
          if (++frames === ops) return checkSum(sum, ops);
        }
        framer.push(chunk, view, source.read(chunk, 0, READ_BYTES));
      }
    },
    close() {},
  };
}
