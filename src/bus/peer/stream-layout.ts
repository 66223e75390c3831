// SPDX-License-Identifier: MIT
/**
 * The protocol between buses over a stream of bytes: for a peer whose pool is another one. What the
 * frames mean stands in peer-layout.ts.
 *
 * Each direction of a stream is a greeting and then records. Words have 32 bits, little-endian.
 *
 *   greeting   GREETING, index of the bus that writes, its epoch
 *   record     kind, byte count, then as many bytes
 *   FRAMES     a region; its bytes are a multiple of four, 4 … the reader's `bufferSize`
 *   PAYLOAD    a reference; the bytes to which the REFERENCE that begins the next region refers,
 *              0 … the reader's `bufferSize`
 *
 * The reader copies each record into its own pool, and writes into a REFERENCE where its payload
 * lies there. It keeps at most one record that is not whole. Without a free buffer it reads
 * nothing, which stops the writer. A stream that breaks these rules is ERR_BUSBAR_FRAME_MALFORMED:
 * close it.
 *
 * Own messages do not travel over a stream: a bus counts such a region as a stray.
 *
 * A stream that ends is the end of the bus at the other end: that bus comes back with a higher
 * epoch. A record that was not whole is dropped.
 */

export const GREETING: number = 0x31737562;
export const GREETING_BYTES = 12;
export const RECORD_HEAD_BYTES = 8;
/** Kinds of records. */
export const FRAMES = 1;
export const PAYLOAD = 2;
/** Words of a REFERENCE: the size of its payload, and where that begins. */
export const REFERENCE_SIZE_WORD = 2;
export const REFERENCE_AT_WORD = 7;
