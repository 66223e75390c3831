// SPDX-License-Identifier: MIT
/** `UdpIntake`: the reading half of a `UdpLink`. Receives datagrams and delivers their messages. */

import { assert, fail } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import {
  IN_ADDRESS,
  IN_CAPACITY,
  IN_ECN_SHIFT,
  IN_FLAGS,
  IN_LENGTH,
  IN_OFFSET,
  IN_SEGMENT,
  IN_TRUNCATED,
  IN_WORDS,
} from '../../native/udp.ts';
import { RECEIVING } from '../../pool/holder-layout.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../../pool/index.ts';
import { BufferWait } from '../buffer-wait.ts';
import type { ReadingStats } from '../link.ts';
import { isNotNow, type UdpSocket } from './udp-socket.ts';

/** Bytes of the length that a message of a packed datagram begins with, high byte first. */
export const PREFIX_BYTES = 2;

/** Counters of an intake. */
export interface UdpIntakeStats extends ReadingStats {
  /** Datagrams that arrived, empty ones included. */
  readonly datagramsRead: number;
  /** Messages delivered. As many as datagrams, unless they are packed. */
  readonly messages: number;
  /** Datagrams longer than a buffer: delivered without their rest. */
  readonly truncated: number;
  /** Packed datagrams in which a length is wrong: what precedes it is delivered. */
  readonly malformed: number;
}

/** Receives an intake's events. */
export interface UdpIntakeOwner {
  /** Takes one message. */
  deliver(offset: number, length: number, bufferId: BufferId): void;
  /** `deliver` threw. May rethrow the error. */
  deliveryFailed(error: unknown): void;
  /** The pool threw. */
  intakeFailed(error: BusbarError): void;
  /** The socket reports the loss of an earlier datagram, or has failed. */
  receiveFailed(errno: number): void;
  /** `wantsMore` has changed. */
  watch(): void;
}

/** No handler runs. */
const IDLE = 0;
/** Messages are being delivered. */
const DELIVERING = 1;
/** Closed from within a delivery, which still uses the buffers. */
const CLOSING = 2;
/** Receives nothing more, and holds no buffer. */
const CLOSED = 3;
type UdpIntakeState = typeof IDLE | typeof DELIVERING | typeof CLOSING | typeof CLOSED;

/** Placeholder before `open`: no event may come. */
const NO_OWNER: UdpIntakeOwner = {
  deliver: () => fail('nothing arrives before the intake is open'),
  deliveryFailed: () => fail('nothing is delivered before the intake is open'),
  intakeFailed: () => fail('no intake fails before it is open'),
  receiveFailed: () => fail('nothing is received before the intake is open'),
  watch() {},
};

/** Most datagrams, or coalesced runs, that one system call reads; each needs a buffer meanwhile. */
const PLACES_MAX = 16;
/** Most calls in one turn of the event loop, so that other sockets are served as well. */
const ROUNDS_MAX = 16;
/** Copying this many bytes costs less than a tenth of the system call that read them. */
const COPY_BYTES_MAX = 2048;

/**
 * The reading half of a UDP link.
 *
 *   kernel ──▶ places: one buffer each, held only while datagrams arrive
 *                 │ long datagrams are delivered where they lie
 *                 └ short ones are copied into one buffer, one after another
 *
 * So a kept datagram costs only its size, and datagrams that the kernel has coalesced (up to
 * 64 KiB) are never copied. A quiet link holds no buffer.
 *
 * If the pool has no buffer, the socket is not watched, and the intake queues for one: datagrams
 * wait in the system, and those that do not fit there are dropped and counted.
 *
 *   IDLE ◀──rows are delivered──▶ DELIVERING
 *    └──close──▶ CLOSED ◀── the handler returns ── CLOSING ◀──close──┘
 */
export class UdpIntake {
  /** One row of IN_WORDS for each place. */
  readonly table: Int32Array = new Int32Array(PLACES_MAX * IN_WORDS);

  private readonly pool: BufferPool;
  private readonly packed: boolean;
  private readonly copyBytesMax: number;
  private owner: UdpIntakeOwner = NO_OWNER;
  private socket: UdpSocket | undefined;

  private readonly places: BufferId[] = [];
  /** Number of places in the next call: more than the last call filled. */
  private width = 2;
  /** Filled rows; those before `row` were delivered, and `row` up to `at`. */
  private filled = 0;
  private row = 0;
  private at = -1;
  /** The buffer of the current row: that of its place, or `shortBuffer`. */
  private rowBuffer: BufferId = NO_BUFFER;
  private rowEnd = 0;
  private segmentEnd = 0;

  /** The word that counts the intake's references. */
  private held: number;
  private shortBuffer: BufferId = NO_BUFFER;
  private shortAt = 0;
  private shortEnd = 0;

  private state: UdpIntakeState = IDLE;
  private isPaused = false;
  private readonly wait: BufferWait;

  private datagramsRead = 0;
  private bytesRead = 0;
  private messages = 0;
  private reads = 0;
  private truncated = 0;
  private malformed = 0;
  private pauses = 0;
  private exhaustions = 0;

  constructor(pool: BufferPool, packed: boolean) {
    this.held = pool.holder() + RECEIVING;
    this.pool = pool;
    this.packed = packed;
    this.wait = new BufferWait({
      acquire: (signal) => pool.acquire({ signal }),
      release: (bufferId) => pool.release(bufferId),
      feed: (bufferId) => this.feed(bufferId),
      waitFailed: (error) => this.owner.intakeFailed(asBusbarError(error)),
    });
    this.copyBytesMax = Math.min(COPY_BYTES_MAX, pool.bufferSize >>> 2);
  }

  open(owner: UdpIntakeOwner, socket: UdpSocket): void {
    assert(this.owner === NO_OWNER, 'an intake is opened once');
    this.owner = owner;
    this.socket = socket;
  }

  /** Counts as part of that holder; before the first buffer. */
  holdAs(holder: number): void {
    this.held = holder + RECEIVING;
  }

  get paused(): boolean {
    return this.isPaused;
  }

  /** Whether the socket should be watched for datagrams. */
  get wantsMore(): boolean {
    return !this.isPaused && !this.isClosed && !this.wait.isOn;
  }

  /** Index in `table` of the current message's source, in eight words. */
  get sourceAt(): number {
    return this.row * IN_WORDS + IN_ADDRESS;
  }

  get isTruncated(): boolean {
    return (this.table[this.row * IN_WORDS + IN_FLAGS] & IN_TRUNCATED) !== 0;
  }

  get ecn(): number {
    return (this.table[this.row * IN_WORDS + IN_FLAGS] >>> IN_ECN_SHIFT) & 3;
  }

  pause(): void {
    if (this.isPaused || this.isClosed) return;
    this.isPaused = true;
    this.pauses++;
    this.owner.watch();
  }

  /** Delivers what has arrived already, then receives again. */
  resume(): void {
    if (!this.isPaused || this.isClosed) return;
    this.isPaused = false;
    if (this.state === IDLE && this.deliverRows()) this.releaseIdle();
    this.owner.watch();
  }

  /** Stops delivery for good and releases all buffers. */
  close(): void {
    if (this.isClosed) return;
    this.state = this.state === DELIVERING ? CLOSING : CLOSED;
    this.wait.end();
    if (this.state === CLOSED) this.releaseIdle();
    this.invariants();
  }

  /** Receives and delivers, for a bounded number of calls. */
  readable(): void {
    const { socket, table } = this;
    assert(socket !== undefined, 'nothing arrives before the intake is open');
    if (!this.wantsMore || this.state !== IDLE) return;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const count = this.findPlaces();
      if (count === 0) break;
      const filled = socket.receive(table, count);
      if (filled < 0) {
        this.releaseIdle();
        if (!isNotNow(-filled)) this.owner.receiveFailed(-filled);
        return;
      }
      this.reads++;
      this.filled = filled;
      this.row = 0;
      this.at = -1;
      this.width = Math.min(PLACES_MAX, filled === count ? 2 * count : filled + 1);
      assert(filled <= count, 'no more is read than there are places');
      if (!this.deliverRows()) return;
      if (filled < count || !this.wantsMore) break;
    }
    this.releaseIdle();
    this.invariants();
  }

  stats(): UdpIntakeStats {
    return {
      datagramsRead: this.datagramsRead,
      bytesRead: this.bytesRead,
      messages: this.messages,
      reads: this.reads,
      truncated: this.truncated,
      malformed: this.malformed,
      pauses: this.pauses,
      exhaustions: this.exhaustions,
    };
  }

  /** Acquires a buffer for each place, as far as there are any; returns the number of places. */
  private findPlaces(): number {
    const { places, pool, table, width } = this;
    const { bufferSize } = pool;
    try {
      while (places.length < width) {
        const id = pool.tryAcquire();
        if (id === NO_BUFFER) break;
        places.push(id);
        pool.note(this.held, 1);
      }
    } catch (error) {
      this.releaseIdle();
      this.owner.intakeFailed(asBusbarError(error));
      return 0;
    }
    const count = Math.min(width, places.length);
    for (let i = 0; i < count; i++) {
      table[i * IN_WORDS + IN_OFFSET] = pool.offsetOf(places[i]);
      table[i * IN_WORDS + IN_CAPACITY] = bufferSize;
    }
    if (count === 0) this.starve();
    return count;
  }

  /** Queues for a buffer. */
  private starve(): void {
    assert(this.wantsMore, 'only a reading intake starves, and once');
    assert(this.places.length === 0, 'an intake with a buffer does not starve');
    this.exhaustions++;
    this.wait.begin();
    this.owner.watch();
  }

  /** Takes the awaited buffer, and continues. */
  private feed(bufferId: BufferId): void {
    assert(!this.isClosed, 'a closed intake waits for no buffer');
    assert(this.state === IDLE, 'nothing is delivered from a microtask');
    this.places.push(bufferId);
    this.pool.note(this.held, 1);
    if (!this.isPaused) this.readable();
    else this.releaseIdle();
    this.owner.watch();
  }

  /** Asserts that the state agrees with the other fields, as it does between any two calls. */
  invariants(): void {
    assert(!this.wait.isOn || this.state === IDLE, 'only an idle intake waits for a buffer');
    assert(this.row <= this.filled, 'rows are delivered once they are filled');
    assert(this.filled <= PLACES_MAX, 'no more rows are filled than there are');
    assert(this.at <= this.rowEnd, 'a row is delivered up to its end');
    assert(this.shortAt <= this.shortEnd, 'short datagrams lie in their buffer');
    const hasShort = this.shortBuffer !== NO_BUFFER;
    assert(hasShort === this.shortEnd > 0, 'short datagrams have a buffer');
    if (this.state === CLOSED) {
      assert(this.places.length === 0 && !hasShort, 'a closed intake holds no buffer');
    }
  }

  private get isClosed(): boolean {
    return this.state >= CLOSING;
  }

  /** Delivers rows, continuing where delivery stopped. False: it stopped again, or closed. */
  private deliverRows(): boolean {
    const owner = this.owner;
    assert(this.state === IDLE, 'rows are delivered once');
    this.state = DELIVERING;
    try {
      while (this.row < this.filled && !this.isPaused && !this.isClosed) {
        if (this.at < 0) this.beginRow();
        if (!(this.packed ? this.deliverPacked(owner) : this.deliverDatagrams(owner))) break;
        this.endRow();
      }
    } catch (error) {
      // No call before the state is right: the stack may be full.
      this.state = this.state === DELIVERING ? IDLE : CLOSED;
      if (this.state === CLOSED) this.releaseIdle();
      owner.deliveryFailed(error);
      return false;
    }
    // If the handler has closed the link, `close` has left the release to this.
    this.state = this.state === DELIVERING ? IDLE : CLOSED;
    if (this.state === CLOSED) this.releaseIdle();
    return this.row === this.filled && !this.isClosed;
  }

  private beginRow(): void {
    const { table, pool } = this;
    const row = this.row * IN_WORDS;
    const length = table[row + IN_LENGTH];
    const segment = table[row + IN_SEGMENT];
    this.datagramsRead += segment > 0 ? Math.ceil(length / segment) : 1;
    this.bytesRead += length;
    if (this.isTruncated) this.truncated++;
    let offset = table[row + IN_OFFSET];
    this.rowBuffer = this.places[this.row];
    if (length > 0 && length <= this.copyBytesMax && this.hasShort(length)) {
      pool.arena.copy(this.shortAt, offset, length);
      offset = this.shortAt;
      this.shortAt += length;
      this.rowBuffer = this.shortBuffer;
    }
    this.at = offset;
    this.rowEnd = offset + length;
    this.segmentEnd = segment > 0 ? Math.min(offset + segment, this.rowEnd) : this.rowEnd;
  }

  /** Ends a row; gives up its buffer if the handler keeps a reference on it. */
  private endRow(): void {
    this.at = -1;
    const id = this.places[this.row];
    if (!this.pool.isSoleHolder(id)) {
      this.pool.release(id);
      this.places[this.row] = NO_BUFFER;
      this.pool.note(this.held, -1);
    }
    this.row++;
    if (this.row === this.filled) this.closeGaps();
  }

  private closeGaps(): void {
    const { places } = this;
    let kept = 0;
    for (let i = 0; i < places.length; i++) {
      if (places[i] !== NO_BUFFER) places[kept++] = places[i];
    }
    places.length = kept;
  }

  private deliverDatagrams(owner: UdpIntakeOwner): boolean {
    const { rowEnd, rowBuffer } = this;
    const segment = this.table[this.row * IN_WORDS + IN_SEGMENT];
    for (;;) {
      const begin = this.at;
      const end = this.segmentEnd;
      // State first: the handler may pause, and delivery later continues from here.
      this.at = end;
      this.segmentEnd = Math.min(end + segment, rowEnd);
      this.messages++;
      owner.deliver(begin, end - begin, rowBuffer);
      if (end === rowEnd) return !this.isClosed;
      if (this.isPaused || this.isClosed) return false;
    }
  }

  private deliverPacked(owner: UdpIntakeOwner): boolean {
    const { bytes } = this.pool;
    const { rowEnd, rowBuffer } = this;
    const segment = this.table[this.row * IN_WORDS + IN_SEGMENT];
    while (this.at < rowEnd) {
      const begin = this.at + PREFIX_BYTES;
      const segmentEnd = this.segmentEnd;
      const length = begin > segmentEnd ? 0 : (bytes[begin - 2] << 8) | bytes[begin - 1];
      let next = begin + length;
      if (next > segmentEnd) {
        this.malformed++;
        next = segmentEnd;
      }
      this.at = next;
      if (next === segmentEnd) this.segmentEnd = Math.min(next + segment, rowEnd);
      if (next !== begin + length) continue;
      this.messages++;
      owner.deliver(begin, length, rowBuffer);
      if (this.isClosed) return false;
      if (this.isPaused && this.at < rowEnd) return false;
    }
    return true;
  }

  /** Makes room for `length` bytes in `shortBuffer`, or acquires a new one. False: none is free. */
  private hasShort(length: number): boolean {
    if (this.shortEnd - this.shortAt >= length) return true;
    const id = this.pool.tryAcquire();
    if (id === NO_BUFFER) return false;
    if (this.shortBuffer !== NO_BUFFER) this.pool.release(this.shortBuffer);
    else this.pool.note(this.held, 1);
    this.shortBuffer = id;
    this.shortAt = this.pool.offsetOf(id);
    this.shortEnd = this.shortAt + this.pool.bufferSize;
    return true;
  }

  /** Releases the buffers of the places, and `shortBuffer` unless packets lie in it. */
  private releaseIdle(): void {
    const { pool, places } = this;
    for (let i = 0; i < places.length; i++) {
      if (places[i] === NO_BUFFER) continue;
      pool.release(places[i]);
      pool.note(this.held, -1);
    }
    places.length = 0;
    const id = this.shortBuffer;
    if (id === NO_BUFFER || !(this.isClosed || pool.isSoleHolder(id))) return;
    pool.release(id);
    pool.note(this.held, -1);
    this.shortBuffer = NO_BUFFER;
    this.shortAt = this.shortEnd = 0;
  }
}

function asBusbarError(error: unknown): BusbarError {
  if (BusbarError.isOne(error)) return error;
  return new BusbarError('ERR_BUSBAR_LINK_FAILED', undefined, { cause: error });
}
