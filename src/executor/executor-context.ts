// SPDX-License-Identifier: MIT
/** What the user's module is given inside an executor's thread. */

import type { PacketSender } from '../channel/index.ts';
import type { BufferPool } from '../pool/index.ts';
import type { Mailbox } from './mailbox.ts';
import type { Poll } from './turn-loop.ts';

/**
 * What an executor's module exports, as its default or as `run`. The group has started when every
 * executor's function has returned; so start a loop over the mailbox here, but do not await it.
 */
export type ExecutorMain = (context: ExecutorContext) => void | Promise<void>;

/** Everything that a thread of a group has; its module gets it once, at the start. */
export interface ExecutorContext {
  /** Index of this executor: 0 … count − 1. */
  readonly index: number;
  /** How many executors the group has; also the index of the host. */
  readonly count: number;
  /** How often this executor was restarted: 0 for its first thread. */
  readonly restarts: number;
  /** The group's name, '-' and the index. */
  readonly name: string;
  /** The cpu to which the thread is pinned; undefined if none. */
  readonly cpu: number | undefined;
  /** What the group was given as `data`, cloned. */
  readonly data: unknown;
  readonly pool: BufferPool;
  /** Everything that is sent to this executor. */
  readonly mailbox: Mailbox;
  /**
   * The lane to executor `index`, itself included. It stays the same when that executor restarts.
   * Once the group has drained, sending throws ERR_BUSBAR_CHANNEL_CLOSED; handlers and polls need
   * not catch it, your own loops must.
   *
   * **Throws** RangeError.
   */
  peer(index: number): PacketSender;
  /** The lane to the thread that started the group. */
  readonly host: PacketSender;
  /**
   * Calls `work` in every pass of the loop; it returns how much it did, 0 for nothing. While it
   * does something, another pass follows; then the loop may park until a packet arrives in the
   * mailbox or {@link wake} is called. A packet that a poll leaves in the mailbox does not wake the
   * loop again. Returns a function that removes the poll.
   */
  poll(work: Poll): () => void;
  /**
   * Asks for a pass: for polls that depend on sockets, timers or other callbacks of this thread.
   */
  wake(): void;
  /**
   * Aborted when the group begins to stop; the reason is ERR_BUSBAR_EXECUTOR_STOPPED. Sources of
   * new work (sockets, timers, polls) then stop.
   */
  readonly signal: AbortSignal;
  /**
   * Registers a function to run, last one first, when the mailbox is empty; the thread awaits it.
   */
  defer(cleanup: () => void | Promise<void>): void;
  /** 16 words for the user's own counters; `stats()` of the group shows them. */
  readonly counters: Int32Array;
}
