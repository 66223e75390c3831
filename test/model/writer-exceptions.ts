// SPDX-License-Identifier: MIT
/** Model checker: writers whose calls throw because the stack is full, in threads that continue. */

import type { Scenario } from 'busbar/testing';
import type { LocalWriter, SharedWriter } from '../../src/writer/index.ts';
import type { Case, Part } from './coverage.ts';
import { deeply } from './exception-scenarios.ts';
import { checkAllFree } from './pool-words.ts';
import {
  Bodies,
  checkReceived,
  makeWriter,
  message,
  WRITER_WORDS,
  type WriterModule,
  type WriterShared,
} from './writer-scenarios.ts';

const SHAPE = { bufferCount: 4, batchSize: 1, maxThreads: 3 };
/** Two in a buffer. */
const LENGTH = 6;

export function writerExceptionParts(module: WriterModule): Part<WriterShared>[] {
  return [
    {
      name: 'writers: exceptions',
      operations: 'tryWrite, flush',
      cases: writerExceptionCases(module),
    },
  ];
}

function writerExceptionCases(module: WriterModule): Case<WriterShared>[] {
  const bodies = new Bodies(module);
  const receiver = bodies.receiver();
  // What threw is done again, and each message arrives once.
  const writes = (run: ReturnType<typeof deeply>, writer: LocalWriter | SharedWriter) => {
    for (let i = 0; i < 2; i++) {
      if (!run(() => writer.tryWrite(message(1, i, LENGTH)))) throw new Error('no room');
      run(() => writer.flush());
    }
  };
  const add = (
    name: string,
    threads: Scenario<WriterShared>['threads'],
    keepsWriter: boolean,
  ): Case<WriterShared> => ({
    scenario: {
      name: `exception: ${name}`,
      setup: () => makeWriter(module, SHAPE, 16, keepsWriter),
      threads,
      prepares: Object.keys(threads),
      ...WRITER_WORDS,
      check: (shared, outcome) => {
        checkAllFree(shared);
        const received = outcome.results.receiver as readonly number[];
        checkReceived(received, LENGTH);
        if (received.length !== 2 * LENGTH) throw new Error(`received ${received.join()}`);
      },
    },
    quick: { exceptions: 1, preemptions: 0 },
    long: { exceptions: 1, preemptions: 1 },
  });
  return [
    add(
      'local writer',
      { receiver, a: bodies.local((writer, self) => writes(deeply(self), writer)) },
      false,
    ),
    add(
      'shared writer',
      { receiver, a: bodies.adopts((writer, _, self) => writes(deeply(self), writer)) },
      true,
    ),
  ];
}
