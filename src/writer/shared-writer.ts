// SPDX-License-Identifier: MIT
/** `SharedWriter`: a writer for many threads, which append to the same buffer. */

import { assert } from '../base/assert.ts';
import { compareExchange, exchange, type Words } from '../base/atomics.ts';
import { checkInteger, checkMade, checkSource, OR_STRING } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { isWords } from '../base/views.ts';
import { Packet } from '../packet/index.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import type { Lane } from './lane.ts';
import { OpenReservations } from './open-reservations.ts';
import { PolicyFlush } from './policy-flush.ts';
import { SegmentRing } from './segment-ring.ts';
import { SharedDelivery } from './shared-delivery.ts';
import { SharedMembers } from './shared-members.ts';
import { SharedRun } from './shared-run.ts';
import {
  checkBufferSize,
  createSharedWriterBlock,
  openSharedWriterBlock,
  type ReservationTicket,
  readTicket,
  type SharedWriterHandle,
} from './shared-writer-handle.ts';
import {
  type BEGIN,
  type BUFFER,
  ENTRY_ABORTED,
  ENTRY_COMMITTED,
  ENTRY_HELD_UP,
  ENTRY_OPEN,
  type ENTRY_WORDS,
  EPOCH,
  FILL,
  HEADER_LANE,
  LENGTH,
  RING_SHAPE,
  type RingShape,
  ringWithMargins,
  SHARED_WRITER_VERSION,
  SharedWriterLayout,
  STATE,
} from './shared-writer-layout.ts';
import { SpaceWait } from './space-wait.ts';
import { WaitingWriter } from './waiting-writer.ts';
import type { WriteFlusher } from './write-flusher.ts';
import { tryWriteText } from './write-text.ts';
import { badReservation, checkFlusher, checkMessageLength, checkOpen } from './writer-checks.ts';
import { resolveWriterOptions, type WriterOptions } from './writer-options.ts';
import { segmentTransits } from './writer-transits.ts';

const NONE = -1; // returned by `tryReserve`: not now; also in place of an offset or an entry
// OPEN ──close──▶ LEAVING ──its last step──▶ LEFT
const OPEN = 0; // a member, whose calls are served
const LEAVING = 1; // calls throw; after an exception the next `close` continues
const LEFT = 2;
type MemberState = typeof OPEN | typeof LEAVING | typeof LEFT;

/**
 * A writer that many threads use at once. Their messages lie in one buffer in the order of
 * reservation, and reach the flusher in that order.
 *
 * Each thread has its own object: `create` in one, `attach` in the others. A reservation may be
 * held for any time, and handed to another thread ({@link handOver}). A flush by any thread
 * delivers the longest committed run; a later one delivers the rest. No call waits for another.
 *
 * **Cost** reserve: one compare-exchange; commit: one store; `tryWrite`: one compare-exchange if no
 * other thread writes in between; flush: a load per reservation, one read-modify-write per buffer.
 */
export class SharedWriter extends WaitingWriter {
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  /** The `writerId` passed to the flusher's sink. */
  readonly id: number;
  readonly handle: SharedWriterHandle;
  private readonly words: Words;
  private readonly layout: SharedWriterLayout;
  private readonly lane: Lane;
  private readonly options: ReturnType<typeof resolveWriterOptions>;
  /** @internal */
  protected readonly waiting: SpaceWait;
  private readonly policy: PolicyFlush;
  private readonly ring: SegmentRing;
  private readonly delivery: SharedDelivery;
  private readonly members: SharedMembers;
  private readonly slot: number;
  protected readonly transits: object; // the pool knows it weakly
  // Copies of the layout's numbers for the hot paths: see buffer-references.ts.
  private readonly epochAt: number = EPOCH;
  private readonly segmentMask: number;
  private readonly offsetBits: number;
  private readonly offsetMask: number;
  private readonly entryCount: number;
  private readonly segmentsAt: number;
  private readonly entriesAt: number;
  private readonly stride: number;
  private readonly openMark: number;
  private lengthMax: number;
  private readonly committedMark: number = ENTRY_COMMITTED;
  private readonly heldUpMark: number = ENTRY_HELD_UP;
  private readonly limit: number; // end of the space in every buffer, relative to its begin
  private readonly countsBytes: boolean;
  private budget: number;
  /** The entry of the last reservation, if it is open, and the offset of its bytes. */
  private openEntry: number = NONE;
  private openAt: number = NONE;
  /** Where its segment's FILL stands, and what the reservation wrote there. */
  private openFillAt: number = 0;
  private openFill: number = 0;
  /** This object's other open reservations. */
  private readonly open: OpenReservations;
  private readonly run: SharedRun;
  private state: MemberState = OPEN;

  private constructor(flusher: WriteFlusher, handle: SharedWriterHandle, words: Words) {
    checkMade(isWords(words), new.target);
    super();
    this.pool = flusher.pool;
    this.flusher = flusher;
    this.handle = handle;
    this.words = words;
    this.options = resolveWriterOptions(flusher.pool, handle.options);
    this.layout = SharedWriterLayout.of(words);
    this.lane = flusher.joinLane(words[HEADER_LANE]);
    this.id = this.lane.id;
    this.slot = flusher.pool.threadSlot;
    this.transits = segmentTransits(flusher.pool, words, this.layout);
    this.limit = flusher.pool.bufferSize - this.options.tailroom;
    this.segmentMask = this.layout.segmentMask;
    this.offsetBits = this.layout.offsetBits;
    this.offsetMask = (1 << this.offsetBits) - 1;
    this.entryCount = this.layout.entryCount;
    this.segmentsAt = this.layout.segments + FILL;
    this.entriesAt = this.layout.entries + STATE;
    this.stride = flusher.pool.offsetOf(1 as BufferId);
    this.lengthMax = this.limit - this.options.headroom;
    this.openMark = ENTRY_OPEN | this.slot;
    this.countsBytes = this.options.policy === 'bytes';
    this.budget = this.options.budget;
    const { lane, layout } = this;
    this.open = new OpenReservations(flusher, words, layout);
    const flush = (): boolean => this.flush();
    this.policy = new PolicyFlush(flusher, lane, this.options, flush);
    this.waiting = new SpaceWait(flusher, lane, flush);
    const space = { headroom: this.options.headroom, limit: this.limit };
    this.ring = new SegmentRing(flusher.pool, words, layout, space, this.waiting);
    const hasMargins = this.options.headroom + this.options.tailroom > 0;
    this.run = new SharedRun(flusher.pool, words, hasMargins ? 0 : this.limit);
    this.delivery = new SharedDelivery(flusher, words, layout, lane, this.ring, this.options);
    const { ring, delivery, policy } = this;
    this.members = new SharedMembers(flusher, words, layout, lane, ring, delivery, policy);
  }

  /**
   * Creates a writer and joins it.
   *
   * **Throws** RangeError if buffers are longer than 1 MiB − 1 (an offset and the number of a
   * message must fit one word); ERR_BUSBAR_WRITER_SLOTS; TypeError or RangeError naming the option.
   */
  static create(flusher: WriteFlusher, options: WriterOptions = {}): SharedWriter {
    checkFlusher(flusher);
    return SharedWriter.make(flusher, options);
  }

  /** {@link create}; in tests with a small ring whose epochs wrap soon. */
  private static make(
    flusher: WriteFlusher,
    options: WriterOptions,
    shape?: RingShape,
    epoch?: number,
  ): SharedWriter {
    const { headroom, tailroom } = resolveWriterOptions(flusher.pool, options, 3);
    const hasMargins = headroom + tailroom > 0;
    const ring = hasMargins ? ringWithMargins(flusher.pool.bufferCount) : RING_SHAPE;
    checkBufferSize(flusher.pool);
    ensureStep();
    const lane = flusher.openLane();
    try {
      const words = createSharedWriterBlock(flusher, lane, headroom, shape ?? ring, epoch);
      const handle: SharedWriterHandle = Object.freeze({
        kind: 'busbar/shared-writer',
        version: SHARED_WRITER_VERSION,
        control: words.buffer as SharedArrayBuffer,
        options: { ...options },
      });
      const writer = new SharedWriter(flusher, handle, words);
      writer.members.joinFirst();
      // Last: until then the lane belongs to this thread.
      lane.share();
      return writer;
    } catch (error) {
      lane.close();
      throw error;
    }
  }

  /** Joins from another thread; `flusher` is that thread's object of the same flusher. */
  static attach(flusher: WriteFlusher, handle: SharedWriterHandle): SharedWriter {
    checkFlusher(flusher);
    const opened = openSharedWriterBlock(flusher, handle);
    const writer = new SharedWriter(flusher, opened.handle, opened.words);
    writer.members.join();
    return writer;
  }

  /** The longest message that fits. */
  get messageBytesMax(): number {
    return this.pool.bufferSize - this.options.tailroom - this.options.headroom;
  }

  /**
   * As `LocalWriter.tryReserve`. −1 also if sixteen buffers wait for the receiver or for an open
   * reservation; with headroom or tailroom, half of a pool of less than 32. An empty reservation
   * gets one byte, which may be committed.
   */
  tryReserve(length: number): number {
    if (length >>> 0 !== length || length > this.lengthMax) this.checkLength(length);
    // An empty message takes a byte: no two open reservations begin at the same place.
    const space = length === 0 ? 1 : length;
    return this.claim(space, space);
  }

  /** Reserves as many of `wanted` bytes as there are left in a segment; at least `least`. */
  private claim(least: number, wanted: number): number {
    // Before the reservation: nothing may throw after it.
    if (this.openAt !== -1) this.keepOpen();
    const words = this.words;
    for (;;) {
      // Two plain loads; the compare-exchange confirms them.
      const index = words[this.epochAt] & this.segmentMask;
      const segment = this.segmentsAt + (index << 5);
      const fill = words[segment];
      const offset = fill & this.offsetMask;
      const entry = fill >> this.offsetBits;
      const room = this.limit - offset;
      const space = wanted < room ? wanted : room;
      if (entry < 0 || entry >= this.entryCount || least > room) {
        checkOpen(this.closed, this.flusher);
        if (!this.ring.makeRoom(least)) return NONE;
        continue;
      }
      const next = fill + (1 << this.offsetBits) + space;
      // SYNC(segment, both): takes the entry and its bytes; the next to reserve sees them taken.
      if (compareExchange(words, segment, fill, next) !== fill) continue;
      // No call from here on: if we died here, an entry without STATE would never end.
      const at =
        this.entriesAt + (index * this.entryCount + entry) * (3 satisfies typeof ENTRY_WORDS);
      words[at + (1 satisfies typeof BEGIN)] = offset;
      words[at + (2 satisfies typeof LENGTH)] = space;
      words[at] = this.openMark;
      // Not earlier: now the open entry keeps the segment and its buffer in place.
      const begin = (words[segment + (1 satisfies typeof BUFFER)] - 1) * this.stride + offset;
      this.openEntry = at;
      this.openFillAt = segment;
      this.openFill = next;
      this.openAt = begin;
      return begin;
    }
  }

  /** As `LocalWriter.commit`. **Cost** one atomic store. */
  commit(offset: number, length: number): void {
    const at = offset === this.openAt && offset !== -1 ? this.openEntry : this.find(offset);
    const words = this.words;
    if (length >>> 0 !== length || length > words[at + (2 satisfies typeof LENGTH)]) {
      checkInteger('length', length, 0, words[at + LENGTH]);
    }
    // SYNC(entry): publishes the message to the thread that flushes.
    const before = exchange(words, at, this.committedMark | length);
    if (offset === this.openAt) this.openAt = -1;
    else this.forget(offset);
    const left = this.budget - (this.countsBytes ? length : 1);
    this.budget = left;
    if (left < 0 || (before & this.heldUpMark) !== 0) this.spend();
  }

  /** {@link commit} that also returns a packet of the same bytes, which the caller releases. */
  commitPacket(offset: number, length: number): Packet {
    const { pool } = this;
    this.find(offset);
    const bufferId = pool.bufferAt(offset);
    // The open reservation keeps the buffer in its segment; afterwards only our reference does.
    pool.retainShared(bufferId);
    try {
      this.commit(offset, length);
    } catch (error) {
      pool.release(bufferId);
      throw error;
    }
    return Packet.within(pool, bufferId, offset, length);
  }

  /** As `LocalWriter.abort`. **Cost** one atomic store. */
  abort(offset: number): void {
    const at = this.find(offset);
    const before = exchange(this.words, at + STATE, ENTRY_ABORTED);
    this.forget(offset);
    if ((before & ENTRY_HELD_UP) !== 0) this.spend();
  }

  /** As `LocalWriter.tryWrite`. */
  tryWrite(source: Uint8Array | string, begin: number = 0, end: number = source?.length): boolean {
    if (typeof source === 'string') return tryWriteText(this, source, begin, end);
    checkSource(source, begin, end, OR_STRING);
    const length = end - begin;
    if (this.run.append(source, begin, end)) {
      const left = this.budget - (this.countsBytes ? length : 1);
      this.budget = left;
      if (left < 0) this.spend();
      return true;
    }
    return this.writeClaimed(source, begin, end, length);
  }

  /** Writes a message for which the run has no room; perhaps the first of another run. */
  private writeClaimed(source: Uint8Array, begin: number, end: number, length: number): boolean {
    const { run, words } = this;
    if (length > this.lengthMax) this.checkLength(length);
    const space = length === 0 ? 1 : length;
    const at = this.claim(space, run.bytesFor(space));
    if (at < 0) return false;
    const { openEntry, openFillAt, openFill } = this;
    let before: number;
    try {
      this.pool.arena.write(at, source, begin, end);
      const state = run.begin(openEntry, openFillAt, openFill, at, length);
      // SYNC(entry): as commit() does.
      before = exchange(words, openEntry, state === 0 ? this.committedMark | length : state);
    } catch (error) {
      // No call, which might throw again. Messages that it held up go with the next commit.
      words[openEntry] = ENTRY_ABORTED;
      run.end = 0;
      this.budget = -1;
      if (this.openAt === at) this.openAt = -1;
      else this.forget(at);
      throw error;
    }
    // Else the source is a proxy that has written a message itself.
    if (this.openAt === at) this.openAt = -1;
    else this.forget(at);
    const left = this.budget - (this.countsBytes ? length : 1);
    this.budget = left;
    if (left < 0 || (before & this.heldUpMark) !== 0) this.spend();
    return true;
  }

  /**
   * Gives up an open reservation; another thread passes the ticket to {@link takeOver}. Until one
   * does, no later message is delivered.
   */
  handOver(offset: number): ReservationTicket {
    const ticket = this.open.handOver(offset, this.find(offset));
    this.forget(offset);
    return ticket;
  }

  /**
   * Takes over a reservation that another thread handed over; this thread must end it. Returns its
   * offset.
   *
   * **Throws** ERR_BUSBAR_BAD_RESERVATION if the ticket was used before or names no open
   * reservation; TypeError, RangeError.
   */
  takeOver(ticket: ReservationTicket): number {
    const own = readTicket(ticket, this.pool.maxThreads, this.words, this.layout);
    checkOpen(this.closed, this.flusher);
    ensureStep();
    if (this.openAt !== NONE) this.keepOpen();
    return this.open.takeOver(own);
  }

  /**
   * Hands everything that any thread committed before the first open reservation to the flusher. If
   * another thread is flushing, it flushes these messages as well, and this returns at once.
   *
   * Returns false if some of it did not fit now. **Throws** ERR_BUSBAR_FLUSHER_CLOSED,
   * ERR_BUSBAR_WRITER_CLOSED.
   */
  flush(): boolean {
    checkOpen(this.closed, this.flusher);
    this.invariants();
    this.budget = this.options.budget;
    this.run.releaseStale();
    return this.delivery.run();
  }

  /**
   * Cleans up after a dead thread: aborts its open reservations, completes its flush. Call it
   * before `pool.reclaim(slot)`. Several threads may call it at once: one of them does the work.
   *
   * **Throws** ERR_BUSBAR_THREAD_ALIVE.
   */
  recover(threadSlot: number): void {
    this.pool.checkAttached();
    checkInteger('threadSlot', threadSlot, 0, this.pool.maxThreads - 1);
    if (!this.members.recover(threadSlot)) this.deliverLater();
  }

  /**
   * Leaves the writer: aborts this thread's open reservations and flushes; another member flushes
   * what does not fit now. The last thread's close ends the writer, releases its buffers, and
   * returns the bytes that did not fit. Idempotent.
   */
  close(): number {
    if (this.state === LEFT) return 0;
    ensureStep();
    this.invariants();
    this.open.invariants();
    if (this.openAt !== NONE) this.abort(this.openAt);
    for (const offset of this.open.offsets()) this.abort(offset);
    this.state = LEAVING;
    // Sends every reservation to the slow path, which throws.
    this.lengthMax = -1;
    this.run.end = 0;
    this.policy.close();
    this.waiting.close();
    let isComplete = true;
    try {
      if (!this.flusher.closed) isComplete = this.delivery.run();
    } catch (error) {
      // The flusher or the pool is closed: the last member to leave drops what is left.
      if (!(error instanceof BusbarError)) throw error;
    }
    this.ring.close();
    this.run.close();
    const dropped = this.members.close(isComplete);
    assert(this.openAt === NONE, 'a member that leaves has no open reservation');
    assert(this.lengthMax < 0, 'a member that has left reserves nothing');
    this.state = LEFT;
    return dropped;
  }

  get closed(): boolean {
    return this.state !== OPEN;
  }

  /** @internal Asserts what holds between any two calls of this thread. */
  invariants(): void {
    const { openAt, openEntry, entriesAt } = this;
    assert(this.closed === this.lengthMax < 0, 'only a member that is open reserves');
    assert(openAt === NONE || openAt >= 0, 'the open reservation begins in the pool');
    assert(openAt === NONE || openEntry >= entriesAt, 'its entry is one of a segment');
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Delivers a dead thread's messages once they fit the lane. */
  private deliverLater(): void {
    // A closed object cannot wait: another member does. A closed flusher or pool accepts nothing.
    const owe = (): void => {
      if (!this.flusher.closed && this.pool.isAttached) this.members.owe();
    };
    if (this.closed) owe();
    else this.waiting.until(() => (this.delivery.run() ? 0 : -1), {}).catch(owe);
  }

  // ── Slow paths ────────────────────────────────────────────────────────────────────────────────

  /** Moves the last reservation into the map of open ones. */
  private keepOpen(): void {
    this.open.add(this.openAt, this.openEntry);
    this.openAt = NONE;
  }

  private find(offset: number): number {
    if (offset === this.openAt && offset !== NONE) return this.openEntry;
    const entry = this.open.find(offset);
    if (entry !== NONE) return entry;
    checkOpen(this.closed, this.flusher);
    throw badReservation(offset);
  }

  /** Removes an ended reservation. */
  private forget(offset: number): void {
    if (offset === this.openAt) this.openAt = NONE;
    else this.open.remove(offset);
  }

  /** Flushes by policy. If that throws, the next commit tries again. */
  private spend(): void {
    this.budget = -1;
    this.budget = this.policy.spend();
  }

  /** Throws for a length that cannot be reserved. */
  private checkLength(length: number): void {
    checkOpen(this.closed, this.flusher);
    checkMessageLength(length, this.messageBytesMax);
  }
}

describeAs(SharedWriter, 'SharedWriter', (writer) => ({ id: writer.id, closed: writer.closed }));
