// SPDX-License-Identifier: MIT
/**
 * Targets of the cases, and the figures of bab, the Rust original, in units of one atomic addition.
 */

/** At most this many times what another case takes. */
export interface Ratio {
  readonly of: string;
  readonly times: number;
}

/** All that is given must be reached. */
export interface Target {
  /** At most this many A. */
  readonly atMostA?: number;
  /** At most this many nanoseconds, where a rate was asked for. */
  readonly atMostNs?: number;
  /** bab's own figure in A, measured on one machine with its own benchmark. */
  readonly babA?: number;
  /** At most `times` the time of the case `of` in the same run; of each of several cases. */
  readonly ratio?: Ratio | readonly Ratio[];
  /** Judges the median latency of single operations instead of the time per operation. */
  readonly latency?: true;
}

export const targets: Readonly<Record<string, Target>> = {
  'pool/try-acquire-release': { atMostA: 0.3, babA: 0.44 },
  'pool/acquire-release': { babA: 0.95 },
  'pool/churn-256': { babA: 0.73 },
  'packet/clone-release': { atMostA: 0.9, babA: 0.42 },
  'packet/clone-release-numbers': { atMostA: 0.33, babA: 0.42 },
  'packet/send-receive': { atMostA: 1.7, babA: 2.4 },
  'packet/send-receive-objects': { atMostA: 4, babA: 2.4 },
  'framer/16B-copy': { atMostA: 1.0, babA: 2.2 },
  'framer/16B-in-place': { atMostA: 1.0 },
  'framer/60B-u32': { ratio: { of: 'baseline/rest-framer-60B', times: 1 } },
  'framer/60B-u32-packets': { ratio: { of: 'baseline/concat-framer-60B', times: 0.25 } },
  'writer/local-16B': { atMostA: 0.9, babA: 0.9 },
  'writer/local-60B': { atMostA: 1.6, babA: 1.0 },
  'writer/local-60B-in-place': { atMostA: 1.0, babA: 1.0 },
  'writer/local-flush-60B': { atMostA: 1.8, babA: 1.6 },
  'writer/shared-flush-60B': { atMostA: 3.5, babA: 3.5 },
  'writer/thread-to-flusher-60B': { atMostA: 2.5, babA: 2.8 },
  'idiom/log-writer': { ratio: { of: 'idiom/log-postMessage', times: 1 } },
  'sync/mutex-uncontended': { atMostA: 2.6 },
  'sync/mutex-2t': {
    ratio: [
      { of: 'sync/multithreading-mutex-2t', times: 1 / 3 },
      { of: 'sync/web-locks-2t', times: 1 / 10 },
    ],
  },
  // Both are granted in the order of the requests; the mutex of multithreading is not.
  'sync/mutex-2t-fair': { ratio: { of: 'sync/web-locks-2t', times: 1 / 10 } },
  'sync/rwlock-read-2t': {
    ratio: [
      { of: 'sync/multithreading-rwlock-read-2t', times: 1 / 3 },
      { of: 'sync/web-locks-read-2t', times: 1 / 10 },
    ],
  },
  'sync/semaphore-ping-pong': { ratio: { of: 'sync/multithreading-ping-pong', times: 1 / 3 } },
  'sync/event-ping-pong': { ratio: { of: 'sync/multithreading-ping-pong', times: 1 / 3 } },
  'sync/mutex-async-contended': { ratio: { of: 'sync/async-mutex-contended', times: 1 } },
  'metrics/exporter-on-hot-path': { ratio: { of: 'metrics/exporter-elsewhere', times: 1.03 } },
  'channel/spsc-stream': { atMostNs: 33 },
  'channel/spsc-batch64': { atMostA: 1.1 },
  'channel/spsc-packets-64B-batch64': {
    atMostA: 5.6,
    ratio: { of: 'baseline/ringbuf-64B-batch64', times: 1 / 2 },
  },
  // crossbeam's figures, 60 and 29 million a second.
  'channel/mpsc-batch64': { atMostNs: 16.7 },
  'channel/mpmc-batch64': { atMostNs: 34.5 },
  'channel/mpsc-2p': { atMostA: 5.6 },
  'channel/mpmc-2p2c': { atMostA: 9.3 },
  'hop/one-way-64B': { atMostNs: 50 },
  'group/keyed-send': { atMostNs: 300 },
  'hop/round-trip-spin': { atMostA: 44, ...postMessage(1 / 35) },
  'hop/round-trip-io': { atMostA: 222, ...postMessage(1 / 35) },
  'udp/64B-gso-gro': { ratio: { of: 'udp/dgram-64B', times: 0.0166 } },
  'udp/64B-packed': { ratio: { of: 'udp/dgram-64B', times: 0.0166 } },
  'udp/64B-mmsg': { ratio: { of: 'udp/dgram-64B', times: 0.5 } },
  'tcp/60B-framed': againstSockets(),
  'tcp/60B-framed-numbers': againstSockets(),
  'baseline/allocUnsafe-1033': { babA: 1.3 },
};

/** A framed message against one that is written to a socket, by hand or each by itself. */
function againstSockets(): Target {
  return {
    ratio: [
      { of: 'tcp/copy-64KiB', times: 1 / 1.2 },
      { of: 'tcp/write-each', times: 1 / 40 },
    ],
  };
}

/** Latency against the round trip by `postMessage`. */
function postMessage(times: number): Target {
  return { latency: true, ratio: { of: 'baseline/post-message-round-trip', times } };
}
