// SPDX-License-Identifier: MIT
/** The socket's end of the way, in both directions: what every link promises, whatever it is on. */

import type { BusbarError } from '../base/errors.ts';
import type { BufferPool } from '../pool/index.ts';
import type { LocalWriter } from '../writer/index.ts';

/**
 * A link sits between a socket and the pool: what arrives is delivered to its handler in pool
 * memory, what is flushed to its writers leaves in few system calls.
 *
 *   socket ──▶ pool ──▶ handler                      in the turn in which it arrives
 *   socket ◀── outbox ◀── flusher ◀── link.writer    one call for all that was flushed in a turn
 *
 * `TcpLink` (and all streams that it adopts) and `UdpLink` are links; on a `LoopbackNetwork` they
 * are the same classes. Programs that are written against this interface run on each of them. How
 * messages are told apart is the transport's: a codec on a stream, datagrams otherwise.
 *
 * **Back-pressure, outwards.** When so much waits that the other side cannot keep up, the link
 * leaves its writers' regions in the flusher: `writable` is false, and once a writer's lane is full
 * the writer says "not now". `handler.onDrained` tells when it is over. What waits in a link is
 * bounded by `highWaterBytes` and one region of each writer.
 *
 * **Back-pressure, inwards.** While it is paused, and while the pool has no buffer, a link reads
 * nothing. A stream's peer is stopped by that; datagrams wait in the system as long as there is
 * room, and those that find none are dropped there and counted where it is known.
 *
 * **Ownership.** What is delivered is borrowed until the handler returns, unless a packet is taken
 * of it. Regions go back to the pool when the system is done with them. A link that nothing arrives
 * at and that has nothing to send holds no buffer; at `onClose` it holds none at all.
 *
 * **Threads.** All of it on the one that made the link, except the writers of other threads that
 * come in by {@link addWriter}. **Errors** of the world are `BusbarError`s with a code; what a
 * handler throws closes the link and is thrown on, as from any callback of Node.
 */
export interface Link extends AsyncDisposable {
  /** Where everything arrives and leaves from. Several links share one. */
  readonly pool: BufferPool;
  /**
   * Writes to the other side. Closed with the link.
   *
   * **Throws** TypeError on a link that has no other side (a `UdpLink` without peer).
   */
  readonly writer: LocalWriter;
  /**
   * Whether the other side keeps up: false from `highWaterBytes` waiting on until `onDrained`, and
   * once the link is closing or its writer is closed.
   */
  readonly writable: boolean;
  /**
   * What waits in this link, in bytes, as `highWaterBytes` counts it (a `UdpLink` counts 64 more
   * for each region); what is in the flusher and the writers comes on top.
   */
  readonly bufferedBytes: number;
  /** Why the link closed or is closing, if not in good order. */
  readonly error: BusbarError | undefined;
  /**
   * True when the link is gone: nothing is delivered or sent any more, and it holds no buffer.
   * `onClose` comes at that moment or in a microtask after it.
   */
  readonly closed: boolean;
  /** True after {@link pause}, until {@link resume}. */
  readonly paused: boolean;

  /** No more deliveries for now, also from within one: it is the last. */
  pause(): void;
  /** Deliveries again, first of what has arrived already, possibly before this returns. */
  resume(): void;

  /**
   * Sends now what has been written, instead of at the end of this turn of the event loop. Returns
   * {@link writable}.
   *
   * When a writer has said "not now" it makes room in the lane. If the writer still says so and
   * `writable` is false, `onDrained` will come; if `writable` is true the pool has no buffer:
   * `writer.reserve()` waits for one.
   */
  flush(): boolean;
  /**
   * Sends what another writer of the same flusher writes too, in its order; for writers of other
   * threads. A writer belongs to one link: the one that it was added to last. Add it before it
   * flushes: regions of writers that belong to no link are dropped.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED; TypeError or RangeError for what cannot be a writer's
   * id.
   */
  addWriter(writerId: number): void;
  /**
   * Takes no more from a writer that was added; what it has flushed and this link has not taken is
   * dropped. Nothing happens if it is not this link's. **Throws** TypeError, RangeError.
   */
  removeWriter(writerId: number): void;

  /**
   * Keeps the event loop alive while the link is open (the default), if something can come from
   * outside of it: a link on a stream of the program's own keeps nothing alive.
   */
  ref(): void;
  /** Lets the process end while the link is open. */
  unref(): void;

  /**
   * Closes in good order: delivers no more, hands what has been written to the system, and on a
   * stream waits for the other side's end.
   *
   * Resolves when the link is {@link closed}, also if it was before. After `deadlineMs` (default:
   * the option `closeDeadlineMs`) what is left is dropped; then, and whenever something was lost,
   * {@link error} says so. **Throws** TypeError or RangeError naming `deadlineMs`.
   */
  close(options?: CloseOptions): Promise<void>;
  /** Closes at once; what has not been sent is dropped, and counted in `stats().lostBytes`. */
  destroy(): void;

  /** A snapshot of the link's counters. */
  stats(): LinkStats;
}

/** How long to be patient. */
export interface CloseOptions {
  /** Milliseconds, 0 or more; `Infinity` waits as long as it takes. */
  readonly deadlineMs?: number;
}

/** What the reading half of a link has done so far. */
export interface ReadingStats {
  /** Bytes that arrived. */
  readonly bytesRead: number;
  /** Times that something arrived: calls of the system's read, with one datagram or many. */
  readonly reads: number;
  /** Times that reading stopped because somebody called `pause()`. */
  readonly pauses: number;
  /** Times that reading stopped because the pool had no buffer. */
  readonly exhaustions: number;
}

/** What the writing half of a link has done so far. */
export interface WritingStats {
  /** Bytes that the system has taken. */
  readonly bytesWritten: number;
  /** Calls of the system's write, with one region or datagram or many. */
  readonly writes: number;
  /** What waits now: the link's `bufferedBytes`. */
  readonly queuedBytes: number;
  /** Bytes that were written and will never be sent. */
  readonly lostBytes: number;
}

/** What every link has done so far. */
export interface LinkStats extends ReadingStats, WritingStats {
  /** Times that the link stopped taking from its writers because too much waited. */
  readonly stalls: number;
}
