// SPDX-License-Identifier: MIT
/**
 * What each case should reach, and what bab, the Rust original, needs for the same thing; in units
 * of one atomic addition.
 */

export interface Target {
  /** At most this many A. */
  readonly atMostA?: number;
  /** bab's own figure in A, measured on one machine with its own benchmark. */
  readonly babA?: number;
  /** At most `times` the time of the case `of` in the same run. */
  readonly ratio?: { readonly of: string; readonly times: number };
}

export const targets: Readonly<Record<string, Target>> = {
  'pool/try-acquire-release': { atMostA: 0.35, babA: 0.44 },
  'pool/acquire-release': { babA: 0.95 },
  'pool/churn-256': { babA: 0.73 },
  'packet/clone-release': { atMostA: 0.9, babA: 0.42 },
  'packet/clone-release-numbers': { atMostA: 0.42, babA: 0.42 },
  'packet/send-receive': { atMostA: 2.4, babA: 2.4 },
  'packet/send-receive-objects': { babA: 2.4 },
  'framer/16B-copy': { atMostA: 2.1, babA: 2.2 },
  'framer/16B-in-place': { atMostA: 1.0 },
  'framer/60B-u32': { ratio: { of: 'baseline/rest-framer-60B', times: 1 } },
  'framer/60B-u32-packets': { ratio: { of: 'baseline/concat-framer-60B', times: 0.25 } },
  'writer/local-16B': { babA: 0.9 },
  'writer/local-60B': { atMostA: 2.2, babA: 1.0 },
  'writer/local-60B-in-place': { atMostA: 1.0, babA: 1.0 },
  'writer/local-flush-60B': { atMostA: 2.5, babA: 1.6 },
  'writer/shared-flush-60B': { atMostA: 3.5, babA: 3.5 },
  'writer/thread-to-flusher-60B': { atMostA: 2.8, babA: 2.8 },
  'baseline/allocUnsafe-1033': { babA: 1.3 },
};
