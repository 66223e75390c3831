// SPDX-License-Identifier: MIT
/** A SharedWriter member's open reservations but the last one, and how they change hands. */

import { assert } from '../base/assert.ts';
import { compareExchange, fetchOr, loadAcquire, loadSeqCst, type Words } from '../base/atomics.ts';
import { checkTicket, makeTicket, type ReservationTicket } from './shared-writer-handle.ts';
import {
  ENTRY_HANDED,
  ENTRY_HELD_UP,
  ENTRY_OPEN,
  EPOCH,
  type SharedWriterLayout,
  STATE,
} from './shared-writer-layout.ts';
import type { WriteFlusher } from './write-flusher.ts';
import { badReservation } from './writer-checks.ts';

/** In place of an offset or an entry. */
const NONE = -1;

/** The entries of a thread's open reservations, by the absolute offset of their bytes. */
export class OpenReservations {
  readonly #flusher: WriteFlusher;
  readonly #words: Words;
  readonly #layout: SharedWriterLayout;
  readonly #slot: number;
  readonly #entries = new Map<number, number>();
  /** A key that does not count: its reservation has ended, or is not ours yet. */
  #staleAt: number = NONE;

  constructor(flusher: WriteFlusher, words: Words, layout: SharedWriterLayout) {
    this.#flusher = flusher;
    this.#words = words;
    this.#layout = layout;
    this.#slot = flusher.pool.threadSlot;
  }

  add(offset: number, entry: number): void {
    this.#sweep();
    this.#entries.set(offset, entry);
  }

  /** The entry of the open reservation at `offset`, or −1. */
  find(offset: number): number {
    this.#sweep();
    return this.#entries.get(offset) ?? NONE;
  }

  /** Removes a reservation, even if the removal throws: the stale key does not count. */
  remove(offset: number): void {
    assert(offset >= 0, 'a reservation has an offset');
    this.#staleAt = offset;
    this.#sweep();
  }

  offsets(): number[] {
    this.#sweep();
    return [...this.#entries.keys()];
  }

  /** Gives up a reservation of this thread; the caller then removes it. */
  handOver(offset: number, entry: number): ReservationTicket {
    const ticket = makeTicket(this.#words, this.#layout, offset, entry, this.#slot);
    // SYNC(entry): from here on another thread can take it over, once.
    fetchOr(this.#words, entry + STATE, ENTRY_HANDED);
    return ticket;
  }

  /** Takes over the reservation of a ticket whose fields were checked; returns its offset. */
  takeOver(ticket: ReservationTicket): number {
    const words = this.#words;
    const layout = this.#layout;
    const { offset, entry, epoch, threadSlot } = ticket;
    if (this.find(offset) !== NONE) throw badReservation(offset);
    for (;;) {
      const state = loadAcquire(words, entry + STATE);
      const held = state & ENTRY_HELD_UP;
      checkTicket(ticket, this.#flusher, words, layout);
      if (state !== (ENTRY_OPEN | ENTRY_HANDED | held | threadSlot)) throw badReservation(offset);
      // Into the map first, as a stale key until the reservation is ours.
      this.#staleAt = offset;
      this.#entries.set(offset, entry);
      const taken = ENTRY_OPEN | held | this.#slot;
      // SYNC(entry): of several threads with one ticket one gets it.
      if (compareExchange(words, entry + STATE, state, taken) === state) break;
    }
    this.#staleAt = NONE;
    // If the ticket was used before, this may be the same entry a lap later. It is open and ours
    // now, so its epoch cannot change while we check it.
    if (layout.epochOfOpen(entry, loadSeqCst(words, EPOCH)) === epoch) return offset;
    this.#undoTakeOver(offset, entry, threadSlot);
    throw badReservation(offset);
  }

  #undoTakeOver(offset: number, entry: number, threadSlot: number): void {
    this.#staleAt = offset;
    const words = this.#words;
    const marks = ENTRY_OPEN | ENTRY_HANDED | threadSlot;
    for (;;) {
      const state = loadAcquire(words, entry + STATE);
      const next = marks | (state & ENTRY_HELD_UP);
      // SYNC(entry): the thread with the right ticket can take it over again.
      if (compareExchange(words, entry + STATE, state, next) === state) return;
    }
  }

  #sweep(): void {
    if (this.#staleAt === NONE) return;
    this.#entries.delete(this.#staleAt);
    this.#staleAt = NONE;
  }

  /** Asserts that each entry is one of a segment; for the edges of a writer's life. */
  invariants(): void {
    const { entries } = this.#layout;
    for (const [offset, entry] of this.#entries) {
      assert(offset >= 0, 'a reservation begins in the pool');
      assert(entry >= entries && entry < this.#words.length, 'its entry is one of a segment');
    }
  }
}
