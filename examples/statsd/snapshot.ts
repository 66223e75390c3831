// SPDX-License-Identifier: MIT
/**
 * Example statsd: the packets of a flush. The host orders it; each executor replies with the
 * entries of its table and, last, its counters.
 *
 *   order    whether it is the last flush (1, then 3 unused), round (4)
 *   packet   type (1 byte, then 3 unused), round (4), and then
 *   RECORDS  records, as many as fit
 *   END      TALLY_COUNT numbers of 8 bytes
 *   record   kind (1, 1 unused), bytes of key (2), slot (4), parent's slot (4), mark (4),
 *            NUMBERS[kind] numbers of 8 bytes, key
 *
 * All little-endian, at any address. A record's parent is in the same packet or an earlier one.
 */

import type { PoolBytes } from 'busbar/pool';
import { type Kind, NUMBERS, NUMBERS_MAX } from './metric-kinds.ts';
import type { MetricTable } from './metric-table.ts';

export const RECORDS = 1;
export const END = 2;

const HEAD_BYTES = 8;
const RECORD_BYTES = 16;
const NUMBER_BYTES = 8;

/** Counters of an executor between two flushes. */
export interface Tally {
  /** Datagrams received. */
  datagrams: number;
  /** Lines in them. */
  lines: number;
  malformed: number;
  /** Events and service checks. */
  ignored: number;
  /** Values without room in the table. */
  refused: number;
  /** Datagrams without room in the socket, as far as the system reports them. */
  dropped: number;
  /** Connections accepted. */
  streams: number;
  /** Connections that ended in an error. */
  failedStreams: number;
  /** Lines on them that were skipped, since they were longer than fits a datagram. */
  tooLong: number;
}

const TALLY_KEYS: readonly (keyof Tally)[] = [
  'datagrams',
  'lines',
  'malformed',
  'ignored',
  'refused',
  'dropped',
  'streams',
  'failedStreams',
  'tooLong',
];

export function emptyTally(): Tally {
  return {
    ...{ datagrams: 0, lines: 0, malformed: 0, ignored: 0, refused: 0, dropped: 0 },
    ...{ streams: 0, failedStreams: 0, tooLong: 0 },
  };
}

/** Adds the second tally to the first. */
export function addTally(sum: Tally, more: Tally): void {
  for (const key of TALLY_KEYS) sum[key] += more[key];
}

type View = DataView<ArrayBufferLike>;

/** Writes entries from `first` on into `[begin, end)`, as many as fit. */
export function writeRecords(
  view: View,
  bytes: PoolBytes,
  begin: number,
  end: number,
  round: number,
  table: MetricTable,
  first: number,
): { readonly end: number; readonly next: number } {
  writeHead(view, begin, RECORDS, round);
  const { kinds, parents, marks, keys, keyBegins, keyLengths, numbers } = table;
  let at = begin + HEAD_BYTES;
  let slot = first;
  for (; slot < table.count; slot++) {
    const count = NUMBERS[kinds[slot]];
    const keyLength = keyLengths[slot];
    if (at + RECORD_BYTES + count * NUMBER_BYTES + keyLength > end) break;
    view.setUint8(at, kinds[slot]);
    view.setUint16(at + 2, keyLength, true);
    view.setInt32(at + 4, slot, true);
    view.setInt32(at + 8, parents[slot], true);
    view.setInt32(at + 12, marks[slot], true);
    at += RECORD_BYTES;
    for (let i = 0; i < count; i++, at += NUMBER_BYTES) {
      view.setFloat64(at, numbers[slot * NUMBERS_MAX + i], true);
    }
    const key = keyBegins[slot];
    for (let i = 0; i < keyLength; i++) bytes[at++] = keys[key + i];
  }
  return { end: at, next: slot };
}

/** Writes the end of a round at `begin`; returns the end offset. */
export function writeEnd(view: View, begin: number, round: number, tally: Tally): number {
  writeHead(view, begin, END, round);
  let at = begin + HEAD_BYTES;
  for (const key of TALLY_KEYS) {
    view.setFloat64(at, tally[key], true);
    at += NUMBER_BYTES;
  }
  return at;
}

/** Writes an order at `begin`; returns the end offset. */
export function writeOrder(view: View, begin: number, round: number, isLast: boolean): number {
  writeHead(view, begin, isLast ? 1 : 0, round);
  return begin + HEAD_BYTES;
}

export function readOrder(
  view: View,
  begin: number,
): { readonly round: number; readonly isLast: boolean } {
  return { round: roundOf(view, begin), isLast: view.getUint8(begin) === 1 };
}

/** Receives the contents of packets. */
export interface SnapshotReader {
  /** The numbers are in `numbers`, the key in `[keyBegin, keyEnd)`. */
  record(
    kind: Kind,
    slot: number,
    parent: number,
    mark: number,
    numbers: Float64Array,
    keyBegin: number,
    keyEnd: number,
  ): void;
  end(tally: Tally): void;
}

export function roundOf(view: View, begin: number): number {
  return view.getUint32(begin + 4, true);
}

/** Reads the packet `[begin, end)`. */
export function readSnapshot(view: View, begin: number, end: number, reader: SnapshotReader): void {
  let at = begin + HEAD_BYTES;
  if (view.getUint8(begin) === END) {
    const tally = emptyTally();
    for (const key of TALLY_KEYS) {
      tally[key] = view.getFloat64(at, true);
      at += NUMBER_BYTES;
    }
    reader.end(tally);
    return;
  }
  const numbers = new Float64Array(NUMBERS_MAX);
  while (at < end) {
    const kind = view.getUint8(at) as Kind;
    const keyLength = view.getUint16(at + 2, true);
    const slot = view.getInt32(at + 4, true);
    const parent = view.getInt32(at + 8, true);
    const mark = view.getInt32(at + 12, true);
    at += RECORD_BYTES;
    for (let i = 0; i < NUMBERS[kind]; i++, at += NUMBER_BYTES) {
      numbers[i] = view.getFloat64(at, true);
    }
    reader.record(kind, slot, parent, mark, numbers, at, at + keyLength);
    at += keyLength;
  }
}

function writeHead(view: View, begin: number, type: number, round: number): void {
  view.setUint8(begin, type);
  view.setUint32(begin + 4, round, true);
}
