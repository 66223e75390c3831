// SPDX-License-Identifier: MIT
/** Model checker: writers of several threads, a flusher and its receiver, on a tiny pool. */

import type { ModelOptions, ModelThread, Outcome, Scenario, ThreadBody } from 'busbar/testing';
import type { BufferPool, BufferPoolHandle } from '../../src/pool/index.ts';
import { PoolLayout } from '../../src/pool/pool-layout.ts';
import {
  ASLEEP,
  STATE as FLUSHER_STATE,
  FlusherLayout,
  HEAD,
  LANES_USED,
  OWNER,
  RECEIVER,
  TAIL,
} from '../../src/writer/flusher-layout.ts';
import type {
  LocalWriter,
  SharedWriter,
  SharedWriterHandle,
  WriteFlusher,
  WriteFlusherHandle,
  WriterOptions,
} from '../../src/writer/index.ts';
import * as writerLayout from '../../src/writer/shared-writer-layout.ts';
import { isFlusherHint, isReferenceWord, isWriterHint } from '../../src/writer/writer-hints.ts';
import type { Case, Part } from './coverage.ts';
import { checkAllFree, isHint, isOwnerWord, type PoolShape, poolWordName } from './pool-words.ts';

/** The parts of the modules that scenarios use: the modules themselves, or their mortal copies. */
export interface WriterModule {
  readonly BufferPool: typeof BufferPool;
  readonly WriteFlusher: typeof WriteFlusher;
  readonly LocalWriter: typeof LocalWriter;
  readonly SharedWriter: typeof SharedWriter;
}

export interface WriterShared {
  readonly handle: BufferPoolHandle;
  readonly layout: PoolLayout;
  readonly words: Int32Array;
  readonly flusherHandle: WriteFlusherHandle;
  readonly flusherLayout: FlusherLayout;
  readonly writerHandle: SharedWriterHandle;
  readonly writerLayout: writerLayout.SharedWriterLayout;
}

/** A small ring of segments, and the epoch at which it begins. */
export interface SmallRing extends writerLayout.RingShape {
  readonly epoch: number;
}

/** How the shared writer begins. */
interface WriterStart {
  readonly ring?: SmallRing;
  /** Regions that fit its lane. */
  readonly regionCount?: number;
  /** What its maker does with it. */
  readonly before?: (writer: SharedWriter) => void;
}

/** Block 0 is the pool's control, 1 its data, 2 the flusher, 3 the shared writer, 4 spare words. */
export function makeWriter(
  module: WriterModule,
  shape: PoolShape,
  bufferSize: number,
  keepsWriter = true,
  {
    ring = { ...writerLayout.RING_SHAPE, epoch: 0 },
    regionCount = 2,
    before = () => undefined,
  }: WriterStart = {},
): WriterShared {
  const receiving = module.BufferPool.create({ ...shape, bufferSize, trackLeaks: false });
  const writing = module.BufferPool.attach(receiving.handle);
  const flusher = module.WriteFlusher.create(receiving, { writerCount: 2, regionCount });
  const attached = module.WriteFlusher.attach(writing, flusher.handle);
  const found = Reflect.get(module.SharedWriter, 'make') as Found;
  const writer = found.call(module.SharedWriter, attached, { flush: 'manual' }, ring, ring.epoch);
  before(writer);
  if (!keepsWriter) writer.close();
  if (!keepsWriter) flusher.drain(() => undefined);
  // The threads that attach first and second get these slots, and with them these roles.
  writing.detach();
  receiving.detach();
  return {
    handle: receiving.handle,
    layout: new PoolLayout(shape.bufferCount, shape.maxThreads, shape.batchSize),
    words: new Int32Array(new SharedArrayBuffer(64)),
    flusherHandle: flusher.handle,
    flusherLayout: new FlusherLayout(2, regionCount),
    writerHandle: writer.handle,
    writerLayout: new writerLayout.SharedWriterLayout(bufferSize, shape.maxThreads, ring),
  };
}

/** `create`, with a ring of another shape. */
type Found = (
  flusher: WriteFlusher,
  options: WriterOptions,
  shape: writerLayout.RingShape,
  epoch: number,
) => SharedWriter;

/** Names for traces. */
export function writerWordName(
  shared: WriterShared,
  block: number,
  word: number,
): string | undefined {
  if (block === 2) {
    const layout = shared.flusherLayout;
    const known = new Map([
      [RECEIVER, 'RECEIVER'],
      [FLUSHER_STATE, 'STATE'],
      [ASLEEP, 'ASLEEP'],
      [LANES_USED, 'LANES_USED'],
      [layout.readyWord(0), 'ready'],
    ]);
    if (known.has(word)) return known.get(word);
    for (let lane = 0; lane < layout.writerCount; lane++) {
      for (const [at, name] of [
        [OWNER, 'OWNER'],
        [TAIL, 'TAIL'],
        [HEAD, 'HEAD'],
      ] as const) {
        if (word === layout.lane(lane) + at) return `lane ${lane} ${name}`;
      }
      for (let i = 0; i < 8; i++) {
        if (word === layout.slot(lane, i >> 2) + (i & 3))
          return `lane ${lane} slot ${i >> 2} +${i & 3}`;
      }
    }
    return `flusher [${word}]`;
  }
  if (block === 3) {
    const layout = shared.writerLayout;
    const known = new Map([
      [writerLayout.EPOCH, 'EPOCH'],
      [writerLayout.CLAIM, 'CLAIM'],
      [writerLayout.DELIVERED, 'DELIVERED'],
      [writerLayout.DELIVERED_AT, 'DELIVERED_AT'],
      [writerLayout.FREED, 'FREED'],
      [writerLayout.TOLD, 'TOLD'],
      [writerLayout.SHUT, 'SHUT'],
      [writerLayout.MEMBERS, 'MEMBERS'],
      [writerLayout.OWED, 'OWED'],
    ]);
    const name = known.get(word);
    if (name !== undefined) return name;
    for (let slot = 0; slot < shared.layout.maxThreads; slot++) {
      const at = word - layout.pending(slot);
      const fields = ['pending +0', 'pending +1', 'pending +2', 'pending +3', 'JOINED', 'BADGE'];
      if (at >= 0 && at < fields.length) return `thread ${slot} ${fields[at]}`;
    }
    for (let place = 0; place < layout.segmentCount; place++) {
      const at = word - layout.segment(place);
      if (at === writerLayout.FILL || at === writerLayout.BUFFER)
        return `segment ${place} ${at === writerLayout.FILL ? 'FILL' : 'BUFFER'}`;
      for (let entry = 0; entry < layout.entryCount; entry++) {
        const field = word - layout.entry(place, entry);
        if (field === 0 || field === 1)
          return `entry ${place}.${entry} ${field === 0 ? 'STATE' : 'LENGTH'}`;
      }
    }
    return `writer [${word}]`;
  }
  return poolWordName(shared, block, word);
}

type Words = Pick<Scenario<WriterShared>, 'racy' | 'nameWord'>;

/** Words of a scenario's writers: their names, and those that are read without order. */
export const WRITER_WORDS: Words = {
  racy: (shared) => (block, word) => isWriterGuess(shared, block, word),
  nameWord: (shared) => (block, word) => writerWordName(shared, block, word),
};

/** The same for shared writers, whose pool notes owners of buffers without order. */
export const SHARED_WRITER_WORDS: Words = {
  ...WRITER_WORDS,
  racy: (shared) => (block, word) =>
    isWriterGuess(shared, block, word) || isOwnerWord(shared, block, word),
};

/** Words that are read as a guess, which an atomic access then confirms or refutes. */
export function isWriterGuess(shared: WriterShared, block: number, word: number): boolean {
  if (block === 0) return isHint(shared, block, word);
  if (block === 2) return isFlusherHint(shared.flusherLayout, word);
  return block === 3 && isWriterHint(shared.writerLayout, word);
}

type Body = ThreadBody<WriterShared>;
type Writing = (
  writer: SharedWriter,
  pool: BufferPool,
  self: ModelThread,
  shared: WriterShared,
) => unknown;

export type WriterCase = Case<WriterShared>;

export function writerParts(module: WriterModule): Part<WriterShared>[] {
  return [
    {
      name: 'writers, flush hand-over',
      operations: 'reserve, commit, abort, flush, drain, close',
      cases: writerCases(module),
    },
    {
      name: 'writers: deaths',
      operations: 'the same, recover, reclaim',
      cases: writerDeathCases(module),
    },
  ];
}

/**
 * Bodies of the threads: the receiver must be named first, the thread that adopts the writer next.
 */
export class Bodies {
  readonly #module: WriterModule;

  constructor(module: WriterModule) {
    this.#module = module;
  }

  /** Drains whenever it is told to; returns what it gets, which grows until all is quiet. */
  receiver(
    after: (flusher: WriteFlusher, shared: WriterShared) => void = () => undefined,
    afterDrain: (shared: WriterShared, received: readonly number[]) => void = () => undefined,
  ): Body {
    return (shared, self) => {
      const pool = this.#module.BufferPool.attach(shared.handle);
      const flusher = this.#module.WriteFlusher.attach(pool, shared.flusherHandle);
      flusher.becomeReceiver();
      self.begin();
      const received: number[] = [];
      flusher.setReadyCallback(() => {
        flusher.drain((_writer, offset, length, id) => {
          for (let i = 0; i < length; i++) received.push(pool.bytes[offset + i]);
          pool.release(id);
        });
        afterDrain(shared, received);
      });
      after(flusher, shared);
      return received;
    };
  }

  /** Uses the shared writer that setup made as if this thread had. */
  adopts(write: Writing): Body {
    return (shared, self) => {
      const pool = this.#module.BufferPool.attach(shared.handle);
      self.publish(pool.threadSlot);
      const flusher = this.#module.WriteFlusher.attach(pool, shared.flusherHandle);
      // Setup's thread had this slot and left without a word: its membership is inherited.
      const writer = this.#module.SharedWriter.attach(flusher, shared.writerHandle);
      self.begin();
      return this.#run(writer, pool, write, self, shared);
    };
  }

  joins(write: Writing): Body {
    return (shared, self) => {
      const pool = this.#module.BufferPool.attach(shared.handle);
      self.publish(pool.threadSlot);
      const flusher = this.#module.WriteFlusher.attach(pool, shared.flusherHandle);
      const writer = this.#module.SharedWriter.attach(flusher, shared.writerHandle);
      self.begin();
      return this.#run(writer, pool, write, self, shared);
    };
  }

  /** Has a writer of its own. */
  local(write: (writer: LocalWriter, self: ModelThread) => unknown): Body {
    return (shared, self) => {
      const pool = this.#module.BufferPool.attach(shared.handle);
      self.publish(pool.threadSlot);
      const flusher = this.#module.WriteFlusher.attach(pool, shared.flusherHandle);
      const writer = new this.#module.LocalWriter(flusher, { flush: 'manual' });
      self.begin();
      write(writer, self);
      writer.close();
    };
  }

  #run(
    writer: SharedWriter,
    pool: BufferPool,
    write: Writing,
    self: ModelThread,
    shared: WriterShared,
  ): unknown {
    const result = write(writer, pool, self, shared);
    writer.close();
    return result;
  }
}

/** An object of the shared writer that does not count as a member. */
export function unjoined(
  module: WriterModule,
  flusher: WriteFlusher,
  shared: WriterShared,
): SharedWriter {
  const Constructor = module.SharedWriter as unknown as new (...args: unknown[]) => SharedWriter;
  const words = new Int32Array(shared.writerHandle.control);
  return new Constructor(flusher, shared.writerHandle, words);
}

type Supervisor = NonNullable<Scenario<WriterShared>['supervisor']>;

/** Recovers the writer, and reclaims. */
export function recoversAsStranger(module: WriterModule): Supervisor {
  return (shared, dead, self) => {
    const pool = module.BufferPool.attach(shared.handle);
    const flusher = module.WriteFlusher.attach(pool, shared.flusherHandle);
    // As if this thread had made the writer and closed it: the others may all have left.
    const writer = unjoined(module, flusher, shared);
    self.begin();
    const slot = dead.published[0] as number;
    writer.recover(slot);
    pool.reclaim(slot);
  };
}

export function message(from: number, number: number, length: number): Uint8Array {
  return new Uint8Array(length).fill(10 * from + number);
}

/** Writes messages and flushes after each; a message that finds no room is left out. */
function writesEach(from: number, count: number, length: number): Writing {
  return (writer) => {
    for (let i = 0; i < count; i++) if (writer.tryWrite(message(from, i, length))) writer.flush();
  };
}

/** Everything received is whole messages, and those of one writer are in order. */
export function checkReceived(received: readonly number[], length: number): void {
  if (received.length % length !== 0)
    throw new Error(`received half a message: ${received.join()}`);
  const last = new Map<number, number>();
  for (let i = 0; i < received.length; i += length) {
    const mark = received[i];
    for (let j = 1; j < length; j++) {
      if (received[i + j] !== mark) throw new Error(`torn: ${received.join()}`);
    }
    const from = Math.floor(mark / 10);
    const before = last.get(from) ?? -1;
    if (mark % 10 <= before) throw new Error(`out of order: ${received.join()}`);
    last.set(from, mark % 10);
  }
}

export function writerCases(module: WriterModule): WriterCase[] {
  const bodies = new Bodies(module);
  const scenario = (
    name: string,
    shape: PoolShape,
    bufferSize: number,
    threads: Scenario<WriterShared>['threads'],
    check: (received: readonly number[], outcome: Outcome) => void,
    rest: Partial<Scenario<WriterShared>> = {},
  ): Scenario<WriterShared> => ({
    name,
    setup: () => makeWriter(module, shape, bufferSize),
    threads,
    prepares: [...Object.keys(threads), 'supervisor'],
    ...WRITER_WORDS,
    check: (shared, outcome) => {
      checkAllFree(shared);
      check(outcome.results.receiver as readonly number[], outcome);
    },
    ...rest,
  });
  const exactly = (length: number, bytes: number) => (received: readonly number[]) => {
    checkReceived(received, length);
    if (received.length !== bytes) throw new Error(`received ${received.length} of ${bytes} bytes`);
  };
  const shape = { bufferCount: 4, batchSize: 1, maxThreads: 3 };
  const receiver = bodies.receiver();
  return [
    {
      scenario: scenario(
        'shared writer, 2 threads',
        shape,
        16,
        {
          receiver,
          a: bodies.adopts(writesEach(1, 1, 2)),
          b: bodies.joins(writesEach(2, 1, 2)),
        },
        exactly(2, 4),
      ),
      quick: { preemptions: 1 },
      long: { preemptions: 2 },
    },
    {
      scenario: scenario(
        'shared writer, 2 threads, 2 buffers',
        shape,
        16,
        {
          receiver,
          a: bodies.adopts(writesEach(1, 1, 10)),
          b: bodies.joins(writesEach(2, 1, 10)),
        },
        exactly(10, 20),
      ),
      quick: { preemptions: 1, states: 40_000 },
      long: { preemptions: 2 },
    },
    {
      scenario: scenario(
        'shared writer, open reservations',
        shape,
        16,
        {
          receiver,
          a: bodies.adopts(outOfOrder),
          b: bodies.joins(writesEach(2, 1, 2)),
        },
        exactly(2, 4),
      ),
      quick: { preemptions: 0 },
      long: { preemptions: 2 },
    },
    {
      scenario: scenario(
        'local writers, 2 threads',
        shape,
        16,
        {
          receiver,
          a: bodies.local(writesLocally(1)),
          b: bodies.local(writesLocally(2)),
        },
        exactly(2, 8),
        { setup: () => makeWriter(module, shape, 16, false) },
      ),
      quick: { preemptions: 1 },
      long: { preemptions: 2 },
    },
    {
      scenario: scenario(
        'flusher closed, shared writer',
        shape,
        16,
        {
          receiver: bodies.receiver((flusher) => flusher.close()),
          a: bodies.adopts(closedMeanwhile(1)),
          b: bodies.joins(closedMeanwhile(2)),
        },
        (received) => checkReceived(received, 2),
        {
          // Several threads may take a region back; the exchange of its last word decides who does.
          racy: (shared) => (block, word) =>
            isWriterGuess(shared, block, word) ||
            (block === 2 && isReferenceWord(shared.flusherLayout, word)),
        },
      ),
      quick: { preemptions: 1 },
      long: { preemptions: 2 },
    },
  ];
}

/** Writers die; what they had flushed arrives, and no buffer is lost. */
export function writerDeathCases(module: WriterModule): WriterCase[] {
  const bodies = new Bodies(module);
  const shape = { bufferCount: 4, batchSize: 1, maxThreads: 4 };
  const dies = (
    name: string,
    threads: Scenario<WriterShared>['threads'],
    supervisor: NonNullable<Scenario<WriterShared>['supervisor']>,
    length: number,
    killable: readonly string[],
    quick: ModelOptions = {},
    keepsWriter = true,
  ): WriterCase => ({
    scenario: {
      name: `death: ${name}`,
      setup: () => makeWriter(module, shape, 16, keepsWriter),
      threads,
      supervisor,
      killable,
      prepares: [...Object.keys(threads), 'supervisor'],
      ...SHARED_WRITER_WORDS,
      check: (shared, outcome) => {
        checkAllFree(shared);
        checkReceived(outcome.results.receiver as readonly number[], length);
      },
    },
    quick: { preemptions: 0, kills: 1, deaths: 'calls', ...quick },
    long: { preemptions: 1, kills: 1, deaths: 'calls' },
  });
  const receiver = bodies.receiver();
  const recovers = recoversAsStranger(module);
  return [
    dies(
      'shared writer, 2 threads',
      {
        receiver,
        a: bodies.adopts(writesEach(1, 1, 2)),
        b: bodies.joins(writesEach(2, 1, 2)),
      },
      recovers,
      2,
      ['b'],
      { states: 40_000 },
    ),
    dies(
      'shared writer, 2 buffers',
      {
        receiver,
        a: bodies.adopts(writesEach(1, 1, 10)),
        b: bodies.joins(writesEach(2, 1, 10)),
      },
      recovers,
      10,
      ['a'],
      { states: 40_000 },
    ),
    dies(
      'local writer',
      { receiver: bodies.receiver(recoversWhenTold), a: bodies.local(writesLocally(1)) },
      (shared, dead, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        self.begin();
        const slot = dead.published[0] as number;
        Atomics.store(shared.words, 0, slot + 1);
        Atomics.notify(shared.words, 0);
        Atomics.wait(shared.words, 1, 0);
        pool.reclaim(slot);
      },
      2,
      ['a'],
      {},
      false,
    ),
  ];
}

/** The receiver is told in words[0] who died, and says in words[1] that it has recovered. */
function recoversWhenTold(flusher: WriteFlusher, shared: WriterShared): void {
  const { words } = shared;
  const wait = Atomics.waitAsync(words, 0, 0);
  Promise.resolve(wait.value).then(() => {
    flusher.recover(Atomics.load(words, 0) - 1);
    Atomics.store(words, 1, 1);
    Atomics.notify(words, 1);
  });
}

/** Two reservations, the second one committed first; then the first one is aborted. */
function outOfOrder(writer: SharedWriter, pool: BufferPool): void {
  const first = writer.tryReserve(3);
  const second = writer.tryReserve(2);
  pool.bytes.set(message(1, 0, 2), second);
  writer.commit(second, 2);
  writer.flush();
  writer.abort(first);
  writer.flush();
}

function writesLocally(from: number): (writer: LocalWriter) => void {
  return (writer) => {
    for (let i = 0; i < 2; i++) {
      writer.tryWrite(message(from, i, 2));
      writer.flush();
    }
  };
}

function closedMeanwhile(from: number): Writing {
  return (writer) => {
    try {
      if (writer.tryWrite(message(from, 0, 2))) writer.flush();
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_BUSBAR_FLUSHER_CLOSED') throw error;
    }
  };
}
