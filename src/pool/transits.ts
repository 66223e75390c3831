// SPDX-License-Identifier: MIT
/** Carriers of packets in transit that this thread knows: `who()` looks into them. */

/** Something whose shared words hold packets in transit. */
export interface TransitSource {
  readonly transitKind: 'channel' | 'flusher' | 'shared writer';
  readonly transitName: string;
  /** The block: two objects of one block are counted once. */
  readonly transitBlock: object;
  /** Calls back with the buffer of each packet in it. */
  eachInTransit(visit: (id: number) => void): void;
}

/** Weak references: what is not used any more is forgotten. */
export class Transits {
  #known: WeakRef<TransitSource>[] = [];
  #pruneAt = 16;

  /** Returns it: to be kept for as long as it is to be seen. */
  add(source: TransitSource): TransitSource {
    this.#known.push(new WeakRef(source));
    if (this.#known.length < this.#pruneAt) return source;
    this.#known = this.#known.filter((known) => known.deref() !== undefined);
    this.#pruneAt = Math.max(16, 2 * this.#known.length);
    return source;
  }

  /** One for each block. */
  sources(): TransitSource[] {
    const byBlock = new Map<object, TransitSource>();
    for (const known of this.#known) {
      const source = known.deref();
      if (source !== undefined) byBlock.set(source.transitBlock, source);
    }
    return [...byBlock.values()];
  }
}
