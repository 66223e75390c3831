// SPDX-License-Identifier: MIT
/** `Outbox`: the queue of regions that a `TcpLink` sends, in few system calls. */

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
import { HeldBuffers } from '../egress/held-buffers.ts';
import type { WritingStats } from '../link.ts';
import { type DirectWriter, DirectWrites, WRITER_ROWS } from './direct-writes.ts';
import { type HandledSocket, isPlain, openDescriptor } from './plain-socket.ts';
import { type DueWriter, WriteWait } from './write-deadline.ts';

/** Counters of an outbox. */
export interface OutboxStats extends WritingStats {
  /** How many of these writes the shim made; one call of it writes for many links. */
  readonly directWrites: number;
  /** Regions pushed; adjacent regions that are joined while they wait still count one each. */
  readonly regions: number;
}

/**
 * Approximate bytes of one write. Larger ones are hardly cheaper (a KiB took 277 ns in writes of
 * 64 KiB, 205 of 256 KiB, 160 to 200 of 1 MiB; loopback, Node 20, November 2026), and all buffers
 * of a write are released together: a slow peer should not hold megabytes until the last byte.
 */
const WRITE_BYTES_MAX = 256 * 1024;

/** With this many bytes waiting, a larger write would hardly be cheaper: they are sent at once. */
const SEND_BYTES_MIN = 16 * 1024;

/** Words of one waiting region: offset, length, buffer. */
const OFFSET = 0;
const LENGTH = 1;
const BUFFER = 2;
const REGION_FIELDS = 3;
/** Regions for which an idle outbox keeps room: making it anew for each batch takes longer. */
const IDLE_REGIONS = 64;

/** Regions are sent. */
const OPEN = 'open';
/** New regions are lost. The system may still be reading the regions of the last write. */
const DISCARDING = 'discarding';
/** The stream threw or closed. A callback that still comes is ignored. */
const FAILED = 'failed';
type OutboxState = typeof OPEN | typeof DISCARDING | typeof FAILED;

/** Receives an outbox's events. */
export interface OutboxOwner {
  /** A write has ended. */
  wrote(): void;
  /** The peer has taken nothing for `writeTimeoutMs`. */
  writeLate(detail: string): void;
}

/** After these errors the stream writes: it can wait for room, and it need not be a socket. */
const { EAGAIN, ENOBUFS, ENOTSOCK } = constants.errno;

/**
 * Takes regions, and writes them with one write in flight at a time.
 *
 * Regions pushed during a write wait, and the next write takes all of them; so a busy socket
 * batches by itself. A region's reference is released in the write's callback, not before: until
 * then the system reads the bytes.
 *
 * With the shim the bytes go directly to a plain socket's descriptor, past the stream, and the
 * references are released as soon as the system has copied the bytes. What the system does not take
 * at once goes through the stream, and later regions wait for that; so the order is kept.
 *
 * **Ownership** `push` takes one reference per region. **Threads** the socket's.
 */
export class Outbox implements DirectWriter, DueWriter {
  readonly #pool: BufferPool;
  readonly #memory: SharedArrayBuffer;
  readonly #socket: Duplex;
  /** True if the stream may keep chunks after its callback: it gets copies. */
  readonly #copying: boolean;
  readonly #owner: OutboxOwner;
  /** The buffers of waiting regions and of those in flight. */
  readonly held: HeldBuffers;
  readonly #wait: WriteWait;
  readonly #onWritten: () => void;
  #direct: DirectWrites | undefined;
  #isEnlisted = false;

  /** Regions, REGION_FIELDS numbers each: in flight before #head, waiting from there to #end. */
  readonly #queue: number[] = [];
  #head = 0;
  #end = 0;
  #inFlight = 0;
  #inFlightBytes = 0;
  #waitingBytes = 0;
  #state: OutboxState = OPEN;

  #bytesWritten = 0;
  #writes = 0;
  #directWrites = 0;
  #regions = 0;
  #lostBytes = 0;

  constructor(
    pool: BufferPool,
    socket: Duplex,
    copying: boolean,
    writeTimeoutMs: number,
    owner: OutboxOwner,
  ) {
    this.#pool = pool;
    this.#memory = pool.bytes.buffer;
    this.#socket = socket;
    this.#copying = copying;
    this.#owner = owner;
    this.held = new HeldBuffers(pool);
    this.#wait = new WriteWait(this, writeTimeoutMs);
    this.#onWritten = () => this.#written();
    this.#direct = !copying && isPlain(socket) ? DirectWrites.forPool(pool) : undefined;
  }

  /** Bytes that wait or are in flight. */
  get queuedBytes(): number {
    return this.#waitingBytes + this.#inFlightBytes;
  }

  /** For {@link WriteWait}: counts also what the system has taken of the write in flight. */
  get progress(): number {
    const left = (this.#socket as Partial<HandledSocket>)._handle?.writeQueueSize ?? 0;
    return this.#bytesWritten + this.#inFlightBytes - left;
  }

  /** For {@link WriteWait}. */
  writeLate(detail: string): void {
    this.#owner.writeLate(detail);
  }

  /** Whether enough waits to be sent at once. */
  get isFull(): boolean {
    return this.#waitingBytes >= SEND_BYTES_MIN;
  }

  /** Takes a region and one reference on its buffer. {@link send} writes it. */
  push(offset: number, length: number, bufferId: BufferId): void {
    this.#regions++;
    if (this.#state !== OPEN || length === 0) {
      this.#lostBytes += length;
      this.#pool.release(bufferId);
      return;
    }
    this.#waitingBytes += length;
    const queue = this.#queue;
    const end = this.#end;
    const last = end - REGION_FIELDS;
    if (
      last >= this.#head &&
      queue[last + BUFFER] === bufferId &&
      queue[last + OFFSET] + queue[last + LENGTH] === offset
    ) {
      queue[last + LENGTH] += length;
      this.#pool.release(bufferId);
      return;
    }
    queue[end + OFFSET] = offset;
    queue[end + LENGTH] = length;
    queue[end + BUFFER] = bufferId;
    this.#end = end + REGION_FIELDS;
    this.held.add(bufferId);
  }

  /**
   * Starts a write of the waiting regions. If one is in flight, the next one takes them.
   *
   * If the stream throws, it is destroyed with that error, which is rethrown from a microtask: the
   * caller may be sending for many links.
   */
  send(): void {
    if (this.#inFlight > 0 || this.#end === 0) return;
    assert(this.#state === OPEN, 'only an open outbox has waiting regions');
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
    assert(this.#inFlight === 0, 'one write at a time is in flight');
    const socket = this.#socket;
    const regions = this.#countRegions();
    this.#writes++;
    this.#take(regions);
    this.#wait.begin();
    this.invariants();
    if (regions === 1) {
      socket.write(this.#chunk(0), this.#onWritten);
      return;
    }
    // One callback, on the last: the stream makes one `writev` of everything written while corked.
    socket.cork();
    for (let i = 0; i < regions - 1; i++) socket.write(this.#chunk(i));
    socket.write(this.#chunk(regions - 1), this.#onWritten);
    socket.uncork();
  }

  /** The number of waiting regions that go into the next write. */
  #countRegions(): number {
    const queue = this.#queue;
    const count = Math.min(this.#end / REGION_FIELDS, WRITER_ROWS);
    let regions = 0;
    for (let bytes = 0; regions < count && bytes < WRITE_BYTES_MAX; regions++) {
      bytes += queue[regions * REGION_FIELDS + LENGTH];
    }
    return regions;
  }

  // ── For the direct writes ─────────────────────────────────────────────────────────────

  fill(table: Int32Array, row: number): number {
    assert(this.#isEnlisted, 'only an enlisted outbox fills the table');
    this.#isEnlisted = false;
    const queue = this.#queue;
    if (this.#inFlight > 0 || this.#end === 0) return 0;
    const descriptor = openDescriptor(this.#socket as Socket);
    if (descriptor < 0) {
      this.#sendByStream();
      return 0;
    }
    const regions = this.#countRegions();
    let at = row * WRITE_WORDS;
    for (let i = 0; i < regions * REGION_FIELDS; i += REGION_FIELDS, at += WRITE_WORDS) {
      table[at + WRITE_SOCKET] = descriptor;
      table[at + WRITE_OFFSET] = queue[i + OFFSET];
      table[at + WRITE_LENGTH] = queue[i + LENGTH];
    }
    return regions;
  }

  settle(table: Int32Array, row: number, rows: number): boolean {
    const queue = this.#queue;
    assert(this.#inFlight === 0, 'direct writes leave nothing in flight');
    assert(rows * REGION_FIELDS <= this.#end, 'written regions wait until they are settled');
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
      this.#isEnlisted = this.#end > 0;
      return this.#isEnlisted;
    }
    if (result === -ENOTSOCK) this.#direct = undefined;
    if (result > 0) {
      queue[OFFSET] += result;
      queue[LENGTH] -= result;
    }
    if (result > 0 || result === -EAGAIN || result === -ENOBUFS || result === -ENOTSOCK) {
      this.#sendByStream();
    } else {
      this.close();
      this.#socket.destroy(writeError(-result));
    }
    return false;
  }

  written(): void {
    this.#owner.wrote();
  }

  #fail(error: unknown): void {
    if (this.#state !== FAILED) this.#becomeFailed();
    this.#socket.destroy(error instanceof Error ? error : new Error(String(error)));
    throwLater(error);
  }

  /** The transition to FAILED: regions in flight are lost. */
  #becomeFailed(): void {
    assert(this.#state !== FAILED, 'a stream fails once');
    this.#lostBytes += this.#inFlightBytes;
    this.#removeSent();
    this.close();
    this.#state = FAILED;
    this.invariants();
  }

  /**
   * Releases what waits, and from now on each region that is pushed; they count as lost. Regions in
   * flight are released in the write's callback.
   */
  close(): void {
    if (this.#state !== OPEN) return;
    this.#state = DISCARDING;
    const queue = this.#queue;
    const end = this.#end;
    this.held.removeFrom(this.#head, end, queue, REGION_FIELDS, BUFFER);
    for (let i = this.#head; i < end; i += REGION_FIELDS) {
      this.#pool.release(queue[i + BUFFER] as BufferId);
    }
    this.#end = this.#head;
    this.#lostBytes += this.#waitingBytes;
    this.#waitingBytes = 0;
    this.invariants();
  }

  /**
   * Called when the stream has closed. A stream that got copies may never call back; otherwise the
   * system may still read the regions, and the callback will come.
   */
  streamClosed(): void {
    if (this.#copying && this.#inFlight > 0) this.#becomeFailed();
  }

  /** Counts bytes as lost that never reached the outbox. */
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

  /** Marks the first regions as in flight. */
  #take(regions: number): void {
    this.#inFlight = regions;
    this.#head = regions * REGION_FIELDS;
    let bytes = 0;
    for (let i = 0; i < this.#head; i += REGION_FIELDS) bytes += this.#queue[i + LENGTH];
    this.#inFlightBytes = bytes;
    this.#waitingBytes -= bytes;
  }

  #chunk(index: number): Uint8Array {
    const at = index * REGION_FIELDS;
    const queue = this.#queue;
    const chunk = Buffer.from(this.#memory, queue[at + OFFSET], queue[at + LENGTH]);
    return this.#copying ? Buffer.from(chunk) : chunk;
  }

  /**
   * The write's callback. Ignores errors: each one destroys the socket, and the link listens to the
   * socket's events.
   */
  #written(): void {
    // A user's stream may call back twice.
    if (this.#state === FAILED || this.#inFlight === 0) return;
    if (this.#socket.destroyed) this.#lostBytes += this.#inFlightBytes;
    else this.#bytesWritten += this.#inFlightBytes;
    this.#removeSent();
    if (this.#socket.destroyed) this.close();
    else this.send();
    this.invariants();
    this.#owner.wrote();
  }

  /** Asserts that the fields agree, as they do between any two calls. */
  invariants(): void {
    const head = this.#head;
    const end = this.#end;
    assert(end <= this.#queue.length, 'each region is listed');
    assert(end % REGION_FIELDS === 0, 'each region has all its fields');
    assert(head === this.#inFlight * REGION_FIELDS, 'regions in flight come first');
    assert(head <= end, 'regions in flight are kept');
    assert(head > 0 === this.#inFlightBytes > 0, 'a write in flight has bytes');
    assert(end > head === this.#waitingBytes > 0, 'waiting regions have bytes');
    assert(end > 0 === this.held.count > 0, 'regions lie in buffers');
    assert(this.#state === OPEN || end === head, 'only an open outbox has waiting regions');
    assert(this.#state !== FAILED || head === 0, 'a stream that has failed holds nothing');
  }

  /** Releases the regions before #head. */
  #removeSent(): void {
    const queue = this.#queue;
    const head = this.#head;
    const end = this.#end;
    this.held.removeBefore(head, end, queue, REGION_FIELDS, BUFFER);
    for (let i = BUFFER; i < head; i += REGION_FIELDS) {
      this.#pool.release(queue[i] as BufferId);
    }
    this.#inFlight = 0;
    this.#inFlightBytes = 0;
    this.#head = 0;
    this.#end = end - head;
    if (head < end) {
      queue.length = end;
      queue.splice(0, head);
    } else if (queue.length > IDLE_REGIONS * REGION_FIELDS) {
      queue.length = 0;
    }
  }
}

/** The error with which the stream's own write would have failed. */
function writeError(errno: number): Error {
  const code = errnoName(errno);
  return Object.assign(new Error(`write ${code}`), { code, errno: -errno, syscall: 'write' });
}
