// SPDX-License-Identifier: MIT
/** A queue of reservations that overlap in time, in the order in which they were made. */

import { HeldCount } from '../pool/held-count.ts';
import { WRITER } from '../pool/holder-layout.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';

type SpanState = 'open' | 'committed' | 'aborted';

/** Bytes `[begin, end)` of a buffer, and one reference on it. */
interface Span {
  readonly bufferId: BufferId;
  readonly begin: number;
  end: number;
  state: SpanState;
  /** True if the bytes around it belong to no other message. */
  readonly spaced: boolean;
}

/** A run of committed spans, contiguous in one buffer, with one reference on it. */
export interface Region {
  bufferId: BufferId;
  begin: number;
  end: number;
  spaced: boolean;
}

/**
 * The slow mode of a writer. It begins with a second reservation while one is open, and ends when
 * all have ended.
 *
 * **Cost** an object and a map entry per reservation.
 */
export class SpanQueue {
  readonly #pool: BufferPool;
  /** In order of reservation; those before `#first` were taken. */
  #spans: Span[] = [];
  #first = 0;
  readonly #open = new Map<number, Span>();
  /** References of the spans, and of the writer's own buffer. */
  readonly held: HeldCount;
  #own = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.held = new HeldCount(pool, WRITER);
  }

  /** The writer holds `count` references beside the spans. */
  noteOwn(count: number): void {
    this.#own = count;
    this.#note();
  }

  #note(): void {
    this.held.set(this.#own + this.#spans.length - this.#first);
  }

  get isEmpty(): boolean {
    return this.#first === this.#spans.length;
  }

  /** True if the earliest reservation is still open: no region can be taken. */
  get isBlocked(): boolean {
    return !this.isEmpty && this.#spans[this.#first].state === 'open';
  }

  get openCount(): number {
    return this.#open.size;
  }

  get committedBytes(): number {
    let bytes = 0;
    for (let i = this.#first; i < this.#spans.length; i++) {
      const { state, begin, end } = this.#spans[i];
      if (state === 'committed') bytes += end - begin;
    }
    return bytes;
  }

  /** Appends an open reservation. **Ownership** takes one reference on the buffer. */
  pushOpen(bufferId: BufferId, begin: number, end: number, spaced: boolean): void {
    const span: Span = { bufferId, begin, end, state: 'open', spaced };
    this.#spans.push(span);
    this.#open.set(begin, span);
    this.#note();
  }

  /** Appends committed bytes. **Ownership** takes one reference on the buffer. */
  pushCommitted(bufferId: BufferId, begin: number, end: number): void {
    this.#spans.push({ bufferId, begin, end, state: 'committed', spaced: false });
    this.#note();
  }

  /** The length of the open reservation that begins at `offset`, or −1. */
  lengthOf(offset: number): number {
    const span = this.#open.get(offset);
    return span === undefined ? -1 : span.end - span.begin;
  }

  /** Commits the first `length` bytes of an open reservation. */
  commit(offset: number, length: number): void {
    const span = this.#close(offset);
    span.end = span.begin + length;
    span.state = 'committed';
  }

  abort(offset: number): void {
    this.#close(offset).state = 'aborted';
  }

  abortAll(): void {
    for (const offset of [...this.#open.keys()]) this.abort(offset);
  }

  /**
   * Takes the longest committed run from the front; undefined if the front is open or the queue is
   * empty.
   *
   * **Ownership** the region's reference is the caller's; {@link putBack} returns it.
   */
  takeRegion(): Region | undefined {
    let region: Region | undefined;
    try {
      while (this.#first < this.#spans.length) {
        const span = this.#spans[this.#first];
        if (span.state === 'open') break;
        const { bufferId, begin, end, spaced } = span;
        if (span.state === 'committed' && end > begin) {
          if (region === undefined) {
            region = { bufferId, begin, end, spaced };
            this.#first++;
            continue;
          }
          if (region.bufferId !== bufferId || region.end !== begin || region.spaced !== spaced) {
            break;
          }
          this.#pool.release(bufferId);
          region.end = end;
        } else {
          this.#pool.release(bufferId);
        }
        this.#first++;
      }
    } catch (error) {
      if (region !== undefined) this.putBack(region);
      throw error;
    }
    if (this.isEmpty) this.#forget();
    this.#note();
    return region;
  }

  /** Undoes the last {@link takeRegion}. */
  putBack(region: Region): void {
    const span: Span = { ...region, state: 'committed' };
    this.#spans = [span, ...this.#spans.slice(this.#first)];
    this.#first = 0;
    this.#note();
  }

  /** Releases everything. */
  clear(): void {
    for (; this.#first < this.#spans.length; this.#first++) {
      this.#pool.release(this.#spans[this.#first].bufferId);
    }
    this.#open.clear();
    this.#forget();
    this.#note();
  }

  #close(offset: number): Span {
    const span = this.#open.get(offset) as Span;
    this.#open.delete(offset);
    return span;
  }

  #forget(): void {
    this.#spans.length = 0;
    this.#first = 0;
  }
}
