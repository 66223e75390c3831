// SPDX-License-Identifier: MIT
/** Delivery of messages to the subscriptions of one thread, in order for each of them. */

import type { BusMessage } from './bus-message.ts';
import type { BusSubscription } from './bus-subscription.ts';
import type { MatchSet } from './match-set.ts';

type Subscriptions = readonly BusSubscription[];
type Found = MatchSet<BusSubscription, unknown>;
export type MembersOf = (found: Found, queue: string) => Subscriptions;
const NOBODY: BusSubscription[] = [];

/** A message whose handlers run once the running one has returned. */
interface Deferred {
  readonly message: BusMessage;
  readonly plain: Subscriptions;
  readonly plainCount: number;
  readonly picked: BusSubscription[];
  readonly found: Found;
  /** The message is in the queues of loops and of asynchronous handlers. */
  readonly isQueued: boolean;
}

export class Delivery {
  /** A message is being delivered, further up in the call stack. */
  isDispatching: boolean = false;
  /** It is being put into queues: an `onError`, or a call that waited, publishes. */
  #isQueueing: boolean = false;
  readonly #backlogMax: number;
  readonly #backlog: Deferred[] = [];
  /** The members that get the message, one of each queue group. */
  picked: BusSubscription[] = NOBODY;
  /** Subscriptions with a queue of messages. */
  queueCount: number = 0;
  /** Messages for groups whose members had all ended when their turn came. */
  lost: number = 0;
  readonly #membersOf: MembersOf;
  #turn: number = 0;

  /** `membersOf`: the members of a group on this thread. */
  constructor(backlogMax: number, membersOf: MembersOf) {
    this.#backlogMax = backlogMax;
    this.#membersOf = membersOf;
  }

  /** Messages that wait until the running handler returns. */
  get backlogCount(): number {
    return this.#backlog.length;
  }

  /** Picks a member of each queue group. False: one that stops publishers has no room. */
  hasRoom(found: Found): boolean {
    if (this.isDispatching && this.#backlog.length >= this.#backlogMax) return false;
    if (this.queueCount > 0) {
      const { plain, plainCount } = found;
      for (let i = 0; i < plainCount; i++) if (!plain[i].hasRoom) return false;
    }
    if (found.groupCount === 0) {
      this.picked = NOBODY;
      return true;
    }
    return this.#pickEach(found);
  }

  /**
   * The next member in turn that has room; else one that loses messages; else undefined.
   */
  pick(members: Subscriptions, turn: number): BusSubscription | undefined {
    const count = members.length;
    const first = turn % count;
    let lossy: BusSubscription | undefined;
    for (let tried = 0; tried < count; tried++) {
      const member = members[first + tried < count ? first + tried : first + tried - count];
      if (member.isReady) return member;
      if (member.hasRoom) lossy ??= member;
    }
    return lossy;
  }

  /** {@link pick} of the group with that index. */
  pickAt(found: Found, index: number): BusSubscription | undefined {
    const turn = found.turns[index] ?? this.firstTurn();
    found.turns[index] = turn + 1;
    return this.pick(found.groups[index], turn);
  }

  /**
   * Where turns begin. Each group counts its own for each subject: with one count for all, two
   * groups of two that match a subject would always be at the same member. Subjects that are used
   * once begin one after the other.
   */
  firstTurn(): number {
    return ++this.#turn;
  }

  /**
   * Delivers to the subscriptions that {@link hasRoom} has checked. Returns whether the handlers
   * have run.
   *
   * **Ownership** takes the message's reference.
   */
  deliver(message: BusMessage, found: Found): boolean {
    return this.deliverTo(message, found, found.plainCount, this.picked);
  }

  /** The same for the first `plainCount` plain ones, and these members of groups. */
  deliverTo(
    message: BusMessage,
    found: Found,
    plainCount: number,
    picked: BusSubscription[],
  ): boolean {
    const { plain } = found;
    // Handlers may subscribe, and publish to the same subject.
    found.isPinned = true;
    const isNested = this.isDispatching;
    const isQueued = !this.#isQueueing;
    try {
      this.isDispatching = true;
      // First: what is published while it is put into queues comes after it.
      if (isNested) {
        this.#backlog.push({ message, plain, plainCount, picked, found, isQueued });
      }
      if (isQueued && (this.queueCount > 0 || picked.length > 0)) {
        this.#enqueue(message, plain, plainCount, picked, found);
      }
      if (isNested) return false;
      this.#dispatch(message, plain, plainCount, picked, found);
      if (this.#backlog.length > 0) this.#dispatchBacklog();
    } finally {
      this.isDispatching = isNested;
    }
    return true;
  }

  close(): void {
    for (const { message } of this.#backlog.splice(0)) message.release();
  }

  #pickEach(found: Found): boolean {
    const picked: BusSubscription[] = [];
    for (let i = 0; i < found.groupCount; i++) {
      const member = this.pickAt(found, i);
      if (member === undefined) return false;
      picked.push(member);
    }
    this.picked = picked;
    return true;
  }

  #dispatchBacklog(): void {
    for (let next = this.#backlog.shift(); next !== undefined; next = this.#backlog.shift()) {
      const { message, plain, plainCount, picked, found, isQueued } = next;
      if (!isQueued) this.#enqueue(message, plain, plainCount, picked, found);
      this.#dispatch(message, plain, plainCount, picked, found);
    }
  }

  /** Puts the message into queues; what is published meanwhile comes after it. */
  #enqueue(
    message: BusMessage,
    plain: Subscriptions,
    plainCount: number,
    picked: BusSubscription[],
    found: Found,
  ): void {
    this.#isQueueing = true;
    try {
      for (let i = 0; i < plainCount; i++) enqueue(plain[i], message);
      for (let i = 0; i < picked.length; i++) {
        if (enqueue(picked[i], message)) continue;
        const heir = this.#heirOf(picked[i], found);
        if (heir === undefined) continue;
        // A handler that runs at once has its turn later.
        picked[i] = heir;
        enqueue(heir, message);
      }
    } finally {
      this.#isQueueing = false;
    }
  }

  /** Calls the handlers that run at once. What they throw is reported, and ends nothing here. */
  #dispatch(
    message: BusMessage,
    plain: Subscriptions,
    plainCount: number,
    picked: BusSubscription[],
    found: Found,
  ): void {
    message.isLent = true;
    try {
      for (let i = 0; i < plainCount; i++) handle(plain[i], message);
      if (picked.length > 0) this.#dispatchToPicked(message, picked, found);
    } finally {
      message.isLent = false;
      message.release();
    }
  }

  #dispatchToPicked(message: BusMessage, picked: BusSubscription[], found: Found): void {
    for (const member of picked) {
      if (handle(member, message)) continue;
      const heir = this.#heirOf(member, found);
      if (heir?.waiting === undefined) heir?.handle(message);
      else heir.accept(message);
    }
  }

  /** Another member of the group of one that has ended before its turn. */
  #heirOf({ queue }: BusSubscription, found: Found): BusSubscription | undefined {
    const members = this.#membersOf(found, queue).filter(({ place }) => place >= 0);
    if (members.length === 0) this.lost++;
    return this.pick(members, 0) ?? members[0];
  }
}

/** Puts the message into the subscription's queue, if it has one. False: it has ended meanwhile. */
function enqueue(subscription: BusSubscription, message: BusMessage): boolean {
  if (subscription.waiting === undefined) return true;
  if (subscription.place < 0) return false;
  subscription.accept(message);
  return true;
}

/** Calls its handler, if it has no queue. False: it has ended meanwhile. */
function handle(subscription: BusSubscription, message: BusMessage): boolean {
  if (subscription.waiting !== undefined) return true;
  if (subscription.place < 0) return false;
  subscription.handle(message);
  return true;
}
