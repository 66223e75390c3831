// SPDX-License-Identifier: MIT
/** Example broker: publishing: from the frames of one connection to the outputs of others. */

import {
  classifySubject,
  type FanOutRest,
  lineUnits,
  MatchSet,
  NO_ROOM,
  SUBJECT_LITERAL,
} from 'busbar/bus';
import type { FrameReader } from 'busbar/framer';
import type { BufferPool } from 'busbar/pool';
import type { BrokerCore, Matches, Router } from './broker-core.ts';
import type { Connection } from './connection.ts';
import { Message } from './message.ts';
import { ERROR_UNKNOWN_OPERATION, OP_HPUB, type ProtocolCodec } from './protocol.ts';
import type { Subscription } from './subscription.ts';

type Rest = FanOutRest<Subscription<Connection>>;

/** A message that consists of headers only, and they of a status. */
const NO_RESPONDERS = 'NATS/1.0 503\r\n\r\n';
/** Instead of a number of recipients: the message was refused, and the publisher told. */
const REFUSED = -2;
/** CR and LF as a little-endian half word. */
const WORD_CRLF = 0x0a0d;

/**
 * Carries out PUB and HPUB. A message for which there is no room stays in its frame until it has
 * gone to all recipients.
 */
export class Publication {
  readonly #core: BrokerCore;
  readonly #connection: Connection;
  readonly #pool: BufferPool;
  readonly #router: Router;
  readonly #framer: FrameReader;
  readonly #codec: ProtocolCodec;
  readonly #message: Message;

  /** Matches of the last message, with their stamp. */
  #found: Matches = new MatchSet();
  #foundStamp: number = -1;
  /** Recipients left over if not all had room. */
  #rest: Rest | undefined = undefined;
  /** True once a verbose publisher has its +OK, which comes first, as in nats-server. */
  #isConfirmed: boolean = false;
  /** Number of recipients once known, while the publisher has not been told. */
  #taken: number = NO_ROOM;
  /** True if the message also goes to other executors. */
  #goesBeyond: boolean = false;

  constructor(core: BrokerCore, connection: Connection) {
    const { pool, router } = core;
    const { framer } = connection.link;
    this.#core = core;
    this.#connection = connection;
    this.#pool = pool;
    this.#router = router;
    this.#framer = framer;
    this.#codec = framer.codec as ProtocolCodec;
    this.#message = new Message(pool, this.#codec);
  }

  /** Publishes the current frame, or continues to. Returns false if there is no room now. */
  publish(): boolean {
    const isDone = this.#publish();
    // A delivery may have closed this connection: that of the publisher with most output waiting.
    if (this.#connection.isClosing) this.close();
    return isDone;
  }

  /** Gives up what is left of the message. */
  close(): void {
    if (this.#rest !== undefined) this.#router.drop(this.#rest);
    this.#rest = undefined;
  }

  #publish(): boolean {
    const connection = this.#connection;
    if (this.#taken === NO_ROOM) {
      this.#taken = this.#rest === undefined ? this.#begin() : this.#continue();
      if (this.#taken === NO_ROOM) return connection.isClosing;
      if (this.#taken > 0) this.#core.counters.messagesOut += this.#taken;
    }
    if (this.#taken === 0 && connection.options.no_responders && !this.#goesBeyond) {
      if (!this.#tellNoResponders()) return false;
    }
    this.#taken = NO_ROOM;
    this.#isConfirmed = false;
    return true;
  }

  /** Offers the message to its matches. Returns how many took it, REFUSED, or NO_ROOM. */
  #begin(): number {
    const codec = this.#codec;
    const connection = this.#connection;
    const begin = this.#framer.frameOffset;
    const end = begin + this.#framer.frameLength;
    if (this.#pool.view.getInt16(end - 2, true) !== WORD_CRLF) {
      // nats-server complains of the subject before it has seen the payload.
      if (connection.options.pedantic && !this.#isLiteral(begin)) {
        connection.sayError('Invalid Publish Subject');
      }
      connection.cutOff(ERROR_UNKNOWN_OPERATION);
      return NO_ROOM;
    }
    if (codec.op === OP_HPUB && !connection.options.headers) {
      connection.cutOff('message headers not supported');
      return NO_ROOM;
    }
    if (connection.options.pedantic && !this.#isLiteral(begin)) {
      // nats-server complains too, and passes the message on even so.
      this.#foundStamp = -1;
      return connection.sayError('Invalid Publish Subject') ? REFUSED : NO_ROOM;
    }
    if (connection.options.verbose && !this.#isConfirmed) {
      if (!connection.sayOk()) return NO_ROOM;
      this.#isConfirmed = true;
    }
    const router = this.#router;
    if (!codec.isRepeated || !router.isCurrent(this.#found, this.#foundStamp)) {
      if (!this.#find(begin)) return NO_ROOM;
    }
    const { beyond } = this.#found;
    if (beyond?.isStalled === true) return NO_ROOM;
    this.#message.set(begin, end);
    this.#core.counters.messagesIn++;
    this.#goesBeyond = beyond !== undefined;
    if (this.#goesBeyond) connection.hasCaused();
    const taken = router.route(this.#message, connection, this.#found);
    if (taken === NO_ROOM) this.#rest = router.rest;
    return taken;
  }

  #continue(): number {
    const rest = this.#rest as Rest;
    const taken = this.#router.resume(this.#message, this.#connection, rest);
    if (taken !== NO_ROOM) this.#rest = undefined;
    return taken;
  }

  /** Returns false if it is others' turn, or too many deliveries are unfinished to begin one. */
  #find(begin: number): boolean {
    const { subjectBegin, subjectEnd, subjectHash } = this.#codec;
    const router = this.#router;
    if (router.share.isSpent) return false;
    router.share.units -= lineUnits(subjectEnd - subjectBegin);
    this.#found = router.find(begin + subjectBegin, begin + subjectEnd, subjectHash);
    this.#foundStamp = router.isCrowded ? -1 : this.#found.stamp;
    return !router.isCrowded || router.mayBegin(this.#found);
  }

  #isLiteral(begin: number): boolean {
    const { subjectBegin, subjectEnd } = this.#codec;
    const { bytes } = this.#pool;
    return classifySubject(bytes, begin + subjectBegin, begin + subjectEnd) === SUBJECT_LITERAL;
  }

  /** Called if nothing took the message: tells the client at once if it was a request. */
  #tellNoResponders(): boolean {
    const { replyBegin, replyEnd } = this.#codec;
    if (replyEnd === replyBegin) return true;
    const begin = this.#message.begin + replyBegin;
    const end = this.#message.begin + replyEnd;
    const own = this.#router.subscriptionOf(this.#connection, begin, end);
    if (own === undefined) return true;
    const reply = Buffer.from(this.#pool.bytes.slice(begin, end)).toString('latin1');
    const sid = Buffer.from(own.sidAndSpace).toString('latin1');
    const line = `HMSG ${reply} ${sid}${NO_RESPONDERS.length} ${NO_RESPONDERS.length}\r\n`;
    return this.#connection.say(Buffer.from(`${line}${NO_RESPONDERS}\r\n`, 'latin1'));
  }
}
