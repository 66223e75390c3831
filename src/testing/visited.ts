// SPDX-License-Identifier: MIT
/**
 * Model checker: the set of explored states, each with the fewest preemptions by which it was
 * reached.
 */

const EMPTY = 255;

/** Everything that a checkpoint keeps of the set. */
export interface VisitedCopy {
  readonly a: Int32Array;
  readonly b: Int32Array;
  readonly preemptions: Uint8Array;
}

/**
 * A hash table with open addressing over 64-bit keys. Two states with equal keys would be taken for
 * one: a probability of 2⁻⁶⁴ per pair.
 */
export class VisitedStates {
  count = 0;
  #mask = (1 << 12) - 1;
  #keysA = new Int32Array(1 << 12);
  #keysB = new Int32Array(1 << 12);
  #preemptions = new Uint8Array(1 << 12).fill(EMPTY);

  /** True if the state was reached before with no more preemptions; otherwise adds it. */
  seen(keyA: number, keyB: number, preemptions: number): boolean {
    const spent = Math.min(preemptions, EMPTY - 1);
    const mask = this.#mask;
    let at = (keyA ^ (keyB >>> 7)) & mask;
    while (this.#preemptions[at] !== EMPTY) {
      if (this.#keysA[at] === keyA && this.#keysB[at] === keyB) {
        if (this.#preemptions[at] <= spent) return true;
        this.#preemptions[at] = spent;
        return false;
      }
      at = (at + 1) & mask;
    }
    this.#keysA[at] = keyA;
    this.#keysB[at] = keyB;
    this.#preemptions[at] = spent;
    if (++this.count * 2 > mask) this.#grow();
    return false;
  }

  /** The states, without gaps: 9 bytes each. */
  copy(): VisitedCopy {
    const { count } = this;
    const copy = {
      a: new Int32Array(count),
      b: new Int32Array(count),
      preemptions: new Uint8Array(count),
    };
    let at = 0;
    this.#preemptions.forEach((spent, i) => {
      if (spent === EMPTY) return;
      copy.a[at] = this.#keysA[i];
      copy.b[at] = this.#keysB[i];
      copy.preemptions[at++] = spent;
    });
    return copy;
  }

  load({ a, b, preemptions }: VisitedCopy): void {
    for (let i = 0; i < a.length; i++) this.seen(a[i], b[i], preemptions[i]);
  }

  #grow(): void {
    const keysA = this.#keysA;
    const keysB = this.#keysB;
    const preemptions = this.#preemptions;
    const size = preemptions.length * 2;
    const mask = size - 1;
    this.#mask = mask;
    this.#keysA = new Int32Array(size);
    this.#keysB = new Int32Array(size);
    this.#preemptions = new Uint8Array(size).fill(EMPTY);
    for (let old = 0; old < preemptions.length; old++) {
      if (preemptions[old] === EMPTY) continue;
      let at = (keysA[old] ^ (keysB[old] >>> 7)) & mask;
      while (this.#preemptions[at] !== EMPTY) at = (at + 1) & mask;
      this.#keysA[at] = keysA[old];
      this.#keysB[at] = keysB[old];
      this.#preemptions[at] = preemptions[old];
    }
  }
}
