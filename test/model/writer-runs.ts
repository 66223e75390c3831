// SPDX-License-Identifier: MIT
/** Model checker: shared writers whose threads claim room for several messages at once. */

import type { ModelOptions, Scenario } from 'busbar/testing';
import type { SharedWriter } from '../../src/writer/index.ts';
import { RING_SHAPE } from '../../src/writer/shared-writer-layout.ts';
import type { Case, Part } from './coverage.ts';
import { deeply } from './exception-scenarios.ts';
import { checkAllFree } from './pool-words.ts';
import {
  Bodies,
  checkReceived,
  makeWriter,
  message,
  recoversAsStranger,
  SHARED_WRITER_WORDS,
  type WriterModule,
  type WriterShared,
} from './writer-scenarios.ts';

const SHAPE = { bufferCount: 6, batchSize: 1, maxThreads: 4 };
const LENGTH = 2;
/** Runs of two messages, from the first message on. */
const RING = { ...RING_SHAPE, runAfter: 0, epoch: 0 };
const BUFFER_SIZE = 16;
/** Spare word: messages that the second thread has written. */
const WRITTEN = 0;

export function runParts(module: WriterModule): Part<WriterShared>[] {
  return [
    { name: 'shared writer: runs', operations: 'tryWrite, flush, recover', cases: cases(module) },
  ];
}

function cases(module: WriterModule): Case<WriterShared>[] {
  const bodies = new Bodies(module);
  const receiver = bodies.receiver();
  const a = bodies.adopts((writer) => writes(writer, 1, 3));
  const b = bodies.joins((writer, _pool, _self, { words }) => {
    writes(writer, 2, 1);
    Atomics.store(words, WRITTEN, 1);
  });
  const seesOther = bodies.adopts((writer, _pool, _self, { words }) => {
    write(writer, 1, 0);
    const isLater = Atomics.load(words, WRITTEN) === 1;
    write(writer, 1, 1);
    return isLater;
  });
  const deep = bodies.adopts((writer, _pool, self) => {
    const run = deeply(self);
    for (let i = 0; i < 3; i++) {
      if (!run(() => writer.tryWrite(message(1, i, LENGTH)))) throw new Error('no room');
    }
    run(() => writer.flush());
  });
  const all = (marks: readonly number[]) => (received: readonly number[]) => {
    for (const mark of marks) {
      if (!received.includes(mark)) throw new Error(`${mark} is lost: ${received}`);
    }
    if (received.length !== marks.length * LENGTH) throw new Error(`received ${received}`);
  };
  return [
    scenario(module, 'two threads', { receiver, a, b }, all([10, 11, 12, 20]), {
      preemptions: 1,
    }),
    scenario(
      module,
      'order',
      { receiver, a: seesOther, b },
      (received, isLater) => {
        all([10, 11, 20])(received);
        if (isLater && received.indexOf(20) > received.indexOf(11)) {
          throw new Error(`overtaken: ${received}`);
        }
      },
      { preemptions: 1 },
    ),
    scenario(module, 'deaths', { receiver, a, b }, () => undefined, { kills: 1, deaths: 'calls' }, [
      'a',
    ]),
    scenario(
      module,
      'deaths, room for two regions',
      { receiver, a, b },
      () => undefined,
      { kills: 1, deaths: 'calls' },
      ['a'],
      2,
    ),
    scenario(module, 'exceptions', { receiver, a: deep }, all([10, 11, 12]), { exceptions: 1 }),
  ];
}

function scenario(
  module: WriterModule,
  name: string,
  threads: Scenario<WriterShared>['threads'],
  check: (received: readonly number[], result: unknown) => void,
  options: ModelOptions,
  killable: readonly string[] = [],
  regionCount = 8,
): Case<WriterShared> {
  return {
    scenario: {
      name: `runs: ${name}`,
      setup: () => makeWriter(module, SHAPE, BUFFER_SIZE, true, { ring: RING, regionCount }),
      threads,
      killable,
      supervisor: recoversAsStranger(module),
      prepares: [...Object.keys(threads), 'supervisor'],
      ...SHARED_WRITER_WORDS,
      check: (shared, { results }) => {
        checkAllFree(shared);
        const received = results.receiver as readonly number[];
        checkReceived(received, LENGTH);
        check(received, results.a);
      },
    },
    quick: { states: 3_000, preemptions: 0, ...options },
    long: { preemptions: 1, ...options },
  };
}

/** Writes messages, and flushes before the last and after it. */
function writes(writer: SharedWriter, from: number, count: number): void {
  for (let i = 0; i < count; i++) {
    if (i === count - 1) writer.flush();
    write(writer, from, i);
  }
  writer.flush();
}

function write(writer: SharedWriter, from: number, number: number): void {
  if (!writer.tryWrite(message(from, number, LENGTH))) throw new Error('no room');
}
