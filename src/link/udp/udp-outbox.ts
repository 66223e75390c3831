// SPDX-License-Identifier: MIT
/** `UdpOutbox`: the queue of regions that a `UdpLink` sends, cut into batches of datagrams. */

import { constants } from 'node:os';
import { assert } from '../../base/assert.ts';
import {
  OUT_ADDRESS,
  OUT_LENGTH,
  OUT_OFFSET,
  OUT_SEGMENT,
  OUT_WORDS,
  SENT_CALLS,
  SENT_CLEARED,
  SENT_ERROR,
  SENT_RUN,
  SENT_WORDS,
} from '../../native/udp.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { WritingStats } from '../link.ts';
import { AddressTable } from './udp-address-table.ts';
import { PREFIX_BYTES } from './udp-intake.ts';
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
  /** Datagrams that the system refused to send: too long, or no route. */
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

/** How a region is cut into datagrams. CUT_WHOLE: it is one datagram. */
export const CUT_WHOLE = 0;
/** Messages with lengths; each is a datagram, without the length. */
export const CUT_MESSAGES = 1;
/** Messages with lengths; a datagram holds as many as fit, with lengths. */
export const CUT_PACKED = 2;
/** Datagrams of a fixed size. */
export const CUT_EQUAL = 3;
export type Cut = typeof CUT_WHOLE | typeof CUT_MESSAGES | typeof CUT_PACKED | typeof CUT_EQUAL;

/** Datagrams in one call of the shim. */
const ROWS_MAX = 1024;
/** Most bytes of a message that the kernel segments: those of the longest IPv4 datagram. */
const RUN_BYTES_MAX = 65_507;
/** With so many bytes waiting, a larger batch would not be cheaper, so they are sent at once. */
const SEND_BYTES_MIN = 64 * 1024;
/** Counted for each region besides its bytes, so that empty datagrams are bounded as well. */
const REGION_COST_BYTES = 64;
/** Refusals in a row after which the kernel is no longer asked to segment. */
const SEGMENT_REFUSALS_MAX = 16;

/** Regions may be sent. */
const READY = 'ready';
/** The socket has no room. */
const BLOCKED = 'blocked';
/** New regions are lost. */
const CLOSED = 'closed';
type UdpOutboxState = typeof READY | typeof BLOCKED | typeof CLOSED;

/** Words of a waiting region. */
const BEGIN = 0;
const END = 1;
const BUFFER = 2;
const CUT = 3;
const ADDRESS = 4;
const REGION_FIELDS = 5;

/** The datagrams of one send. One table per thread suffices: nothing waits in it. */
const table = new Int32Array(ROWS_MAX * OUT_WORDS);
/** The region of each row. */
const marks = new Int32Array(ROWS_MAX);
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
  /** Destinations of the regions. */
  readonly addresses: AddressTable = new AddressTable();
  private readonly pool: BufferPool;
  private readonly writersCut: Cut;
  private readonly datagramBytes: number;
  /** Set by {@link open}. */
  private opened: { readonly owner: UdpOutboxOwner; readonly socket: UdpSocket } | undefined;
  private segments = 0;
  private segmentRefusals = 0;

  /** REGION_FIELDS numbers each. */
  private readonly waiting: number[] = [];
  private waitingBytes = 0;
  private state: UdpOutboxState = READY;
  private isSending = false;
  /** True while the first datagram is tried again, since the error may concern an earlier one. */
  private isRetrying = false;
  /** An unreachable destination's error, until the retry shows which datagram was lost; or 0. */
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
    this.datagramBytes = datagramBytes;
  }

  open(owner: UdpOutboxOwner, socket: UdpSocket, segmenting: boolean): void {
    assert(this.opened === undefined, 'an outbox is opened once');
    this.opened = { owner, socket };
    this.segments = segmenting ? socket.segmentsMax : 0;
  }

  /** Waiting bytes, as `highWaterBytes` counts them. */
  get queuedBytes(): number {
    return this.waitingBytes;
  }

  /** Whether so much waits that it should be sent now, not at the end of the event loop's turn. */
  get isFull(): boolean {
    return this.waitingBytes >= SEND_BYTES_MIN;
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
    if (this.isClosed) {
      this.lostBytes += length;
      this.pool.release(bufferId);
      return;
    }
    this.waitingBytes += length + REGION_COST_BYTES;
    this.addresses.hold(address);
    this.waiting.push(offset, offset + length, bufferId, cut, address);
  }

  /** Releases a writer's hold on this row of {@link addresses}. */
  releaseRow(address: number): void {
    this.addresses.releaseRow(address);
  }

  /** Called when the socket has room again. */
  unblock(): void {
    if (!this.blocked) return;
    assert(this.waiting.length > 0, 'a blocked outbox has something to send');
    this.state = READY;
    this.send();
    if (!this.blocked) this.owner.watch();
  }

  /** Sends as many datagrams as the socket takes. */
  send(): void {
    if (this.isSending || this.blocked || this.isClosed || this.waiting.length === 0) return;
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
    const { waiting, addresses, pool } = this;
    for (let i = 0; i < waiting.length; i += REGION_FIELDS) {
      addresses.releaseRow(waiting[i + ADDRESS]);
      this.lostBytes += waiting[i + END] - waiting[i + BEGIN];
      pool.release(waiting[i + BUFFER] as BufferId);
    }
    waiting.length = 0;
    this.waitingBytes = 0;
    this.invariants();
  }

  /** Counts as lost a datagram of so many bytes that was counted as written. */
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
      queuedBytes: this.waitingBytes,
      lostDatagrams: this.lostDatagrams,
      lostBytes: this.lostBytes,
    };
  }

  /** Asserts that the fields agree, as they do between any two calls. */
  invariants(): void {
    const { length } = this.waiting;
    assert(length % REGION_FIELDS === 0, 'each region has all its fields');
    const costBytes = (length / REGION_FIELDS) * REGION_COST_BYTES;
    assert(this.waitingBytes >= costBytes, 'each waiting region is counted');
    assert(length > 0 || this.waitingBytes === 0, 'without regions nothing is counted');
    assert(length === 0 || !this.isClosed, 'a closed outbox has no regions');
    assert(this.unreachable === 0 || this.isRetrying, 'an error is kept only during a retry');
    assert(this.segmentRefusals <= SEGMENT_REFUSALS_MAX, 'refusals of segmentation are bounded');
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
        this.tellUnreachable();
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
      } else if (isAboutEarlier(error) && !(this.isRetrying && done === 0)) {
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
  private tellUnreachable(): void {
    const error = this.unreachable;
    if (error === 0) return;
    this.unreachable = 0;
    this.owner.sendFailed(error, 1);
  }

  /** Drops the first waiting datagrams: one, or a run that was refused as one message. */
  private drop(count: number, segments: number, error: number): void {
    const rows = this.cut(count, segments);
    const datagrams = this.advance(rows, false);
    this.owner.sendFailed(error, datagrams);
  }

  /** Fills the table with the first waiting datagrams; returns the number of rows. */
  private cut(rowsMax: number, segments: number): number {
    const { waiting } = this;
    let rows = 0;
    for (let r = 0; r < waiting.length && rows < rowsMax; r += REGION_FIELDS) {
      const cut = waiting[r + CUT];
      if (cut === CUT_MESSAGES) rows = this.cutMessages(r, rows, rowsMax);
      else if (cut === CUT_PACKED) rows = this.cutPacked(r, rows, rowsMax);
      else if (cut === CUT_EQUAL) rows = this.cutEqual(r, rows, rowsMax, segments);
      else rows = this.cutRow(r, rows, waiting[r + END], 0);
    }
    // All regions are empty.
    if (rows === 0) this.releaseBefore(waiting.length);
    return rows;
  }

  /** Cuts equal datagrams; up to `segments` of them are one row. */
  private cutEqual(r: number, rows: number, rowsMax: number, segments: number): number {
    const { waiting, datagramBytes } = this;
    const end = waiting[r + END];
    const count = Math.max(1, Math.min(segments, Math.trunc(RUN_BYTES_MAX / datagramBytes)));
    const bytes = count * datagramBytes;
    const begin = waiting[r + BEGIN];
    let row = rows;
    for (let at = begin; at < end && row < rowsMax; at += bytes) {
      waiting[r + BEGIN] = at;
      this.cutRow(r, row++, Math.min(at + bytes, end), datagramBytes);
    }
    waiting[r + BEGIN] = begin;
    return row;
  }

  /** Makes a row of a region's rest up to `end`. Returns the next row. */
  private cutRow(r: number, row: number, end: number, segment: number): number {
    const { waiting } = this;
    const w = row * OUT_WORDS;
    const at = waiting[r + BEGIN];
    table[w + OUT_OFFSET] = at;
    table[w + OUT_LENGTH] = end - at;
    table[w + OUT_ADDRESS] = waiting[r + ADDRESS];
    table[w + OUT_SEGMENT] = end - at > segment ? segment : 0;
    marks[row] = r;
    return row + 1;
  }

  private cutMessages(r: number, rows: number, rowsMax: number): number {
    const { waiting } = this;
    const { bytes } = this.pool;
    const end = waiting[r + END];
    const address = waiting[r + ADDRESS];
    let at = waiting[r + BEGIN];
    let row = rows;
    while (at < end && row < rowsMax) {
      const begin = at + PREFIX_BYTES;
      const length = begin > end ? end : (bytes[at] << 8) | bytes[at + 1];
      at = begin + length;
      if (at > end) {
        this.cutOff(r, begin - PREFIX_BYTES);
        break;
      }
      marks[row] = r;
      const w = row++ * OUT_WORDS;
      table[w + OUT_OFFSET] = begin;
      table[w + OUT_LENGTH] = length;
      table[w + OUT_ADDRESS] = address;
      table[w + OUT_SEGMENT] = 0;
    }
    return row;
  }

  private cutPacked(r: number, rows: number, rowsMax: number): number {
    const { waiting, datagramBytes } = this;
    const { bytes } = this.pool;
    const address = waiting[r + ADDRESS];
    let end = waiting[r + END];
    let at = waiting[r + BEGIN];
    let row = rows;
    while (at < end && row < rowsMax) {
      const begin = at;
      const limit = begin + datagramBytes;
      do {
        const next = at + PREFIX_BYTES + ((bytes[at] << 8) | bytes[at + 1]);
        if (next > end || at + PREFIX_BYTES > end) {
          end = at;
          break;
        }
        if (next > limit && at > begin) break;
        at = next;
      } while (at < end);
      if (end < waiting[r + END]) this.cutOff(r, end);
      if (at === begin) break;
      marks[row] = r;
      const w = row++ * OUT_WORDS;
      table[w + OUT_OFFSET] = begin;
      table[w + OUT_LENGTH] = at - begin;
      table[w + OUT_ADDRESS] = address;
      table[w + OUT_SEGMENT] = 0;
    }
    return row;
  }

  /** Drops a region's rest from `at`: it is not a message, so no later one can be found. */
  private cutOff(r: number, at: number): void {
    const bytes = this.waiting[r + END] - at;
    this.waiting[r + END] = at;
    this.waitingBytes -= bytes;
    this.lostBytes += bytes;
    this.malformedBytes += bytes;
  }

  /** Removes the first `rows` rows, which were sent or lost. Returns the number of datagrams. */
  private advance(rows: number, wereSent: boolean): number {
    if (rows === 0) return 0;
    assert(this.isSending, 'rows are cut to be sent at once');
    const { waiting } = this;
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
    const last = (rows - 1) * OUT_WORDS;
    const r = marks[rows - 1];
    const end = table[last + OUT_OFFSET] + table[last + OUT_LENGTH];
    this.waitingBytes -= end - waiting[r + BEGIN];
    waiting[r + BEGIN] = end;
    this.releaseBefore(end === waiting[r + END] ? r + REGION_FIELDS : r);
    return datagrams;
  }

  /** Releases the first regions, up to `index`. */
  private releaseBefore(index: number): void {
    if (index === 0) return;
    const { waiting, addresses, pool } = this;
    for (let i = 0; i < index; i += REGION_FIELDS) {
      this.waitingBytes -= waiting[i + END] - waiting[i + BEGIN] + REGION_COST_BYTES;
      addresses.releaseRow(waiting[i + ADDRESS]);
      pool.release(waiting[i + BUFFER] as BufferId);
    }
    if (index === waiting.length) waiting.length = 0;
    else waiting.splice(0, index);
  }
}

/** The error of a refusal that the shim has read and cleared during a call. */
const REFUSED: number = constants.errno.ECONNREFUSED;

/** Number of datagrams in `count` rows of the table from `row` on. */
function datagramsOf(row: number, count: number): number {
  let datagrams = 0;
  for (let w = row * OUT_WORDS; w < (row + count) * OUT_WORDS; w += OUT_WORDS) {
    const segment = table[w + OUT_SEGMENT];
    datagrams += segment > 0 ? Math.ceil(table[w + OUT_LENGTH] / segment) : 1;
  }
  return datagrams;
}
