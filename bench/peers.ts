// SPDX-License-Identifier: MIT
/**
 * Cases that do the same job: with busbar, and as a program does it without. Cases that do less
 * than ours (a bare loop, half of the job) stand here, too, and say so.
 */

export interface PeerGroup {
  /** The job, as a row of a table has it. */
  readonly job: string;
  readonly ours: readonly string[];
  readonly others: readonly string[];
  /** What one must know to read the figures. */
  readonly note?: string;
}

/** In the order of the report; the README shows the first ones. */
export const peerGroups: readonly PeerGroup[] = [
  {
    job: 'a string of 64 B to another thread',
    ours: ['idiom/channel-for-await', 'idiom/channel-handle'],
    others: ['idiom/channel-postMessage'],
  },
  {
    job: '64 B to another thread, one by one',
    ours: ['channel/spsc-packets-64B'],
    others: [
      'baseline/ringbuf-64B',
      'baseline/thread-stream-64B',
      'baseline/post-message-64B',
      'baseline/message-channel-64B',
      'baseline/multithreading-channel-64MiB',
    ],
  },
  {
    job: '64 B to another thread and back',
    ours: ['hop/round-trip-spin', 'hop/round-trip-io'],
    others: ['baseline/post-message-round-trip', 'baseline/message-channel-round-trip'],
    note: 'p50 of single round trips; `spin` keeps both cores busy',
  },
  {
    job: 'lines echoed over TCP',
    ours: ['idiom/echo-for-await', 'idiom/echo-callback'],
    others: ['idiom/echo-net'],
  },
  {
    job: 'a line to each of 200 connections',
    ours: ['idiom/fanout-packet', 'idiom/fanout-write', 'idiom/fanout-joined'],
    others: ['idiom/fanout-net', 'idiom/fanout-sendmsg'],
    note: '`net` joins the lines of a turn, as `joined` does; `sendmsg` is the system calls alone',
  },
  {
    job: 'lines from a thread to files that rotate',
    ours: ['idiom/log-writer'],
    others: ['idiom/log-postMessage'],
  },
  {
    job: 'names to two threads by key, and back',
    ours: ['idiom/group-send', 'idiom/group-request'],
    others: ['idiom/group-postMessage'],
    note: 'many in flight',
  },
  {
    job: 'readings of 12 B by UDP',
    ours: ['idiom/udp-packed', 'idiom/udp-message', 'idiom/udp-for-await'],
    others: ['idiom/udp-dgram'],
  },
  {
    job: 'datagrams of 64 B',
    ours: ['udp/64B-gso-gro', 'udp/64B-packed', 'udp/64B-mmsg'],
    others: ['udp/dgram-64B'],
  },
  {
    job: 'a lock between two threads',
    ours: ['sync/mutex-2t', 'sync/mutex-2t-fair'],
    others: ['sync/atomics-2t', 'sync/multithreading-mutex-2t', 'sync/web-locks-2t'],
    note: '`atomics-2t` is the textbook lock: no fairness, and the death of its holder stops all',
  },
  {
    job: '64 B to another thread, 64 at once',
    ours: ['channel/spsc-packets-64B-batch64'],
    others: ['baseline/ringbuf-64B-batch64', 'baseline/ringbuf-64B-batch64-words'],
    note: '`words` copies whole words: no bytes, no buffers',
  },
  {
    job: 'whole buffers to another thread, 64 at once',
    ours: ['channel/buffers-batch64'],
    others: ['baseline/buffer-ring-batch64'],
    note: 'the bare ring of numbers knows no death and no close',
  },
  {
    job: 'a word to another thread',
    ours: ['channel/spsc-stream', 'channel/spsc-batch64'],
    others: ['baseline/plain-ring'],
    note: 'the plain ring knows no sleep, no close and no death',
  },
  {
    job: 'requests of two connections to two executors and back',
    ours: ['idiom/rpc-tag', 'idiom/rpc-request', 'idiom/rpc-one-thread'],
    others: ['idiom/rpc-net'],
    note: '`net` and `one-thread` do the small work themselves, without another thread',
  },
  {
    job: 'a call to another thread and back',
    ours: ['hop/executor-round-trip-adaptive', 'hop/executor-round-trip-park'],
    others: ['baseline/piscina-empty-task'],
    note: 'p50 of single calls',
  },
  {
    job: 'frames of 60 B from a stream',
    ours: ['framer/60B-u32', 'framer/60B-u32-packets'],
    others: ['baseline/rest-framer-60B', 'baseline/concat-framer-60B'],
    note: '`rest-framer` gives offsets; its bytes cannot be kept or shared',
  },
  {
    job: 'a buffer taken and given back',
    ours: ['pool/try-acquire-release'],
    others: ['baseline/allocUnsafe-1033'],
  },
  {
    job: '60 B over TCP',
    ours: ['tcp/60B-framed', 'tcp/60B-framed-numbers'],
    others: ['tcp/copy-64KiB', 'tcp/cork-1000', 'tcp/write-each'],
    note: '`copy-64KiB` copies into blocks and counts bytes; it parses nothing',
  },
  {
    job: 'a batch to each of 1000 connections',
    ours: ['tcp/fanout-1000', 'tcp/fanout-1000-streams'],
    others: ['tcp/fanout-1000-sockets'],
    note: 'p50 of the sending; `sockets` writes one Buffer to all',
  },
  {
    job: '64 B to a subscriber on the same thread',
    ours: ['bus/publish-deliver-64B'],
    others: ['bus/event-emitter-64B', 'bus/message-port-64B'],
    note: 'an EventEmitter has no subjects and no queue',
  },
  {
    job: 'a lock between functions of one thread',
    ours: ['sync/mutex-async-contended'],
    others: ['sync/async-mutex-contended'],
  },
  {
    job: 'a read lock between two threads',
    ours: ['sync/rwlock-read-2t'],
    others: ['sync/multithreading-rwlock-read-2t', 'sync/web-locks-read-2t'],
  },
  {
    job: 'a permit to another thread and back',
    ours: ['sync/semaphore-ping-pong', 'sync/event-ping-pong'],
    others: ['sync/multithreading-ping-pong', 'sync/atomics-ping-pong'],
    note: '`atomics-ping-pong` is the least that two sleeps cost',
  },
];
