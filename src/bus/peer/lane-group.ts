// SPDX-License-Identifier: MIT
/** The executors of a group and their host as peers, over the lanes between them. */

import { checkInteger, show } from '../../base/check.ts';
import { BusbarError } from '../../base/errors.ts';
import type { PacketSender } from '../../channel/index.ts';
import type { TakenRegion } from '../../executor/in-hand.ts';
import type { ExecutorContext, ExecutorGroup } from '../../executor/index.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import {
  ENDED,
  NOT_NOW,
  type PeerCarrier,
  type PeerGroup,
  type RegionReceiver,
  SENT,
  type SendResult,
} from './peer-carrier.ts';

/** A thread of a group: the context of an executor, or in the host the group. */
export type BusMember = ExecutorContext | ExecutorGroup;

/** What frames have beside a subject: an interest a queue group, a message words and a reply. */
const INTEREST_BYTES_MIN = 272;
const MESSAGE_BYTES_MIN = 40;

/** Each thread joins once. */
const joined: WeakSet<object> = new WeakSet();

/** The lane to another thread of an executor group. */
export class LaneCarrier implements PeerCarrier {
  readonly #sender: PacketSender;

  constructor(sender: PacketSender) {
    this.#sender = sender;
  }

  get capacity(): number {
    return this.#sender.capacity;
  }

  trySend(bufferId: BufferId, offset: number, length: number): SendResult {
    try {
      return this.#sender.trySendRegion(bufferId, offset, length) ? SENT : NOT_NOW;
    } catch (error) {
      if ((error as BusbarError).code !== 'ERR_BUSBAR_CHANNEL_CLOSED') throw error;
      return ENDED;
    }
  }
}

/**
 * The other executors of a group, without their host, as peers of a server: see `ServerPeers`.
 *
 * **Threads** the executor's, once: it reads the mailbox. **Throws** TypeError;
 * ERR_BUSBAR_CHANNEL_ROLE if the mailbox has a reader.
 */
export function executorPeers(context: ExecutorContext): PeerGroup {
  if (typeof context !== 'object' || context === null || !('host' in context)) {
    throw new TypeError(`context must be an ExecutorContext, got ${show(context)}`);
  }
  const group = new LaneGroup(context, 0);
  const { index, epoch, carriers } = group;
  return {
    index,
    epoch,
    carriers: carriers.slice(0, context.count),
    onRegion: (receiver) => group.onRegion(receiver),
  };
}

export class LaneGroup implements PeerGroup {
  readonly pool: BufferPool;
  readonly index: number;
  readonly epoch: number;
  readonly carriers: readonly (PeerCarrier | undefined)[];
  readonly #member: BusMember;
  readonly #count: number;

  /** **Throws** TypeError; ERR_BUSBAR_CHANNEL_ROLE if the mailbox is read otherwise. */
  constructor(member: BusMember, subjectBytesMax: number) {
    const isMember = typeof member === 'object' && typeof member?.peer === 'function';
    if (!isMember || typeof member.mailbox?.handleRegions !== 'function') {
      throw new TypeError(
        `member must be an ExecutorContext or an ExecutorGroup, got ${show(member)}`,
      );
    }
    const { pool, count, mailbox } = member;
    checkPool(pool);
    const beside = Math.max(INTEREST_BYTES_MIN, MESSAGE_BYTES_MIN + subjectBytesMax);
    const bufferSizeMin = subjectBytesMax + beside;
    checkInteger('pool.bufferSize', pool.bufferSize, bufferSizeMin, 2 ** 31 - 1);
    this.pool = pool;
    this.#member = member;
    this.#count = checkInteger('member.count', count, 1, 256);
    const context = 'host' in member ? member : undefined;
    this.index = context === undefined ? count : context.index;
    this.epoch = context === undefined ? 1 : context.restarts + 1;
    if (joined.has(mailbox) || (mailbox as { isRead?: boolean }).isRead === true) {
      throw new BusbarError('ERR_BUSBAR_CHANNEL_ROLE', 'the mailbox of this thread has a reader');
    }
    joined.add(mailbox);
    const carriers: (PeerCarrier | undefined)[] = [];
    for (let at = 0; at < count; at++) {
      carriers.push(at === this.index ? undefined : new LaneCarrier(member.peer(at)));
    }
    carriers.push(context === undefined ? undefined : new LaneCarrier(context.host));
    this.carriers = carriers;
  }

  /** Executors all join; their host may. */
  isExpected(index: number): boolean {
    return index < this.#count;
  }

  onRegion(receiver: RegionReceiver): void {
    this.#member.mailbox.handleRegions(receiver);
  }

  poll(flush: () => number): void {
    if ('poll' in this.#member) this.#member.poll(flush);
  }

  /** Only the host sees its executors end. */
  onGone(listener: (index: number, epoch: number) => void): void {
    if ('onGone' in this.#member) this.#member.onGone(listener);
  }

  /** Calls back in the host when an executor has crashed, with what it may have had in hand. */
  onCrash(listener: (index: number, taken: readonly TakenRegion[]) => void): void {
    if ('onGone' in this.#member) {
      this.#member.onGone((index, _epoch, taken) => listener(index, taken));
    }
  }

  /** Calls `end` before the thread leaves the group. */
  onEnd(end: () => void): void {
    if ('defer' in this.#member) this.#member.defer(end);
  }
}
