// SPDX-License-Identifier: MIT
/** From the flusher to the socket: where the datagrams of one link are on their way to. */

import { assert } from '../../base/assert.ts';
import { ADDRESS_WORDS } from '../../native/udp.ts';

/** The row of datagrams that go to the socket's peer. */
export const CONNECTED: number = -1;

/**
 * Addresses, a row of eight words each, as the shim reads them.
 *
 * A row is held by the writer that it is the address of, and by each region that waits to go there.
 * Whoever holds one lets it go once; rows that nobody holds are used again.
 */
export class AddressTable {
  #words: Int32Array = new Int32Array(4 * ADDRESS_WORDS);
  /** Of each row, how many hold it. */
  readonly #holders: number[] = [];
  readonly #free: number[] = [];
  #latest = CONNECTED;

  /** All rows. Another array once there are more. */
  get words(): Int32Array {
    return this.#words;
  }

  /** Rows that somebody holds. */
  get heldCount(): number {
    return this.#holders.length - this.#free.length;
  }

  /** A row with the address at `words[index]`, held by the caller. */
  add(words: Int32Array, index: number): number {
    const latest = this.#latest;
    if (latest >= 0 && this.#holders[latest] > 0 && this.#has(latest, words, index)) {
      this.#holders[latest]++;
      return latest;
    }
    const row = this.#free.pop() ?? this.#holders.length;
    assert(!(this.#holders[row] > 0), 'a row that is free has no holder');
    this.#holders[row] = 1;
    this.#latest = row;
    const at = row * ADDRESS_WORDS;
    if (at === this.#words.length) {
      const larger = new Int32Array(2 * at);
      larger.set(this.#words);
      this.#words = larger;
    }
    for (let i = 0; i < ADDRESS_WORDS; i++) this.#words[at + i] = words[index + i];
    return row;
  }

  /** One more holder of a row that the caller knows to be held, or of {@link CONNECTED}. */
  hold(row: number): void {
    if (row < 0) return;
    assert(this.#holders[row] > 0, 'a row that is held again is held');
    this.#holders[row]++;
  }

  /** One less. */
  letGo(row: number): void {
    if (row < 0) return;
    const holders = --this.#holders[row];
    assert(holders >= 0, 'a row is let go once by each who holds it');
    if (holders === 0) this.#free.push(row);
  }

  #has(row: number, words: Int32Array, index: number): boolean {
    const at = row * ADDRESS_WORDS;
    for (let i = 0; i < ADDRESS_WORDS; i++) {
      if (this.#words[at + i] !== words[index + i]) return false;
    }
    return true;
  }
}
