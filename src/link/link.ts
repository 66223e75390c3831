// SPDX-License-Identifier: MIT
/** `Link`: the interface of every link, over any transport. */

import type { BusbarError } from '../base/errors.ts';
import type { BufferPool } from '../pool/index.ts';
import type { LocalWriter } from '../writer/index.ts';

/**
 * A link connects a socket with the pool. It delivers received messages to its handler in pool
 * memory, and sends what its writers flush in few system calls.
 *
 *   socket ──▶ pool ──▶ handler                      in the turn in which it arrives
 *   socket ◀── outbox ◀── flusher ◀── link.writer    one call for everything flushed in a turn
 *
 * `TcpLink` (on any stream that it adopts) and `UdpLink` are links, also on a `LoopbackNetwork`.
 * Programs written against this interface run on each of them. The transport delimits messages: a
 * codec on a stream, datagrams otherwise.
 *
 * **Back-pressure when sending.** If the other side cannot keep up, the link leaves its writers'
 * regions in the flusher: `writable` is false, and once a writer's lane is full the writer returns
 * "not now". `handler.onDrained` reports the end of this. The bytes that wait in a link are bounded
 * by `highWaterBytes` and one region of each writer.
 *
 * **Back-pressure when receiving.** While it is paused, or the pool has no buffer, a link reads
 * nothing. That stops a stream's peer; datagrams wait in the system while there is room, and are
 * dropped and counted (where that is known) when there is none.
 *
 * **Ownership.** A delivered message is borrowed until the handler returns, unless the handler
 * takes a packet of it. Regions return to the pool when the system is done with them. An idle link
 * holds no buffer; at `onClose` no link does.
 *
 * **Threads** the one that created the link, except for writers of other threads added by
 * {@link addWriter}. **Errors** of the outside world are `BusbarError`s with a code; an exception
 * of a handler closes the link and is rethrown, as from any callback of Node.
 */
export interface Link extends AsyncDisposable {
  /** Holds all messages, received and sent. Several links share one. */
  readonly pool: BufferPool;
  /**
   * Writes to the other side. Closed with the link.
   *
   * **Throws** TypeError on a link without another side (a `UdpLink` without peer).
   */
  readonly writer: LocalWriter;
  /**
   * Whether the other side keeps up. False from the time `highWaterBytes` wait until `onDrained`,
   * and once the link is closing or its writer is closed.
   */
  readonly writable: boolean;
  /**
   * Bytes that wait in this link, as `highWaterBytes` counts them (a `UdpLink` adds 64 per region).
   * Those in the flusher and the writers are not included.
   */
  readonly bufferedBytes: number;
  /** Why the link closed or is closing; undefined if in good order. */
  readonly error: BusbarError | undefined;
  /**
   * True once the link has ended: it delivers and sends nothing more, and holds no buffer. At that
   * moment, or in a microtask after it, `onClose` is called.
   */
  readonly closed: boolean;
  /** True after {@link pause}, until {@link resume}. */
  readonly paused: boolean;

  /** Stops delivery, also from within a delivery, which is then the last. */
  pause(): void;
  /** Resumes delivery, first of what has arrived already, possibly before this returns. */
  resume(): void;

  /**
   * Sends what was written now, not at the end of this turn of the event loop. Returns
   * {@link writable}.
   *
   * After a writer's "not now" this makes room in the lane. If the writer still returns "not now":
   * `onDrained` will follow if `writable` is false; if it is true, the pool has no buffer, and
   * `writer.reserve()` waits for one.
   */
  flush(): boolean;
  /**
   * Also sends the regions of another writer of the same flusher, in its order; for writers of
   * other threads. A writer belongs to the link that it was added to last. Add it before it
   * flushes: regions of writers without a link are dropped.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED; TypeError or RangeError unless `writerId` can be a writer's.
   */
  addWriter(writerId: number): void;
  /**
   * Stops sending an added writer's regions; flushed regions that the link has not taken are
   * dropped. No effect on a writer of another link. **Throws** TypeError, RangeError.
   */
  removeWriter(writerId: number): void;

  /**
   * Keeps the event loop alive while the link is open (the default), if data can come from outside
   * the process: a link on a stream of the program itself keeps nothing alive.
   */
  ref(): void;
  /** Allows the process to exit while the link is open. */
  unref(): void;

  /**
   * Closes in good order: stops delivering, passes what was written to the system, and, on a
   * stream, waits for the other side's end.
   *
   * Resolves when the link is {@link closed}, also if it was before. After `deadlineMs` (default:
   * the option `closeDeadlineMs`) the rest is dropped. {@link error} reports this, and any other
   * loss. **Throws** TypeError or RangeError naming `deadlineMs`.
   */
  close(options?: CloseOptions): Promise<void>;
  /** Closes at once; unsent bytes are dropped, and counted in `stats().lostBytes`. */
  destroy(): void;

  /** A snapshot of the link's counters. */
  stats(): LinkStats;
}

/** Options of `close`. */
export interface CloseOptions {
  /** Milliseconds, 0 or more; `Infinity` waits without limit. */
  readonly deadlineMs?: number;
}

/** Counters of a link's reading half. */
export interface ReadingStats {
  /** Bytes that arrived. */
  readonly bytesRead: number;
  /** Reads that returned data; each returns one datagram or several, or bytes of a stream. */
  readonly reads: number;
  /** Times that `pause()` stopped reading. */
  readonly pauses: number;
  /** Times that a pool without buffers stopped reading. */
  readonly exhaustions: number;
}

/** Counters of a link's writing half. */
export interface WritingStats {
  /** Bytes that the system has taken. */
  readonly bytesWritten: number;
  /** Writes to the system, each with one region or datagram or several. */
  readonly writes: number;
  /** Bytes that wait now: the link's `bufferedBytes`. */
  readonly queuedBytes: number;
  /** Bytes written by the program that will never be sent. */
  readonly lostBytes: number;
}

/** Counters of a link. */
export interface LinkStats extends ReadingStats, WritingStats {
  /** Times that the link stopped taking regions from its writers because too many bytes waited. */
  readonly stalls: number;
}
