// SPDX-License-Identifier: MIT
/** The room where packets are worked on, as the user's module sees it from inside a thread. */

import type { PacketSender } from '../channel/index.ts';
import type { BufferPool } from '../pool/index.ts';
import type { Mailbox } from './mailbox.ts';
import type { Poll } from './turn-loop.ts';

/**
 * What an executor's module exports, as its default or as `run`. The start of the group is over
 * when all of them have returned; so one that never ends (a loop over the mailbox, say) is begun
 * here, not waited for.
 */
export type ExecutorMain = (context: ExecutorContext) => void | Promise<void>;

/** All that a thread of a group has: given to its module once, at the start. */
export interface ExecutorContext {
  /** Number of this executor: 0 … count − 1. */
  readonly index: number;
  /** How many executors the group has; also the number of the host. */
  readonly count: number;
  /** The group's name, '-' and the index. */
  readonly name: string;
  /** The cpu to which the thread is pinned; undefined if it is not. */
  readonly cpu: number | undefined;
  /** What the group was given as `data`, cloned. */
  readonly data: unknown;
  readonly pool: BufferPool;
  /** Everything that is sent to this executor. */
  readonly mailbox: Mailbox;
  /**
   * The lane to executor `index`; to itself, too. It stays the same when that one is started again.
   * Once the group has drained it throws ERR_BUSBAR_CHANNEL_CLOSED; handlers and polls need not
   * catch that, loops of your own do.
   *
   * **Throws** RangeError.
   */
  peer(index: number): PacketSender;
  /** The lane to the thread that started the group. */
  readonly host: PacketSender;
  /**
   * Calls `work` in every pass of the loop; it returns how much it did, 0 for nothing. As long as
   * it did something there is a next pass; then the loop may park until something arrives in the
   * mailbox or {@link wake} is called. What a poll leaves in the mailbox wakes nobody again.
   * Returns what ends the poll.
   */
  poll(work: Poll): () => void;
  /** Asks for a pass, for a poll that depends on what only this thread's callbacks know. */
  wake(): void;
  /**
   * Aborted when the group begins to stop; the reason is ERR_BUSBAR_EXECUTOR_STOPPED. Whoever
   * makes work from outside (sockets, timers, polls) makes no more.
   */
  readonly signal: AbortSignal;
  /** Called when the mailbox has been emptied, the last one first; the thread waits for it. */
  defer(cleanup: () => void | Promise<void>): void;
  /** 16 words for counters of the user's own, which `stats()` of the group shows. */
  readonly counters: Int32Array;
}
