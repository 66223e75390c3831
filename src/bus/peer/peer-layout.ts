// SPDX-License-Identifier: MIT
/**
 * What two buses say to each other, and what each makes of it. It does not know what carries it.
 *
 * Frames are words of 32 bits, little-endian, at multiples of four; texts are UTF-8, filled up with
 * zeros. A *region* has one or more frames, one after another. Between two buses all regions form
 * one stream for each direction, in order, in which whole regions may be lost with a bus that ends.
 * A region of length 0 is a reference on a buffer, for the REFERENCE that begins the next region.
 *
 *   frame      words after the kind                                     then
 *   ASK        asker's epoch
 *   TELL       asker's epoch, teller's epoch, window in regions, in bytes, name bytes
 *                                                                       name
 *   INTEREST   weight, subject bytes, queue bytes                       subject, queue
 *   SYNC
 *   DONE       asker's epoch, teller's epoch, regions, bytes, fence, interests
 *                                                                       counts modulo 2³²
 *   FENCE      number
 *   SERVE      recipients: see below, name bytes                       queue groups, spaces between
 *   GONE       index, epoch
 *   BYE        asker's epoch
 *   MESSAGE    frame bytes, payload bytes, subject bytes + reply bytes · 2¹⁶, header bytes,
 *              sequence low, high, where the payload begins in the frame
 *                                                                       subject, reply + headers,
 *                                                                       payload
 *   REFERENCE  the same; where the payload begins in the pool           subject, reply + headers
 *
 * **Epochs.** Each start of a bus at an index has a higher epoch than those before. Who starts asks
 * each peer (ASK); the peer opens its stream to that epoch: TELL, all interests, SYNC. Whatever
 * comes before the TELL with one's own epoch was for a predecessor, and is released unread; only
 * ASK and BYE mean something then.
 *
 * **Interest.** One INTEREST of weight 1 or 0 for all subscriptions with the same subject; for a
 * queue group one at each change, with the number of its members. Less than 0: they are *stalled*,
 * that is, have no room; publishers elsewhere wait. A change waits until the window has room. What
 * waits for a peer is the difference between what it was told and what holds: one entry at most for
 * each subject and group that is wanted, or that the peer believes to be.
 *
 * **Messages** are for plain subscriptions, until SERVE names other recipients. The sender chooses
 * the peer that serves a queue group, weighted by members. If they have left meanwhile, the peer
 * passes the message on, once, or counts it as lost. Recipients: 0 groups; 1 plain subscriptions,
 * too; 2 a group, and the message was passed on.
 *
 * **Own messages.** A region that does not begin with a frame, but with a byte from 0x20 on, has
 * messages in a format of one's own, such as the broker's: as they came from a socket, at any
 * address. They are for the same recipients. The receiver may refuse them: then they and the stream
 * after them wait for `proceed`, the messages of a bus that has ended meanwhile, too. ASK, TELL,
 * INTEREST, SYNC, DONE and GONE, the *notices*, are heard at once even then.
 *
 * **Windows.** Regions and bytes, of messages and interests alike, that may be with a peer before
 * it says DONE. Publishers wait for room, and so do FENCE, SYNC and GONE after interests; all other
 * frames always go. A payload counts as bytes wherever it lies; own messages count for what both
 * sides say. Interests may have their own window, too. DONE is said after an eighth of a window,
 * and at each FENCE.
 *
 * **Fences.** DONE with the number of a FENCE says that all before it was handled: interests are
 * known, messages have been handed to their subscribers.
 *
 * The stream to a peer (`Outgoing`), by its listener:
 *
 *   state   happens                    does                                      then
 *   NONE    it joins; the peer asked   owes ASK                                  NONE
 *   NONE    ASK e, e > lost            counts from 0; owes TELL, interests, SYNC OPEN e
 *   OPEN e  ASK e                      nothing: it was asked twice               OPEN e
 *   OPEN e  ASK f > e                  drops what waits; as from NONE            OPEN f
 *   OPEN e  ASK f < e                  nothing: it is of a predecessor           OPEN e
 *   OPEN e  message, interest, fence   queues                                    OPEN e
 *   OPEN e  GONE e, BYE, carrier ended drops what waits, ends fences             NONE
 *   any     close                      owes BYE, after what is queued            SAID BYE
 *   SAID BYE  ASK f                    owes BYE to f                             SAID BYE
 *
 * One interest in the stream to a peer: t its weight as the listener was told, at first 0.
 *
 *   state    happens                        does             then
 *   TOLD t   its weight becomes w           keeps t          WAITS t
 *   WAITS t  its weight becomes w ≠ t       nothing          WAITS t
 *   WAITS t  its weight becomes t again     says nothing     TOLD t
 *   WAITS t  there is room; its weight is w  INTEREST w      TOLD w
 *   any      the stream ends                forgets it
 *
 * The stream from a peer (`Incoming`), by its teller:
 *
 *   state     happens               does                                         then
 *   ASKING    TELL (own epoch, e)   forgets interests; counts from 0             TELLING e
 *   TELLING   SYNC                                                               SYNCED
 *   TELLING, SYNCED  INTEREST, DONE, FENCE, SERVE, message   follows             the same
 *   TELLING f, SYNCED  what was refused of e, but messages   passes over it      the same
 *   any       ASK f, f ≠ e          forgets interests, owes ASK                  ASKING
 *   any       BYE (own epoch)       forgets interests                            PARTED
 *   ASKING    GONE e after ASK f > e  nothing: that one has yet to tell          ASKING
 *   any other GONE e                forgets interests, owes ASK to a successor   PARTED
 *   PARTED    TELL (own epoch, f > lost)  as from ASKING                         TELLING f
 *
 * A joined bus publishes once each expected peer has come to SYNCED or PARTED.
 *
 * What a death leaves, and who repairs it:
 *
 *   died                          left behind                 repaired by
 *   between two regions           a stream that breaks off    the next ASK; GONE
 *   between reference and frame   a reference that no frame   the receiver: the next region is no
 *                                 takes                       REFERENCE, it releases it
 *   the receiver did there        a REFERENCE without one     its successor: it comes before TELL
 *   with regions queued or held   references                  the pool, which reclaims the thread's
 */

const MAGIC = 0x62757300;
export const ASK: number = MAGIC | 1;
export const TELL: number = MAGIC | 2;
export const INTEREST: number = MAGIC | 3;
export const SYNC: number = MAGIC | 4;
export const DONE: number = MAGIC | 5;
export const FENCE: number = MAGIC | 6;
export const SERVE: number = MAGIC | 7;
export const GONE: number = MAGIC | 8;
export const BYE: number = MAGIC | 9;
export const MESSAGE: number = MAGIC | 10;
export const REFERENCE: number = MAGIC | 11;

export const WORD_BYTES = 4;
/** Words before the texts. */
export const ASK_WORDS = 2;
export const TELL_WORDS = 6;
export const INTEREST_WORDS = 4;
export const SYNC_WORDS = 1;
export const DONE_WORDS = 7;
export const FENCE_WORDS = 2;
export const SERVE_WORDS = 3;
export const GONE_WORDS = 3;
export const BYE_WORDS = 2;
export const MESSAGE_WORDS = 8;
/** By kind. */
const WORDS: readonly number[] = [
  0,
  ASK_WORDS,
  TELL_WORDS,
  INTEREST_WORDS,
  SYNC_WORDS,
  DONE_WORDS,
  FENCE_WORDS,
  SERVE_WORDS,
  GONE_WORDS,
  BYE_WORDS,
  MESSAGE_WORDS,
  MESSAGE_WORDS,
];

/** Smallest first byte of a message of one's own. */
export const OWN_MIN = 0x20;

// Recipients in SERVE.
/** Queue groups alone. */
export const GROUPS = 0;
/** Plain subscriptions, too. */
export const PLAIN = 1;
export const PASSED = 2;

/** Words before the texts of a frame of that kind; 0: there is no such kind. */
export function wordsOf(kind: number): number {
  return WORDS[kind ^ MAGIC] ?? 0;
}

/** The next multiple of four. */
export function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}
