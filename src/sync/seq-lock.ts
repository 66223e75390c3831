// SPDX-License-Identifier: MIT
/** `SeqLock`: a snapshot of many words; readers do not hold up writers. */

import { loadSeqCst, storeSeqCst, type Words } from '../base/atomics.ts';
import {
  checkInteger,
  checkMade,
  checkOptions,
  checkTimeoutMs,
  checkWords,
  show,
} from '../base/check.ts';
import { nowMs } from '../base/clock.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { isWords, lengthOf, wordsOf } from '../base/views.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { BY_QUESTION } from '../pool/liveness.ts';
import { Mutex, type MutexHandle } from './mutex.ts';
import type { GivenUp } from './primitive.ts';
import {
  copyAt,
  HEADER_MAGIC,
  HEADER_VERSION,
  HEADER_WORDS,
  HEADER_WRITERS,
  OVERWRITTEN,
  SEQ_LOCK_MAGIC,
  SEQ_LOCK_VERSION,
  SEQUENCE,
  SNAPSHOT_WORDS_MAX,
  seqLockWords,
} from './seq-lock-layout.ts';
import { checkPair, pairBlocks } from './sync-block.ts';

/** How often a reader begins again before it says 'busy'. */
const READS_MAX = 16;

/** Options of a sequence lock. */
export interface SeqLockOptions {
  /** Words of the snapshot, of 32 bits each: 1 … 2²⁰. */
  readonly words: number;
}

/** With this, another thread attaches to the lock. Structured-cloneable. */
export interface SeqLockHandle {
  readonly kind: 'busbar/seqlock';
  readonly version: number;
  readonly writers: MutexHandle;
  readonly data: SharedArrayBuffer;
}

/**
 * A snapshot of many words that threads read whole while others write it: prices, a routing table,
 * the figures of a server.
 *
 * Readers take no lock and write no shared word, so any number of them cost the writer nothing. A
 * reader sees all words of one write, never parts of two. Writers exclude each other; each writes
 * all words.
 *
 * A writer that dies leaves the last whole snapshot as it is: readers continue to read that, and
 * the next writer takes over within a tick of 50 ms.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { SeqLock } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const prices = SeqLock.create(pool, { words: 2 });
 * prices.tryWrite(Int32Array.of(95, 97));
 *
 * const seen = new Int32Array(2);
 * if (prices.tryRead(seen) !== 'read' || seen.join() !== '95,97') throw new Error('torn');
 * ```
 */
export class SeqLock {
  /** Words of the snapshot. */
  readonly length: number;
  readonly #pool: BufferPool;
  readonly #writers: Mutex;
  readonly #words: Words;

  private constructor(pool: BufferPool, writers: Mutex, words: Words) {
    checkMade(isWords(words), new.target);
    this.#pool = pool;
    this.#writers = writers;
    this.#words = words;
    this.length = words[HEADER_WORDS];
  }

  /**
   * Makes a lock whose snapshot is all zeros. **Cost** twice the snapshot, what a {@link Mutex}
   * takes, and 512 bytes. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: SeqLockOptions): SeqLock {
    const own = checkOptions('options', options, ['words']);
    const length = checkInteger('words', own.words, 1, SNAPSHOT_WORDS_MAX);
    const writers = Mutex.create(pool);
    const words = new Int32Array(new SharedArrayBuffer(seqLockWords(length) * 4));
    words[HEADER_MAGIC] = SEQ_LOCK_MAGIC;
    words[HEADER_VERSION] = SEQ_LOCK_VERSION;
    words[HEADER_WORDS] = length;
    pairBlocks(blockOf(writers), words, HEADER_WRITERS);
    return new SeqLock(pool, writers, words);
  }

  /** Joins a lock by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: SeqLockHandle): SeqLock {
    const { kind, version, writers, data } = (handle ?? {}) as Partial<SeqLockHandle>;
    const words = wordsOf(data);
    const isOne =
      kind === 'busbar/seqlock' &&
      version === SEQ_LOCK_VERSION &&
      words?.[HEADER_MAGIC] === SEQ_LOCK_MAGIC &&
      words[HEADER_VERSION] === SEQ_LOCK_VERSION &&
      words[HEADER_WORDS] > 0 &&
      words[HEADER_WORDS] <= SNAPSHOT_WORDS_MAX &&
      words.length === seqLockWords(words[HEADER_WORDS]);
    if (!isOne) {
      throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', `expected that of a seqlock: ${show(handle)}`);
    }
    const mutex = Mutex.attach(pool, writers as MutexHandle);
    checkPair(blockOf(mutex), words, HEADER_WRITERS);
    return new SeqLock(pool, mutex, words);
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): SeqLockHandle {
    return {
      kind: 'busbar/seqlock',
      version: SEQ_LOCK_VERSION,
      writers: this.#writers.handle,
      data: this.#words.buffer as never,
    };
  }

  /** How often a snapshot was written, modulo 2³¹. */
  get count(): number {
    return loadSeqCst(this.#words, SEQUENCE) >>> 1;
  }

  /**
   * True if a thread has died, or left the pool, while it wrote: the snapshot is older than that
   * thread meant it to be. False again when another has written.
   */
  get isAbandoned(): boolean {
    const sequence = loadSeqCst(this.#words, SEQUENCE);
    if ((sequence & 1) === 0) return false;
    let isGone = true;
    this.#writers.holders((badge) => {
      isGone = this.#pool.isBadgeGone(badge, BY_QUESTION);
    });
    // If it has changed, its writer had the lock, and ended before the look at who has it.
    return isGone && loadSeqCst(this.#words, SEQUENCE) === sequence;
  }

  /**
   * Copies the snapshot into the beginning of `target`. 'busy': writers were faster, several times;
   * `target` holds parts of several snapshots then.
   *
   * **Cost** an atomic load per word and two more; no allocation. **Throws** TypeError, RangeError.
   */
  tryRead(target: Int32Array): 'read' | 'busy' {
    this.#check('target', target);
    const words = this.#words;
    const { length } = this;
    for (let tries = 0; tries < READS_MAX; tries++) {
      // SYNC(seq-lock): sees the snapshot that was stored before.
      const began = loadSeqCst(words, SEQUENCE) & ~1;
      const copy = copyAt((began >> 1) & 1, length);
      for (let i = 0; i < length; i++) target[i] = loadSeqCst(words, copy + i);
      // SYNC(seq-lock): after all loads of the copy.
      if ((loadSeqCst(words, SEQUENCE) - began) >>> 0 < OVERWRITTEN) return 'read';
    }
    return 'busy';
  }

  /** {@link tryRead} until it has read, for at most `timeoutMs`. Does not sleep. */
  readSync(target: Int32Array, timeoutMs: number = Infinity): 'read' | 'timeout' {
    checkTimeoutMs('timeoutMs', timeoutMs);
    if (this.tryRead(target) === 'read') return 'read';
    const deadline = nowMs() + timeoutMs;
    for (;;) {
      if (this.tryRead(target) === 'read') return 'read';
      if (nowMs() >= deadline) return 'timeout';
    }
  }

  /**
   * Writes all words from `values`, unless another thread writes ('busy').
   *
   * **Cost** an atomic store per word, two more, and a lock. **Throws** TypeError, RangeError,
   * ERR_BUSBAR_DETACHED.
   */
  tryWrite(values: Int32Array): 'written' | 'busy' {
    this.#check('values', values);
    ensureStep();
    if (this.#writers.tryLock() !== 'acquired') return 'busy';
    return this.#write(values);
  }

  /** {@link tryWrite}, blocking this thread while others write. */
  writeSync(values: Int32Array, timeoutMs: number = Infinity): 'written' | 'timeout' {
    this.#check('values', values);
    ensureStep();
    if (this.#writers.lockSync(timeoutMs) !== 'acquired') return 'timeout';
    return this.#write(values);
  }

  /** {@link tryWrite}, without blocking; `values` are those of the time of the call. */
  async write(values: Int32Array, options?: WaitOptions): Promise<'written' | GivenUp> {
    this.#check('values', values);
    const own = new Int32Array(this.length);
    for (let i = 0; i < own.length; i++) own[i] = values[i];
    const result = await this.#writers.lock(options);
    if (result !== 'acquired') return result as GivenUp;
    // The thread may have left the pool since it got the lock, and lost it.
    this.#pool.checkAttached();
    return this.#write(own);
  }

  #write(values: Int32Array): 'written' {
    const words = this.#words;
    const { length } = this;
    try {
      // Odd already: a writer has died, or thrown.
      const began = loadSeqCst(words, SEQUENCE) | 1;
      // SYNC(seq-lock): before the first store into the copy.
      storeSeqCst(words, SEQUENCE, began);
      const copy = copyAt(((began >> 1) + 1) & 1, length);
      for (let i = 0; i < length; i++) storeSeqCst(words, copy + i, values[i]);
      // SYNC(seq-lock): publishes the copy.
      storeSeqCst(words, SEQUENCE, began + 1);
    } finally {
      this.#unlock();
    }
    return 'written';
  }

  /** If the stack is full although it was checked, a microtask unlocks. */
  #unlock(): void {
    try {
      this.#writers.unlock();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#soon.then(this.#unlockLater);
    }
  }

  readonly #soon: Promise<void> = Promise.resolve();
  readonly #unlockLater = (): void => this.#writers.unlock();

  #check(name: string, words: Int32Array): void {
    // Not `instanceof`, nor `length`: no code of the caller runs while a snapshot is half written.
    const length = lengthOf(checkWords(name, words));
    if (length >= this.length) return;
    throw new RangeError(`${name} must have at least ${this.length} words, got ${length}`);
  }
}

/** The words of the mutex itself. */
function blockOf(writers: Mutex): Words {
  return new Int32Array(writers.handle.control);
}

describeAs(SeqLock, 'SeqLock', (lock) => ({ length: lock.length, count: lock.count }));
