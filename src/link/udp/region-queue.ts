// SPDX-License-Identifier: MIT
/** `RegionQueue`: regions that wait to be sent over UDP, and the table of their first datagrams. */

import { assert } from '../../base/assert.ts';
import { OUT_ADDRESS, OUT_LENGTH, OUT_OFFSET, OUT_SEGMENT, OUT_WORDS } from '../../native/udp.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { HeldBuffers } from '../egress/held-buffers.ts';
import { AddressTable } from './udp-address-table.ts';
import { PREFIX_BYTES } from './udp-intake.ts';

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
export const ROWS_MAX = 1024;
/** Most bytes of a message that the kernel segments: those of the longest IPv4 datagram. */
const RUN_BYTES_MAX = 65_507;
/** Counted for each region besides its bytes, so that empty datagrams are bounded as well. */
const REGION_COST_BYTES = 64;
/** Words of a waiting region. */
const BEGIN = 0;
const END = 1;
const BUFFER = 2;
const CUT = 3;
const ADDRESS = 4;
const REGION_FIELDS = 5;

/**
 * The datagrams of one send, see {@link RegionQueue.cut}. One table per thread suffices: nothing
 * waits in it.
 */
export const table: Int32Array = new Int32Array(ROWS_MAX * OUT_WORDS);
/** The index in `waiting` of each row's region. */
const regionOfRow = new Int32Array(ROWS_MAX);

/**
 * The regions of one outbox, in order, with the destination of each.
 *
 * {@link cut} writes the first datagrams into the table, and changes nothing else; once some were
 * sent, {@link advance} removes them. What the system does not take is cut again next time.
 *
 * **Ownership** `push` takes one reference per region.
 */
export class RegionQueue {
  /** Destinations of the regions. */
  readonly addresses: AddressTable = new AddressTable();
  readonly held: HeldBuffers;
  private readonly pool: BufferPool;
  private readonly datagramBytes: number;
  /** REGION_FIELDS numbers each. */
  private readonly waiting: number[] = [];
  /** Waiting bytes, and {@link REGION_COST_BYTES} for each region. */
  private waitingBytes = 0;
  /** Bytes dropped by {@link cut} and not yet reported: they are not messages. */
  private malformed = 0;

  /** `datagramBytes`: the largest size of a packed datagram, or the size of equal ones. */
  constructor(pool: BufferPool, datagramBytes: number) {
    this.pool = pool;
    this.held = new HeldBuffers(pool);
    this.datagramBytes = datagramBytes;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  get bytes(): number {
    return this.waitingBytes;
  }

  push(offset: number, length: number, bufferId: BufferId, address: number, cut: Cut): void {
    this.waitingBytes += length + REGION_COST_BYTES;
    this.addresses.hold(address);
    this.waiting.push(offset, offset + length, bufferId, cut, address);
    this.held.add(bufferId);
  }

  /** Returns the number of malformed bytes dropped since the last call. */
  takeMalformed(): number {
    const bytes = this.malformed;
    this.malformed = 0;
    return bytes;
  }

  /** Fills the table with the first waiting datagrams; returns the number of rows. */
  cut(rowsMax: number, segments: number): number {
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
    const at = waiting[r + BEGIN];
    return setRow(row, r, at, end - at, waiting[r + ADDRESS], end - at > segment ? segment : 0);
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
      row = setRow(row, r, begin, length, address, 0);
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
      row = setRow(row, r, begin, at - begin, address, 0);
    }
    return row;
  }

  /** Drops a region's rest from `at`: it is not a message, so no later one can be found. */
  private cutOff(r: number, at: number): void {
    const bytes = this.waiting[r + END] - at;
    this.waiting[r + END] = at;
    this.waitingBytes -= bytes;
    this.malformed += bytes;
  }

  /** Removes the first `rows` rows of the table, which were sent or lost. */
  advance(rows: number): void {
    assert(rows > 0, 'datagrams are removed once they were sent or lost');
    const { waiting } = this;
    const last = (rows - 1) * OUT_WORDS;
    const r = regionOfRow[rows - 1];
    const end = table[last + OUT_OFFSET] + table[last + OUT_LENGTH];
    assert(end <= waiting[r + END], 'a row ends within its region');
    this.waitingBytes -= end - waiting[r + BEGIN];
    waiting[r + BEGIN] = end;
    this.releaseBefore(end === waiting[r + END] ? r + REGION_FIELDS : r);
  }

  /** Releases the first regions, up to `index`. */
  private releaseBefore(index: number): void {
    if (index === 0) return;
    const { waiting, addresses, pool } = this;
    this.held.removeBefore(index, waiting.length, waiting, REGION_FIELDS, BUFFER);
    for (let i = 0; i < index; i += REGION_FIELDS) {
      this.waitingBytes -= waiting[i + END] - waiting[i + BEGIN] + REGION_COST_BYTES;
      addresses.releaseRow(waiting[i + ADDRESS]);
      pool.release(waiting[i + BUFFER] as BufferId);
    }
    if (index === waiting.length) waiting.length = 0;
    else waiting.splice(0, index);
  }

  /** Asserts that the fields agree, as they do between any two calls. */
  invariants(): void {
    const { length } = this.waiting;
    assert(length % REGION_FIELDS === 0, 'each region has all its fields');
    const costBytes = (length / REGION_FIELDS) * REGION_COST_BYTES;
    assert(this.waitingBytes >= costBytes, 'each waiting region is counted');
    assert(length > 0 === this.held.count > 0, 'regions lie in buffers');
    assert(length > 0 || this.waitingBytes === 0, 'without regions nothing is counted');
  }
}

/** Writes one row of the table, for the region at `r`. Returns the next row. */
function setRow(
  row: number,
  r: number,
  offset: number,
  length: number,
  address: number,
  segment: number,
): number {
  const w = row * OUT_WORDS;
  table[w + OUT_OFFSET] = offset;
  table[w + OUT_LENGTH] = length;
  table[w + OUT_ADDRESS] = address;
  table[w + OUT_SEGMENT] = segment;
  regionOfRow[row] = r;
  return row + 1;
}

/** Number of datagrams in `count` rows of the table from `row` on. */
export function datagramsOf(row: number, count: number): number {
  let datagrams = 0;
  for (let w = row * OUT_WORDS; w < (row + count) * OUT_WORDS; w += OUT_WORDS) {
    const segment = table[w + OUT_SEGMENT];
    datagrams += segment > 0 ? Math.ceil(table[w + OUT_LENGTH] / segment) : 1;
  }
  return datagrams;
}
