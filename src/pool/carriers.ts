// SPDX-License-Identifier: MIT
/**
 * Carriers: lanes inside the pool's own block, and the recovery of the packets in them when every
 * thread that knew them has died.
 */

import {
  compareExchange,
  loadAcquire,
  loadSeqCst,
  storeRelease,
  storeSeqCst,
  type Words,
} from '../base/atomics.ts';
import {
  CONDEMNED,
  ENTRY_COUNT,
  ENTRY_WORDS,
  LANE_COUNT,
  LANE_WORDS,
  LANES_BEGIN,
  LEFT,
  OWNER,
  PAGE_WORDS,
  PARTY,
  PARTY_COUNT,
  PARTY_COUNT_MAX,
  READY,
  SLOTS,
  sweptBy,
} from './carrier-layout.ts';
import { badgeOf, GONE, isVacant, type PoolLayout, STATE, slotOf } from './pool-layout.ts';
import { TRANSIT_MARK } from './transit-layout.ts';

/** What a carrier consists of. */
export interface CarrierShape {
  /** Threads besides the owner that use it. */
  readonly partyCount: number;
  readonly laneCount: number;
  /** Words from one lane to the next: whole lines. */
  readonly laneWords: number;
  /** First word of a lane's slots, each of which begins with a packet in transit, or none. */
  readonly slotsBegin: number;
  readonly slotWords: number;
  /** A power of two. */
  readonly slotCount: number;
}

/** What a thread joins a carrier by. Structured-cloneable. */
export interface CarrierTicket {
  readonly entry: number;
  readonly owner: number;
  /** The PARTY word of the place. */
  readonly party: number;
}

/** The owner's side of a carrier. */
export class Carrier {
  readonly #words: Words;
  readonly #layout: PoolLayout;
  readonly #badge: number;
  readonly #entry: number;
  readonly #lanesBegin: number;
  readonly #laneWords: number;
  #isReleased = false;

  private constructor(words: Words, layout: PoolLayout, badge: number, entry: number, at: number) {
    this.#words = words;
    this.#layout = layout;
    this.#badge = badge;
    this.#entry = entry;
    this.#lanesBegin = words[at + LANES_BEGIN];
    this.#laneWords = words[at + LANE_WORDS];
  }

  /** Claims an entry and pages for a carrier; undefined if there is no room for it. */
  static claim(
    words: Words,
    layout: PoolLayout,
    badge: number,
    shape: CarrierShape,
  ): Carrier | undefined {
    if (shape.partyCount > PARTY_COUNT_MAX) return undefined;
    const pages = Math.ceil((shape.laneCount * shape.laneWords) / PAGE_WORDS);
    for (let entry = 0; entry < ENTRY_COUNT; entry++) {
      const at = layout.carrierEntry(entry);
      if (loadAcquire(words, at + OWNER) !== 0) continue;
      // SYNC(carrier): sees the entry as its last owner left it.
      if (compareExchange(words, at + OWNER, 0, badge) !== 0) continue;
      const first = claimPages(words, layout, entry, pages);
      if (first < 0) {
        storeRelease(words, at + OWNER, 0);
        return undefined;
      }
      const begin = layout.carrierPages + first * PAGE_WORDS;
      words.fill(0, begin, begin + pages * PAGE_WORDS);
      words.fill(0, at + PARTY, at + ENTRY_WORDS);
      words[at + PARTY_COUNT] = shape.partyCount;
      words[at + LANES_BEGIN] = begin;
      words[at + LANE_COUNT] = shape.laneCount;
      words[at + LANE_WORDS] = shape.laneWords;
      const { slotsBegin, slotWords, slotCount } = shape;
      words[at + SLOTS] = (slotsBegin << 16) | (slotWords << 8) | Math.log2(slotCount);
      // SYNC(carrier): publishes what a sweeper needs.
      storeRelease(words, at + READY, 1);
      return new Carrier(words, layout, badge, entry, at);
    }
    return undefined;
  }

  /** First word of a lane in the control block. */
  lane(index: number): number {
    return this.#lanesBegin + index * this.#laneWords;
  }

  ticket(party: number): CarrierTicket {
    return {
      entry: this.#entry,
      owner: this.#badge,
      party: this.#layout.carrierEntry(this.#entry) + PARTY + party,
    };
  }

  /**
   * Gives the pages back, once: the entry may be another carrier's of this thread soon after. No
   * thread may use them from here on, and no lane may hold a packet.
   */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const at = this.#layout.carrierEntry(this.#entry);
    if (loadAcquire(this.#words, at + OWNER) === this.#badge) {
      freeEntry(this.#words, this.#layout, this.#entry);
    }
  }
}

/** Claims consecutive pages for the entry; returns the first, or −1 if there are not enough. */
function claimPages(words: Words, layout: PoolLayout, entry: number, pages: number): number {
  const map = layout.carrierMap;
  let first = 0;
  for (let page = 0; page < layout.carrierPageCount; page++) {
    if (compareExchange(words, map + page, 0, entry + 1) === 0) {
      if (page - first + 1 === pages) return first;
      continue;
    }
    for (let mine = first; mine < page; mine++) storeRelease(words, map + mine, 0);
    first = page + 1;
  }
  for (let mine = first; mine < layout.carrierPageCount; mine++) storeRelease(words, map + mine, 0);
  return -1;
}

/** Called only by the thread that OWNER names. */
function freeEntry(words: Words, layout: PoolLayout, entry: number): void {
  const at = layout.carrierEntry(entry);
  storeRelease(words, at + READY, 0);
  for (let page = 0; page < layout.carrierPageCount; page++) {
    const map = layout.carrierMap + page;
    if (loadAcquire(words, map) === entry + 1) storeRelease(words, map, 0);
  }
  // SYNC(carrier): last, so that no PAGE names a free entry.
  storeRelease(words, at + OWNER, 0);
}

/** Shows that the thread with that badge is about to join. */
export function announceParty(words: Words, ticket: CarrierTicket, badge: number): void {
  // SYNC(carrier-party): before the look at OWNER; pairs with sweepCarriers().
  storeSeqCst(words, ticket.party, badge);
}

/** True if the thread that has announced itself, and has attached, may use the carrier. */
export function isJoined(words: Words, layout: PoolLayout, ticket: CarrierTicket): boolean {
  return loadSeqCst(words, layout.carrierEntry(ticket.entry) + OWNER) === ticket.owner;
}

/**
 * The thread with that badge leaves the pool: its entries are no longer used, and stay as they are.
 */
export function detachCarriers(words: Words, layout: PoolLayout, badge: number): void {
  for (let entry = 0; entry < ENTRY_COUNT; entry++) {
    const at = layout.carrierEntry(entry) + OWNER;
    if (loadAcquire(words, at) === badge) storeRelease(words, at, LEFT);
  }
}

/**
 * Calls `takeOut` with each packet in transit in a carrier whose owner and party are known to be
 * dead, and frees its pages. Proves no death itself: reclaim has. **Cost** a load per entry.
 */
export function sweepCarriers(
  words: Words,
  layout: PoolLayout,
  badge: number,
  takeOut: (index: number) => void,
): void {
  for (let entry = 0; entry < ENTRY_COUNT; entry++) {
    const at = layout.carrierEntry(entry);
    const owner = loadAcquire(words, at + OWNER);
    if (owner === 0 || owner === LEFT) continue;
    const holder = owner > 0 ? owner : -1 - owner;
    // One of its own: an error has cut a sweep of this thread short.
    const isMine = owner === sweptBy(badge);
    if (!isMine && owner !== CONDEMNED && !isKnownGone(words, layout, holder)) continue;
    // SYNC(carrier-party): before the look at the party; pairs with isJoined().
    if (compareExchange(words, at + OWNER, owner, sweptBy(badge)) !== owner) continue;
    if (loadAcquire(words, at + READY) !== 0) {
      if (!isPartyGone(words, layout, at)) {
        // SYNC(carrier): before another look at the party. A thread that has reclaimed
        // the last of it meanwhile has skipped this entry, as it was being swept.
        storeSeqCst(words, at + OWNER, CONDEMNED);
        if (isPartyGone(words, layout, at)) entry--;
        continue;
      }
      eachPacket(words, at, (_lane, index) => takeOut(index));
    }
    freeEntry(words, layout, entry);
  }
}

function isPartyGone(words: Words, layout: PoolLayout, at: number): boolean {
  for (let party = 0; party < words[at + PARTY_COUNT]; party++) {
    // SYNC(carrier-party): sees who has announced itself.
    const badge = loadSeqCst(words, at + PARTY + party);
    if (badge !== 0 && !isKnownGone(words, layout, badge)) return false;
  }
  return true;
}

/** Calls `visit` with each lane that holds a packet, and where its words are. */
function eachPacket(words: Words, at: number, visit: (lane: number, index: number) => void): void {
  const slotsBegin = words[at + SLOTS] >>> 16;
  const slotWords = (words[at + SLOTS] >>> 8) & 0xff;
  const slotCount = 1 << (words[at + SLOTS] & 0xff);
  for (let lane = 0; lane < words[at + LANE_COUNT]; lane++) {
    const slots = words[at + LANES_BEGIN] + lane * words[at + LANE_WORDS] + slotsBegin;
    for (let slot = 0; slot < slotCount; slot++) {
      const index = slots + slot * slotWords;
      if (words[index + TRANSIT_MARK] !== 0) visit(lane, index);
    }
  }
}

/** True if it is written down that the thread with that badge has ended, or has left. */
function isKnownGone(words: Words, layout: PoolLayout, badge: number): boolean {
  const slot = slotOf(badge);
  const record = layout.thread(slot);
  const state = loadAcquire(words, record + STATE);
  // Above zero: a thread reclaims it, and has the proof.
  if (state > 0 || isVacant(state) || badgeOf(slot, state) !== badge) return true;
  return loadAcquire(words, record + GONE) === state;
}

/** Calls back for each packet in a carrier: from and to which thread (badges), and its buffer. */
export function eachInCarriers(
  words: Words,
  layout: PoolLayout,
  visit: (from: number, to: number, id: number) => void,
): void {
  for (let entry = 0; entry < ENTRY_COUNT; entry++) {
    const at = layout.carrierEntry(entry);
    const owner = loadAcquire(words, at + OWNER);
    if (owner === 0 || loadAcquire(words, at + READY) === 0) continue;
    const count = words[at + PARTY_COUNT];
    const badge = (party: number): number =>
      party === count ? owner : loadAcquire(words, at + PARTY + party);
    eachPacket(words, at, (lane, index) => {
      const from = badge(Math.trunc(lane / (count + 1)));
      visit(from, badge(lane % (count + 1)), words[index]);
    });
  }
}
