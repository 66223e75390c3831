// SPDX-License-Identifier: MIT
/** `UdpReader`: base class of `UdpLink`, with its socket and receiving. */

import { checkBoolean, checkInteger } from '../../base/check.ts';
import type { BusbarError } from '../../base/errors.ts';
import {
  ADDRESS_FAMILY,
  ADDRESS_WORDS,
  OPTION_BROADCAST,
  OPTION_MULTICAST_LOOP,
  OPTION_MULTICAST_TTL,
  OPTION_TRAFFIC_CLASS,
  OPTION_TTL,
} from '../../native/udp.ts';
import type { Packet } from '../../packet/index.ts';
import type { BufferPool } from '../../pool/index.ts';
import { ReadableLink } from '../readable-link.ts';
import type { Datagram } from './datagram.ts';
import { UdpAddress, writeAddress } from './udp-address.ts';
import { UdpIntake, type UdpIntakeOwner, type UdpIntakeStats } from './udp-intake.ts';
import { UdpMessage } from './udp-message.ts';
import {
  checkUdpAddress,
  type ResolvedUdpSettings,
  type UdpPeer,
  type UnixPaths,
} from './udp-options.ts';
import type { UdpOutbox } from './udp-outbox.ts';
import {
  datagramError,
  type LateOwner,
  type UdpImplementation,
  type UdpSocket,
} from './udp-socket.ts';

const TTL_MAX = 255;

/** Counters of received datagrams, and of reported losses. */
export interface UdpReaderStats extends UdpIntakeStats {
  /** The shim's socket, Node's, or one of a `LoopbackNetwork`. */
  readonly implementation: UdpImplementation;
  /**
   * Datagrams dropped on arrival for lack of room. Coalesced datagrams count once, so with offload
   * there may be more. Without the shim: those that Node had read and the link did not take.
   */
  readonly dropped: number;
  /** Reports of lost datagrams; see `onError`. */
  readonly errors: number;
}

/**
 * The receiving half of a link, and the options of its socket. `UdpLink` adds sending and closing.
 *
 * `join`, `leave` and every `set…` **throw** ERR_BUSBAR_LINK_CLOSED.
 */
export abstract class UdpReader extends ReadableLink<Datagram> {
  /** The local address; '0.0.0.0:0' of a Unix socket. */
  readonly local: UdpAddress;
  /** The path that a Unix socket is bound to. */
  readonly path: string | undefined;
  /** The address that the link is connected to; undefined for a path. */
  readonly peer: UdpAddress | undefined;
  readonly #paths: UnixPaths | undefined;
  readonly #isConnected: boolean;
  /** The shim's socket, Node's, or one of a `LoopbackNetwork`. */
  readonly implementation: UdpImplementation;
  /** @internal */
  protected readonly socket: UdpSocket;
  /** @internal */
  protected readonly intake: UdpIntake;
  /** @internal */
  protected readonly message: UdpMessage;
  #errors = 0;
  /** The final `dropped`, once the socket is closed. */
  #dropped = 0;

  /** @internal */
  protected constructor(pool: BufferPool, options: ResolvedUdpSettings, socket: UdpSocket) {
    super(pool, options, false);
    this.socket = socket;
    this.local = UdpAddress.from(socket.local);
    this.path = options.paths?.path || undefined;
    this.peer = options.peer;
    this.#paths = options.paths;
    this.#isConnected = options.isConnected;
    this.implementation = socket.implementation;
    this.intake = new UdpIntake(pool, options.packed);
    this.message = new UdpMessage(pool, this.intake);
  }

  get paused(): boolean {
    return this.intake.paused;
  }

  /** @internal */
  protected override holdReading(isHeld: boolean): void {
    if (isHeld) this.intake.pause();
    else this.intake.resume();
  }

  ref(): void {
    if (!this.life.isGone) this.socket.keepAlive(true);
  }

  unref(): void {
    if (!this.life.isGone) this.socket.keepAlive(false);
  }

  // ── The current message ───────────────────────────────────────────────────────────────────────

  /** Returns the current message as a packet. For handlers, while they are called. */
  takePacket(): Packet {
    return this.message.takePacket();
  }

  /**
   * Source of the current message: the IPv4 address as a signed 32-bit number (`>>> 0` makes it
   * unsigned), or the first of four words. For handlers, while they are called.
   */
  get sourceHost(): number {
    return this.message.sourceHost;
  }

  /** Port of the current message's source. For handlers, while they are called. */
  get sourcePort(): number {
    return this.message.sourcePort;
  }

  /**
   * Copies the current message's source into eight words, as in `UdpAddress`. For handlers, while
   * they are called.
   */
  copySource(target: Int32Array, index: number = 0): void {
    this.message.copySource(target, index);
  }

  /**
   * The current message's source as an object. For handlers, while they are called. **Cost**
   * allocates the object and its string.
   */
  source(): UdpAddress {
    return this.message.source();
  }

  /** Whether the current datagram was longer than a buffer. */
  get truncated(): boolean {
    return this.intake.isTruncated;
  }

  /** The two bits of Explicit Congestion Notification; 0 without the shim. */
  get ecn(): number {
    return this.intake.ecn;
  }

  // ── The socket ────────────────────────────────────────────────────────────────────────────────

  /**
   * Joins a multicast group, on the interface with this address (for IPv6, with this zone:
   * '::%eth0'), or on one that the system chooses. **Throws** ERR_BUSBAR_NATIVE_FAILED, RangeError.
   */
  join(group: string, networkInterface?: string): void {
    const words = wordsOf('group', group);
    this.#open().membership(words, this.#interfaceWords(networkInterface), true);
  }

  /** Undoes {@link join}, with the same errors. */
  leave(group: string, networkInterface?: string): void {
    const words = wordsOf('group', group);
    this.#open().membership(words, this.#interfaceWords(networkInterface), false);
  }

  /** Sends multicast through this interface, named as in {@link join}, or the system's choice. */
  setMulticastInterface(networkInterface?: string): void {
    this.#open().multicastInterface(this.#interfaceWords(networkInterface));
  }

  /** Sets the hops that a datagram may take: 1 … 255. */
  setTtl(ttl: number): void {
    this.#open().setOption(OPTION_TTL, checkInteger('ttl', ttl, 1, TTL_MAX));
  }

  /** Sets the hops of multicast datagrams: 0 … 255; the system's default is 1. */
  setMulticastTtl(ttl: number): void {
    this.#open().setOption(OPTION_MULTICAST_TTL, checkInteger('ttl', ttl, 0, TTL_MAX));
  }

  /** Sets whether this machine receives its own multicast; the system's default is yes. */
  setMulticastLoop(wanted: boolean): void {
    this.#open().setOption(OPTION_MULTICAST_LOOP, checkBoolean('wanted', wanted) ? 1 : 0);
  }

  /** Sets whether datagrams may be sent to broadcast addresses. */
  setBroadcast(wanted: boolean): void {
    this.#open().setOption(OPTION_BROADCAST, checkBoolean('wanted', wanted) ? 1 : 0);
  }

  /**
   * Sets the traffic class byte: six bits of service class, two of ECN. **Throws**
   * ERR_BUSBAR_NATIVE_UNAVAILABLE without the shim.
   */
  setTrafficClass(value: number): void {
    this.#open().setOption(OPTION_TRAFFIC_CLASS, checkInteger('value', value, 0, 255));
  }

  /** Buffer sizes granted by the system; Linux reports twice the requested size. */
  socketBytes(): { readonly receive: number; readonly send: number } {
    return this.socket.bufferBytes();
  }

  /** @internal The words of a destination; undefined: the peer. **Throws** as `trySend`. */
  protected wordsOf(to: UdpPeer | UdpAddress | undefined): Int32Array | undefined {
    if (to === undefined) {
      if (this.#isConnected) return undefined;
      throw new TypeError('a link without a peer needs a destination');
    }
    const { words } = checkUdpAddress('to', to);
    if (this.#isConnected) throw new TypeError('a link with a peer sends only to that peer');
    if (this.#paths !== undefined) this.#refuseSource();
    const family = words[ADDRESS_FAMILY];
    if (family !== this.local.family) {
      throw new RangeError(`to must be an IPv${this.local.family} address, got IPv${family}`);
    }
    return words;
  }

  /** @internal The words of the current message's source; undefined: the peer. */
  protected sourceWords(): Int32Array | undefined {
    this.message.check();
    if (this.#isConnected) return undefined;
    if (this.#paths !== undefined) this.#refuseSource();
    return this.intake.table;
  }

  #refuseSource(): never {
    throw new TypeError('a link on a Unix socket sends only to its peer');
  }

  /** @internal Handles the socket's events from now on. */
  protected listen(target: LateOwner, outbox: UdpOutbox): void {
    target.become({
      readable: () => this.intake.readable(),
      writable: () => {
        outbox.unblock();
        this.sendRest();
      },
      failed: (errno) => this.reportErrno(errno),
      sendFailed: (errno, bytes) => {
        outbox.takeBack(bytes);
        this.reportErrno(errno);
      },
    });
  }

  /** @internal Delivers messages from now on. */
  protected beginReading(deliver: UdpIntakeOwner['deliver']): void {
    const owner: UdpIntakeOwner = {
      deliver,
      receiveFailed: (errno) => this.reportErrno(errno),
      deliveryFailed: (error) => this.handlerFailed(error),
      intakeFailed: (error) => this.act(this.life.failed(error)),
      watch: () => this.watch(),
    };
    this.intake.open(owner, this.socket);
    this.watch();
  }

  /** @internal Watches the socket for datagrams, and for room if `wantsRoom`. */
  protected watch(): void {
    if (!this.life.isGone) this.socket.watch(this.intake.wantsMore, this.wantsRoom);
  }

  /** @internal Reports lost datagrams to the handler. */
  protected report(error: BusbarError): void {
    if (this.life.isGone) return;
    this.#errors++;
    this.notify(() => this.notifyError(error));
  }

  /** @internal Reports one datagram, lost with this error of the system. */
  protected reportErrno(errno: number): void {
    this.report(datagramError(errno, 1));
  }

  /** @internal Calls the handler. */
  protected abstract notifyError(error: BusbarError): void;

  /** @internal **Cost** one system call. */
  protected readingStats(): UdpReaderStats {
    return {
      implementation: this.implementation,
      ...this.intake.stats(),
      dropped: this.life.isGone ? this.#dropped : this.socket.drops(),
      errors: this.#errors,
    };
  }

  /** @internal Whether something waits for room in the socket. */
  protected abstract get wantsRoom(): boolean;

  /** @internal */
  protected override stopReading(): void {
    if (this.life.isGone) this.#dropped = this.socket.drops();
    this.intake.close();
    this.inbox?.close();
    this.watch();
  }

  /** @internal Datagrams have no end. */
  protected override endTaken(): void {}

  /** @internal */
  protected override get isInParts(): boolean {
    return false;
  }

  #open(): UdpSocket {
    this.checkOpen();
    return this.socket;
  }

  #interfaceWords(networkInterface: string | undefined): Int32Array {
    const none = this.local.family === 6 ? '::' : '0.0.0.0';
    return wordsOf('networkInterface', networkInterface === undefined ? none : networkInterface);
  }
}

function wordsOf(name: string, host: string): Int32Array {
  const words = new Int32Array(ADDRESS_WORDS);
  writeAddress(name, host, 0, words, 0);
  return words;
}
