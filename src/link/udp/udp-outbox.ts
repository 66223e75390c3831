// SPDX-License-Identifier: MIT
/** `UdpOutbox`: the writing half of a `UdpLink`. Sends the datagrams of waiting regions. */

import { constants } from 'node:os';
import { assert } from '../../base/assert.ts';
import {
  OUT_LENGTH,
  OUT_WORDS,
  SENT_CALLS,
  SENT_CLEARED,
  SENT_ERROR,
  SENT_RUN,
  SENT_WORDS,
} from '../../native/udp.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { HeldBuffers } from '../egress/held-buffers.ts';
import type { WritingStats } from '../link.ts';
import { type Cut, datagramsOf, RegionQueue, ROWS_MAX, table } from './region-queue.ts';
import type { AddressTable } from './udp-address-table.ts';
import {
  isAboutEarlier,
  isAboutSegments,
  isNotNow,
  isRefusal,
  type UdpSocket,
} from './udp-socket.ts';

/** Counters of an outbox. */
export interface UdpOutboxStats extends WritingStats {
  /** Datagrams that the system has taken. */
  readonly datagramsWritten: number;
  /** Datagrams refused by the system, too long or without a route, or unsent at the link's end. */
  readonly lostDatagrams: number;
}

/** Receives an outbox's events. */
export interface UdpOutboxOwner {
  /** `count` datagrams were refused, now or earlier. */
  sendFailed(errno: number, count: number): void;
  /** The kernel has taken waiting datagrams. */
  sentSome(): void;
  /** `blocked` has changed. */
  watch(): void;
  /** Bytes that a writer wrote are not messages with lengths. */
  sendMalformed(bytes: number): void;
}

/** With this many bytes waiting, a larger batch would not be cheaper, so they are sent at once. */
const SEND_BYTES_MIN = 64 * 1024;
/** Refusals in a row after which the kernel is no longer asked to segment. */
const SEGMENT_REFUSALS_MAX = 16;

/** Regions may be sent. */
const READY = 'ready';
/** The socket has no room. */
const BLOCKED = 'blocked';
/** New regions are lost. */
const CLOSED = 'closed';
type UdpOutboxState = typeof READY | typeof BLOCKED | typeof CLOSED;

/** The shim's report on the last send. */
const sent = new Int32Array(SENT_WORDS);

/**
 * Takes regions, and sends tables of datagrams.
 *
 * The system copies datagrams before it returns, so a region is released as soon as its last
 * datagram was sent. What the system does not take now stays in its regions, and is cut again.
 *
 * **Ownership** `push` takes one reference per region.
 */
export class UdpOutbox {
  private readonly pool: BufferPool;
  private readonly writersCut: Cut;
  /** Set by {@link open}. */
  private opened: { readonly owner: UdpOutboxOwner; readonly socket: UdpSocket } | undefined;
  private readonly queue: RegionQueue;
  private segments = 0;
  private segmentRefusals = 0;

  private state: UdpOutboxState = READY;
  private isSending = false;
  /** True while the first datagram is tried again, since the error may concern an earlier one. */
  private isRetrying = false;
  /** The error of an unreachable destination, until a retry shows which datagram was lost; or 0. */
  private unreachable = 0;
  /** Malformed bytes not yet reported. */
  private malformedBytes = 0;

  private datagramsWritten = 0;
  private bytesWritten = 0;
  private writes = 0;
  private lostDatagrams = 0;
  private lostBytes = 0;

  /**
   * `writersCut`: how regions of writers are cut; `datagramBytes`: the largest size of a packed
   * datagram, or the size of equal ones.
   */
  constructor(pool: BufferPool, writersCut: Cut, datagramBytes: number) {
    this.pool = pool;
    this.writersCut = writersCut;
    this.queue = new RegionQueue(pool, datagramBytes);
  }

  /** Counts as part of that holder; before the first region. */
  holdAs(holder: number): void {
    this.queue.held.holdAs(holder);
  }

  open(owner: UdpOutboxOwner, socket: UdpSocket, segmenting: boolean): void {
    assert(this.opened === undefined, 'an outbox is opened once');
    this.opened = { owner, socket };
    this.segments = segmenting ? socket.segmentsMax : 0;
  }

  get held(): HeldBuffers {
    return this.queue.held;
  }

  /** Destinations of the regions. */
  get addresses(): AddressTable {
    return this.queue.addresses;
  }

  /** Waiting bytes, as `highWaterBytes` counts them. */
  get queuedBytes(): number {
    return this.queue.bytes;
  }

  /** Whether so much waits that it should be sent now, not at the end of the event loop's turn. */
  get isFull(): boolean {
    return this.queue.bytes >= SEND_BYTES_MIN;
  }

  /** Whether the socket has no room. */
  get blocked(): boolean {
    return this.state === BLOCKED;
  }

  private get isClosed(): boolean {
    return this.state === CLOSED;
  }

  private get owner(): UdpOutboxOwner {
    assert(this.opened !== undefined, 'the outbox is open');
    return this.opened.owner;
  }

  private get socket(): UdpSocket {
    assert(this.opened !== undefined, 'the outbox is open');
    return this.opened.socket;
  }

  /**
   * Takes a region and one reference on its buffer, and holds its row of {@link addresses} until
   * {@link send} has sent it.
   */
  push(
    offset: number,
    length: number,
    bufferId: BufferId,
    address: number,
    cut: Cut = this.writersCut,
  ): void {
    this.queue.push(offset, length, bufferId, address, cut);
    if (this.isClosed) this.loseAll();
  }

  /** Releases a writer's hold on this row of {@link addresses}. */
  releaseRow(address: number): void {
    this.addresses.releaseRow(address);
  }

  /** Called when the socket has room again. */
  unblock(): void {
    if (!this.blocked) return;
    assert(!this.queue.isEmpty, 'a blocked outbox has something to send');
    this.state = READY;
    this.send();
    if (!this.blocked) this.owner.watch();
  }

  /** Sends as many datagrams as the socket takes. */
  send(): void {
    if (this.isSending || this.blocked || this.isClosed || this.queue.isEmpty) return;
    this.isSending = true;
    try {
      this.sendAll();
    } finally {
      this.isSending = false;
    }
    this.invariants();
    const { malformedBytes } = this;
    this.malformedBytes = 0;
    if (malformedBytes > 0 && !this.isClosed) this.owner.sendMalformed(malformedBytes);
    if (!this.isClosed) this.owner.sentSome();
  }

  /** Releases waiting and later regions, which count as lost. */
  close(): void {
    if (this.isClosed) return;
    this.state = CLOSED;
    this.loseAll();
    // A region that comes later stays no longer than `push`; the link's holder may be gone by then.
    this.held.holdAs(this.pool.holder());
  }

  /** Counts as lost a datagram of this many bytes that was counted as written. */
  takeBack(bytes: number): void {
    this.datagramsWritten--;
    this.bytesWritten -= bytes;
    this.lostDatagrams++;
    this.lostBytes += bytes;
  }

  /** Counts bytes as lost that never reached the outbox. */
  lose(bytes: number): void {
    this.lostBytes += bytes;
  }

  stats(): UdpOutboxStats {
    return {
      datagramsWritten: this.datagramsWritten,
      bytesWritten: this.bytesWritten,
      writes: this.writes,
      queuedBytes: this.queue.bytes,
      lostDatagrams: this.lostDatagrams,
      lostBytes: this.lostBytes,
    };
  }

  /** Asserts that the fields agree, as they do between any two calls. */
  invariants(): void {
    this.queue.invariants();
    assert(this.queue.isEmpty || !this.isClosed, 'a closed outbox has no regions');
    assert(!this.queue.isEmpty || !this.blocked, 'a blocked outbox has something to send');
    assert(this.unreachable === 0 || this.isRetrying, 'an error is kept only during a retry');
    assert(this.segmentRefusals <= SEGMENT_REFUSALS_MAX, 'refusals of segmentation are bounded');
  }

  /** Drops all regions, and counts what would have been sent of them. */
  private loseAll(): void {
    while (!this.queue.isEmpty) this.advance(this.cut(ROWS_MAX, 0), false);
    this.invariants();
  }

  private sendAll(): void {
    const { socket } = this;
    // Datagrams to send one by one, because the kernel refused to segment them.
    let single = 0;
    while (!this.isClosed) {
      const segments = single === 0 ? this.segments : 0;
      const rows = this.cut(single > 0 ? single : ROWS_MAX, segments);
      if (rows === 0) break;
      const done = socket.send(table, rows, this.addresses.words, segments, sent);
      if (done < 0) throw new Error(`the shim refuses the table: ${done}`);
      this.writes += sent[SENT_CALLS];
      // Read before a handler is called: it may send by another link, and `sent` is shared.
      const cleared = sent[SENT_CLEARED];
      const error = sent[SENT_ERROR];
      const refused = sent[SENT_RUN];
      const run = datagramsOf(done, refused);
      if (done > 0) {
        this.advance(done, true);
        this.reportUnreachable();
        // The handler may have closed the link.
        if (this.isClosed) break;
      }
      single -= Math.min(single, done);
      if (error === 0) {
        this.isRetrying = false;
        if (segments > 0 && done > 0) this.segmentRefusals = 0;
      } else if (isNotNow(error)) {
        this.state = BLOCKED;
        this.owner.watch();
      } else if (
        !socket.refusesAtOnce &&
        isAboutEarlier(error) &&
        !(this.isRetrying && done === 0)
      ) {
        this.isRetrying = true;
        if (isRefusal(error)) this.owner.sendFailed(error, 1);
        else this.unreachable = error;
      } else if (run > 1 && isAboutSegments(error)) {
        single = run;
        if (++this.segmentRefusals === SEGMENT_REFUSALS_MAX) this.segments = 0;
      } else {
        this.isRetrying = false;
        this.unreachable = 0;
        single -= Math.min(single, 1);
        this.drop(Math.max(1, Math.min(rows - done, refused)), segments, error);
      }
      if (cleared > 0 && !this.isClosed) this.owner.sendFailed(REFUSED, cleared);
      if (this.blocked) break;
    }
  }

  /** Reports an unreachable destination: the retry succeeded, so an earlier datagram was lost. */
  private reportUnreachable(): void {
    const error = this.unreachable;
    if (error === 0) return;
    this.unreachable = 0;
    this.owner.sendFailed(error, 1);
  }

  /** Fills the table with the first waiting datagrams; returns the number of rows. */
  private cut(rowsMax: number, segments: number): number {
    const rows = this.queue.cut(rowsMax, segments);
    const malformed = this.queue.takeMalformed();
    this.malformedBytes += malformed;
    this.lostBytes += malformed;
    return rows;
  }

  /** Drops the first waiting datagrams: one, or a run that was refused as one message. */
  private drop(count: number, segments: number, error: number): void {
    const rows = this.cut(count, segments);
    const datagrams = this.advance(rows, false);
    this.owner.sendFailed(error, datagrams);
  }

  /** Removes the first `rows` rows, which were sent or lost. Returns the number of datagrams. */
  private advance(rows: number, wereSent: boolean): number {
    if (rows === 0) return 0;
    assert(this.isSending || this.isClosed, 'rows are cut to be sent or lost at once');
    const datagrams = datagramsOf(0, rows);
    let bytes = 0;
    for (let w = OUT_LENGTH; w < rows * OUT_WORDS; w += OUT_WORDS) bytes += table[w];
    if (wereSent) {
      this.datagramsWritten += datagrams;
      this.bytesWritten += bytes;
    } else {
      this.lostDatagrams += datagrams;
      this.lostBytes += bytes;
    }
    this.queue.advance(rows);
    return datagrams;
  }
}

/** The error of a refusal that the shim has read and cleared during a call. */
const REFUSED: number = constants.errno.ECONNREFUSED;
