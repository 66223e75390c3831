// SPDX-License-Identifier: MIT
/** Pseudo-random numbers from a seed, for tests, fuzzers and simulators. */

/** A random seed, for tags and for test runs that print it. */
export function arbitrarySeed(): number {
  return (Math.random() * 0x1_0000_0000) >>> 0;
}

/**
 * Pseudo-random numbers from a 32-bit seed (xoshiro128**, state filled by splitmix32).
 *
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018. Not for
 * secrets.
 */
export class Random {
  readonly seed: number;
  readonly #state: Uint32Array = new Uint32Array(4);

  constructor(seed: number) {
    this.seed = seed >>> 0;
    let s = this.seed;
    for (let i = 0; i < 4; i++) {
      s = (s + 0x9e3779b9) >>> 0;
      let z = s;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.#state[i] = (z ^ (z >>> 16)) >>> 0;
    }
    if ((this.#state[0] | this.#state[1] | this.#state[2] | this.#state[3]) === 0) {
      this.#state[0] = 1;
    }
  }

  /** An integer in `[0, 2³²)`. */
  next(): number {
    const s = this.#state;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** An integer in `[0, bound)`; `bound` from 1 to 2³². Bias below 2⁻³² · bound. */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound);
  }

  /** An integer in `[min, max]`, both inclusive. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability * 0x1_0000_0000;
  }
}
