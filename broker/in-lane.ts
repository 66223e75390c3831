// SPDX-License-Identifier: MIT
/**
 * The broker: messages of another executor, for subscribers of this one. They wait for their share
 * of work, and for a buffer, never for one subscriber; what follows them in the lane waits, too.
 */

import { type Incoming, MatchSet, PLAIN } from 'busbar/bus';
import type { BufferPool } from 'busbar/pool';
import type { Backpressure, Waiter } from './backpressure.ts';
import type { Matches } from './matches.ts';
import { Message } from './message.ts';
import { OP_HPUB, OP_PUB, ProtocolCodec, type ProtocolLimits } from './protocol.ts';
import type { Remainder } from './remainder.ts';
import { NOT_NOW, type Router, type Subscriber } from './router.ts';

const NO_NAMES: readonly string[] = [];
/** Says, in the stream, that no message follows. It begins as no message does. */
export const BYE = 'BYE\n';
const BYE_BYTE: number = BYE.charCodeAt(0);

/** What a message counts for in the window beside its bytes, as both sides say it. */
export function laneCost(groupCount: number): number {
  return MESSAGE_COST + groupCount * GROUP_COST;
}
const MESSAGE_COST = 8;
/** For each queue group of which a member is to be found. */
const GROUP_COST = 256;

/** The part of the mesh that all incoming lanes share. */
export interface InLaneCore<S extends Subscriber> {
  readonly pool: BufferPool;
  readonly limits: ProtocolLimits;
  readonly router: Router<S>;
  readonly backpressure: Backpressure;
  readonly counters: { messagesOut: number };
  /** Called after a word that others may wait for. */
  heard(): void;
  /** Offers again what a lane has refused. */
  resume(from: number): void;
}

export class InLane<S extends Subscriber> implements Waiter {
  /** A message waits here. */
  isBlocked: boolean = false;
  /** The other executor sends no more messages. */
  hasSaidBye: boolean = false;
  readonly #core: InLaneCore<S>;
  readonly #from: number;
  readonly #codec: ProtocolCodec;
  readonly #message: Message;
  #remainder: Remainder<S> | undefined = undefined;
  #found: Matches<S> = new MatchSet();
  #foundStamp: number = -1;
  /** Queue groups that the messages are for: one text, and each name. */
  #serves: string = '';
  #names: readonly string[] = NO_NAMES;

  constructor(core: InLaneCore<S>, from: number) {
    const { pool, limits } = core;
    this.#core = core;
    this.#from = from;
    this.#message = new Message(pool.view, pool.bytes, pool);
    // The canonical form of a line that ended with LF alone is one byte longer.
    const maxControlLineBytes = limits.maxControlLineBytes + 1;
    this.#codec = new ProtocolCodec(pool.view, { ...limits, maxControlLineBytes });
  }

  /** A lane has the work of many clients, see {@link Waiter}. */
  get carriesMany(): boolean {
    return true;
  }

  /** Delivers the messages `[begin, end)`; returns where it stops, if there is no room now. */
  deliver(from: Incoming, begin: number, end: number): number {
    for (let at = begin; at < end; ) {
      const next = this.#deliverOne(from, at, end);
      if (next < 0) {
        this.isBlocked = true;
        this.#core.backpressure.block(this);
        return at;
      }
      at = next;
    }
    return end;
  }

  /** Called when there may be room again. */
  proceed(): void {
    if (!this.isBlocked) return;
    this.isBlocked = false;
    this.#core.resume(this.#from);
  }

  /** Delivers the message at `begin`. Returns where it ends, or -1: no room now. */
  #deliverOne(from: Incoming, begin: number, end: number): number {
    const { pool, router, counters } = this.#core;
    const message = this.#message;
    let taken: number;
    if (this.#remainder === undefined) {
      if (pool.bytes[begin] === BYE_BYTE) {
        this.hasSaidBye = true;
        this.#core.heard();
        return begin + BYE.length;
      }
      if (router.share.isSpent) return NOT_NOW;
      this.#readMessage(begin, end);
      if (from.serves !== this.#serves) {
        this.#serves = from.serves;
        this.#names = from.serves === '' ? NO_NAMES : from.serves.split(' ');
      }
      const isPlain = from.recipients === PLAIN;
      taken = router.routeHere(message, this.#found, isPlain, this.#names);
    } else {
      taken = router.resume(message, undefined, this.#remainder);
    }
    if (taken === NOT_NOW) {
      this.#remainder ??= router.remainder;
      return NOT_NOW;
    }
    this.#remainder = undefined;
    from.charge(laneCost(this.#names.length));
    counters.messagesOut += taken;
    return message.end;
  }

  #readMessage(begin: number, end: number): void {
    const { pool, router } = this.#core;
    const codec = this.#codec;
    const length = codec.measure(pool.bytes, begin, end, 0);
    const isMessage = codec.op === OP_PUB || codec.op === OP_HPUB;
    if (!isMessage || begin + length > end) throw new Error('no message in the lane');
    this.#message.set(codec, codec.op === OP_HPUB, begin, begin + length);
    if (codec.isRepeated && router.isCurrent(this.#found, this.#foundStamp)) return;
    router.share.units--;
    const { subjectBegin, subjectEnd, subjectHash } = codec;
    this.#found = router.find(begin + subjectBegin, begin + subjectEnd, subjectHash);
    this.#foundStamp = this.#found.stamp;
  }
}
