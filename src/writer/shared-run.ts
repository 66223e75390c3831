// SPDX-License-Identifier: MIT
/** A run of a SharedWriter: room for several messages of one thread, claimed at once. */

import type { Arena } from '../base/arena.ts';
import { compareExchange, type Words } from '../base/atomics.ts';
import type { Bytes } from '../base/views.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import {
  BEGIN,
  ENTRY_RUN,
  EPOCH,
  HEADER_RUN_AFTER,
  LENGTH,
  RUN_SLOT_SHIFT,
} from './shared-writer-layout.ts';

/**
 * The last entry that a thread has claimed, while it may append messages to it: see *Runs* in
 * shared-writer-layout.ts.
 *
 * It holds a reference on the buffer. If another thread cuts the run, delivers it and frees the
 * segment while a message is being copied, the copy goes to bytes that no other code uses.
 */
export class SharedRun {
  private readonly pool: BufferPool;
  /** Most bytes of a run: if another thread reserves after it, the rest of them stays unused. */
  private readonly bytesMax: number;
  private readonly quietMin: number;
  private readonly space: number;
  /** Claims in a row without another thread's in between; the bytes that the last one got. */
  private quiet: number = 0;
  private bytes: number = 0;
  private bufferId: BufferId = NO_BUFFER;
  private readonly words: Words;
  private readonly arena: Arena;
  private readonly epochAt: number = EPOCH;
  private readonly mark: number;
  // The last claim: its entry, and EPOCH and FILL as it left them.
  private epoch: number = 0;
  private fillAt: number = 0;
  private fill: number = 0;
  private entry: number = 0;
  /** STATE of the entry as this thread wrote it. */
  private state: number = 0;
  /** Absolute offset of the next message. */
  private at: number = 0;
  /** Absolute offset of the run's end; 0: there is no run. */
  end: number = 0;
  /** Absolute offset of the end of the buffer's space. */
  private limit: number = 0;

  /** `space`: where the space in every buffer ends, relative to its begin; 0: there are no runs. */
  constructor(pool: BufferPool, words: Words, space: number) {
    this.pool = pool;
    this.space = space;
    this.bytesMax = space >>> 2;
    this.quietMin = words[HEADER_RUN_AFTER];
    this.words = words;
    this.arena = pool.arena;
    pool.doorbell.listen(this.releaseStale);
    this.mark = ENTRY_RUN | (pool.threadSlot << RUN_SLOT_SHIFT);
  }

  /**
   * Appends a message. False: there is no run, or no room for it, or another thread has reserved
   * after it or cut it.
   *
   * **Cost** one compare-exchange. **Throws** what the copy throws; the run has ended then.
   */
  append(source: Bytes, begin: number, end: number): boolean {
    const words = this.words;
    const at = this.at;
    const next = at + end - begin;
    // Plain loads see what happened before this call, so no message overtakes an earlier one.
    if (
      !(next <= this.end && next > at) ||
      words[this.fillAt] !== this.fill ||
      words[this.epochAt] !== this.epoch
    ) {
      if (!this.extend(next)) return false;
    }
    const runEnd = this.end;
    const entry = this.entry;
    const state = this.state;
    const epoch = this.epoch;
    // A source that is a proxy may write a message itself: it must not go to the same place.
    this.end = 0;
    this.arena.write(at, source, begin, end);
    // It may even write a whole ring, so that a later run has the same entry and STATE.
    if (words[this.epochAt] !== epoch) return false;
    // SYNC(entry): publishes the message to the thread that flushes, unless that has cut the run.
    if (compareExchange(words, entry, state, state + next - at) !== state) return false;
    if (this.entry !== entry) return true;
    this.state = state + next - at;
    this.at = next;
    this.end = runEnd;
    return true;
  }

  /** Claims more room for a run that is too short; false if that cannot be done. */
  private extend(next: number): boolean {
    const { words, end, fill } = this;
    const more = Math.min(this.grow(next - end), this.limit - end);
    if (end === 0 || next <= this.at || next > end + more || words[this.epochAt] !== this.epoch) {
      return false;
    }
    // SYNC(segment): the next to reserve sees the bytes taken.
    if (compareExchange(words, this.fillAt, fill, fill + more) !== fill) return false;
    this.fill = fill + more;
    this.end = end + more;
    return true;
  }

  /** How many bytes to claim at once, if `least` are needed now. */
  private grow(least: number): number {
    this.bytes = Math.max(least, Math.min(2 * this.bytes, this.bytesMax));
    return this.bytes;
  }

  /** How many bytes to claim for a message of `length`: more if a run is to begin. */
  bytesFor(length: number): number {
    const { words } = this;
    this.end = 0;
    const isSame = words[this.epochAt] === this.epoch;
    if (isSame && words[this.fillAt] !== this.fill) this.quiet = this.bytes = 0;
    else if (isSame) this.quiet++;
    if (this.quiet < this.quietMin || this.bytesMax < length) return length;
    return this.grow(2 * length);
  }

  /**
   * Notes a claim by this thread, which is still open, and that its first `length` bytes are a
   * message. Returns the STATE that shows it as a run; 0: there is no room for another message.
   */
  begin(entry: number, fillAt: number, fill: number, at: number, length: number): number {
    const { words } = this;
    // The open entry keeps the segment in place: EPOCH is less than a round ahead of it.
    this.epoch = words[this.epochAt];
    this.fillAt = fillAt;
    this.fill = fill;
    this.entry = entry;
    if (words[entry + LENGTH] < 2 * length || length === 0) return 0;
    const pool = this.pool;
    const id = pool.bufferAt(at);
    if (id !== this.bufferId) {
      this.release();
      pool.hoard(1);
      pool.retainShared(id);
      this.bufferId = id;
    }
    this.at = at + length;
    this.limit = pool.offsetOf(id) + this.space;
    this.state = this.mark | (words[entry + BEGIN] + length);
    this.end = at + words[entry + LENGTH];
    return this.state;
  }

  /** Releases the buffer if the writer has moved on to another. */
  readonly releaseStale = (): void => {
    if (this.words[this.epochAt] !== this.epoch) this.release();
  };

  /** The writer is closed. */
  close(): void {
    this.pool.doorbell.ignore(this.releaseStale);
    this.release();
  }

  /** Ends the run and releases the buffer. */
  private release(): void {
    this.end = 0;
    if (this.bufferId === NO_BUFFER || !this.pool.isAttached) return;
    this.pool.release(this.bufferId);
    this.bufferId = NO_BUFFER;
    this.pool.hoard(-1);
  }
}
