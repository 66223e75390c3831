// SPDX-License-Identifier: MIT
/**
 * The four words of a packet in transit: one reference on a buffer that is in no thread's account.
 * Channel slots, flusher regions, pending records and `Packet.send` all use them.
 *
 *   word     unit       written by                        read by       access
 *   ID       BufferId   the sender, before it publishes   the receiver  plain, by the carrier
 *   OFFSET   bytes      the same                          the receiver  plain, by the carrier
 *   LENGTH   bytes      the same                          the receiver  plain, by the carrier
 *   MARK     see below  the sender, last; the receiver    both          plain, by the carrier
 *                       stores 0
 *
 *   MARK = 0      the words hold no reference
 *   MARK = { pool tag: high 16 bits, shares: low 16 bits }, shares > 0: they hold one
 *   MARK = { pool tag, SOLE }: they hold the only one; the buffer's OWNER is ALONE, TOTAL not used
 *
 * A thread that sends its only reference on a buffer without shares makes it SOLE: MARK, REFS and
 * OWNER, in plain stores without a call in between. So does the receiver: MARK, OWNER, REFS. A
 * death leaves OWNER as the sender, as ALONE or as the receiver: reclaim() of the sender, the
 * thread that recovers the carrier, or reclaim() of the receiver then frees the buffer. Words that
 * were copied and are received twice meet another OWNER the second time.
 *
 * The reference changes hands with MARK: a thread that dies before the store leaves it with the
 * sender, one that dies after it with the words. `carrier` means whatever publishes the words: a
 * channel, a flusher, a message.
 */

/**
 * Each number has a type: hot paths write `words[index + (3 satisfies TransitMark)]`, and the
 * compiler refuses a number that differs from this table. They write `words[index]` for the ID.
 * With named constants, sending and receiving take 1.9 to 2.2 times as long on Node 20, in ES
 * modules and bundled, and 1.2 times on Node 24 and 26; with `index + 0`, 1.5 times (2026-11).
 */
export type TransitOffset = 1;
export type TransitLength = 2;
export type TransitMark = 3;
export type TransitWords = 4;
/** In place of the number of shares in MARK. Hot paths write `0xffff satisfies TransitSole`. */
export type TransitSole = 0xffff;

export const TRANSIT_ID = 0;
/** First byte, absolute in `pool.bytes`. */
export const TRANSIT_OFFSET: TransitOffset = 1;
/** Bytes. */
export const TRANSIT_LENGTH: TransitLength = 2;
export const TRANSIT_MARK: TransitMark = 3;

/** Words of one packet in transit. */
export const TRANSIT_WORDS: TransitWords = 4;
