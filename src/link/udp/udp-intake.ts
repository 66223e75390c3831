// SPDX-License-Identifier: MIT
/** From the socket to the program: datagrams go into pool memory, and are cut there. */

import { assert, fail } from '../../base/assert.ts';
import { copyIn } from '../../base/bytes.ts';
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
import { type BufferId, type BufferPool, NO_BUFFER } from '../../pool/index.ts';
import type { ReadingStats } from '../link.ts';
import { isNotNow, type UdpSocket } from './udp-socket.ts';

/** Bytes of the length that a message of a packed datagram begins with, high byte first. */
export const PREFIX_BYTES = 2;

/** What an intake has done so far. */
export interface UdpIntakeStats extends ReadingStats {
  /** Datagrams that arrived, empty ones included. */
  readonly datagramsRead: number;
  /** Messages that were delivered. As many as datagrams, unless they are packed. */
  readonly messages: number;
  /** Datagrams that were longer than a buffer: delivered cut short. */
  readonly truncated: number;
  /** Packed datagrams whose lengths do not add up: delivered as far as they do. */
  readonly malformed: number;
}

/** Whom an intake works for. */
export interface UdpIntakeOwner {
  /** Takes one message. */
  deliver(offset: number, length: number, bufferId: BufferId): void;
  /** `deliver` threw. May throw on. */
  deliveryFailed(error: unknown): void;
  /** The pool refuses. */
  intakeFailed(error: BusbarError): void;
  /** The socket says what became of an earlier datagram, or that it is of no use any more. */
  receiveFailed(errno: number): void;
  /** The socket is to be watched, or no more. */
  watch(): void;
}

/** What comes is taken, unless the intake is paused. */
const READING = 'reading';
/** There is no buffer for what comes: one is waited for. */
const STARVED = 'starved';
/** Nothing is taken any more. */
const CLOSED = 'closed';
type UdpIntakeState = typeof READING | typeof STARVED | typeof CLOSED;

/** Before it is open nothing comes, and nobody watches. */
const NOBODY: UdpIntakeOwner = {
  deliver: () => fail('nothing comes before the intake is open'),
  deliveryFailed: () => fail('nothing is delivered before the intake is open'),
  intakeFailed: () => fail('no intake fails before it is open'),
  receiveFailed: () => fail('nothing is received before the intake is open'),
  watch() {},
};

/** Messages in one call of the system; each needs a buffer while it lasts. */
const PLACES_MAX = 16;
/** Calls in one turn of the event loop, at most: others want to be served too. */
const ROUNDS_MAX = 16;
/** A copy of this much costs less than a tenth of the system call that brought it. */
const COPY_BYTES_MAX = 2048;

/**
 * The reading half of a UDP link.
 *
 *   kernel ──▶ places: one buffer each, only while they are filled
 *                 │ what is long is delivered where it lies, cut without copying
 *                 └ what is short is copied behind other short ones in one buffer
 *
 * So a datagram that is kept costs its own size, and what the kernel has put together (64 KiB of
 * datagrams) is never copied. A quiet link holds no buffer.
 *
 * When the pool has none, the socket is not watched, and the intake queues up for one: what comes
 * waits in the system, and what does not fit there is dropped and counted.
 */
export class UdpIntake {
  /** One row of IN_WORDS for each place. */
  readonly table: Int32Array = new Int32Array(PLACES_MAX * IN_WORDS);

  private readonly pool: BufferPool;
  private readonly packed: boolean;
  private readonly copyBytesMax: number;
  private owner: UdpIntakeOwner = NOBODY;
  private socket: UdpSocket | undefined;

  private readonly places: BufferId[] = [];
  /** How many places the next call gets: as many as the last one filled, and more. */
  private width = 2;
  /** Rows that were filled; those before `row` were delivered, and `row` up to `at`. */
  private filled = 0;
  private row = 0;
  private at = -1;
  /** Where the present row lies: in its place, or behind others. */
  private rowBuffer: BufferId = NO_BUFFER;
  private rowEnd = 0;
  private segmentEnd = 0;

  private shortBuffer: BufferId = NO_BUFFER;
  private shortAt = 0;
  private shortEnd = 0;

  private state: UdpIntakeState = READING;
  private isPaused = false;
  private isBusy = false;
  /** Ends the wait for a buffer. Only while STARVED. */
  private starving: AbortController | undefined;

  private datagramsRead = 0;
  private bytesRead = 0;
  private messages = 0;
  private reads = 0;
  private truncated = 0;
  private malformed = 0;
  private pauses = 0;
  private exhaustions = 0;

  constructor(pool: BufferPool, packed: boolean) {
    this.pool = pool;
    this.packed = packed;
    this.copyBytesMax = Math.min(COPY_BYTES_MAX, pool.bufferSize >>> 2);
  }

  open(owner: UdpIntakeOwner, socket: UdpSocket): void {
    assert(this.owner === NOBODY, 'an intake is opened once');
    this.owner = owner;
    this.socket = socket;
  }

  get paused(): boolean {
    return this.isPaused;
  }

  /** Whether the socket is to be watched for what comes. */
  get wantsMore(): boolean {
    return !this.isPaused && this.state === READING;
  }

  /** Where in `table` the source of the present message stands, in eight words. */
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

  /** Goes on with what has arrived already. */
  resume(): void {
    if (!this.isPaused || this.isClosed) return;
    this.isPaused = false;
    if (!this.isBusy && this.deliverRows()) this.letGo();
    this.owner.watch();
  }

  /** Nothing is delivered any more; no buffer is held. */
  close(): void {
    if (this.isClosed) return;
    this.state = CLOSED;
    this.starving?.abort();
    this.starving = undefined;
    if (!this.isBusy) this.letGo();
    this.invariants();
  }

  /** Takes what is there, for a while. */
  readable(): void {
    const { socket, table } = this;
    assert(socket !== undefined, 'nothing comes before the intake is open');
    if (!this.wantsMore || this.isBusy) return;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const count = this.findPlaces();
      if (count === 0) break;
      const filled = socket.receive(table, count);
      if (filled < 0) {
        this.letGo();
        if (!isNotNow(-filled)) this.owner.receiveFailed(-filled);
        return;
      }
      this.reads++;
      this.filled = filled;
      this.row = 0;
      this.at = -1;
      this.width = Math.min(PLACES_MAX, filled === count ? 2 * count : filled + 1);
      assert(filled <= count, 'no more was read than there are places');
      if (!this.deliverRows()) return;
      if (filled < count || !this.wantsMore) break;
    }
    this.letGo();
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

  /** Gives every place a buffer, and fewer if there are fewer. 0: there is none. */
  private findPlaces(): number {
    const { places, pool, table, width } = this;
    const { bufferSize } = pool;
    try {
      while (places.length < width) {
        const id = pool.tryAcquire();
        if (id === NO_BUFFER) break;
        places.push(id);
      }
    } catch (error) {
      this.letGo();
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

  /** Queues up for a buffer. */
  private starve(): void {
    assert(this.state === READING, 'who reads may starve');
    assert(this.places.length === 0, 'who has a buffer does not starve');
    this.state = STARVED;
    this.exhaustions++;
    const starving = new AbortController();
    this.starving = starving;
    this.owner.watch();
    this.pool.acquire({ signal: starving.signal }).then(
      (bufferId) => {
        if (this.starving === starving) this.feed(bufferId);
        else this.pool.release(bufferId);
      },
      (error) => {
        if (this.starving === starving) this.owner.intakeFailed(asBusbarError(error));
      },
    );
  }

  /** The buffer that the intake has waited for is there. */
  private feed(bufferId: BufferId): void {
    assert(this.state === STARVED, 'who does not starve is not fed');
    assert(!this.isBusy, 'nothing is delivered from a microtask');
    this.starving = undefined;
    this.state = READING;
    this.places.push(bufferId);
    if (!this.isPaused) this.readable();
    else this.letGo();
    this.owner.watch();
  }

  /** Checks how the state and what it stands for go together. Holds between any two calls. */
  invariants(): void {
    const isStarving = this.starving !== undefined;
    assert(isStarving === (this.state === STARVED), 'who starves waits for a buffer');
    assert(this.row <= this.filled, 'rows are delivered once they are filled');
    assert(this.filled <= PLACES_MAX, 'no more rows are filled than there are');
    assert(this.at <= this.rowEnd, 'a row is delivered up to its end');
    assert(this.shortAt <= this.shortEnd, 'short ones lie in their buffer');
    const hasShort = this.shortBuffer !== NO_BUFFER;
    assert(hasShort === this.shortEnd > 0, 'short ones have a buffer');
    if (!this.isClosed || this.isBusy) return;
    assert(this.places.length === 0 && !hasShort, 'who is closed holds no buffer');
  }

  private get isClosed(): boolean {
    return this.state === CLOSED;
  }

  /** Delivers the rows, from where it stopped. False: stopped again, or closed. */
  private deliverRows(): boolean {
    const owner = this.owner;
    this.isBusy = true;
    try {
      while (this.row < this.filled && !this.isPaused && !this.isClosed) {
        if (this.at < 0) this.beginRow();
        if (!(this.packed ? this.deliverPacked(owner) : this.deliverDatagrams(owner))) break;
        this.endRow();
      }
    } catch (error) {
      this.isBusy = false;
      // The handler has closed the link before it threw: `close` left this to us.
      if (this.isClosed) this.letGo();
      owner.deliveryFailed(error);
      return false;
    }
    this.isBusy = false;
    if (this.isClosed) this.letGo();
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
      copyIn(pool.bytes, pool.view, this.shortAt, pool.bytes, offset, offset + length);
      offset = this.shortAt;
      this.shortAt += length;
      this.rowBuffer = this.shortBuffer;
    }
    this.at = offset;
    this.rowEnd = offset + length;
    this.segmentEnd = segment > 0 ? Math.min(offset + segment, this.rowEnd) : this.rowEnd;
  }

  /** A place whose buffer somebody keeps is given up. */
  private endRow(): void {
    this.at = -1;
    const id = this.places[this.row];
    if (!this.pool.isSoleHolder(id)) {
      this.pool.release(id);
      this.places[this.row] = NO_BUFFER;
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
      // First the books: whoever is told may pause, and go on later from here.
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

  /** Whether so many bytes fit behind the short ones, perhaps in a buffer just taken. */
  private hasShort(length: number): boolean {
    if (this.shortEnd - this.shortAt >= length) return true;
    const id = this.pool.tryAcquire();
    if (id === NO_BUFFER) return false;
    if (this.shortBuffer !== NO_BUFFER) this.pool.release(this.shortBuffer);
    this.shortBuffer = id;
    this.shortAt = this.pool.offsetOf(id);
    this.shortEnd = this.shortAt + this.pool.bufferSize;
    return true;
  }

  /** Gives back what nobody keeps. */
  private letGo(): void {
    const { pool, places } = this;
    for (let i = 0; i < places.length; i++) {
      if (places[i] !== NO_BUFFER) pool.release(places[i]);
    }
    places.length = 0;
    const id = this.shortBuffer;
    if (id === NO_BUFFER || !(this.isClosed || pool.isSoleHolder(id))) return;
    pool.release(id);
    this.shortBuffer = NO_BUFFER;
    this.shortAt = this.shortEnd = 0;
  }
}

function asBusbarError(error: unknown): BusbarError {
  if (BusbarError.isOne(error)) return error;
  return new BusbarError('ERR_BUSBAR_LINK_FAILED', undefined, { cause: error });
}
