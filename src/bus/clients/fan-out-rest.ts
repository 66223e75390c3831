// SPDX-License-Identifier: MIT
/** The recipients that are left of a message which was delivered in part. */

import type { MatchSet } from '../match-set.ts';
import type { Outgoing } from '../peer/outgoing.ts';
import type { Beyond, SpreadGroup } from '../peer/remote-interest.ts';
import type { Indexed } from '../token-tree.ts';

type BeyondOf<S> = Beyond<S, Outgoing>;
type Spread<S> = SpreadGroup<S, Outgoing>;

/** Recipients of a message at a peer. */
interface Dispatch {
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
 * The progress of a message that was delivered in part, for `FanOut.resume`. Its lists are those of
 * the match set, which all messages with this subject share; the match set leaves them unchanged.
 */
export class FanOutRest<S extends Indexed> {
  /** @internal Subscriptions here without queue group: `[plainAt, plainEnd)` of these are left. */
  plain: readonly S[] = NOBODY;
  /** @internal */
  plainAt: number = 0;
  /** @internal */
  plainEnd: number = 0;
  /** @internal Queue groups of which a member here gets it: `[groupAt, groupEnd)` are left. */
  groups: (readonly S[])[] = [];
  /** @internal */
  groupAt: number = 0;
  /** @internal */
  groupEnd: number = 0;
  /** @internal Groups that also have members at peers, one of which may get the message instead. */
  spread: (Spread<S> | undefined)[] | undefined = undefined;
  /** @internal Groups with members at peers whose recipient is not chosen yet. */
  undecided: Iterator<Spread<S>> | undefined = undefined;
  /** @internal For peers, from `dispatchAt` on. */
  readonly dispatches: Dispatch[] = [];
  /** @internal */
  dispatchAt: number = 0;
  /** @internal Deliveries made so far. */
  taken: number;
  /** @internal Number of references held. */
  weight: number = 1;
  /** By peer: the dispatch that can take another group. */
  readonly #open: (Dispatch | undefined)[] = [];

  /** @internal */
  constructor(taken: number) {
    this.taken = taken;
  }

  /** @internal */
  pinPlain(found: MatchSet<S, BeyondOf<S>>, begin: number): void {
    found.isPinned = true;
    this.plain = found.plain;
    this.plainAt = begin;
    this.plainEnd = found.plainCount;
    this.weight += found.plainCount;
  }

  /** @internal */
  pinGroups(found: MatchSet<S, BeyondOf<S>>, begin: number): void {
    found.isPinned = true;
    this.groups = found.groups;
    this.groupAt = begin;
    this.groupEnd = found.groupCount;
    this.weight += found.groupCount;
  }

  /** @internal */
  addGroup(members: readonly S[], spread: Spread<S> | undefined): void {
    this.groups.push(members);
    this.spread ??= [];
    this.spread.push(spread);
    this.groupEnd++;
    this.weight += 2;
  }

  /** @internal */
  setBeyond(beyond: BeyondOf<S>): void {
    for (const peer of beyond.peers) this.dispatch(peer);
    if (beyond.groups.size > 0) this.undecided = beyond.groups.values();
    this.weight += beyond.groups.size;
  }

  /** @internal Dispatches to the peer's subscriptions without queue group. */
  dispatch(peer: Outgoing): void {
    this.dispatches.push({ peer, plain: true, groups: [], nameBytes: 0 });
  }

  /** @internal Dispatches to a member of this group there, with other groups if they fit. */
  dispatchToGroup(peer: Outgoing, name: string): void {
    let dispatch = this.#open[peer.index];
    // The first dispatch may also be for the subscriptions without group.
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
