// SPDX-License-Identifier: MIT
/** Cuts waiting regions into datagrams: the rows of one send. */

import { assert } from '../../base/assert.ts';
import { OUT_ADDRESS, OUT_LENGTH, OUT_OFFSET, OUT_SEGMENT, OUT_WORDS } from '../../native/udp.ts';
import type { BufferPool } from '../../pool/index.ts';
import { PREFIX_BYTES } from './udp-intake.ts';

/** How a region becomes datagrams: it is one datagram. */
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
/** Words of a waiting region. */
export const BEGIN = 0;
export const END = 1;
export const BUFFER = 2;
export const CUT = 3;
export const ADDRESS = 4;
export const REGION_FIELDS = 5;

/** The datagrams of one send. One table per thread suffices: nothing waits in it. */
export const table: Int32Array = new Int32Array(ROWS_MAX * OUT_WORDS);
/** The region of each row. */
export const marks: Int32Array = new Int32Array(ROWS_MAX);

/** Fills {@link table} from waiting regions. Changes a region only to cut off what is malformed. */
export class DatagramCutter {
  readonly #pool: BufferPool;
  readonly #datagramBytes: number;
  #cutOffBytes = 0;

  /** `datagramBytes`: of each equal datagram, or at most of each packed one. */
  constructor(pool: BufferPool, datagramBytes: number) {
    this.#pool = pool;
    this.#datagramBytes = datagramBytes;
  }

  /** Malformed bytes that the last {@link cut} took off regions. */
  get cutOffBytes(): number {
    return this.#cutOffBytes;
  }

  /** Fills the table with the first waiting datagrams; returns the number of rows. */
  cut(waiting: number[], rowsMax: number, segments: number): number {
    assert(rowsMax <= ROWS_MAX, 'the table holds all rows');
    this.#cutOffBytes = 0;
    let rows = 0;
    for (let r = 0; r < waiting.length && rows < rowsMax; r += REGION_FIELDS) {
      const cut = waiting[r + CUT];
      if (cut === CUT_MESSAGES) rows = this.#cutMessages(waiting, r, rows, rowsMax);
      else if (cut === CUT_PACKED) rows = this.#cutPacked(waiting, r, rows, rowsMax);
      else if (cut === CUT_EQUAL) rows = this.#cutEqual(waiting, r, rows, rowsMax, segments);
      else rows = this.#cutRow(waiting, r, rows, waiting[r + END], 0);
    }
    return rows;
  }

  /** Cuts equal datagrams; up to `segments` of them are one row. */
  #cutEqual(waiting: number[], r: number, rows: number, rowsMax: number, segments: number): number {
    const datagramBytes = this.#datagramBytes;
    const end = waiting[r + END];
    const count = Math.max(1, Math.min(segments, Math.trunc(RUN_BYTES_MAX / datagramBytes)));
    const bytes = count * datagramBytes;
    const begin = waiting[r + BEGIN];
    let row = rows;
    for (let at = begin; at < end && row < rowsMax; at += bytes) {
      waiting[r + BEGIN] = at;
      this.#cutRow(waiting, r, row++, Math.min(at + bytes, end), datagramBytes);
    }
    waiting[r + BEGIN] = begin;
    return row;
  }

  /** Makes a row of a region's rest up to `end`. Returns the next row. */
  #cutRow(waiting: number[], r: number, row: number, end: number, segment: number): number {
    const w = row * OUT_WORDS;
    const at = waiting[r + BEGIN];
    table[w + OUT_OFFSET] = at;
    table[w + OUT_LENGTH] = end - at;
    table[w + OUT_ADDRESS] = waiting[r + ADDRESS];
    table[w + OUT_SEGMENT] = end - at > segment ? segment : 0;
    marks[row] = r;
    return row + 1;
  }

  #cutMessages(waiting: number[], r: number, rows: number, rowsMax: number): number {
    const { bytes } = this.#pool;
    const end = waiting[r + END];
    const address = waiting[r + ADDRESS];
    let at = waiting[r + BEGIN];
    let row = rows;
    while (at < end && row < rowsMax) {
      const begin = at + PREFIX_BYTES;
      const length = begin > end ? end : (bytes[at] << 8) | bytes[at + 1];
      at = begin + length;
      if (at > end) {
        this.#cutOff(waiting, r, begin - PREFIX_BYTES);
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

  #cutPacked(waiting: number[], r: number, rows: number, rowsMax: number): number {
    const datagramBytes = this.#datagramBytes;
    const { bytes } = this.#pool;
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
      if (end < waiting[r + END]) this.#cutOff(waiting, r, end);
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
  #cutOff(waiting: number[], r: number, at: number): void {
    const bytes = waiting[r + END] - at;
    assert(bytes > 0, 'what is cut off has bytes');
    waiting[r + END] = at;
    this.#cutOffBytes += bytes;
  }
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
