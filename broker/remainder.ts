// SPDX-License-Identifier: MIT
/** Example broker: the remaining recipients of a message that was delivered in part. */

import type { Outgoing } from 'busbar/bus';
import type { Beyond, Matches, SpreadGroup } from './matches.ts';
import type { Subscription } from './subscription.ts';

/** Recipients of a message at another executor. */
export interface Dispatch {
  readonly peer: Outgoing;
  readonly plain: boolean;
  readonly groups: string[];
  /** Bytes of the groups' names, with a space after each. */
  nameBytes: number;
}

/** Most bytes of group names in one dispatch: they must fit a buffer with room to spare. */
const GROUP_BYTES_MAX = 16 * 1024;
const NOBODY: readonly never[] = [];

/**
 * The progress of a message's delivery. The lists of subscribers are those of the match set, which
 * all messages with this subject share; the match set leaves them unchanged.
 */
export class Remainder<S> {
  /** Local subscribers without queue group: `[plainAt, plainEnd)` of these are left. */
  plain: readonly Subscription<S>[] = NOBODY;
  plainAt: number = 0;
  plainEnd: number = 0;
  /** Queue groups of which a local member gets the message: `[groupAt, groupEnd)` are left. */
  groups: (readonly Subscription<S>[])[] = [];
  groupAt: number = 0;
  groupEnd: number = 0;
  /** Groups that also have members at other executors, one of which may get the message instead. */
  spread: (SpreadGroup<S> | undefined)[] | undefined = undefined;
  /** Groups with members at other executors whose recipient is not chosen yet. */
  undecided: Iterator<SpreadGroup<S>> | undefined = undefined;
  /** For other executors, from `dispatchAt` on. */
  readonly dispatches: Dispatch[] = [];
  dispatchAt: number = 0;
  /** Deliveries made so far. */
  taken: number;
  /** Number of references held. */
  weight: number = 1;
  /** By executor: the dispatch that can take another group. */
  readonly #open: (Dispatch | undefined)[] = [];

  constructor(taken: number) {
    this.taken = taken;
  }

  pinPlain(found: Matches<S>, begin: number): void {
    found.isPinned = true;
    this.plain = found.plain;
    this.plainAt = begin;
    this.plainEnd = found.plainCount;
    this.weight += found.plainCount;
  }

  pinGroups(found: Matches<S>, begin: number): void {
    found.isPinned = true;
    this.groups = found.groups;
    this.groupAt = begin;
    this.groupEnd = found.groupCount;
    this.weight += found.groupCount;
  }

  addGroup(members: readonly Subscription<S>[], spread: SpreadGroup<S> | undefined): void {
    this.groups.push(members);
    this.spread ??= [];
    this.spread.push(spread);
    this.groupEnd++;
    this.weight += 2;
  }

  setBeyond(beyond: Beyond<S>): void {
    for (const peer of beyond.peers) this.dispatch(peer);
    if (beyond.groups.size > 0) this.undecided = beyond.groups.values();
    this.weight += beyond.groups.size;
  }

  /** Dispatches to the executor's subscribers without queue group. */
  dispatch(peer: Outgoing): void {
    this.dispatches.push({ peer, plain: true, groups: [], nameBytes: 0 });
  }

  /** Dispatches to a member of this group there, together with other groups if they fit. */
  dispatchToGroup(peer: Outgoing, name: string): void {
    let dispatch = this.#open[peer.index];
    // The first dispatch may also be for the subscribers without group.
    dispatch ??= this.dispatches.find((each) => each.peer === peer);
    if (dispatch === undefined || !hasRoomFor(dispatch, name)) {
      dispatch = { peer, plain: false, groups: [], nameBytes: 0 };
      this.dispatches.push(dispatch);
    }
    dispatch.groups.push(name);
    // Bytes from 0x80 on take two in UTF-8.
    dispatch.nameBytes += 2 * name.length + 1;
    this.#open[peer.index] = dispatch;
  }
}

function hasRoomFor(dispatch: Dispatch, name: string): boolean {
  return dispatch.nameBytes === 0 || dispatch.nameBytes + 2 * name.length <= GROUP_BYTES_MAX;
}
