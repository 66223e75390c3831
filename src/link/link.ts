// SPDX-License-Identifier: MIT
/** `Link`: the interface of every link, over any transport. */

import type { BusbarError } from '../base/errors.ts';
import type { BufferPool } from '../pool/index.ts';
import type { LocalWriter } from '../writer/index.ts';

/**
 * A link connects a socket with the pool. Received messages lie in pool memory when the link
 * delivers them to its handler; what the link's writers flush is sent in few system calls.
 *
 *   socket ──▶ pool ──▶ handler                      in the turn in which the bytes arrive
 *   socket ◀── outbox ◀── flusher ◀── link.writer    one call for everything flushed in a turn
 *
 * `TcpLink` (for TCP, and for any stream that it adopts) and `UdpLink` are links; both also run on
 * a `LoopbackNetwork`. Programs written against this interface run on each of them. On a stream, a
 * codec finds where each message ends; otherwise each datagram is one message.
 *
 * **Back-pressure when sending.** If the other side cannot keep up, the link leaves its writers'
 * regions in the flusher: `writable` is false, and once a writer's lane is full the writer returns
 * "not now". The link calls `handler.onDrained` when writers may continue. The bytes that wait in a
 * link are at most `highWaterBytes` plus one region of each writer.
 *
 * **Back-pressure when receiving.** While it is paused, or the pool has no buffer, a link reads
 * nothing. That stops a stream's peer. Datagrams wait in the system's buffer; once that is full the
 * system drops them, and the link counts them if the system tells how many.
 *
 * **Ownership.** A delivered message is borrowed until the handler returns, unless the handler
 * takes a packet of it. Regions return to the pool when the system is done with them. An idle link
 * holds no buffer; at `onClose` no link does.
 *
 * **Threads** the one that created the link, except for writers of other threads added by
 * {@link addWriter}. **Errors** of the outside world are `BusbarError`s with a code. An exception
 * that a handler throws closes the link and is rethrown, as from any callback of Node.
 */
export interface Link extends AsyncDisposable {
  /** Holds all messages, received and sent. Several links may share one pool. */
  readonly pool: BufferPool;
  /**
   * Writes to the other side. Closed with the link.
   *
   * **Throws** TypeError on a link without another side (a `UdpLink` without peer).
   */
  readonly writer: LocalWriter;
  /**
   * Whether the other side keeps up. False once `highWaterBytes` bytes are waiting, or bytes in
   * `highWaterBuffers` buffers, until `onDrained` is called; and once the link is closing or its
   * writer is closed.
   */
  readonly writable: boolean;
  /**
   * Bytes that this link's own writers have accepted and that the system has not taken: those in
   * the writers, in their lanes, and those that wait in the link (a `UdpLink` adds 64 per region).
   * Writers of other threads are not included.
   */
  readonly bufferedBytes: number;
  /** Why the link closed or is closing; undefined while it is open, and if it closed normally. */
  readonly error: BusbarError | undefined;
  /**
   * True once the link has ended: it sends nothing more, and holds no buffer but of packets that
   * wait for a reader after a failure. At that moment, or in a microtask after it, `onClose` is
   * called. Still false while the link is closing, also straight after `destroy()`;
   * {@link writable} is false from the beginning of the end.
   */
  readonly closed: boolean;
  /** True after {@link pause}, until {@link resume}; also while enough packets wait to be read. */
  readonly paused: boolean;

  /** Stops delivery, also from within a delivery, which is then the last. */
  pause(): void;
  /** Resumes delivery. What has already arrived may be delivered before this returns. */
  resume(): void;

  /**
   * Sends at once what was written, without waiting for the end of this turn of the event loop.
   * Returns {@link writable}.
   *
   * After a writer's "not now" this makes room in the lane. The writer may still return "not now":
   * if `writable` is false, `onDrained` will follow; if `writable` is true, the pool has no buffer,
   * and `writer.reserve()` waits for one.
   */
  flush(): boolean;
  /**
   * Also sends the regions of another writer of the same flusher, in the order in which it flushed
   * them; for writers of other threads. A writer belongs to the link that it was added to last. Add
   * it before it flushes: regions of writers without a link are dropped.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED; TypeError or RangeError unless `writerId` is a possible id.
   */
  addWriter(writerId: number): void;
  /**
   * Stops sending an added writer's regions; flushed regions that the link has not taken are
   * dropped. No effect on a writer of another link. **Throws** TypeError, RangeError.
   */
  removeWriter(writerId: number): void;

  /**
   * Keeps the event loop alive while the link is open (the default). No effect on a link over a
   * stream that the program makes itself: only a socket of the system can keep the loop alive.
   */
  ref(): void;
  /** Allows the process to exit while the link is open. */
  unref(): void;

  /**
   * Closes in good order: stops delivering, passes what was written to the system, and, on a
   * stream, waits until the other side has ended too.
   *
   * Resolves when the link is {@link closed}; at once if it already is. After `deadlineMs`
   * (default: the option `closeDeadlineMs`) the rest is dropped. {@link error} then says so, as it
   * does for any other loss. **Throws** TypeError or RangeError naming `deadlineMs`.
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
  /** Times that reading stopped because the pool had no buffer. */
  readonly exhaustions: number;
}

/** Counters of a link's writing half. */
export interface WritingStats {
  /** Bytes that the system has taken. */
  readonly bytesWritten: number;
  /** Writes to the system, each with one region or datagram or several. */
  readonly writes: number;
  /** Bytes that wait in the link itself, as `highWaterBytes` counts them. */
  readonly queuedBytes: number;
  /** Bytes written by the program that will never be sent. */
  readonly lostBytes: number;
}

/** Counters of a link. */
export interface LinkStats extends ReadingStats, WritingStats {
  /** Times that the link stopped taking regions from its writers because too many bytes waited. */
  readonly stalls: number;
}
