// SPDX-License-Identifier: MIT
/**
 * Model checker: members of a shared writer that leave while the lane is full. Other members flush
 * the rest (OWED), also if any of them dies or any of their calls throws.
 */

import type { ModelOptions, ModelThread, Scenario, ThreadBody } from 'busbar/testing';
import type { SharedWriter } from '../../src/writer/index.ts';
import type { Case, Part } from './coverage.ts';
import { deeply } from './exception-scenarios.ts';
import { checkAllFree } from './pool-words.ts';
import {
  Bodies,
  checkReceived,
  makeWriter,
  message,
  SHARED_WRITER_WORDS,
  unjoined,
  type WriterModule,
  type WriterShared,
} from './writer-scenarios.ts';

type Body = ThreadBody<WriterShared>;
type Run = ReturnType<typeof deeply>;

/** Spare words: messages that the receiver has got, and 1 if none of A comes. */
const GOT = 0;
const NONE_OF_A = 1;

const LENGTH = 2;
/** The lane takes this many; they are in it when the threads begin. */
const FILLED = 2;
const SHAPE = { bufferCount: 4, batchSize: 1, maxThreads: 5 };

/** A writer's report: the messages it has committed, and the bytes its close has dropped. */
interface Told {
  readonly committed: readonly number[];
  readonly dropped: number;
}

export function owedParts(module: WriterModule): Part<WriterShared>[] {
  return [
    {
      name: 'shared writer: leaving with a rest',
      operations: 'tryWrite, flush, close; deaths; exceptions; recover',
      cases: owedCases(module),
    },
  ];
}

function owedCases(module: WriterModule): Case<WriterShared>[] {
  const bodies = new Bodies(module);
  const receiver = counting(bodies);
  const leaves = bodies.adopts((writer, _, self) => writesAndLeaves(writer, self));
  const throws = bodies.adopts((writer, _, self) => writesAndLeaves(writer, self, deeply(self)));
  const stays = staying(module);
  const alsoLeaves = bodies.joins((writer, _, self) => writesAndLeaves(writer, self, once, 2));
  const deaths: ModelOptions = { kills: 1, deaths: 'calls', preemptions: 0 };
  return [
    owed(module, 'one leaves, one stays', { receiver, a: leaves, b: stays }, { preemptions: 1 }),
    owed(module, 'two leave', { receiver, a: leaves, b: alsoLeaves }, { preemptions: 1 }),
    owed(
      module,
      'exception: who leaves',
      { receiver, a: throws, b: stays },
      {
        exceptions: 1,
        preemptions: 0,
      },
    ),
    owed(module, 'death: who leaves', { receiver, a: leaves, b: stays }, deaths, ['a']),
    owed(
      module,
      'death: one of those who stay',
      { receiver, a: leaves, b: stays, c: stays },
      deaths,
      ['b'],
    ),
  ];
}

const once: Run = (call) => call();

function owed(
  module: WriterModule,
  name: string,
  threads: Scenario<WriterShared>['threads'],
  options: ModelOptions,
  killable: readonly string[] = [],
): Case<WriterShared> {
  return {
    scenario: {
      name: `rest: ${name}`,
      setup: () => makeWriter(module, SHAPE, 16, true, { before: fillLane }),
      threads,
      killable,
      supervisor: (shared, { name, published }, self) =>
        recovers(module, shared, name === 'a', published as number[], self),
      prepares: [...Object.keys(threads), 'supervisor'],
      ...SHARED_WRITER_WORDS,
      check: (shared, { results }) => {
        checkAllFree(shared);
        const { receiver: bytes, ...others } = results;
        const received = bytes as readonly number[];
        checkReceived(received, LENGTH);
        const told = Object.values(others).filter((one) => one !== undefined) as Told[];
        const committed = told.flatMap((one) => one.committed);
        const dropped = told.reduce((sum, one) => sum + one.dropped, 0);
        const missing = committed.filter((mark) => !received.includes(mark));
        if (missing.length * LENGTH > dropped || !received.includes(31)) {
          throw new Error(`lost ${missing}; received ${received}; dropped ${dropped} bytes`);
        }
      },
    },
    quick: { states: 40_000, ...options },
    long: { ...options, preemptions: 1 },
  };
}

/** Tells how much it has got. */
function counting(bodies: Bodies): Body {
  return bodies.receiver(
    () => undefined,
    (shared, received) => {
      Atomics.store(shared.words, GOT, received.length / LENGTH);
      Atomics.notify(shared.words, GOT);
    },
  );
}

function fillLane(writer: SharedWriter): void {
  for (let i = 0; i < FILLED; i++) {
    writer.tryWrite(message(3, i, LENGTH));
    writer.flush();
  }
}

function writesAndLeaves(writer: SharedWriter, self: ModelThread, run = once, from = 1): Told {
  const mark = 10 * from;
  if (!run(() => writer.tryWrite(message(from, 0, LENGTH)))) throw new Error('no room');
  self.publish(mark);
  run(() => writer.flush());
  return { committed: [mark], dropped: run(() => writer.close()) };
}

/** A member that does nothing but what it is rung for, until all has come. */
function staying(module: WriterModule): Body {
  return async (shared, self) => {
    const { words } = shared;
    const pool = module.BufferPool.attach(shared.handle);
    self.publish(pool.threadSlot);
    const flusher = module.WriteFlusher.attach(pool, shared.flusherHandle);
    const writer = module.SharedWriter.attach(flusher, shared.writerHandle);
    self.begin();
    for (;;) {
      const got = Atomics.load(words, GOT);
      if (got >= FILLED + 1 - Atomics.load(words, NONE_OF_A)) break;
      const wait = Atomics.waitAsync(words, GOT, got);
      if (wait.async) await wait.value;
    }
    return { committed: [], dropped: writer.close() };
  };
}

/** What the dead one had committed must come. */
function recovers(
  module: WriterModule,
  shared: WriterShared,
  isA: boolean,
  [slot, ...committed]: readonly number[],
  self: ModelThread,
): Told {
  const pool = module.BufferPool.attach(shared.handle);
  const flusher = module.WriteFlusher.attach(pool, shared.flusherHandle);
  const writer = unjoined(module, flusher, shared);
  self.begin();
  writer.recover(slot);
  pool.reclaim(slot);
  if (isA && committed.length === 0) {
    Atomics.store(shared.words, NONE_OF_A, 1);
    Atomics.notify(shared.words, GOT);
  }
  return { committed, dropped: 0 };
}
