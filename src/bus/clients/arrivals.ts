// SPDX-License-Identifier: MIT
/**
 * Messages of one peer, for clients of this thread. They wait for their share of work, and for a
 * buffer, never for one client; what follows them in the stream waits, too.
 */

import type { BufferPool } from '../../pool/index.ts';
import type { Incoming } from '../peer/incoming.ts';
import { PLAIN } from '../peer/peer-layout.ts';
import type { Backpressure } from './backpressure.ts';
import type { Waiter } from './fair-share.ts';
import { type FanOut, type FanOutMessage, type FanOutSubscription, NO_ROOM } from './fan-out.ts';
import { Publisher } from './publisher.ts';

const NO_NAMES: readonly string[] = [];
/** Says, in place of a message, that none follows: four of these bytes. None begins with one. */
export const BYE = 0xff;
export const BYE_BYTES = 4;

/** What a message counts for in the window beside its bytes, as both sides say it. */
export function arrivalCost(groupCount: number): number {
  return MESSAGE_COST + groupCount * GROUP_COST;
}
const MESSAGE_COST = 8;
/** For each queue group of which a member is to be found. */
const GROUP_COST = 256;

/** Reads the messages of one peer, one after the other. All positions are the pool's. */
export interface MessageReader<M> {
  /** Reads the message at `begin`, of which no byte lies beyond `end`; valid until the next one. */
  read(begin: number, end: number): M;
  /** Its subject, as for `Publisher.tryFind`. */
  readonly subjectBegin: number;
  readonly subjectEnd: number;
  readonly subjectHash: number;
  /** True: it has the subject of the message before. */
  readonly isRepeated: boolean;
}

/** What the messages of all peers share. */
export interface ArrivalsCore<M extends FanOutMessage, S extends FanOutSubscription<M, S>> {
  readonly pool: BufferPool;
  readonly fanOut: FanOut<M, S>;
  readonly backpressure: Backpressure;
  /** Called with the number of clients that took a message. */
  delivered(count: number): void;
  /** Called after a word that others may wait for. */
  heard(): void;
  /** Offers again what was refused. */
  resume(from: number): void;
}

export class Arrivals<M extends FanOutMessage, S extends FanOutSubscription<M, S>>
  implements Waiter
{
  /** A message waits here. */
  isBlocked: boolean = false;
  /** The peer sends no more messages. */
  hasSaidBye: boolean = false;
  readonly #core: ArrivalsCore<M, S>;
  readonly #from: number;
  readonly #reader: MessageReader<M>;
  readonly #publisher: Publisher<M, S>;
  /** The message that was read last. */
  #message: M | undefined = undefined;
  /** Queue groups that the messages are for: one text, and each name. */
  #serves: string = '';
  #names: readonly string[] = NO_NAMES;

  constructor(core: ArrivalsCore<M, S>, from: number, reader: MessageReader<M>) {
    this.#core = core;
    this.#from = from;
    this.#reader = reader;
    this.#publisher = new Publisher(core.fanOut, undefined);
  }

  /** A peer has the work of many clients, see {@link Waiter}. */
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
    const { pool, fanOut } = this.#core;
    const publisher = this.#publisher;
    let message = this.#message;
    let taken: number;
    if (!publisher.isUnfinished || message === undefined) {
      if (pool.bytes[begin] === BYE) {
        this.hasSaidBye = true;
        this.#core.heard();
        return begin + BYE_BYTES;
      }
      if (fanOut.share.isSpent) return NO_ROOM;
      const reader = this.#reader;
      message = reader.read(begin, end);
      this.#message = message;
      const { subjectBegin, subjectEnd, subjectHash, isRepeated } = reader;
      if (!publisher.tryFind(subjectBegin, subjectEnd, subjectHash, isRepeated)) return NO_ROOM;
      if (from.serves !== this.#serves) {
        this.#serves = from.serves;
        this.#names = from.serves === '' ? NO_NAMES : from.serves.split(' ');
      }
      taken = publisher.routeHere(message, from.recipients === PLAIN, this.#names);
    } else {
      taken = publisher.resume(message);
    }
    if (taken === NO_ROOM) return NO_ROOM;
    from.charge(arrivalCost(this.#names.length));
    this.#core.delivered(taken);
    return message.end;
  }
}
