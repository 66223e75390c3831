// SPDX-License-Identifier: MIT
/**
 * Example udp-relay: the formats of its datagrams. Numbers are big-endian.
 *
 *   byte     0      1 … 3   4 … 7           8 … 11        12 …
 *   DATA     kind   0       source          sequence      anything
 *   COUNT    kind   0       source          messages that the source has sent so far
 *   SUBSCRIBE, GRANTED      milliseconds
 *
 * Sources choose their number at random when they start, and count from 0. DATA and COUNT go to all
 * subscribers as they are: with a COUNT a subscriber knows how much is missing at the end, too.
 *
 * SUBSCRIBE asks for everything from now on, for this long; sent again, it renews; 0 ends it. The
 * relay replies GRANTED, with the time that it grants, to its sender.
 */

export const DATA = 1;
export const COUNT = 2;
export const SUBSCRIBE = 3;
export const GRANTED = 4;

export const SOURCE_AT = 4;
export const LEASE_AT = 4;
export const SEQUENCE_AT = 8;
/** Bytes before the payload. */
export const HEAD_BYTES = 12;
/** Bytes of SUBSCRIBE and GRANTED. */
export const LEASE_BYTES = 8;

type View = DataView<ArrayBufferLike>;

/** The kind of the datagram `[offset, offset + length)`, or 0 if it is not of this protocol. */
export function kindOf(view: View, offset: number, length: number): number {
  if (length < LEASE_BYTES || (view.getUint32(offset) & 0xffffff) !== 0) return 0;
  const kind = view.getUint8(offset);
  if (kind === DATA) return length >= HEAD_BYTES ? kind : 0;
  if (kind === COUNT) return length === HEAD_BYTES ? kind : 0;
  return (kind === SUBSCRIBE || kind === GRANTED) && length === LEASE_BYTES ? kind : 0;
}

/** Writes the head of DATA, or a whole COUNT. */
export function writeHead(
  view: View,
  offset: number,
  kind: typeof DATA | typeof COUNT,
  source: number,
  sequence: number,
): void {
  view.setUint32(offset, kind << 24);
  view.setInt32(offset + SOURCE_AT, source);
  view.setInt32(offset + SEQUENCE_AT, sequence);
}

export function writeLease(
  view: View,
  offset: number,
  kind: typeof SUBSCRIBE | typeof GRANTED,
  leaseMs: number,
): void {
  view.setUint32(offset, kind << 24);
  view.setUint32(offset + LEASE_AT, leaseMs);
}
