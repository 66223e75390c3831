// SPDX-License-Identifier: MIT
/**
 * Model checker: shared writers whose ring has two segments, and whose epochs begin again soon: a
 * thread that stands still between a look and its compare-exchange finds the same place in use
 * again, with equal messages in it.
 */

import type { ModelOptions, Scenario } from 'busbar/testing';
import type { SharedWriter } from '../../src/writer/index.ts';
import type { Case, Part } from './coverage.ts';
import { checkAllFree } from './pool-words.ts';
import {
  Bodies,
  checkReceived,
  makeWriter,
  message,
  recoversAsStranger,
  SHARED_WRITER_WORDS,
  type SmallRing,
  type WriterModule,
  type WriterShared,
} from './writer-scenarios.ts';

const SHAPE = { bufferCount: 6, batchSize: 1, maxThreads: 4 };
/** One in a buffer. */
const LENGTH = 10;
/** Spare word: drains so far. */
const DRAINS = 0;

/** Epochs of four bits, of which three are the lap that a free segment waits for. */
const RING: SmallRing = { segmentBits: 1, epochBits: 4, runAfter: 4, epoch: 13 };

export function smallWriterParts(module: WriterModule): Part<WriterShared>[] {
  return [
    {
      name: 'shared writer: few bits',
      operations: 'tryWrite, flush, drain, recover',
      cases: cases(module),
    },
  ];
}

function cases(module: WriterModule): Case<WriterShared>[] {
  const bodies = new Bodies(module);
  const receiver = bodies.receiver(
    () => undefined,
    ({ words }) => {
      Atomics.add(words, DRAINS, 1);
      Atomics.notify(words, DRAINS);
    },
  );
  const a = bodies.adopts(writesAll(1, 2));
  const b = bodies.joins(writesAll(2, 4));
  return [
    small(
      module,
      'round the ring while another stands still',
      { receiver, a, b },
      {
        preemptions: 1,
      },
    ),
  ];
}

function small(
  module: WriterModule,
  name: string,
  threads: Scenario<WriterShared>['threads'],
  options: ModelOptions,
  killable: readonly string[] = [],
): Case<WriterShared> {
  return {
    scenario: {
      name: `small: ${name}`,
      setup: () => makeWriter(module, SHAPE, 16, true, { ring: RING }),
      threads,
      killable,
      supervisor: recoversAsStranger(module),
      prepares: [...Object.keys(threads), 'supervisor'],
      ...SHARED_WRITER_WORDS,
      check: (shared, { results, killed }) => {
        checkAllFree(shared);
        const received = results.receiver as readonly number[];
        checkReceived(received, LENGTH);
        // Who recovers the last member drops what finds no room.
        if (killed.length > 0) return;
        for (const written of [results.a, results.b] as (readonly number[] | undefined)[]) {
          for (const mark of written ?? []) {
            if (!received.includes(mark)) throw new Error(`${mark} is lost: ${received}`);
          }
        }
      },
    },
    quick: { states: 10_000, timeouts: 0, ...options },
    long: { timeouts: 0, ...options, preemptions: 2 },
  };
}

/** Writes messages, and waits for the receiver where there is no room; returns their marks. */
function writesAll(from: number, count: number) {
  return (
    writer: SharedWriter,
    _pool: unknown,
    _self: unknown,
    { words }: WriterShared,
  ): readonly number[] => {
    const written: number[] = [];
    for (let i = 0; i < count; i++) {
      for (;;) {
        const drains = Atomics.load(words, DRAINS);
        if (writer.tryWrite(message(from, i, LENGTH))) break;
        writer.flush();
        if (writer.tryWrite(message(from, i, LENGTH))) break;
        // Another's reservation is open, or the receiver has not drained yet.
        Atomics.wait(words, DRAINS, drains, 10);
      }
      written.push(10 * from + i);
      writer.flush();
    }
    // Who leaves last drops what finds no room.
    for (;;) {
      const drains = Atomics.load(words, DRAINS);
      if (writer.flush()) return written;
      Atomics.wait(words, DRAINS, drains, 10);
    }
  };
}
