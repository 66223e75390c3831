// SPDX-License-Identifier: MIT
/**
 * Memory layout of a flusher: where each shared word stands and which thread may write it.
 *
 *   one block, in lines of 32 words (128 bytes)
 *   ┌────────┬──────────┬─────────┬────────────────────────────┬─────┐
 *   │ header │ receiver │ ready   │ lane 0                     │ … L │
 *   │ 1 line │ 1 line   │ 1 bit   │ producer │ consumer │ ring │     │
 *   │        │          │ a lane  │ line     │ line     │ 4·R  │     │
 *   └────────┴──────────┴─────────┴────────────────────────────┴─────┘
 *
 *   word             unit      written by                       read by   access
 *   header           various   the creator, at first            anyone    plain, immutable
 *   STATE            flag      the receiver: OPEN → CLOSED      everyone  atomic, SYNC(closing)
 *   RECEIVER         badge     the receiver, taking the role    everyone  atomic
 *   ASLEEP           flag      the receiver: 1; it, or the      the same  atomic, SYNC(asleep)
 *                              thread that rings it: 0
 *   LANES_USED       lanes     writers, opening: only rises     everyone  atomic
 *   ready words      lanes     writers set, the receiver takes  the same  atomic, SYNC(ready)
 *   lane OWNER       see below its writer, the receiver         everyone  atomic, SYNC(lane-owner)
 *   lane TAIL        regions   its writer                       receiver  atomic, SYNC(lane-tail)
 *   lane HEAD        regions   the receiver; after CLOSED also  writer    atomic, SYNC(lane-head)
 *                              the writer, by compare-exchange
 *   lane WANTS_SPACE slot + 1  its writers: the thread, or −1,  the same  atomic, SYNC(space)
 *                              several; the receiver: 0
 *   ring slot        region    the writer before TAIL passes    receiver  plain, ordered by
 *                              it, the receiver before HEAD               SYNC(lane-tail),
 *                                                                         SYNC(lane-head)
 *
 *   OWNER =  0      free
 *   OWNER =  badge  a writer of that thread may append (badges: pool-layout.ts, badgeOf)
 *   OWNER =  2³¹−1  a SharedWriter, that is several threads, may append (OWNER_SHARED)
 *   OWNER = −1      the writer has closed it; free once the receiver has taken everything
 *
 * A ring slot is the four words of a packet in transit (transit-layout.ts). If its MARK is not 0,
 * the slot holds the region's reference; if it is 0, the reference was taken out. So a thread may
 * die anywhere: slots in [HEAD, TAIL) are the receiver's to deliver; a slot outside that holds a
 * reference was written by a dead writer and never published, and recover() releases it.
 *
 *   HEAD ≤ TAIL ≤ HEAD + R, both running mod 2³²
 *
 * What a death, or an exception in a living thread, can leave, and who repairs it:
 *
 *   left                            repaired
 *   slots from TAIL on that hold    the thread's next publish(); dead: flusher.recover(), or the
 *   references                      next claimant of a shared writer, releases them
 *   TAIL stored, no ready bit, or   the thread's next flush (Lane.hasNews, a shared writer's TOLD);
 *   the receiver not rung           dead: recover() visits every lane, and rings
 *   ASLEEP = 0, receiver not rung   announce() sets it again; dead: the same
 *   OWNER = −1, no ready bit        the thread's next close(); dead: recover() visits every lane
 *   slots from HEAD on that hold    the next drain skips them: the receiver, or pool.reclaim()
 *   no reference                    after its death, has the reference
 *   HEAD stored, wish taken,        the next drain rings every thread; dead: becomeReceiver()
 *   writer not rung                 drains, and a waiting writer tries again by itself
 *                                   (space-wait.ts)
 *
 * Words that wrap: HEAD and TAIL have 32 bits and are never the target of a compare-exchange. A
 * badge is unique among the last 2²⁰ threads of its slot.
 */

import { assert } from '../base/assert.ts';
import { LINE_WORDS, wholeLines } from '../base/lines.ts';
import { POOL_IDENTITY_WORDS } from '../pool/pool-identity.ts';
import { TRANSIT_WORDS } from '../pool/transit-layout.ts';

export const FLUSHER_MAGIC = 0x666c7573;
export const FLUSHER_VERSION = 2;

let word = 0;
export const HEADER_MAGIC: number = word++;
export const HEADER_VERSION: number = word++;
export const HEADER_WRITERS: number = word++;
export const HEADER_REGIONS: number = word++;
/** A random number that identifies this flusher. */
export const HEADER_ID: number = word++;
/** Identity of the pool. */
export const HEADER_POOL: number = word;
word += POOL_IDENTITY_WORDS;
assert(word <= LINE_WORDS, 'header fields must fit in one line');

word = LINE_WORDS;
export const STATE: number = word++;
export const RECEIVER: number = word++;
export const ASLEEP: number = word++;
export const LANES_USED: number = word++;
assert(word <= 2 * LINE_WORDS, 'receiver fields must fit in one line');

const READY: number = 2 * LINE_WORDS;

export const STATE_OPEN = 0;
export const STATE_CLOSED = 1;

// Lane record. The producer's line, then the consumer's, then the ring.
export const OWNER = 0;
export const TAIL = 1;
export const HEAD: number = LINE_WORDS;
export const WANTS_SPACE: number = LINE_WORDS + 1;
const RING: number = 2 * LINE_WORDS;

export const OWNER_NONE = 0;
export const OWNER_CLOSED = -1;
/** OWNER of a lane whose writer is a SharedWriter. */
export const OWNER_SHARED = 0x7fff_ffff;

/** WANTS_SPACE when several threads of a SharedWriter want space. */
export const WANTED_BY_MANY = -1;

export const WRITERS_MAX = 65_536;
export const REGIONS_MAX = 65_536;
/** Most words of one flusher. */
const WORDS_MAX: number = 1 << 28;

/** Where everything stands in the block of a flusher of a given shape. */
export class FlusherLayout {
  readonly writerCount: number;
  /** Regions in one lane's ring; a power of two. */
  readonly regionCount: number;
  readonly readyWords: number;
  readonly laneWords: number;
  readonly lanes: number;
  readonly wordCount: number;

  constructor(writerCount: number, regionCount: number) {
    this.writerCount = writerCount;
    this.regionCount = regionCount;
    this.readyWords = Math.ceil(writerCount / 32);
    this.laneWords = wholeLines(RING + regionCount * TRANSIT_WORDS);
    this.lanes = READY + wholeLines(this.readyWords);
    this.wordCount = this.lanes + writerCount * this.laneWords;
  }

  /** True if one typed array can hold it. */
  get fits(): boolean {
    return this.wordCount <= WORDS_MAX;
  }

  /** The word with the ready bit of a lane; the bit is `1 << (lane & 31)`. */
  readyWord(lane: number): number {
    return READY + (lane >>> 5);
  }

  lane(lane: number): number {
    return this.lanes + lane * this.laneWords;
  }

  /** The ring slot of the region at `position`. */
  slot(lane: number, position: number): number {
    const index = position & (this.regionCount - 1);
    return this.lanes + lane * this.laneWords + RING + index * TRANSIT_WORDS;
  }
}
