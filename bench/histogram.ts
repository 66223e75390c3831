// SPDX-License-Identifier: MIT
/** A histogram of latencies: gives percentiles of a million values in little memory. */

/** Values below this have a bucket each; above it a bucket spans less than 1 % of its value. */
const EXACT = 256;
const MANTISSA_BITS = 7;
const BUCKETS_PER_OCTAVE = 1 << MANTISSA_BITS;
/** For values up to 2³¹ − 1. */
export const HISTOGRAM_WORDS: number = 24 * BUCKETS_PER_OCTAVE + EXACT;
const VALUE_MAX = 2 ** 31 - 1;

/** A bucket and how many values fell into it, for JSON. */
export type BucketCount = readonly [bucket: number, count: number];

/**
 * A histogram of whole nanoseconds, up to two seconds.
 *
 * **Threads** its words may be shared: one thread records, another reads when the first has
 * stopped.
 */
export class Histogram {
  readonly words: Int32Array<ArrayBufferLike>;

  constructor(words: Int32Array<ArrayBufferLike> = new Int32Array(HISTOGRAM_WORDS)) {
    if (words.length !== HISTOGRAM_WORDS) throw new RangeError('a histogram of another size');
    this.words = words;
  }

  /** One whose words other threads can be given. */
  static createShared(): Histogram {
    const bytes = HISTOGRAM_WORDS * Int32Array.BYTES_PER_ELEMENT;
    return new Histogram(new Int32Array(new SharedArrayBuffer(bytes)));
  }

  /** Counts one value; what is below 0 counts as 0. **Cost** no allocation. */
  record(ns: number): void {
    this.words[bucketOf(ns < 0 ? 0 : ns > VALUE_MAX ? VALUE_MAX : ns | 0)]++;
  }

  reset(): void {
    this.words.fill(0);
  }

  get total(): number {
    let total = 0;
    for (const count of this.words) total += count;
    return total;
  }

  /** The smallest value that at least the fraction `q` of all values does not exceed. */
  quantile(q: number): number {
    const { total } = this;
    if (total === 0) throw new RangeError('quantile of no values');
    const rank = Math.max(1, Math.ceil(q * total));
    let seen = 0;
    for (let bucket = 0; bucket < HISTOGRAM_WORDS; bucket++) {
      seen += this.words[bucket];
      if (seen >= rank) return middleOf(bucket);
    }
    throw new RangeError('a histogram changed while it was read');
  }

  /** The buckets that are not empty. */
  toCounts(): BucketCount[] {
    const counts: BucketCount[] = [];
    for (const [bucket, count] of this.words.entries()) if (count > 0) counts.push([bucket, count]);
    return counts;
  }

  add(counts: readonly BucketCount[]): void {
    for (const [bucket, count] of counts) this.words[bucket] += count;
  }
}

function bucketOf(value: number): number {
  if (value < EXACT) return value;
  const shift = 31 - Math.clz32(value) - MANTISSA_BITS;
  return shift * BUCKETS_PER_OCTAVE + (value >>> shift);
}

/** The middle of a bucket. */
function middleOf(bucket: number): number {
  if (bucket < EXACT) return bucket;
  const shift = (bucket >>> MANTISSA_BITS) - 1;
  return ((bucket - shift * BUCKETS_PER_OCTAVE) << shift) + ((1 << shift) >> 1);
}
