// SPDX-License-Identifier: MIT
/** Example broker: one client: what it says, and what is written to it. */

import { BusbarError } from 'busbar/errors';
import type { Framer } from 'busbar/framer';
import type { TcpHandler, TcpLink } from 'busbar/link';
import type { BufferId, BufferPool } from 'busbar/pool';
import type { LocalWriter } from 'busbar/writer';
import type { Backpressure, Participant, Waiter } from './backpressure.ts';
import type { ResolvedBrokerOptions } from './broker-options.ts';
import { ClientSubscriptions } from './client-subscriptions.ts';
import { type FairShare, lineUnits } from './fair-share.ts';
import {
  CLIENT_OPTIONS_DEFAULT,
  type ClientOptions,
  isInfo,
  parseConnect,
  refusal,
  requiresAuthorization,
} from './handshake.ts';
import type { Mark, Mesh } from './mesh.ts';
import type { Message } from './message.ts';
import type { ProtocolCodec } from './protocol.ts';
import * as protocol from './protocol.ts';
import { Publication } from './publication.ts';
import { DECLINED, NOT_NOW, type Router, type Subscriber, TAKEN } from './router.ts';
import { type Bytes, classifySubject, SUBJECT_INVALID } from './subject.ts';
import { Subscription } from './subscription.ts';
import { WriteDeadline } from './write-deadline.ts';

const OK: Bytes = Buffer.from('+OK\r\n');
const PING: Bytes = Buffer.from('PING\r\n');
const PONG: Bytes = Buffer.from('PONG\r\n');

/** So long may a client not be read from before it is asked whether it is still there. */
const LAG_MS = 2000;

/** What connections of one broker share. */
export interface BrokerCore {
  readonly options: ResolvedBrokerOptions;
  readonly pool: BufferPool;
  readonly router: Router<Connection>;
  readonly mesh: Mesh<Connection>;
  readonly backpressure: Backpressure;
  readonly counters: BrokerCounters;
  /** A buffer for a message that is written anew. NO_BUFFER: not now; `waiter` is to be blocked. */
  tryTakeCopy(waiter: Waiter): BufferId;
  releaseCopy(bufferId: BufferId): void;
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
export class Connection implements TcpHandler, Subscriber, Participant {
  readonly link: TcpLink;
  readonly id: number;
  readonly connectedAtMs: number;
  /** What the client asked for. */
  options: ClientOptions = CLIENT_OPTIONS_DEFAULT;
  isAuthorized: boolean;
  /** Nothing more is done for it. */
  isClosing: boolean = false;
  /** More waits for it than may. */
  isHeldBack: boolean = false;

  readonly #core: BrokerCore;
  readonly #codec: ProtocolCodec;
  readonly #framer: Framer;
  readonly #writer: LocalWriter;
  readonly #share: FairShare;
  readonly #bytes: Bytes;
  readonly #maxPendingBytes: number;
  readonly #writeDeadline: WriteDeadline;
  readonly #subscriptions: ClientSubscriptions<Connection>;
  /** Those of which other executors know that they have no room. */
  readonly #stalled: Subscription<Connection>[] = [];
  /** Copies of two of `options`, for the hot path. */
  #echo: boolean = true;
  #headers: boolean = false;

  /** Its client is not listened to any more. */
  #isParting: boolean = false;
  /** The frame taken last waits to be carried out (again). */
  #isBlocked: boolean = false;
  readonly #publication: Publication;

  /** It has sent messages that other executors deal with. */
  hasSentBeyond: boolean = false;
  /** It has changed its subscriptions, of which other executors are told. */
  #hasSubscribed: boolean = false;
  /** How far they must come before it is told that everything is done; and whether they are. */
  #mark: Mark | undefined = undefined;
  #isMarked: boolean = false;
  /** The subscription of the current frame is made, and is still to be confirmed. */
  #isSubscribed: boolean = false;

  #pingsOut: number = 0;
  #pingedAtMs: number;
  #wasActive: boolean = false;
  /** Since when it has not been read from, each time that this was looked at. */
  #laggingSinceMs: number | undefined = undefined;

  constructor(core: BrokerCore, link: TcpLink, id: number, nowMs: number) {
    this.#core = core;
    this.link = link;
    this.id = id;
    this.#codec = link.framer.codec as ProtocolCodec;
    this.#framer = link.framer;
    this.#writer = link.writer;
    this.#share = core.router.share;
    this.#bytes = core.pool.bytes;
    this.#maxPendingBytes = core.options.maxPendingBytes;
    this.#writeDeadline = new WriteDeadline(core.options.writeDeadlineMs);
    this.#publication = new Publication(core, this);
    this.#subscriptions = new ClientSubscriptions(core.router.index, core.options);
    this.isAuthorized = !requiresAuthorization(core.options);
    this.connectedAtMs = nowMs;
    this.#pingedAtMs = nowMs;
  }

  /** Bytes arrived, or there is room again. */
  onFrames(): void {
    const framer = this.#framer;
    const { mesh } = this.#core;
    this.#wasActive = true;
    this.#share.begin();
    while (!this.isClosing && (this.#isBlocked || framer.next())) {
      this.#isBlocked = !this.#carryOut();
      if (this.#isBlocked) {
        this.#core.backpressure.block(this);
        this.link.pause();
        break;
      }
    }
    if (!this.#isBlocked && !this.isClosing && this.#share.isTired) {
      this.link.pause();
      this.#share.queue(this);
    }
    if (mesh.isDirty) mesh.flush();
  }

  /** The client will say no more; what it was sent before still reaches it. */
  onEnd(): void {
    this.isClosing = true;
  }

  onDrained(): void {
    this.#core.backpressure.drained(this);
  }

  onClose(): void {
    this.isClosing = true;
    this.#core.backpressure.forget(this);
    this.#core.mesh.removeAll(this.#subscriptions.values());
    this.#publication.close();
    this.#core.forget(this);
    this.#core.mesh.flush();
  }

  /** Goes on after a pause for want of room. */
  proceed(): void {
    if (!this.#isParting) this.link.resume();
  }

  /** Reads no more; what is sent to it still reaches it. */
  part(): void {
    this.#isParting = true;
    this.link.pause();
  }

  /**
   * Writes a message for one subscription, or says why not. The hot path: called for every
   * delivery.
   */
  offer(message: Message, subscription: Subscription<this>, from: unknown): number {
    if (this.isClosing || (from === this && !this.#echo)) return DECLINED;
    const asItStands = message.isPlain || (this.#headers && message.headerLength > 0);
    const length = asItStands
      ? message.lengthFor(subscription)
      : message.strippedLengthFor(subscription);
    // Behind what comes from another executor are messages for everybody.
    const isUrgent = from === undefined;
    const at = isUrgent ? this.#reserveAtOnce(length, subscription) : this.#tryReserve(length);
    if (at < 0) return this.isClosing ? DECLINED : NOT_NOW;
    if (asItStands) message.writeTo(at, subscription);
    else message.writeStrippedTo(at, subscription);
    this.#writer.commit(at, length);
    // As at nats-server, where whoever is sent messages is not asked whether it lives.
    this.#wasActive = true;
    if (++subscription.deliveredCount === subscription.deliveredCountMax) {
      this.#unsubscribe(subscription);
    }
    return TAKEN;
  }

  /** There is no room for messages for this subscription: publishers elsewhere have to wait. */
  stall(subscription: Subscription<Connection>): void {
    if (subscription.isStalled) return;
    this.#stalled.push(subscription);
    this.#core.mesh.stall(subscription);
  }

  relieved(): void {
    if (this.#stalled.length === 0) return;
    const { mesh } = this.#core;
    for (const subscription of this.#stalled) mesh.unstall(subscription);
    this.#stalled.length = 0;
    mesh.flush();
  }

  /** Writes something that is no message. False: there is no room for it now. */
  say(bytes: Bytes): boolean {
    if (this.isClosing) return true;
    const at = this.#tryReserve(bytes.length);
    if (at < 0) return this.isClosing;
    this.#put(bytes, at);
    return true;
  }

  /** Confirms an operation to a verbose client. */
  sayOk(): boolean {
    return this.say(OK);
  }

  /** Complains; the client stays connected. */
  sayError(error: string): boolean {
    return this.say(errorLine(error));
  }

  /** Tells the client why, sends all that was written, and closes. */
  cutOff(error: string): void {
    if (this.isClosing) return;
    // The last word may be one too many. Without a buffer for it, it goes without.
    const line = errorLine(error);
    const at = this.#reserve(line.length);
    if (at >= 0) this.#put(line, at);
    this.close();
  }

  /** Sends all that was written, and closes. */
  close(): void {
    this.isClosing = true;
    this.#publication.close();
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
    if (this.#writeDeadline.isMissed(nowMs, this.link)) {
      this.#core.backpressure.cutOff(this, false);
      return;
    }
    this.#askWhoLags(nowMs);
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
   * A client that is not read from cannot be seen to leave, and leaves megabytes behind, thousands
   * of SUBs perhaps. Asked for a sign of life, the system of one that is gone says so at once. No
   * answer is waited for: it would come behind all that.
   */
  #askWhoLags(nowMs: number): void {
    if (!this.link.paused) {
      this.#laggingSinceMs = undefined;
      return;
    }
    this.#laggingSinceMs ??= nowMs;
    if (nowMs - this.#laggingSinceMs < LAG_MS) return;
    this.#laggingSinceMs = nowMs;
    this.say(PING);
  }

  /** Room for output, or -1: not now, or not any more. */
  #tryReserve(length: number): number {
    if (this.#isOver) {
      this.#core.backpressure.holdBack(this);
      return NOT_NOW;
    }
    const at = this.#reserve(length);
    if (at < 0 && !this.isClosing) this.#core.backpressure.noRoom(this);
    return at;
  }

  /** The same for what must not wait for this client: it has room, or it is cut off. */
  #reserveAtOnce(length: number, subscription: Subscription<Connection>): number {
    const { backpressure } = this.#core;
    if (this.#isOver) {
      backpressure.holdBack(this);
      this.stall(subscription);
    }
    const at = this.#reserve(length);
    if (at >= 0 || this.isClosing) return at;
    if (this.link.writable) backpressure.noRoom(this);
    else backpressure.cutOff(this, false);
    return NOT_NOW;
  }

  #put(bytes: Bytes, at: number): void {
    this.#bytes.set(bytes, at);
    this.#writer.commit(at, bytes.length);
  }

  get #isOver(): boolean {
    return this.isHeldBack || this.link.bufferedBytes >= this.#maxPendingBytes;
  }

  #reserve(length: number): number {
    try {
      return this.#writer.tryReserve(length);
    } catch (error) {
      if (!(error instanceof BusbarError && error.code === 'ERR_BUSBAR_WRITER_CLOSED')) throw error;
      // The connection broke, and its link has not told us yet.
      this.isClosing = true;
      return NOT_NOW;
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
        return this.#publication.publish();
      case protocol.OP_SUB:
        return this.#tryChange() && this.#subscribe();
      case protocol.OP_UNSUB:
        return this.#tryChange() && this.#unsubscribeOrLimit();
      case protocol.OP_PING:
        return this.#share.tryStep() && this.#isDoneEverywhere() && this.say(PONG);
      case protocol.OP_PONG:
        this.#pingsOut = 0;
        return true;
      case protocol.OP_CONNECT:
        return this.#tryLine() && this.#connect();
      case protocol.OP_INFO:
        if (!this.#tryLine()) return false;
        if (!isInfo(this.#argument())) this.cutOff(protocol.ERROR_PARSER);
        return true;
      case protocol.OP_BROKEN:
        this.cutOff(codec.error);
        return true;
      default:
        return true;
    }
  }

  /** Whether there is something left of the share; the frame takes what it costs to read. */
  #tryLine(): boolean {
    const share = this.#share;
    if (share.isSpent) return false;
    share.units -= lineUnits(this.#framer.frameLength);
    return true;
  }

  /** The same for a change of subscriptions: further ones wait for other executors. */
  #tryChange(): boolean {
    return this.#core.mesh.mayChange && this.#tryLine();
  }

  #subscribe(): boolean {
    if (!this.#isSubscribed) {
      const error = this.#trySubscribe();
      if (error !== undefined) return this.sayError(error);
    }
    // Repeated, it would count its own subscription among those that it had before.
    this.#isSubscribed = !this.#confirm();
    return !this.#isSubscribed;
  }

  /** Subscribes as the current frame says; or returns why not. */
  #trySubscribe(): string | undefined {
    const codec = this.#codec;
    const begin = this.#framer.frameOffset;
    const { subjectBegin, subjectEnd } = codec;
    const sid = this.#text(codec.sidBegin, codec.sidEnd);
    const subscriptions = this.#subscriptions;
    if (subscriptions.isFull) return 'maximum subscriptions exceeded';
    // The first one with an id stays; another with the same is confirmed and ignored.
    if (subscriptions.has(sid)) return undefined;
    const kind = classifySubject(this.#bytes, begin + subjectBegin, begin + subjectEnd);
    if (kind === SUBJECT_INVALID) return 'Invalid Subject';
    const error = subscriptions.refusal(this.#bytes, begin + subjectBegin, begin + subjectEnd);
    if (error !== undefined) return error;
    const subscription = new Subscription<Connection>(
      this,
      this.#cut(subjectBegin, subjectEnd),
      this.#text(codec.argumentBegin, codec.argumentEnd),
      this.#cut(codec.sidBegin, codec.sidEnd),
    );
    subscriptions.set(sid, subscription);
    this.#core.mesh.add(subscription);
    this.#hasSubscribed = true;
    return undefined;
  }

  #unsubscribeOrLimit(): boolean {
    const { sidBegin, sidEnd, countMax } = this.#codec;
    const subscription = this.#subscriptions.get(this.#text(sidBegin, sidEnd));
    if (subscription !== undefined) {
      if (countMax > subscription.deliveredCount) subscription.deliveredCountMax = countMax;
      else this.#unsubscribe(subscription);
    }
    return this.#confirm();
  }

  /** Confirms to a verbose client what was done; repeated when there is no room. */
  #confirm(): boolean {
    return !this.options.verbose || (this.#isDoneEverywhere() && this.sayOk());
  }

  /**
   * Whether other executors, too, have dealt with all that this client has caused. If not, they
   * were asked for word of it, with which the connection goes on.
   */
  #isDoneEverywhere(): boolean {
    if (!this.hasSentBeyond && !this.#hasSubscribed) return true;
    const { mesh } = this.#core;
    if (!mesh.isAlone) {
      this.#mark ??= mesh.makeMark();
      this.#isMarked ||= mesh.mark(this.#mark, this.hasSentBeyond);
      if (!this.#isMarked || !mesh.isDone(this.#mark)) return false;
    }
    this.#isMarked = false;
    this.hasSentBeyond = false;
    this.#hasSubscribed = false;
    return true;
  }

  #unsubscribe(subscription: Subscription<Connection>): void {
    const sid = subscription.sidAndSpace.subarray(0, -1);
    this.#subscriptions.delete(Buffer.from(sid).toString('latin1'));
    this.#core.mesh.remove(subscription);
    this.#hasSubscribed = true;
  }

  #connect(): boolean {
    const options = parseConnect(this.#argument(), this.options);
    const error =
      options === undefined ? protocol.ERROR_PARSER : refusal(options, this.#core.options);
    if (options === undefined || error !== undefined) {
      this.cutOff(error ?? protocol.ERROR_PARSER);
      return true;
    }
    if (options.verbose && !this.sayOk()) return false;
    this.options = options;
    this.#echo = options.echo;
    this.#headers = options.headers;
    this.isAuthorized = true;
    return true;
  }

  /** Of CONNECT or INFO. */
  #argument(): string {
    const { argumentBegin, argumentEnd } = this.#codec;
    return Buffer.from(this.#cut(argumentBegin, argumentEnd)).toString('utf8');
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
