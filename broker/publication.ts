// SPDX-License-Identifier: MIT
/** Example broker: publishing: from the frames of one connection to the outputs of others. */

import { classifySubject, NO_ROOM, Publisher, SUBJECT_LITERAL } from 'busbar/bus';
import type { FrameReader } from 'busbar/framer';
import type { BufferPool } from 'busbar/pool';
import type { Broker } from './broker.ts';
import type { Connection } from './connection.ts';
import { Message } from './message.ts';
import { ERROR_UNKNOWN_OPERATION, OP_HPUB, type ProtocolCodec } from './protocol.ts';
import type { Subscription } from './subscription.ts';

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
  readonly #broker: Broker;
  readonly #connection: Connection;
  readonly #pool: BufferPool;
  readonly #publisher: Publisher<Message, Subscription<Connection>>;
  readonly #framer: FrameReader;
  readonly #codec: ProtocolCodec;
  readonly #message: Message;

  /** True once a verbose publisher has its +OK, which comes first, as in nats-server. */
  #isConfirmed: boolean = false;
  /** Number of recipients once known, while the publisher has not been told. */
  #taken: number = NO_ROOM;

  constructor(broker: Broker, connection: Connection) {
    const { pool } = broker;
    const { framer } = connection.link;
    this.#broker = broker;
    this.#connection = connection;
    this.#pool = pool;
    this.#publisher = new Publisher(broker.router, connection);
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
    this.#publisher.drop();
  }

  #publish(): boolean {
    const connection = this.#connection;
    const publisher = this.#publisher;
    if (this.#taken === NO_ROOM) {
      this.#taken = publisher.isUnfinished ? publisher.resume(this.#message) : this.#begin();
      if (this.#taken === NO_ROOM) return connection.isClosing;
      if (this.#taken > 0) this.#broker.counters.messagesOut += this.#taken;
    }
    if (this.#taken === 0 && connection.options.no_responders && !publisher.goesBeyond) {
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
    const isWrong = connection.options.pedantic && !this.#isLiteral(begin);
    if (this.#pool.view.getInt16(end - 2, true) !== WORD_CRLF) {
      // nats-server complains of the subject before it has seen the payload.
      if (isWrong) connection.sayError('Invalid Publish Subject');
      connection.cutOff(ERROR_UNKNOWN_OPERATION);
      return NO_ROOM;
    }
    if (codec.op === OP_HPUB && !connection.options.headers) {
      connection.cutOff('message headers not supported');
      return NO_ROOM;
    }
    if (isWrong) {
      // nats-server complains too, and passes the message on even so.
      this.#publisher.forget();
      return connection.sayError('Invalid Publish Subject') ? REFUSED : NO_ROOM;
    }
    if (connection.options.verbose && !this.#isConfirmed) {
      if (!connection.sayOk()) return NO_ROOM;
      this.#isConfirmed = true;
    }
    const publisher = this.#publisher;
    const { subjectBegin, subjectEnd, subjectHash, isRepeated } = codec;
    const subject = begin + subjectBegin;
    if (!publisher.tryFind(subject, begin + subjectEnd, subjectHash, isRepeated)) return NO_ROOM;
    this.#message.set(begin, end);
    this.#broker.counters.messagesIn++;
    if (publisher.goesBeyond) connection.noteCaused();
    return publisher.route(this.#message);
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
    const own = this.#broker.router.subscriptionOf(this.#connection, begin, end);
    if (own === undefined) return true;
    const reply = this.#connection.cutText(replyBegin, replyEnd);
    const line = `HMSG ${reply} ${own.sid} ${NO_RESPONDERS.length} ${NO_RESPONDERS.length}\r\n`;
    return this.#connection.say(Buffer.from(`${line}${NO_RESPONDERS}\r\n`, 'latin1'));
  }
}
