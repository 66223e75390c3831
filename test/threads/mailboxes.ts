// SPDX-License-Identifier: MIT
/**
 * Test tool: mailboxes in shared memory between the lanes of a test, and their recovery after a
 * death.
 */
import type { BufferId, BufferPool } from 'busbar/pool';

/** What travels: a region, the stamp that its bytes must have, and a reference. */
export interface Letter {
  readonly id: BufferId;
  readonly offset: number;
  readonly length: number;
  readonly stamp: number;
}

/*
 *   word      unit      written by                                     access
 *   STATE     see below the writer: EMPTY → FULL; the reader: FULL → EMPTY  atomic
 *   ID … MARK           pool.moveInto, pool.moveFrom                plain, ordered by STATE
 *   STAMP     stamp     the writer, before the reference is put in     plain, ordered by STATE
 *
 * One lane writes, one reads. A thread may die between moveInto and EMPTY → FULL, or between
 * moveFrom and FULL → EMPTY: MARK ≠ 0 says that a reference is in the box whatever STATE says.
 */
const STATE = 0;
const REFERENCE = 1;
const LENGTH = REFERENCE + 2;
const OFFSET = REFERENCE + 1;
const MARK = REFERENCE + 3;
const STAMP = 5;
const BOX_WORDS = 8;

const EMPTY = 0;
const FULL = 1;

/** Shares of a reference stand in the low half of its last word. */
const SHARES_MASK = 0xffff;

/** All boxes of a test: `perPair` from every lane to every lane. */
export class Mailboxes {
  readonly memory: SharedArrayBuffer;
  readonly lanes: number;
  readonly perPair: number;
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(lanes: number, perPair: number, memory?: SharedArrayBuffer) {
    this.lanes = lanes;
    this.perPair = perPair;
    this.memory = memory ?? new SharedArrayBuffer(lanes * lanes * perPair * BOX_WORDS * 4);
    this.#words = new Int32Array(this.memory);
  }

  /** Puts one of this thread's references into a box; false if all boxes of the pair are full. */
  send(pool: BufferPool, from: number, to: number, letter: Letter): boolean {
    const words = this.#words;
    for (let i = 0; i < this.perPair; i++) {
      const box = this.#box(from, to, i);
      if (Atomics.load(words, box + STATE) !== EMPTY) continue;
      words[box + STAMP] = letter.stamp;
      pool.moveInto(letter.id, letter.offset, letter.length, words, box + REFERENCE);
      linger(letter.stamp);
      Atomics.store(words, box + STATE, FULL);
      return true;
    }
    return false;
  }

  /** Takes a reference out of a box, if one of those from one lane to another is full. */
  receive(pool: BufferPool, from: number, to: number): Letter | undefined {
    const words = this.#words;
    for (let i = 0; i < this.perPair; i++) {
      const box = this.#box(from, to, i);
      if (Atomics.load(words, box + STATE) !== FULL) continue;
      const id = pool.moveFrom(words, box + REFERENCE);
      const letter = {
        id,
        offset: words[box + OFFSET],
        length: words[box + LENGTH],
        stamp: words[box + STAMP],
      };
      linger(letter.stamp);
      Atomics.store(words, box + STATE, EMPTY);
      return letter;
    }
    return undefined;
  }

  /**
   * Ends what a dead thread had begun, as writer or as reader of its lane, while others continue:
   * only the dead thread would have touched the boxes that are changed here.
   *
   * Returns the number of boxes that it was changing.
   */
  mend(lane: number): number {
    const words = this.#words;
    let mended = 0;
    for (let other = 0; other < this.lanes; other++) {
      for (let i = 0; i < this.perPair; i++) {
        const sent = this.#box(lane, other, i);
        if (Atomics.load(words, sent + STATE) === EMPTY && this.#isLoaded(sent)) {
          Atomics.store(words, sent + STATE, FULL);
          mended++;
        }
        const received = this.#box(other, lane, i);
        if (Atomics.load(words, received + STATE) === FULL && !this.#isLoaded(received)) {
          Atomics.store(words, received + STATE, EMPTY);
          mended++;
        }
      }
    }
    return mended;
  }

  #isLoaded(box: number): boolean {
    return (this.#words[box + MARK] & SHARES_MASK) !== 0;
  }

  #box(from: number, to: number, i: number): number {
    return ((from * this.lanes + to) * this.perPair + i) * BOX_WORDS;
  }
}

/**
 * Now and then takes its time, so that a thread may well be killed here: nothing ends a thread in a
 * straight line of code.
 */
function linger(stamp: number): void {
  let turns = (stamp & 31) === 0 ? 2000 : 0;
  while (turns > 0) turns = later(turns);
}

function later(turns: number): number {
  return turns - 1;
}
