// SPDX-License-Identifier: MIT
/** Example broker: what is left to do for a message that has been delivered in part. */

import type { MatchSet } from './match-set.ts';
import type { Beyond, RemoteExecutor, SpreadGroup } from './remote-interest.ts';
import type { Subscription } from './subscription.ts';

/** A message for another executor, and whom there it is for. */
export interface Dispatch {
  readonly executor: RemoteExecutor;
  readonly plain: boolean;
  readonly groups: string[];
  /** Of the groups' names, with a space after each. */
  nameBytes: number;
}

/** Group names in one dispatch: together they must fit into a buffer, with room to spare. */
const GROUP_BYTES_MAX = 16 * 1024;
const NOBODY: readonly never[] = [];

/**
 * Where the delivery of a message stands. The lists of subscribers are those of the answer that the
 * subject got, which all messages with this subject share: the answer leaves them as they are.
 */
export class Remainder<S> {
  /** Subscribers here, outside queue groups: `[plainAt, plainEnd)` of these are left. */
  plain: readonly Subscription<S>[] = NOBODY;
  plainAt: number = 0;
  plainEnd: number = 0;
  /** Queue groups of which a member here gets the message: `[groupAt, groupEnd)` are left. */
  groups: (readonly Subscription<S>[])[] = [];
  groupAt: number = 0;
  groupEnd: number = 0;
  /** The groups that have members elsewhere, too, one of which may have the message instead. */
  spread: (SpreadGroup<S> | undefined)[] | undefined = undefined;
  /** Groups with members elsewhere, for which it is not decided who has the message. */
  undecided: Iterator<SpreadGroup<S>> | undefined = undefined;
  /** For other executors, from `dispatchAt` on. */
  readonly dispatches: Dispatch[] = [];
  dispatchAt: number = 0;
  /** Deliveries made so far. */
  taken: number;
  /** References that it holds. */
  weight: number = 1;
  /** By executor: the dispatch that takes another group. */
  readonly #open: (Dispatch | undefined)[] = [];

  constructor(taken: number) {
    this.taken = taken;
  }

  pinPlain(found: MatchSet<S>, begin: number): void {
    found.isPinned = true;
    this.plain = found.plain;
    this.plainAt = begin;
    this.plainEnd = found.plainCount;
    this.weight += found.plainCount;
  }

  pinGroups(found: MatchSet<S>, begin: number): void {
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
    for (const executor of beyond.executors) this.dispatch(executor);
    if (beyond.groups.size > 0) this.undecided = beyond.groups.values();
    this.weight += beyond.groups.size;
  }

  /** To the subscribers there outside queue groups. */
  dispatch(executor: RemoteExecutor): void {
    this.dispatches.push({ executor, plain: true, groups: [], nameBytes: 0 });
  }

  /** To a member of this group there: together with other groups, as far as they fit. */
  dispatchToGroup(executor: RemoteExecutor, name: string): void {
    let dispatch = this.#open[executor.index];
    // The first may take the subscribers outside groups along.
    dispatch ??= this.dispatches.find((each) => each.executor === executor);
    if (dispatch === undefined || !hasRoomFor(dispatch, name)) {
      dispatch = { executor, plain: false, groups: [], nameBytes: 0 };
      this.dispatches.push(dispatch);
    }
    dispatch.groups.push(name);
    dispatch.nameBytes += name.length + 1;
    this.#open[executor.index] = dispatch;
  }
}

function hasRoomFor(dispatch: Dispatch, name: string): boolean {
  return dispatch.nameBytes === 0 || dispatch.nameBytes + name.length <= GROUP_BYTES_MAX;
}
