// SPDX-License-Identifier: MIT
/** `SignalTree`: many signals, of which a consumer finds the next that is set in a few steps. */

import { compareExchange, fetchAnd, fetchOr, loadSeqCst, type Words } from '../base/atomics.ts';
import { checkInteger, checkOptions, checkTimeoutMs } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { wordsOf } from '../base/views.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import type { Asker } from '../pool/liveness.ts';
import { Primitive } from './primitive.ts';
import { SIGNALS_MAX, signalLevels } from './signal-tree-layout.ts';
import {
  checkPair,
  createSyncBlock,
  handleOf,
  openSyncBlock,
  pairBlocks,
  type SyncHandle,
} from './sync-block.ts';
import { HEADER_CHOICES, STATE, WAITED } from './sync-layout.ts';

/** "No signal": what `tryTake` returns while none is set. */
export const NO_SIGNAL = -1;

/** Options of a tree. */
export interface SignalTreeOptions {
  /** How many signals: 1 … 2²⁰. They are numbered from 0. */
  readonly signals: number;
}

/** With this, another thread attaches to the tree. */
export interface SignalTreeHandle extends SyncHandle<'signalTree'> {
  readonly bits: SharedArrayBuffer;
}

/** One signal of a tree, for code that sets it and knows nothing of the others. */
export class Signal {
  readonly #tree: SignalTree;
  /** Its number in the tree. */
  readonly index: number;

  /** @internal */
  constructor(tree: SignalTree, index: number) {
    this.#tree = tree;
    this.index = index;
  }

  /** {@link SignalTree.set}. */
  set(): 'set' | 'already' {
    return this.#tree.set(this.index);
  }
}

/**
 * Many signals that any thread sets and one consumer, or several, take: which of 10 000 connections
 * has something to do, say. Setting one that is set changes nothing; each one that is set is taken
 * once.
 *
 * A consumer finds the next signal in as many steps as the tree has levels: 2 up to 1024 signals, 4
 * up to a million. It goes around, so no signal waits for ever while others are set again.
 *
 * **Threads** one object for each thread: `create` in one, `attach` in others.
 *
 * @example
 * ```ts
 * import { BufferPool } from 'busbar/pool';
 * import { NO_SIGNAL, SignalTree } from 'busbar/sync';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 4 });
 * const tree = SignalTree.create(pool, { signals: 10_000 });
 * tree.set(95);
 * const signal = tree.signal(9_700);
 * signal.set();
 *
 * const taken = [tree.tryTake(), tree.takeSync(), tree.tryTake()];
 * if (taken.join() !== `95,9700,${NO_SIGNAL}`) throw new Error('not as it was set');
 * ```
 */
export class SignalTree extends Primitive {
  /** How many signals there are. */
  readonly length: number;
  readonly #bits: Words;
  /** First word of each level. */
  readonly #levels: readonly number[];
  /** Words of each level. */
  readonly #widths: readonly number[];
  /** Where the next search begins. */
  #next: number;
  /** By the call that blocks. */
  #taken = NO_SIGNAL;

  private constructor(pool: BufferPool, words: Words, bits: Words) {
    super(pool, words, 'first come');
    this.length = words[HEADER_CHOICES];
    this.#bits = bits;
    const { at, widths } = signalLevels(this.length);
    this.#levels = at;
    this.#widths = widths;
    this.#next = 0;
  }

  /**
   * Makes a tree whose signals are not set. **Cost** a bit per signal, 128 bytes for each thread
   * the pool has room for, and 512. **Throws** TypeError, RangeError, ERR_BUSBAR_DETACHED.
   */
  static create(pool: BufferPool, options: SignalTreeOptions): SignalTree {
    const own = checkOptions('options', options, ['signals']);
    const signals = checkInteger('signals', own.signals, 1, SIGNALS_MAX);
    const words = createSyncBlock(pool, 'signalTree', [signals]);
    const bits = new Int32Array(new SharedArrayBuffer(signalLevels(signals).words * 4));
    pairBlocks(words, bits, bits.length - 1);
    return new SignalTree(pool, words, bits);
  }

  /** Joins a tree by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: SignalTreeHandle): SignalTree {
    const words = openSyncBlock(pool, 'signalTree', handle);
    const bits = wordsOf(handle.bits);
    if (bits?.length !== signalLevels(words[HEADER_CHOICES]).words) {
      throw new BusbarError('ERR_BUSBAR_BAD_HANDLE', 'its bits are not those of the tree');
    }
    checkPair(words, bits, bits.length - 1);
    return new SignalTree(pool, words, bits);
  }

  /** Other threads {@link attach} with this; structured-cloneable. */
  get handle(): SignalTreeHandle {
    return { ...handleOf('signalTree', this.words), bits: this.#bits.buffer as never };
  }

  /** One of the signals. **Throws** RangeError. */
  signal(index: number): Signal {
    return new Signal(this, this.#check(index));
  }

  /**
   * Sets a signal, and wakes a consumer that waits. 'already': it was set and not taken yet.
   *
   * The consumer sees what this thread wrote before. **Cost** one read-modify-write and a load; if
   * it is the first of its 32 that is set, one more per level; no allocation. **Throws**
   * RangeError, ERR_BUSBAR_DETACHED.
   */
  set(index: number): 'set' | 'already' {
    this.#check(index);
    if (!this.pool.isAttached) this.pool.checkAttached();
    ensureStep();
    const bit = 1 << index;
    // SYNC(signals): publishes what this thread wrote, before the look at who waits.
    const before = fetchOr(this.#bits, index >> 5, bit);
    if (before === 0) this.#raise(1, index >> 5);
    if (loadSeqCst(this.words, STATE) < 0) this.waiters.owe();
    return (before & bit) === 0 ? 'set' : 'already';
  }

  /** True if the signal is set now. **Throws** RangeError. */
  isSet(index: number): boolean {
    return (loadSeqCst(this.#bits, this.#check(index) >> 5) & (1 << index)) !== 0;
  }

  /**
   * Takes the next signal that is set, after the one that this object took last, or returns
   * NO_SIGNAL.
   *
   * **Cost** two loads per level, a read-modify-write; no allocation. **Throws**
   * ERR_BUSBAR_DETACHED.
   */
  tryTake(): number {
    if (!this.pool.isAttached) this.pool.checkAttached();
    ensureStep();
    let index = this.#next === 0 ? NO_SIGNAL : this.#takeFrom(0, this.#next);
    // A search from the bottom passes by the bits above its first word, and leaves them set, though
    // nothing may be below them any more; while the top is set, no thread sleeps.
    if (index === NO_SIGNAL) index = this.#takeFrom(this.#levels.length - 1, 0);
    if (index !== NO_SIGNAL) this.#next = index + 1;
    return index;
  }

  /** {@link tryTake}, blocking this thread until one is set; NO_SIGNAL after `timeoutMs`. */
  takeSync(timeoutMs: number = Infinity): number {
    checkTimeoutMs('timeoutMs', timeoutMs);
    const index = this.tryTake();
    if (index !== NO_SIGNAL) return index;
    return this.line.untilSync(this.#attempt, timeoutMs) ? this.#taken : NO_SIGNAL;
  }

  /**
   * {@link tryTake}, waiting until one is set, after earlier callers. Keeps the event loop alive.
   *
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, TypeError, RangeError,
   * ERR_BUSBAR_DETACHED.
   */
  async take(options?: WaitOptions): Promise<number> {
    let index = NO_SIGNAL;
    const attempt = (): boolean => {
      index = this.tryTake();
      return index !== NO_SIGNAL;
    };
    await this.line.until(attempt, options, 'take');
    return index;
  }

  /** @internal */
  override armRing(): boolean {
    const state = loadSeqCst(this.words, STATE);
    if (state >= 0 && compareExchange(this.words, STATE, state, WAITED) !== state) return false;
    // SYNC(signals): after `waited`, so that either this look sees a signal or its thread rings.
    return loadSeqCst(this.#bits, this.#levels[this.#levels.length - 1]) === 0;
  }

  protected override recoverDead(asker: Asker): boolean {
    const freed = this.waiters.recover(asker);
    const isRepaired = this.#repair();
    if (this.#isAny) this.waiters.ringFirst();
    return freed > 0 || isRepaired;
  }

  protected override passRingOn(): void {
    if (this.waiters.isEmpty && !this.stopsQueueing()) return;
    if (this.#isAny) this.waiters.ringFirst();
  }

  protected override inherit(): void {}

  get #isAny(): boolean {
    return loadSeqCst(this.#bits, this.#levels[this.#levels.length - 1]) !== 0;
  }

  readonly #attempt = (): boolean => {
    this.#taken = this.tryTake();
    return this.#taken !== NO_SIGNAL;
  };

  /** Takes the first signal from bit `at` of a level on. */
  #takeFrom(from: number, at: number): number {
    const bits = this.#bits;
    const levels = this.#levels;
    let level = from;
    let i = at;
    for (;;) {
      // Up, until a word has a bit from i on. Numbers of a level are those of words below.
      const word = i >> 5;
      if (word >= this.#widths[level]) return NO_SIGNAL;
      const rest = loadSeqCst(bits, levels[level] + word) & (-1 << i);
      if (rest === 0) {
        if (++level === levels.length) return NO_SIGNAL;
        i = word + 1;
        continue;
      }
      i = (word << 5) + lowest(rest);
      if (level > 0) {
        // Down, one level; a bit above a word that is 0 is cleared.
        level--;
        if (loadSeqCst(bits, levels[level] + i) === 0) {
          this.#clear(level, i);
          level++;
          i++;
        } else {
          i <<= 5;
        }
        continue;
      }
      // SYNC(signals): sees what was written before set().
      const before = fetchAnd(bits, i >> 5, ~(1 << i));
      if (before === 1 << i) this.#clear(0, i >> 5);
      if ((before & (1 << i)) !== 0) return i;
      // Another consumer has taken it.
      i++;
    }
  }

  /** Sets bit `i` of a level, and those above it as far as nothing was set there. */
  #raise(from: number, i: number): void {
    for (let level = from; level < this.#levels.length; level++) {
      // SYNC(signals): after the bit below.
      if (fetchOr(this.#bits, this.#levels[level] + (i >> 5), 1 << i) !== 0) return;
      i >>= 5;
    }
  }

  /** A word of a level was 0: clears the bit above, unless the word is not 0 any more. */
  #clear(from: number, word: number): void {
    const bits = this.#bits;
    const levels = this.#levels;
    for (let level = from; level + 1 < levels.length; level++) {
      const bit = 1 << word;
      // SYNC(signals): before another look at the word.
      const before = fetchAnd(bits, levels[level + 1] + (word >> 5), ~bit);
      if (loadSeqCst(bits, levels[level] + word) !== 0) {
        this.#raise(level + 1, word);
        return;
      }
      if ((before & ~bit) !== 0) return;
      word >>= 5;
    }
  }

  /** Sets the bits above words that are not 0; returns whether one was missing. */
  #repair(): boolean {
    let isRepaired = false;
    for (let level = 0; level + 1 < this.#levels.length; level++) {
      for (let word = 0; word < this.#widths[level]; word++) {
        if (loadSeqCst(this.#bits, this.#levels[level] + word) === 0) continue;
        const above = this.#levels[level + 1] + (word >> 5);
        if ((loadSeqCst(this.#bits, above) & (1 << word)) !== 0) continue;
        fetchOr(this.#bits, above, 1 << word);
        isRepaired = true;
      }
    }
    return isRepaired;
  }

  #check(index: number): number {
    // As Semaphore.checkCount().
    if (typeof index === 'number' && (index | 0) === index && index >= 0 && index < this.length) {
      return index;
    }
    return checkInteger('index', index, 0, this.length - 1);
  }
}

/** The number of the lowest bit that is set. */
function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

describeAs(Signal, 'Signal', ({ index }) => ({ index }));
describeAs(SignalTree, 'SignalTree', (tree) => ({ length: tree.length }));
