// SPDX-License-Identifier: MIT
/**
 * From the flusher to the socket: regions wait here, leave in few system calls, and go back to the
 * pool afterwards.
 */

import type { Socket } from 'node:net';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { assert } from '../../base/assert.ts';
import { throwLater } from '../../base/throw-later.ts';
import { errnoName } from '../../native/shim.ts';
import {
  WRITE_LENGTH,
  WRITE_OFFSET,
  WRITE_RESULT,
  WRITE_SOCKET,
  WRITE_WORDS,
} from '../../native/socket-writes.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { WritingStats } from '../link.ts';
import {
  type DirectWriter,
  DirectWrites,
  isPlain,
  openDescriptor,
  WRITER_ROWS,
} from './direct-writes.ts';

/** What an outbox has done so far. */
export interface OutboxStats extends WritingStats {
  /** How many of these writes the shim made, for many links in one call. */
  readonly directWrites: number;
  /** Regions that came in; regions that touch each other while they wait count once each. */
  readonly regions: number;
}

/**
 * Bytes in one write, more or less. Larger ones are hardly cheaper (a KiB took 277 ns in writes of
 * 64 KiB, 205 of 256 KiB, 160 to 200 of 1 MiB; loopback, Node 20, November 2026), and the buffers
 * of one write come back together: a slow peer should not hold megabytes for the sake of the last
 * byte.
 */
const WRITE_BYTES_MAX = 256 * 1024;

/**
 * From so many waiting bytes on, a larger write would not be cheaper by much: why wait for the end
 * of the turn.
 */
const SEND_BYTES_MIN = 16 * 1024;

/** Words of one waiting region: offset, length, buffer. */
const OFFSET = 0;
const LENGTH = 1;
const BUFFER = 2;
const REGION_FIELDS = 3;

/** What comes is sent. */
const OPEN = 'open';
/** What comes is lost. The system may still have the last write. */
const DISCARDING = 'discarding';
/** The stream threw or closed. It may call back nevertheless, which means nothing any more. */
const FAILED = 'failed';
type OutboxState = typeof OPEN | typeof DISCARDING | typeof FAILED;

/** With these the stream may fare better: it waits, or is no socket. */
const { EAGAIN, ENOBUFS, ENOTSOCK } = constants.errno;

/**
 * The writing half of a link: regions in, one write at a time out.
 *
 * While a write is under way everything that comes waits, and the next write takes all of it, so a
 * busy socket batches by itself. A region's reference is released in the write's callback and not
 * before: until then the system reads the bytes.
 *
 * With the shim the bytes go to a plain socket's descriptor, past the stream, and the references
 * are released as soon as the system has copied them. What it does not take at once goes through
 * the stream, and all that comes behind it waits: so the order is kept.
 *
 * **Ownership** `push` takes over one reference per region. **Threads** the socket's.
 */
export class Outbox implements DirectWriter {
  readonly #pool: BufferPool;
  readonly #memory: SharedArrayBuffer;
  readonly #socket: Duplex;
  /** The stream may keep our chunks beyond its callback: give it copies. */
  readonly #copying: boolean;
  readonly #onDone: () => void;
  readonly #onWritten: () => void;
  #direct: DirectWrites | undefined;
  #isEnlisted = false;

  /** Waiting regions, REGION_FIELDS numbers each; those before #head are with the system. */
  readonly #waiting: number[] = [];
  #head = 0;
  #inFlight = 0;
  #inFlightBytes = 0;
  #waitingBytes = 0;
  #state: OutboxState = OPEN;

  #bytesWritten = 0;
  #writes = 0;
  #directWrites = 0;
  #regions = 0;
  #lostBytes = 0;

  /** `onDone` runs after each write. */
  constructor(pool: BufferPool, socket: Duplex, copying: boolean, onDone: () => void) {
    this.#pool = pool;
    this.#memory = pool.bytes.buffer;
    this.#socket = socket;
    this.#copying = copying;
    this.#onDone = onDone;
    this.#onWritten = () => this.#written();
    this.#direct = !copying && isPlain(socket) ? DirectWrites.forPool(pool) : undefined;
  }

  /** Bytes that wait or are with the system. */
  get queuedBytes(): number {
    return this.#waitingBytes + this.#inFlightBytes;
  }

  /** Whether enough waits to be sent at once. */
  get isFull(): boolean {
    return this.#waitingBytes >= SEND_BYTES_MIN;
  }

  /** Takes a region and one reference on its buffer. Nothing is written before {@link send}. */
  push(offset: number, length: number, bufferId: BufferId): void {
    this.#regions++;
    if (this.#state !== OPEN || length === 0) {
      this.#lostBytes += length;
      this.#pool.release(bufferId);
      return;
    }
    this.#waitingBytes += length;
    const waiting = this.#waiting;
    const last = waiting.length - REGION_FIELDS;
    if (
      last >= this.#head &&
      waiting[last + BUFFER] === bufferId &&
      waiting[last + OFFSET] + waiting[last + LENGTH] === offset
    ) {
      waiting[last + LENGTH] += length;
      this.#pool.release(bufferId);
      return;
    }
    waiting.push(offset, length, bufferId);
  }

  /**
   * Starts a write with what waits, unless one is under way: then it goes with the next.
   *
   * A stream that throws is destroyed with what it threw, which is thrown on from a microtask:
   * whoever sends for many links goes on with the next.
   */
  send(): void {
    if (this.#inFlight > 0 || this.#waiting.length === 0) return;
    assert(this.#state === OPEN, 'nothing waits that is lost');
    if (this.#direct === undefined) {
      this.#sendByStream();
    } else if (!this.#isEnlisted) {
      this.#isEnlisted = true;
      this.#direct.enlist(this);
    }
  }

  #sendByStream(): void {
    try {
      this.#write();
    } catch (error) {
      this.#fail(error);
    }
  }

  #write(): void {
    assert(this.#inFlight === 0, 'one write at a time is under way');
    const socket = this.#socket;
    const regions = this.#countRegions();
    this.#writes++;
    this.#take(regions);
    this.invariants();
    if (regions === 1) {
      socket.write(this.#chunk(0), this.#onWritten);
      return;
    }
    // One callback, on the last: the stream makes one `writev` of all that was written while it was
    // corked.
    socket.cork();
    for (let i = 0; i < regions - 1; i++) socket.write(this.#chunk(i));
    socket.write(this.#chunk(regions - 1), this.#onWritten);
    socket.uncork();
  }

  /** How many of the waiting regions go into the next write. */
  #countRegions(): number {
    const waiting = this.#waiting;
    const count = Math.min(waiting.length / REGION_FIELDS, WRITER_ROWS);
    let regions = 0;
    for (let bytes = 0; regions < count && bytes < WRITE_BYTES_MAX; regions++) {
      bytes += waiting[regions * REGION_FIELDS + LENGTH];
    }
    return regions;
  }

  // ── For the direct writes ─────────────────────────────────────────────────────────────

  fill(table: Int32Array, row: number): number {
    assert(this.#isEnlisted, 'who fills the table is enlisted');
    this.#isEnlisted = false;
    const waiting = this.#waiting;
    if (this.#inFlight > 0 || waiting.length === 0) return 0;
    const descriptor = openDescriptor(this.#socket as Socket);
    if (descriptor < 0) {
      this.#sendByStream();
      return 0;
    }
    const regions = this.#countRegions();
    let at = row * WRITE_WORDS;
    for (let i = 0; i < regions * REGION_FIELDS; i += REGION_FIELDS, at += WRITE_WORDS) {
      table[at + WRITE_SOCKET] = descriptor;
      table[at + WRITE_OFFSET] = waiting[i + OFFSET];
      table[at + WRITE_LENGTH] = waiting[i + LENGTH];
    }
    return regions;
  }

  settle(table: Int32Array, row: number, rows: number): boolean {
    const waiting = this.#waiting;
    assert(this.#inFlight === 0, 'direct writes leave nothing under way');
    assert(rows * REGION_FIELDS <= waiting.length, 'what was written waits until it is settled');
    let sent = 0;
    let regions = 0;
    let result = 0;
    for (let at = row * WRITE_WORDS; regions < rows; regions++, at += WRITE_WORDS) {
      result = table[at + WRITE_RESULT];
      if (result > 0) sent += result;
      if (result < table[at + WRITE_LENGTH]) break;
    }
    if (sent > 0) {
      this.#writes++;
      this.#directWrites++;
    }
    this.#bytesWritten += sent;
    this.#waitingBytes -= sent;
    assert(this.#waitingBytes >= 0, 'the system takes no more than it was given');
    this.#head = regions * REGION_FIELDS;
    this.#removeSent();
    if (regions === rows) {
      this.#isEnlisted = waiting.length > 0;
      return this.#isEnlisted;
    }
    if (result === -ENOTSOCK) this.#direct = undefined;
    if (result > 0) {
      waiting[OFFSET] += result;
      waiting[LENGTH] -= result;
    }
    if (result > 0 || result === -EAGAIN || result === -ENOBUFS || result === -ENOTSOCK) {
      this.#sendByStream();
    } else {
      this.discard();
      this.#socket.destroy(writeError(-result));
    }
    return false;
  }

  written(): void {
    this.#onDone();
  }

  #fail(error: unknown): void {
    if (this.#state !== FAILED) this.#becomeFailed();
    this.#socket.destroy(error instanceof Error ? error : new Error(String(error)));
    throwLater(error);
  }

  /** What the stream had is lost: it is not asked for it any more. */
  #becomeFailed(): void {
    assert(this.#state !== FAILED, 'a stream fails once');
    this.#lostBytes += this.#inFlightBytes;
    this.#removeSent();
    this.discard();
    this.#state = FAILED;
    this.invariants();
  }

  /**
   * Releases what waits and refuses what comes, which counts as lost. What the system has is
   * released in its callback.
   */
  discard(): void {
    if (this.#state !== OPEN) return;
    this.#state = DISCARDING;
    const waiting = this.#waiting;
    for (let i = this.#head; i < waiting.length; i += REGION_FIELDS) {
      this.#pool.release(waiting[i + BUFFER] as BufferId);
    }
    waiting.length = this.#head;
    this.#lostBytes += this.#waitingBytes;
    this.#waitingBytes = 0;
    this.invariants();
  }

  /**
   * The stream has closed. What it was given in copies it may never call back; where it was not,
   * the system may still read it, and does.
   */
  streamClosed(): void {
    if (this.#copying && this.#inFlight > 0) this.#becomeFailed();
  }

  /** Counts bytes that were to be sent and never came here. */
  lose(bytes: number): void {
    this.#lostBytes += bytes;
  }

  stats(): OutboxStats {
    return {
      bytesWritten: this.#bytesWritten,
      writes: this.#writes,
      directWrites: this.#directWrites,
      regions: this.#regions,
      queuedBytes: this.queuedBytes,
      lostBytes: this.#lostBytes,
    };
  }

  /** Gives the first regions to the system. */
  #take(regions: number): void {
    this.#inFlight = regions;
    this.#head = regions * REGION_FIELDS;
    let bytes = 0;
    for (let i = 0; i < this.#head; i += REGION_FIELDS) bytes += this.#waiting[i + LENGTH];
    this.#inFlightBytes = bytes;
    this.#waitingBytes -= bytes;
  }

  #chunk(index: number): Uint8Array {
    const at = index * REGION_FIELDS;
    const waiting = this.#waiting;
    const chunk = Buffer.from(this.#memory, waiting[at + OFFSET], waiting[at + LENGTH]);
    return this.#copying ? Buffer.from(chunk) : chunk;
  }

  /**
   * The system has done with the write, well or not: an error destroys the socket, which the link
   * hears elsewhere.
   */
  #written(): void {
    // A stream of the program's may call back twice.
    if (this.#state === FAILED || this.#inFlight === 0) return;
    if (this.#socket.destroyed) this.#lostBytes += this.#inFlightBytes;
    else this.#bytesWritten += this.#inFlightBytes;
    this.#removeSent();
    if (this.#socket.destroyed) this.discard();
    else this.send();
    this.invariants();
    this.#onDone();
  }

  /** Checks how the numbers go together. Holds between any two calls. */
  invariants(): void {
    const { length } = this.#waiting;
    const head = this.#head;
    assert(length % REGION_FIELDS === 0, 'regions wait whole');
    assert(head === this.#inFlight * REGION_FIELDS, 'what is under way comes first');
    assert(head <= length, 'what is under way is kept');
    assert(head > 0 === this.#inFlightBytes > 0, 'a write has bytes');
    assert(length > head === this.#waitingBytes > 0, 'what waits has bytes');
    assert(this.#state === OPEN || length === head, 'nothing waits that is lost');
    assert(this.#state !== FAILED || head === 0, 'a stream that has failed holds nothing');
  }

  /** Gives back what the system has had. */
  #removeSent(): void {
    const waiting = this.#waiting;
    const head = this.#head;
    for (let i = BUFFER; i < head; i += REGION_FIELDS) {
      this.#pool.release(waiting[i] as BufferId);
    }
    this.#inFlight = 0;
    this.#inFlightBytes = 0;
    this.#head = 0;
    if (head === waiting.length) waiting.length = 0;
    else waiting.splice(0, head);
  }
}

/** What the stream's own write would have failed with. */
function writeError(errno: number): Error {
  const code = errnoName(errno);
  return Object.assign(new Error(`write ${code}`), { code, errno: -errno, syscall: 'write' });
}
