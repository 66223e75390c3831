// SPDX-License-Identifier: MIT
/** Example broker: one client: what it says, and what is written to it. */

import type { Framer } from 'busbar/framer';
import type { LinkHandler, TcpLink } from 'busbar/link';
import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';
import type { LocalWriter } from 'busbar/writer';
import type { Backpressure } from './backpressure.ts';
import type { ResolvedBrokerOptions } from './broker-options.ts';
import {
  CLIENT_OPTIONS_DEFAULT,
  type ClientOptions,
  parseConnect,
  refusal,
  requiresAuthorization,
} from './handshake.ts';
import { Message, writeCanonical } from './message.ts';
import type { ProtocolCodec } from './protocol.ts';
import * as protocol from './protocol.ts';
import {
  DECLINED,
  NOT_NOW,
  type Remainder,
  type Router,
  type Subscriber,
  TAKEN,
} from './router.ts';
import { type Bytes, classifySubject, SUBJECT_INVALID, SUBJECT_LITERAL } from './subject.ts';
import { Subscription } from './subscription.ts';
import { MatchSet } from './subscription-index.ts';

const OK: Bytes = Buffer.from('+OK\r\n');
const PING: Bytes = Buffer.from('PING\r\n');
const PONG: Bytes = Buffer.from('PONG\r\n');
/** A message that consists of headers only, and they of a status. */
const NO_RESPONDERS = 'NATS/1.0 503\r\n\r\n';
/** Beside the number of takers: the publisher was told that the message is no good. */
const REFUSED = -2;
/** CR and LF as a little-endian half word. */
const WORD_CRLF = 0x0a0d;

/** What connections of one broker share. */
export interface BrokerCore {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  readonly router: Router<Connection>;
  readonly backpressure: Backpressure;
  readonly counters: BrokerCounters;
  /** The connection is gone. */
  forget(connection: Connection): void;
}

/** Since the broker started. */
export interface BrokerCounters {
  messagesIn: number;
  messagesOut: number;
  pings: number;
}

/**
 * One client. Operations are carried out one after the other; one for which there is no room pauses
 * the link and is carried out again, or continued, when there is.
 */
export class Connection implements LinkHandler, Subscriber {
  readonly link: TcpLink;
  readonly id: number;
  readonly connectedAtMs: number;
  /** What the client asked for. */
  options: ClientOptions = CLIENT_OPTIONS_DEFAULT;
  isAuthorized: boolean;
  /** Nothing more is done for it. */
  isClosing: boolean = false;

  readonly #core: BrokerCore;
  readonly #codec: ProtocolCodec;
  readonly #framer: Framer;
  readonly #writer: LocalWriter;
  readonly #bytes: Bytes;
  readonly #view: DataView<ArrayBufferLike>;
  readonly #subscriptions: Map<string, Subscription<Connection>> = new Map();
  /** Copies of two of `options`, for the hot path. */
  #echo: boolean = true;
  #headers: boolean = false;

  /** The frame taken last waits to be carried out (again). */
  #isBlocked: boolean = false;
  /** Whom the last message reached, and the stamp of that. */
  #found: MatchSet<Connection> = new MatchSet();
  #foundStamp: number = -1;
  readonly #message: Message;
  #remainder: Remainder<Connection> | undefined = undefined;
  /** How many took the message, once that is known, while its publisher still has to hear of it. */
  #routed: number = NOT_NOW;
  /** Holds the message if it had to be written anew, in the one form that can be passed on. */
  #messageBuffer: BufferId = NO_BUFFER;

  #pingsOut: number = 0;
  #pingedAtMs: number;
  #wasActive: boolean = false;

  constructor(core: BrokerCore, link: TcpLink, id: number, nowMs: number) {
    this.#core = core;
    this.link = link;
    this.id = id;
    this.#codec = link.framer.codec as ProtocolCodec;
    this.#framer = link.framer;
    this.#writer = link.writer;
    this.#bytes = core.pool.bytes;
    this.#view = core.pool.view;
    this.#message = new Message(core.pool.view, core.pool.bytes);
    this.isAuthorized = !requiresAuthorization(core.options);
    this.connectedAtMs = nowMs;
    this.#pingedAtMs = nowMs;
  }

  get subscriptionCount(): number {
    return this.#subscriptions.size;
  }

  /** Bytes arrived, or there is room again. */
  onFrames(): void {
    const framer = this.#framer;
    this.#wasActive = true;
    while (!this.isClosing && (this.#isBlocked || framer.next())) {
      this.#isBlocked = !this.#carryOut();
      if (this.#isBlocked) {
        this.#core.backpressure.block(this);
        this.link.pause();
        return;
      }
    }
  }

  onDrained(): void {
    this.#core.backpressure.drained(this);
  }

  onClose(): void {
    this.isClosing = true;
    for (const subscription of this.#subscriptions.values()) {
      this.#core.router.index.remove(subscription);
    }
    this.#subscriptions.clear();
    this.#releaseMessage();
    this.#core.backpressure.forget(this);
    this.#core.forget(this);
  }

  /** Goes on after a pause for want of room. */
  proceed(): void {
    this.link.resume();
  }

  /**
   * Writes a message for one subscription, or says why not. The hot path: called for every
   * delivery.
   */
  offer(message: Message, subscription: Subscription<this>, from: unknown): number {
    if (this.isClosing || (from === this && !this.#echo)) return DECLINED;
    const writer = this.#writer;
    const asItStands = message.isPlain || (this.#headers && message.headerLength > 0);
    const length = asItStands
      ? message.lengthFor(subscription)
      : message.strippedLengthFor(subscription);
    const at = writer.tryReserve(length);
    if (at < 0) {
      this.#core.backpressure.noRoom(this);
      return NOT_NOW;
    }
    if (asItStands) message.writeTo(at, subscription);
    else message.writeStrippedTo(at, subscription);
    writer.commit(at, length);
    if (++subscription.deliveredCount === subscription.deliveredCountMax) {
      this.#unsubscribe(subscription);
    }
    return TAKEN;
  }

  /** Writes something that is no message. False: there is no room for it now. */
  say(bytes: Bytes): boolean {
    if (this.isClosing || this.#writer.tryWrite(bytes)) return true;
    this.#core.backpressure.noRoom(this);
    return false;
  }

  /** Tells the client why, sends all that was written, and closes. */
  cutOff(error: string): void {
    if (this.isClosing) return;
    // Without room for the reason it goes without.
    this.#writer.tryWrite(errorLine(error));
    this.close();
  }

  /** Sends all that was written, and closes. */
  close(): void {
    this.isClosing = true;
    this.#releaseMessage();
    this.link.close({ deadlineMs: this.#core.options.lingerMs });
  }

  /** Called every now and then: is the client alive, does it say who it is? */
  check(nowMs: number): void {
    const { authTimeoutMs, pingIntervalMs, maxPingsOut } = this.#core.options;
    if (this.isClosing) return;
    if (!this.isAuthorized && nowMs - this.connectedAtMs >= authTimeoutMs) {
      this.cutOff('Authentication Timeout');
      return;
    }
    if (nowMs - this.#pingedAtMs < pingIntervalMs) return;
    this.#pingedAtMs = nowMs;
    if (this.#wasActive) {
      this.#wasActive = false;
      this.#pingsOut = 0;
    } else if (this.#pingsOut >= maxPingsOut) {
      this.cutOff('Stale Connection');
    } else if (this.say(PING)) {
      this.#pingsOut++;
      this.#core.counters.pings++;
    }
  }

  /**
   * Carries out the current frame. False: no room; nothing was done, or only a part that will not
   * be repeated.
   */
  #carryOut(): boolean {
    const codec = this.#codec;
    if (!this.isAuthorized && codec.op !== protocol.OP_CONNECT) {
      this.cutOff('Authorization Violation');
      return true;
    }
    switch (codec.op) {
      case protocol.OP_PUB:
      case protocol.OP_HPUB:
        return this.#publish();
      case protocol.OP_SUB:
        return this.#subscribe();
      case protocol.OP_UNSUB:
        return this.#unsubscribeOrLimit();
      case protocol.OP_PING:
        return this.say(PONG);
      case protocol.OP_PONG:
        this.#pingsOut = 0;
        return true;
      case protocol.OP_CONNECT:
        return this.#connect();
      case protocol.OP_BROKEN:
        this.cutOff(codec.error);
        return true;
      default:
        return true;
    }
  }

  #publish(): boolean {
    if (this.#routed === NOT_NOW) {
      this.#routed = this.#route();
      if (this.#routed === NOT_NOW) return this.isClosing;
      if (this.#routed > 0) this.#core.counters.messagesOut += this.#routed;
      this.#releaseMessage();
    }
    if (this.#routed === 0) {
      if (this.options.no_responders && !this.#tellNoResponders()) return false;
      this.#routed = 1;
    }
    if (this.#routed !== REFUSED && this.options.verbose && !this.say(OK)) return false;
    this.#routed = NOT_NOW;
    return true;
  }

  /** Offers the message to whom it may concern. Returns how many took it, REFUSED, or NOT_NOW. */
  #route(): number {
    const router = this.#core.router;
    const message = this.#message;
    if (this.#remainder !== undefined) {
      const taken = router.resume(message, this, this.#remainder);
      if (taken !== NOT_NOW) this.#remainder = undefined;
      return taken;
    }
    const codec = this.#codec;
    let begin = this.#framer.frameOffset;
    let end = begin + this.#framer.frameLength;
    if (this.#view.getInt16(end - 2, true) !== WORD_CRLF) {
      this.cutOff(protocol.ERROR_UNKNOWN_OPERATION);
      return NOT_NOW;
    }
    if (codec.op === protocol.OP_HPUB && !this.#headers) {
      this.cutOff('message headers not supported');
      return NOT_NOW;
    }
    if (this.options.pedantic && this.#subjectKind() !== SUBJECT_LITERAL) {
      return this.say(errorLine('Invalid Publish Subject')) ? REFUSED : NOT_NOW;
    }
    if (!codec.isCanonical) {
      const bufferId = this.#rewrite(begin);
      if (bufferId === NO_BUFFER) return NOT_NOW;
      begin = this.#core.pool.offsetOf(bufferId);
      end = begin + codec.payloadBegin + codec.payloadLength + 2;
    }
    this.#core.counters.messagesIn++;
    message.set(codec, codec.op === protocol.OP_HPUB, begin, end);
    if (!codec.isRepeated || !router.isCurrent(this.#found, this.#foundStamp)) {
      const { subjectBegin, subjectEnd, subjectHash } = codec;
      this.#found = router.find(begin + subjectBegin, begin + subjectEnd, subjectHash);
      this.#foundStamp = this.#found.stamp;
    }
    const taken = router.route(message, this, this.#found);
    if (taken === NOT_NOW) this.#remainder = router.remainder;
    return taken;
  }

  /**
   * Writes the message in canonical form to a buffer of its own; without one to be had, NO_BUFFER.
   */
  #rewrite(begin: number): BufferId {
    const { pool, backpressure } = this.#core;
    const codec = this.#codec;
    const bufferId = pool.tryAcquire();
    if (bufferId === NO_BUFFER) {
      backpressure.noRoom(this);
      return NO_BUFFER;
    }
    this.#messageBuffer = bufferId;
    const hasHeaders = codec.op === protocol.OP_HPUB;
    writeCanonical(this.#bytes, pool.offsetOf(bufferId), codec, hasHeaders, begin);
    return bufferId;
  }

  #releaseMessage(): void {
    const bufferId = this.#messageBuffer;
    if (bufferId === NO_BUFFER) return;
    this.#messageBuffer = NO_BUFFER;
    this.#core.pool.release(bufferId);
  }

  /** Nobody took the message: if it was a request, the client hears it at once. */
  #tellNoResponders(): boolean {
    const { replyBegin, replyEnd } = this.#codec;
    if (replyEnd === replyBegin) return true;
    const begin = this.#framer.frameOffset;
    const { router } = this.#core;
    const own = router.subscriptionOf(this, begin + replyBegin, begin + replyEnd);
    if (own === undefined) return true;
    const reply = this.#text(replyBegin, replyEnd);
    const sid = Buffer.from(own.sidAndSpace).toString('latin1');
    const line = `HMSG ${reply} ${sid}${NO_RESPONDERS.length} ${NO_RESPONDERS.length}\r\n`;
    return this.say(Buffer.from(`${line}${NO_RESPONDERS}\r\n`, 'latin1'));
  }

  #subscribe(): boolean {
    const codec = this.#codec;
    if (this.#subjectKind() === SUBJECT_INVALID) return this.say(errorLine('Invalid Subject'));
    if (this.#subscriptions.size >= this.#core.options.maxSubscriptions) {
      return this.say(errorLine('maximum subscriptions exceeded'));
    }
    if (this.options.verbose && !this.say(OK)) return false;
    const sid = this.#text(codec.sidBegin, codec.sidEnd);
    if (this.#subscriptions.has(sid)) return true;
    const subscription = new Subscription<Connection>(
      this,
      this.#cut(codec.subjectBegin, codec.subjectEnd),
      this.#text(codec.argumentBegin, codec.argumentEnd),
      this.#cut(codec.sidBegin, codec.sidEnd),
    );
    this.#subscriptions.set(sid, subscription);
    this.#core.router.index.add(subscription);
    return true;
  }

  #unsubscribeOrLimit(): boolean {
    if (this.options.verbose && !this.say(OK)) return false;
    const { sidBegin, sidEnd, countMax } = this.#codec;
    const subscription = this.#subscriptions.get(this.#text(sidBegin, sidEnd));
    if (subscription === undefined) return true;
    if (countMax > subscription.deliveredCount) subscription.deliveredCountMax = countMax;
    else this.#unsubscribe(subscription);
    return true;
  }

  #unsubscribe(subscription: Subscription<Connection>): void {
    const sid = subscription.sidAndSpace.subarray(0, -1);
    this.#subscriptions.delete(Buffer.from(sid).toString('latin1'));
    this.#core.router.index.remove(subscription);
  }

  #connect(): boolean {
    const { argumentBegin, argumentEnd } = this.#codec;
    const text = Buffer.from(this.#cut(argumentBegin, argumentEnd)).toString('utf8');
    const options = parseConnect(text, this.options);
    const error =
      options === undefined ? protocol.ERROR_PARSER : refusal(options, this.#core.options);
    if (options === undefined || error !== undefined) {
      this.cutOff(error ?? protocol.ERROR_PARSER);
      return true;
    }
    if (options.verbose && !this.say(OK)) return false;
    this.options = options;
    this.#echo = options.echo;
    this.#headers = options.headers;
    this.isAuthorized = true;
    return true;
  }

  #subjectKind(): number {
    const begin = this.#framer.frameOffset;
    const { subjectBegin, subjectEnd } = this.#codec;
    return classifySubject(this.#bytes, begin + subjectBegin, begin + subjectEnd);
  }

  /** A copy of a part of the current frame. */
  #cut(begin: number, end: number): Bytes {
    const frame = this.#framer.frameOffset;
    return this.#bytes.slice(frame + begin, frame + end);
  }

  /** The same as a string with one character per byte. */
  #text(begin: number, end: number): string {
    return Buffer.from(this.#cut(begin, end)).toString('latin1');
  }
}

function errorLine(error: string): Bytes {
  return Buffer.from(`-ERR '${error}'\r\n`);
}
