// SPDX-License-Identifier: MIT
/** `AddressTable`: reference-counted destination addresses of one link's datagrams. */

import { assert } from '../../base/assert.ts';
import { ADDRESS_WORDS } from '../../native/udp.ts';

/** The row of datagrams to the socket's peer. */
export const CONNECTED: number = -1;

/**
 * Addresses in rows of eight words, as the shim reads them.
 *
 * A row is held by each writer and by each waiting region with this destination. Each holder
 * releases it once; a row without holders is reused.
 */
export class AddressTable {
  #words: Int32Array = new Int32Array(4 * ADDRESS_WORDS);
  /** Number of holders of each row. */
  readonly #holders: number[] = [];
  readonly #free: number[] = [];
  #latest = CONNECTED;

  /** All rows. The array is replaced when it grows. */
  get words(): Int32Array {
    return this.#words;
  }

  /** Number of held rows. */
  get heldCount(): number {
    return this.#holders.length - this.#free.length;
  }

  /** Returns a row with the address at `words[index]`, held by the caller. */
  add(words: Int32Array, index: number): number {
    const latest = this.#latest;
    if (latest >= 0 && this.#holders[latest] > 0 && this.#has(latest, words, index)) {
      this.#holders[latest]++;
      return latest;
    }
    const row = this.#free.pop() ?? this.#holders.length;
    assert(!(this.#holders[row] > 0), 'a free row has no holder');
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

  /** Adds a holder to a held row. No effect on {@link CONNECTED}. */
  hold(row: number): void {
    if (row < 0) return;
    assert(this.#holders[row] > 0, 'only a held row gets another holder');
    this.#holders[row]++;
  }

  /** Removes a holder. No effect on {@link CONNECTED}. */
  releaseRow(row: number): void {
    if (row < 0) return;
    const holders = --this.#holders[row];
    assert(holders >= 0, 'each holder releases a row once');
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
