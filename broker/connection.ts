// SPDX-License-Identifier: MIT
/** Example broker: the connection of one client: its input and its output. */

import assert from 'node:assert/strict';
import {
  type Bytes,
  DECLINED,
  type FairShare,
  type FanOutClient,
  lineUnits,
  NO_ROOM,
  type PressedClient,
  TAKEN,
} from 'busbar/bus';
import { BusbarError } from 'busbar/errors';
import type { FrameReader } from 'busbar/framer';
import type { TcpHandler, TcpLink } from 'busbar/link';
import type { LocalWriter } from 'busbar/writer';
import type { Broker } from './broker.ts';
import {
  CLIENT_OPTIONS_DEFAULT,
  type ClientOptions,
  isInfo,
  readConnect,
  requiresAuthorization,
} from './handshake.ts';
import type { Message } from './message.ts';
import type { ProtocolCodec } from './protocol.ts';
import * as protocol from './protocol.ts';
import { Publication } from './publication.ts';
import { SignsOfLife } from './signs-of-life.ts';
import { Subscribing } from './subscribing.ts';
import type { Subscription } from './subscription.ts';

const OK: Bytes = Buffer.from('+OK\r\n');
const PING: Bytes = Buffer.from('PING\r\n');
const PONG: Bytes = Buffer.from('PONG\r\n');

type Client = FanOutClient<Message, Subscription<Connection>>;

/** It must say who it is before anything else. */
const UNKNOWN = 0;
const SERVED = 1;
/** It is not read from any more; what is sent to it still reaches it. */
const PARTED = 2;
/** Nothing more is done for it. */
const CLOSING = 3;
type ConnectionState = typeof UNKNOWN | typeof SERVED | typeof PARTED | typeof CLOSING;

/**
 * One client. Operations are carried out one after the other; one for which there is no room pauses
 * the link and is carried out again, or continued, when there is.
 *
 *   UNKNOWN ──CONNECT──▶ SERVED ──part──▶ PARTED ──close──▶ CLOSING (it may skip any)
 */
export class Connection implements TcpHandler, Client, PressedClient {
  readonly link: TcpLink;
  readonly id: number;
  readonly connectedAtMs: number;
  /** What the client asked for. */
  options: ClientOptions = CLIENT_OPTIONS_DEFAULT;
  /** More waits for it than may. */
  isHeldBack: boolean = false;

  readonly #broker: Broker;
  readonly #codec: ProtocolCodec;
  readonly #framer: FrameReader;
  readonly #writer: LocalWriter;
  readonly #share: FairShare;
  readonly #bytes: Bytes;
  readonly #maxPendingBytes: number;
  readonly #signs: SignsOfLife;
  readonly #publication: Publication;
  readonly #subscribing: Subscribing;

  #state: ConnectionState = UNKNOWN;
  /** The frame taken last waits to be carried out (again). */
  #isBlocked: boolean = false;
  /** What it has caused at other executors, and what of that they were asked about: counts. */
  #causedCount: number = 0;
  #askedCount: number = 0;
  #handledCount: number = 0;

  constructor(broker: Broker, link: TcpLink, id: number, nowMs: number) {
    this.#broker = broker;
    this.link = link;
    this.id = id;
    this.#codec = link.framer.codec as ProtocolCodec;
    this.#framer = link.framer;
    this.#writer = link.writer;
    this.#share = broker.router.share;
    this.#bytes = broker.pool.bytes;
    this.#maxPendingBytes = broker.options.maxPendingBytes;
    this.#signs = new SignsOfLife(broker.options, nowMs);
    this.#publication = new Publication(broker, this);
    this.#subscribing = new Subscribing(broker, this);
    this.connectedAtMs = nowMs;
    if (!requiresAuthorization(broker.options)) this.#become(SERVED);
  }

  get isClosing(): boolean {
    return this.#state === CLOSING;
  }

  /** Bytes arrived, or there is room again. */
  onFrames(): void {
    const framer = this.#framer;
    this.#signs.wasActive = true;
    this.#share.begin();
    while (!this.isClosing && (this.#isBlocked || framer.next())) {
      this.#isBlocked = !this.#carryOut();
      if (this.#isBlocked) {
        this.#broker.backpressure.block(this);
        this.link.pause();
        break;
      }
    }
    if (!this.#isBlocked && !this.isClosing && this.#share.isTired) {
      this.link.pause();
      this.#share.queue(this);
    }
  }

  /** The client will say no more; what it was sent before still reaches it. */
  onEnd(): void {
    this.#become(CLOSING);
  }

  onDrained(): void {
    this.#broker.backpressure.drained(this);
  }

  onClose(): void {
    this.#become(CLOSING);
    this.#broker.backpressure.forget(this);
    this.#subscribing.endAll();
    this.#publication.close();
    this.#broker.forget(this);
  }

  /** Goes on after a pause for want of room. */
  proceed(): void {
    if (this.#state !== PARTED) this.link.resume();
  }

  /** A copy of a part of the current frame. */
  cut(begin: number, end: number): Bytes {
    const frame = this.#framer.frameOffset;
    return this.#bytes.slice(frame + begin, frame + end);
  }

  /** The same as a string with one character per byte. */
  cutText(begin: number, end: number): string {
    return Buffer.from(this.cut(begin, end)).toString('latin1');
  }

  /** Reads no more; what is sent to it still reaches it. */
  part(): void {
    if (!this.isClosing) this.#become(PARTED);
    this.link.pause();
  }

  /**
   * Writes a message for one subscription, or says why not. The hot path: called for every
   * delivery.
   */
  offer(message: Message, subscription: Subscription<Connection>, from: unknown): number {
    if (this.isClosing || (from === this && !this.options.echo)) return DECLINED;
    const { headers } = this.options;
    const asItStands = message.isForAll || (headers && message.isForHeaders);
    let length = asItStands ? message.lengthFor(subscription) : message.lengthMaxFor(subscription);
    // What comes from another executor is followed by messages for other clients.
    const at = this.#tryReserve(length, from === undefined ? subscription : undefined);
    if (at < 0) return this.isClosing ? DECLINED : NO_ROOM;
    if (asItStands) message.writeTo(at, subscription);
    else length = message.writePartsTo(at, subscription, headers);
    this.#writer.commit(at, length);
    // As in nats-server: no PING to a client that is being sent messages.
    this.#signs.wasActive = true;
    if (++subscription.deliveredCount === subscription.deliveredCountMax) {
      this.#subscribing.end(subscription);
    }
    return TAKEN;
  }

  relieved(): void {
    this.#broker.mesh.relieve(this);
  }

  /** Writes something that is no message. False: there is no room for it now. */
  say(bytes: Bytes): boolean {
    if (this.isClosing) return true;
    const at = this.#tryReserve(bytes.length, undefined);
    if (at < 0) return this.isClosing;
    this.#put(bytes, at);
    return true;
  }

  /** Confirms an operation to a verbose client. */
  sayOk(): boolean {
    return this.say(OK);
  }

  /** Confirms to a verbose client what was done everywhere; repeated when there is no room. */
  confirm(): boolean {
    return !this.options.verbose || (this.#isHandled() && this.sayOk());
  }

  /**
   * It has sent a message to another executor, or changed its subscriptions. **Cost** an addition:
   * called for each such message.
   */
  noteCaused(): void {
    this.#causedCount = (this.#causedCount + 1) | 0;
  }

  /** Complains; the client stays connected. */
  sayError(error: string): boolean {
    return this.say(errorLine(error));
  }

  /** Others have waited for it too long, or need its buffers. */
  tooSlow(): void {
    this.cutOff('Slow Consumer');
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
    this.#become(CLOSING);
    this.#publication.close();
    this.link.close({ deadlineMs: this.#broker.options.lingerMs });
  }

  /** Called every now and then: is the client alive, does it say who it is? */
  check(nowMs: number): void {
    if (this.isClosing) return;
    const { authTimeoutMs } = this.#broker.options;
    if (this.#state === UNKNOWN && nowMs - this.connectedAtMs >= authTimeoutMs) {
      this.cutOff('Authentication Timeout');
      return;
    }
    const look = this.#signs.look(nowMs, this.link.paused);
    if (look === 'stale') this.cutOff('Stale Connection');
    if (look === 'probe') this.say(PING);
    if (look === 'ask' && this.say(PING)) {
      this.#signs.asked();
      this.#broker.counters.pings++;
    }
  }

  /**
   * Room for output, or -1: not now, or not any more. For a message to the subscription `urgent`,
   * which must not wait for this client, it has room, or is cut off.
   */
  #tryReserve(length: number, urgent: Subscription<Connection> | undefined): number {
    const { backpressure } = this.#broker;
    if (this.isHeldBack || this.link.queuedBytes >= this.#maxPendingBytes) {
      backpressure.holdBack(this);
      if (urgent === undefined) return NO_ROOM;
      this.#broker.mesh.stall(urgent);
    }
    const at = this.#reserve(length);
    if (at >= 0 || this.isClosing) return at;
    if (urgent === undefined || this.link.writable) backpressure.noRoom(this);
    else backpressure.cutOff(this, false);
    return NO_ROOM;
  }

  #put(bytes: Bytes, at: number): void {
    this.#bytes.set(bytes, at);
    this.#writer.commit(at, bytes.length);
  }

  #reserve(length: number): number {
    try {
      return this.#writer.tryReserve(length);
    } catch (error) {
      if (!(error instanceof BusbarError && error.code === 'ERR_BUSBAR_WRITER_CLOSED')) throw error;
      // The connection broke, and its link has not told us yet.
      this.#become(CLOSING);
      return NO_ROOM;
    }
  }

  /** Whether others have handled all that it has caused. If not, it goes on when they have. */
  #isHandled(): boolean {
    if (this.#broker.mesh.isAlone || this.#handledCount === this.#causedCount) return true;
    if (this.#askedCount !== this.#causedCount) void this.#ask(this.#causedCount);
    return false;
  }

  async #ask(count: number): Promise<void> {
    this.#askedCount = count;
    await this.#broker.mesh.fence();
    this.#handledCount = count;
  }

  /**
   * Carries out the current frame. False: no room; nothing was done, or only a part that will not
   * be repeated.
   */
  #carryOut(): boolean {
    const codec = this.#codec;
    if (this.#state === UNKNOWN && codec.op !== protocol.OP_CONNECT) {
      this.cutOff('Authorization Violation');
      return true;
    }
    switch (codec.op) {
      case protocol.OP_PUB:
      case protocol.OP_HPUB:
        return this.#publication.publish();
      case protocol.OP_SUB:
        return this.#tryChange() && this.#subscribing.subscribe();
      case protocol.OP_UNSUB:
        return this.#tryChange() && this.#subscribing.unsubscribe();
      case protocol.OP_PING:
        return this.#share.tryStep() && this.#isHandled() && this.say(PONG);
      case protocol.OP_PONG:
        this.#signs.answered();
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
    return this.#broker.mesh.mayChange && this.#tryLine();
  }

  #connect(): boolean {
    const options = readConnect(this.#argument(), this.options, this.#broker.options);
    if (typeof options === 'string') {
      this.cutOff(options);
      return true;
    }
    if (options.verbose && !this.sayOk()) return false;
    this.options = options;
    this.#become(SERVED);
    return true;
  }

  #become(state: ConnectionState): void {
    assert(this.#state <= state, 'a state is never followed by one before it');
    this.#state = state;
  }

  /** Of CONNECT or INFO. */
  #argument(): string {
    const { argumentBegin, argumentEnd } = this.#codec;
    return Buffer.from(this.cut(argumentBegin, argumentEnd)).toString('utf8');
  }
}

function errorLine(error: string): Bytes {
  return Buffer.from(`-ERR '${error}'\r\n`);
}
