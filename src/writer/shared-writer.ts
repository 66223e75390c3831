// SPDX-License-Identifier: MIT
/** The writers' room: one writer for many threads, which append to the same buffer. */

import {
  compareExchange,
  compareExchangeThenAdd,
  exchange,
  fetchOr,
  loadAcquire,
  loadSeqCst,
  type Words,
} from '../base/atomics.ts';
import { copyIn } from '../base/bytes.ts';
import { checkInteger, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, type BufferPool, NO_BUFFER, type WaitOptions } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import { PolicyFlush } from './policy-flush.ts';
import { Reservation } from './reservation.ts';
import { moveReference, SharedDelivery } from './shared-delivery.ts';
import {
  checkTicket,
  createSharedWriterBlock,
  makeTicket,
  openSharedWriterBlock,
  type ReservationTicket,
  type SharedWriterHandle,
} from './shared-writer-handle.ts';
import {
  BUFFER,
  CURSOR,
  DELIVERED,
  ENDED,
  ENTRY_ABORTED,
  ENTRY_COMMITTED,
  ENTRY_HANDED,
  ENTRY_HELD_UP,
  ENTRY_OPEN,
  HEADER_BUFFER_SIZE,
  HEADER_LANE,
  HEADER_THREADS,
  MEMBERS,
  REFERENCE,
  SEGMENTS,
  SHARED_WRITER_VERSION,
  SharedWriterLayout,
  STATE,
} from './shared-writer-layout.ts';
import { SpaceWait } from './space-wait.ts';
import type { WriteFlusher } from './write-flusher.ts';
import { badReservation, checkFlusher, checkSource } from './writer-checks.ts';
import {
  type ResolvedWriterOptions,
  resolveWriterOptions,
  type WriterOptions,
} from './writer-options.ts';

/** Answer of `tryReserve`: not now. */
const NOT_NOW = -1;
/** In place of an offset or an entry. */
const NONE = -1;

/**
 * A writer that many threads use at once: their messages stand in one buffer, in the order in which
 * they were reserved, and leave through one lane of the flusher, in that order.
 *
 * Every thread has an object of its own: `create` in one, `attach` in the others. A reservation may
 * be held as long as need be, and ended by any thread that has its two numbers; a flush by any
 * thread delivers the longest committed run, the rest goes with a later one. No call ever waits for
 * another thread.
 *
 * **Cost** reserve: one compare-exchange; commit: one store; flush: one load per message, one
 * read-modify-write per buffer.
 */
export class SharedWriter {
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  /** What the flusher's sink is told as `writerId`. */
  readonly id: number;
  readonly handle: SharedWriterHandle;

  private readonly words: Words;
  private readonly layout: SharedWriterLayout;
  private readonly lane: Lane;
  private readonly options: ResolvedWriterOptions;
  private readonly waiting: SpaceWait;
  private readonly policy: PolicyFlush;
  private readonly delivery: SharedDelivery;
  private readonly slot: number;
  // What the hot paths need of the layout, as fields of the object: see buffer-references.ts.
  private readonly cursorAt: number = CURSOR;
  private readonly epochShift: number;
  private readonly offsetBits: number;
  private readonly offsetMask: number;
  private readonly entryMask: number;
  private readonly entryCount: number;
  private readonly segmentsAt: number;
  private readonly entriesAt: number;
  private readonly stride: number;
  private lengthMax: number;
  private readonly openMark: number;
  private readonly committedMark: number = ENTRY_COMMITTED;
  private readonly heldUpMark: number = ENTRY_HELD_UP;
  /** End of the space in every buffer, relative to its begin. */
  private readonly limit: number;
  private readonly countsBytes: boolean;
  private budget: number;
  /** The entry of the reservation made last, if it is open, and where its bytes begin. */
  private openEntry: number = NONE;
  private openAt: number = NONE;
  /** Entries of this thread's other open reservations, by where their bytes begin. */
  private readonly open = new Map<number, number>();
  private isClosed = false;

  private constructor(flusher: WriteFlusher, handle: SharedWriterHandle, words: Words) {
    this.pool = flusher.pool;
    this.flusher = flusher;
    this.handle = handle;
    this.words = words;
    this.options = resolveWriterOptions(flusher.pool, handle.options);
    this.layout = new SharedWriterLayout(words[HEADER_BUFFER_SIZE], words[HEADER_THREADS]);
    this.lane = flusher.joinLane(words[HEADER_LANE]);
    this.id = this.lane.id;
    this.slot = flusher.pool.threadSlot;
    this.limit = flusher.pool.bufferSize - this.options.tailroom;
    this.epochShift = this.layout.epochShift;
    this.offsetBits = this.layout.offsetBits;
    this.offsetMask = (1 << this.offsetBits) - 1;
    this.entryMask = this.layout.entryMask;
    this.entryCount = this.layout.entryCount;
    this.segmentsAt = this.layout.segments + BUFFER;
    this.entriesAt = this.layout.entries + STATE;
    this.stride = flusher.pool.offsetOf(1 as BufferId);
    this.lengthMax = this.limit - this.options.headroom;
    this.openMark = ENTRY_OPEN | this.slot;
    this.countsBytes = this.options.policy === 'bytes';
    this.budget = this.options.budget;
    const flush = (): boolean => this.flush();
    this.policy = new PolicyFlush(flusher, this.lane, this.options, flush);
    this.waiting = new SpaceWait(flusher, this.lane, flush);
    this.delivery = new SharedDelivery(flusher, words, this.layout, this.lane, this.options);
  }

  /**
   * Makes a writer; this thread may use it at once.
   *
   * **Throws** RangeError if buffers are longer than 1 MiB − 1: a position in one must fit a word
   * together with the number of the message; ERR_BUSBAR_WRITER_SLOTS; TypeError or RangeError
   * naming an option.
   */
  static create(flusher: WriteFlusher, options: WriterOptions = {}): SharedWriter {
    checkFlusher(flusher);
    const words = createSharedWriterBlock(flusher, options);
    const handle: SharedWriterHandle = Object.freeze({
      kind: 'busbar/shared-writer',
      version: SHARED_WRITER_VERSION,
      control: words.buffer as SharedArrayBuffer,
      options: { ...options },
    });
    const writer = new SharedWriter(flusher, handle, words);
    words[MEMBERS] = 1;
    words[writer.layout.members(writer.slot)] = 1;
    return writer;
  }

  /** Joins from another thread; `flusher` is that thread's object of the same flusher. */
  static attach(flusher: WriteFlusher, handle: SharedWriterHandle): SharedWriter {
    checkFlusher(flusher);
    const words = openSharedWriterBlock(flusher, handle);
    const writer = new SharedWriter(flusher, handle, words);
    writer.join();
    return writer;
  }

  /** The longest message that fits. */
  get messageBytesMax(): number {
    return this.pool.bufferSize - this.options.tailroom - this.options.headroom;
  }

  /**
   * Like `LocalWriter.tryReserve`; −1 also when sixteen buffers wait for the receiver or for an
   * open reservation. An empty one has a byte, which `commit` does not refuse to take.
   */
  tryReserve(length: number): number {
    if (length >>> 0 !== length || length > this.lengthMax) this.throwLength(length);
    // An empty message takes a byte: no two open reservations begin at the same place.
    const space = length === 0 ? 1 : length;
    const words = this.words;
    // A guess; the compare-exchange tells whether it was right.
    let position = words[this.cursorAt];
    for (;;) {
      const offset = position & this.offsetMask;
      const entry = (position >>> this.offsetBits) & this.entryMask;
      const index = (position >>> this.epochShift) & 15;
      const segment = this.segmentsAt + (index << 5);
      // Without ordering: once CURSOR has reached a segment, its BUFFER stays until CURSOR has left
      // it.
      if (words[segment] === 0 || offset + space > this.limit || entry >= this.entryCount) {
        this.checkOpen();
        const advanced = this.advance(position);
        const present = loadSeqCst(words, this.cursorAt);
        // If others have moved on meanwhile, the answer was about the past.
        if (!advanced && present === position) return NOT_NOW;
        position = present;
        continue;
      }
      const next = (position + (1 << this.offsetBits) + space) | 0;
      // SYNC(cursor, both): takes the entry and its bytes; whoever reserves next sees them taken.
      const seen = compareExchange(words, this.cursorAt, position, next);
      if (seen === position) {
        // Straight on, without a call: an entry without STATE would never end if we died here.
        const at = this.entriesAt + ((index * this.entryCount + entry) << 1);
        words[at + 1] = space;
        words[at] = this.openMark;
        const begin = (words[segment] - 1) * this.stride + offset;
        if (this.openAt !== -1) this.keepOpen();
        this.openEntry = at;
        this.openAt = begin;
        return begin;
      }
      position = seen;
    }
  }

  /** Like `LocalWriter.commit`. **Cost** one atomic store. */
  commit(offset: number, length: number): void {
    const at = offset === this.openAt && offset !== -1 ? this.openEntry : this.find(offset);
    const words = this.words;
    if (length >>> 0 !== length || length > words[at + 1]) {
      checkInteger('length', length, 0, words[at + 1]);
    }
    if (offset === this.openAt) this.openAt = -1;
    else this.open.delete(offset);
    // SYNC(entry): publishes the message to whoever flushes.
    const before = exchange(words, at, this.committedMark | length);
    const left = this.budget - (this.countsBytes ? length : 1);
    this.budget = left;
    if (left < 0 || (before & this.heldUpMark) !== 0) this.budget = this.policy.spend();
  }

  /** Like {@link commit}; returns a packet of the same bytes, which the caller releases. */
  commitPacket(offset: number, length: number): Packet {
    const { pool } = this;
    this.find(offset);
    const bufferId = pool.bufferAt(offset);
    // While the reservation is open its segment keeps the buffer; afterwards only our reference
    // does.
    pool.adopt(bufferId);
    try {
      this.commit(offset, length);
    } catch (error) {
      pool.release(bufferId);
      throw error;
    }
    return Packet.within(pool, bufferId, offset, length);
  }

  /** Like `LocalWriter.abort`. **Cost** one atomic store. */
  abort(offset: number): void {
    const at = this.find(offset);
    this.forget(offset);
    const before = exchange(this.words, at + STATE, ENTRY_ABORTED);
    if ((before & ENTRY_HELD_UP) !== 0) this.budget = this.policy.spend();
  }

  /** Like `LocalWriter.tryWrite`. */
  tryWrite(source: Uint8Array, begin: number = 0, end: number = source?.length): boolean {
    checkSource(source, begin, end);
    const at = this.tryReserve(end - begin);
    if (at < 0) return false;
    copyIn(this.pool.bytes, this.pool.view, at, source, begin, end);
    this.commit(at, end - begin);
    return true;
  }

  /** Like `LocalWriter.reserve`. */
  async reserve(length: number, options: WaitOptions = {}): Promise<Reservation> {
    const at = await this.waiting.until(() => this.tryReserve(length), options);
    return new Reservation(this, at, length);
  }

  /**
   * Gives an open reservation away; whoever gets the two numbers in another thread calls {@link
   * takeOver}. A ticket that nobody takes over holds up everything behind it.
   */
  handOver(offset: number): ReservationTicket {
    const entry = this.find(offset);
    this.forget(offset);
    const ticket = makeTicket(this.words, this.layout, offset, entry, this.slot);
    // SYNC(entry): from here on it can be taken over, once.
    fetchOr(this.words, entry + STATE, ENTRY_HANDED);
    return ticket;
  }

  /**
   * Takes a reservation that another thread handed over: this thread ends it. Returns its offset.
   *
   * **Throws** ERR_BUSBAR_BAD_RESERVATION if the ticket was used before, or is not one; RangeError.
   */
  takeOver(ticket: ReservationTicket): number {
    if (typeof ticket !== 'object' || ticket === null) {
      throw new TypeError(`ticket must be a ReservationTicket, got ${show(ticket)}`);
    }
    const { offset, entry, threadSlot } = ticket;
    this.checkOpen();
    for (;;) {
      const state = loadAcquire(this.words, entry + STATE);
      const held = state & ENTRY_HELD_UP;
      checkTicket(ticket, this.flusher, this.words, this.layout, this.options.headroom, this.limit);
      if (state !== (ENTRY_OPEN | ENTRY_HANDED | held | threadSlot)) throw badReservation(offset);
      const taken = ENTRY_OPEN | held | this.slot;
      if (compareExchange(this.words, entry + STATE, state, taken) !== state) continue;
      this.open.set(offset, entry);
      return offset;
    }
  }

  /**
   * Hands everything committed before the first open reservation, by any thread, to the flusher. If
   * another thread is just doing that, it does ours too, and this returns at once.
   *
   * Returns false if some of it did not fit now. **Throws** ERR_BUSBAR_FLUSHER_CLOSED,
   * ERR_BUSBAR_WRITER_CLOSED.
   */
  flush(): boolean {
    this.checkOpen();
    this.budget = this.options.budget;
    return this.delivery.run();
  }

  /**
   * Finishes what a dead thread had begun: its open reservations are aborted, its flush is done.
   * Call it before `pool.reclaim(slot)`. **Throws** ERR_BUSBAR_THREAD_ALIVE.
   */
  recover(threadSlot: number): void {
    this.pool.checkAttached();
    checkInteger('threadSlot', threadSlot, 0, this.pool.maxThreads - 1);
    if (!this.pool.isThreadGone(threadSlot)) {
      throw new BusbarError('ERR_BUSBAR_THREAD_ALIVE', `thread slot ${threadSlot}`);
    }
    if (!this.delivery.recover(threadSlot)) this.deliverLater();
  }

  /**
   * This thread is done with the writer: its open reservations are aborted, what is committed is
   * flushed. The last thread's close ends the writer and gives its buffers back; it returns the
   * bytes that could not be handed over.
   */
  close(): number {
    if (this.isClosed) return 0;
    if (this.openAt !== NONE) this.abort(this.openAt);
    for (const offset of [...this.open.keys()]) this.abort(offset);
    this.isClosed = true;
    // Sends every reservation to the slow side, which refuses.
    this.lengthMax = -1;
    this.policy.close();
    this.waiting.close();
    try {
      if (!this.flusher.closed) this.delivery.run();
    } catch {
      // The flusher or the pool was closed: whoever leaves last drops what is left.
    }
    return this.delivery.leave();
  }

  get closed(): boolean {
    return this.isClosed;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * What did not fit the lane, as soon as it does: others were told that the dead thread would see
   * to it.
   */
  private deliverLater(): void {
    const attempt = (): number => (this.isClosed || this.delivery.run() ? 0 : -1);
    // A flusher or pool that is closed meanwhile takes nothing more.
    this.waiting.until(attempt, {}).catch(() => {});
  }

  // ── The slow side ─────────────────────────────────────────────────────────────────────────────

  /** Counts this object in, unless the last one has left already. */
  private join(): void {
    const { words } = this;
    const mine = this.layout.members(this.slot);
    for (;;) {
      const count = loadSeqCst(words, MEMBERS);
      if (count === 0) throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
      // SYNC(members, both): whoever brings it to 0 is alone, now and for ever.
      if (compareExchangeThenAdd(words, MEMBERS, count, count + 1, mine, 1) === count) return;
    }
  }

  /** Makes room behind the present segment. False: not now. */
  private advance(position: number): boolean {
    const { words, layout } = this;
    const epoch = layout.epochOf(position);
    if (loadAcquire(words, layout.segment(epoch) + BUFFER) === 0) return this.install(epoch);
    const next = layout.nextEpoch(epoch);
    const delivered = layout.epochOf(loadAcquire(words, DELIVERED));
    if (layout.epochsBetween(delivered, next) >= SEGMENTS) return false;
    const segment = layout.segment(next);
    // One that has ENDED is an old one: delivered, and not yet given back.
    if (loadAcquire(words, segment + ENDED) !== 0) return false;
    if (loadAcquire(words, segment + BUFFER) === 0 && !this.install(next)) return false;
    // SYNC(cursor): moves everyone on. SYNC(segment-end): tells the claimant where the old segment
    // ends.
    compareExchangeThenAdd(
      words,
      CURSOR,
      position,
      layout.position(next, 0, this.options.headroom),
      layout.segment(epoch) + ENDED,
      layout.entryOf(position) + 1,
    );
    return true;
  }

  /**
   * Puts a buffer of this thread into a segment that has none. If another thread is faster, ours
   * stays ours.
   */
  private install(epoch: number): boolean {
    const { words, layout, pool } = this;
    const id = this.waiting.tryAcquire();
    if (id === NO_BUFFER) return false;
    const pending = layout.pending(this.slot);
    pool.sendInto(id, pool.offsetOf(id), 0, words, pending);
    const segment = layout.segment(epoch);
    // SYNC(segment): shows the buffer to everyone who reserves.
    if (compareExchange(words, segment + BUFFER, 0, id + 1) === 0) {
      moveReference(words, pending, segment + REFERENCE);
    } else {
      pool.release(pool.receiveFrom(words, pending));
    }
    return true;
  }

  private keepOpen(): void {
    this.open.set(this.openAt, this.openEntry);
  }

  private find(offset: number): number {
    if (offset === this.openAt && offset !== NONE) return this.openEntry;
    const entry = this.open.get(offset);
    if (entry === undefined) {
      this.checkOpen();
      throw badReservation(offset);
    }
    return entry;
  }

  private forget(offset: number): void {
    if (offset === this.openAt) this.openAt = NONE;
    else this.open.delete(offset);
  }

  private checkOpen(): void {
    if (this.isClosed) throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
    if (this.flusher.closed) throw new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED');
  }

  private throwLength(length: number): never {
    this.checkOpen();
    checkInteger('length', length, 0, 0x7fff_ffff);
    throw new BusbarError(
      'ERR_BUSBAR_MESSAGE_TOO_LARGE',
      `${length} bytes, a buffer holds ${this.messageBytesMax}`,
    );
  }
}
