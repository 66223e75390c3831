// SPDX-License-Identifier: MIT
/** One publisher's messages on their way to all who want them. */

import { show } from '../../base/check.ts';
import type { MatchSet } from '../match-set.ts';
import type { Outgoing } from '../peer/outgoing.ts';
import type { Beyond } from '../peer/remote-interest.ts';
import { lineUnits } from './fair-share.ts';
import { FanOut, type FanOutMessage, type FanOutSubscription, NO_ROOM } from './fan-out.ts';
import type { FanOutRest } from './fan-out-rest.ts';

/**
 * The messages of one publisher, one after the other: the matches of the last one, which are those
 * of the next one as a rule, and what is left of one that was delivered in part.
 *
 * For each message: {@link tryFind}, then {@link route}; after `NO_ROOM` {@link resume}, until all
 * have it.
 *
 * **Threads** one. **Cost** of a message with the subject of the one before: a few comparisons, and
 * what `FanOut` costs.
 */
export class Publisher<M extends FanOutMessage, S extends FanOutSubscription<M, S>> {
  readonly #fanOut: FanOut<M, S>;
  /** Undefined: a peer, whose messages do not wait. */
  readonly #from: S['owner'] | undefined;
  #found: MatchSet<S, Beyond<S, Outgoing>> | undefined = undefined;
  #foundStamp: number = -1;
  #rest: FanOutRest<S> | undefined = undefined;
  /** Whether the message found last goes to peers, too. @readonly */
  goesBeyond: boolean = false;

  /** `from` does not get its own messages if its `offer` declines them. **Throws** TypeError. */
  constructor(fanOut: FanOut<M, S>, from: S['owner'] | undefined) {
    if (!(fanOut instanceof FanOut)) {
      throw new TypeError(`fanOut must be a FanOut, got ${show(fanOut)}`);
    }
    this.#fanOut = fanOut;
    this.#from = from;
  }

  /** Whether a message is under way, which {@link resume} continues. */
  get isUnfinished(): boolean {
    return this.#rest !== undefined;
  }

  /**
   * Finds who wants the subject `[begin, end)`, whose `hash` a `RecentSubject` has; three bytes
   * after `end` must be readable. `isRepeated`: it is that of the message before. False: not now;
   * it is others' turn, too many deliveries are unfinished to begin one, or a peer has no room.
   */
  tryFind(begin: number, end: number, hash: number, isRepeated: boolean): boolean {
    const fanOut = this.#fanOut;
    let found = this.#found;
    if (found === undefined || !isRepeated || !fanOut.isCurrent(found, this.#foundStamp)) {
      const { share } = fanOut;
      // Until it is found: asked again, the same subject is a repeated one, and no other's.
      this.#foundStamp = -1;
      if (share.isSpent) return false;
      share.units -= lineUnits(end - begin);
      found = fanOut.find(begin, end, hash);
      this.#found = found;
      const isHindered = this.#from !== undefined && fanOut.isCrowded;
      this.#foundStamp = isHindered ? -1 : found.stamp;
      if (isHindered && !fanOut.mayBegin(found)) return false;
    }
    const { beyond } = found;
    this.goesBeyond = beyond !== undefined;
    return this.#from === undefined || beyond?.isStalled !== true;
  }

  /** Forgets what was found. */
  forget(): void {
    this.#foundStamp = -1;
  }

  /** Offers the message to all that were found. Returns how many took it here, or `NO_ROOM`. */
  route(message: M): number {
    const found = this.#found as MatchSet<S, Beyond<S, Outgoing>>;
    return this.#keep(this.#fanOut.route(message, this.#from as S['owner'], found));
  }

  /** @internal The same for a message of a peer: see `FanOut.routeHere`. */
  routeHere(message: M, plain: boolean, groups: readonly string[]): number {
    const found = this.#found as MatchSet<S, Beyond<S, Outgoing>>;
    return this.#keep(this.#fanOut.routeHere(message, found, plain, groups));
  }

  /** Continues with those that are left; returns the same. */
  resume(message: M): number {
    const taken = this.#fanOut.resume(message, this.#from, this.#rest as FanOutRest<S>);
    if (taken !== NO_ROOM) this.#rest = undefined;
    return taken;
  }

  /** Gives up what is left of a message. */
  drop(): void {
    if (this.#rest !== undefined) this.#fanOut.drop(this.#rest);
    this.#rest = undefined;
  }

  #keep(taken: number): number {
    if (taken === NO_ROOM) this.#rest = this.#fanOut.rest;
    return taken;
  }
}
