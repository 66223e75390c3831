// SPDX-License-Identifier: MIT
/** `Mailbox`: everything that the other threads of a group send to one thread. */

import type { WaitOptions } from '../base/wait-guard.ts';
import type { HandleOptions } from '../packet/handling.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferId } from '../pool/index.ts';
import type { PacketHandler, ReplyHandler } from './replies.ts';

/** {@link PacketHandler} with plain numbers: takes over one reference on the buffer. */
export type RegionHandler = (
  bufferId: BufferId,
  offset: number,
  length: number,
  from: number,
  tag: number,
) => void;

/**
 * The packets that other threads send to one thread of a group. Lanes are read in turn; the packets
 * of one sender stay in order. Read it either by a handler or by `receive` and `tryReceive`.
 *
 * **Threads** its owner.
 */
export interface Mailbox {
  /**
   * Calls `handler` for each packet from now on, in the thread's turns. If it returns promises, at
   * most `concurrency` (default 1: in order) are under way; meanwhile nothing more is taken. A stop
   * waits for them.
   *
   * **Ownership** the packet is the handler's, which releases it, sends it on or keeps it. If a
   * handler throws or rejects, without `onError`, its thread ends, and the pool gets back
   * everything that the thread held.
   * **Throws** ERR_BUSBAR_CHANNEL_ROLE if the mailbox is already read by `receive`.
   */
  handle(handler: PacketHandler, options?: HandleOptions): void;
  /** {@link handle} without an object for each packet. */
  handleRegions(handler: RegionHandler): void;
  /**
   * {@link handle} with replies: what `handler` returns is sent back to the sender, as the reply to
   * a `group.request`, else with the tag of the packet. Waits while that lane is full.
   *
   * **Ownership** the packet is the handler's, and what it returns is the mailbox's. If the handler
   * of a request fails, the request rejects with ERR_BUSBAR_REQUEST_FAILED and its message; so does
   * a request to a mailbox that is read in another way, which does not hand it out.
   * **Throws** as {@link handle}.
   */
  respond(handler: ReplyHandler, options?: HandleOptions): void;
  /** The next packet, or undefined: empty now. **Throws** ERR_BUSBAR_CHANNEL_ROLE. */
  tryReceive(): Packet | undefined;
  /**
   * The next packet, as soon as there is one; undefined when no more can come. Code that continues
   * after an `await` should `defer` a function that returns its promise: the thread then does not
   * end before the promise settles.
   *
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, ERR_BUSBAR_CHANNEL_ROLE.
   */
  receive(options?: WaitOptions): Promise<Packet | undefined>;
  /** The sender of the packet that `receive` or `tryReceive` returned last. */
  readonly from: number;
  /** All packets until no more can come. Leaving the loop ends nothing: another may follow. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Packet, void, undefined>;
}
