// SPDX-License-Identifier: MIT
/** `UdpLink`: a UDP socket that sends and receives messages in pool memory. */

import { checkMade, checkOptions } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import type { BusbarError } from '../../base/errors.ts';
import type { WaitOptions } from '../../base/wait-guard.ts';
import type { Packet } from '../../packet/index.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { LocalWriter, WriterOptions } from '../../writer/index.ts';
import { checkPacketOf } from '../egress/sent-region.ts';
import { checkPart, type FrameWriter, lengthOf, type Payload } from '../frame-writer.ts';
import type { Link, LinkStats } from '../link.ts';
import { FINISHING, OPEN } from '../link-life.ts';
import { WRITTEN } from '../room-wait.ts';
import { warnUnheard } from '../unheard.ts';
import type { UdpAddress } from './udp-address.ts';
import { resolveNames } from './udp-names.ts';
import { type OpenUdpSocket, openUdpSocket, openWith } from './udp-open.ts';
import {
  checkUdpHandler,
  type ResolvedUdpOptions,
  resolveUdpOptions,
  UDP_OPTION_KEYS,
  type UdpHandlerOf,
  type UdpLinkOptionsOf,
  type UdpPeer,
} from './udp-options.ts';
import type { UdpOutboxStats } from './udp-outbox.ts';
import { UdpReader, type UdpReaderStats } from './udp-reader.ts';
import { UdpSender } from './udp-sender.ts';
import type { LateOwner, UdpSocket } from './udp-socket.ts';

/** Callbacks of a {@link UdpLink}. */
export interface UdpHandler extends UdpHandlerOf<UdpLink> {}

/** Options of a {@link UdpLink}. */
export interface UdpLinkOptions extends UdpLinkOptionsOf<UdpLink> {}

/** Counters of a UDP link. */
export interface UdpLinkStats extends LinkStats, UdpReaderStats, UdpOutboxStats {}

/**
 * One UDP socket. It delivers message by message, and sends many datagrams at once.
 *
 *   socket ──▶ pool ──▶ handler.onMessage             one call for all waiting datagrams
 *   socket ◀── outbox ◀── flusher ◀── link.writer     one call for everything flushed
 *
 * **Writing.** Writers take messages, each preceded by its length in two bytes, high byte first
 * ({@link tryWrite} adds it). In mode 'packed' a datagram holds as many of them, with lengths, as
 * fit; in mode 'message' each message is a datagram, without the length. {@link trySend} sends a
 * packet as one datagram, as it is and without a copy.
 *
 * **UDP does not wait for a receiver.** Where there is no room for a datagram, in the network or in
 * the receiver's socket, it is dropped; a link counts those it knows of (`stats().dropped`). The
 * link's own memory is bounded: when its socket has no room, the writers stop, as with `TcpLink`;
 * when the pool has no buffer, datagrams wait in the system.
 *
 * **Ownership** messages are borrowed; see {@link UdpHandler}. At `onClose` the link holds no
 * buffer; a quiet one holds at most one, in which kept packets lie. **Threads** the one that
 * opened the link.
 *
 * @example A server that sends every message back to where it came from.
 * ```ts
 * import { UdpLink } from 'busbar/link';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 65536, bufferCount: 64 });
 * const server = await UdpLink.open(pool, {
 *   handler: (link) => ({
 *     onMessage(offset, length, bufferId) {
 *       pool.retain(bufferId);
 *       if (!link.tryReplyRegion(bufferId, offset, length)) pool.release(bufferId);
 *     },
 *   }),
 * });
 * const client = await UdpLink.open(pool, {
 *   peer: { host: '127.0.0.1', port: server.local.port },
 *   handler: (link) => ({
 *     onMessage() {
 *       using packet = link.takePacket();
 *       console.log(packet.toString()); // hello
 *       void link.close();
 *       void server.close();
 *     },
 *   }),
 * });
 * client.tryWrite(new TextEncoder().encode('hello'));
 * ```
 */
export class UdpLink extends UdpReader implements Link {
  readonly #options: ResolvedUdpOptions<UdpLink>;
  /** @internal */
  readonly sender: UdpSender;
  #writer: LocalWriter | undefined;
  #messages: FrameWriter | undefined;
  #handler: UdpHandler = {};

  private constructor(
    pool: BufferPool,
    options: ResolvedUdpOptions<UdpLink>,
    socket: UdpSocket,
    target: LateOwner,
  ) {
    checkMade(socket !== undefined, new.target);
    super(pool, options, socket);
    this.#options = options;
    this.sender = new UdpSender(pool, options, socket, {
      report: (error) => this.report(error),
      roomAgain: () => {
        this.room.serve();
        this.notifyIfOpen(() => this.#handler.onDrained?.(this));
      },
      watch: () => this.watch(),
      sendRest: () => this.sendRest(),
    });
    this.begin([this.intake, this.sender]);
    try {
      if (options.isConnected) {
        this.#writer = this.sender.openWriter(undefined, options.writer);
        this.#messages = this.sender.messagesOf(this.#writer);
      }
      this.listen(target, this.sender.outbox);
      const handler = this.takeHandler(() => options.handler(this));
      if (handler !== undefined) this.#handler = checkUdpHandler(handler);
    } catch (error) {
      this.destroy();
      throw error;
    }
    const { inbox, message } = this;
    const deliver =
      inbox === undefined ? message.deliverer(this.#handler, this) : message.collector(inbox);
    this.beginReading(pool.leaks?.receivedBy(this.name, deliver) ?? deliver);
  }

  /**
   * Opens a socket, binds it, and connects it if there is a peer. Before that the operating system
   * looks up names, once: if one of `host` and `peer` is numeric, an address of the same family for
   * the other. A later change of a host's address is not noticed.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause, for example if
   * the port is taken or a name has no address; ERR_BUSBAR_NATIVE_UNAVAILABLE for `reusePort` and
   * paths without the shim; `signal.reason`; what the option `handler` throws; TypeError or
   * RangeError naming the option.
   */
  static async open(pool: BufferPool, options: UdpLinkOptions): Promise<UdpLink> {
    checkPool(pool);
    const own = checkOptions('options', options, UDP_OPTION_KEYS);
    return UdpLink.openOn(pool, await resolveNames(own), (resolved, owner) =>
      openUdpSocket(pool, resolved, owner),
    );
  }

  /** @internal {@link open} on any kind of socket. */
  static async openOn(
    pool: BufferPool,
    options: UdpLinkOptions,
    open: OpenUdpSocket<UdpLink>,
  ): Promise<UdpLink> {
    const resolved = resolveUdpOptions(pool, options);
    const make = (socket: UdpSocket, owner: LateOwner) =>
      new UdpLink(pool, resolved, socket, owner);
    return openWith(resolved, open, make);
  }

  // ── Sending ───────────────────────────────────────────────────────────────────────────────────

  /**
   * Writes to the peer. Closed with the link.
   *
   * **Throws** TypeError if the link has no peer.
   */
  get writer(): LocalWriter {
    return this.#writer ?? this.#refuseWriter();
  }

  /**
   * Creates a writer whose messages go to this address. It is closed with the link, or earlier by
   * the caller: then what it has flushed is still sent.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED, ERR_BUSBAR_WRITER_SLOTS; TypeError or RangeError, also if
   * the link has a peer.
   */
  writerTo(to: UdpPeer | UdpAddress, options?: WriterOptions): LocalWriter {
    const words = this.wordsOf(to);
    this.checkOpen();
    const chosen = options === undefined ? this.#options.writer : options;
    return this.sender.openWriter(words, chosen);
  }

  /**
   * Also sends the regions of another writer of the same flusher, to the peer or to `to`; for
   * writers of other threads.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED; TypeError or RangeError.
   */
  addWriter(writerId: number, to?: UdpPeer | UdpAddress): void {
    this.checkOpen();
    this.sender.add(writerId, this.wordsOf(to));
  }

  removeWriter(writerId: number): void {
    this.sender.gate.remove(writerId);
  }

  /**
   * Copies one message, bytes, a text or a packet, into the link's own writer, with its length.
   * False: not now; nothing has changed. With the option `messageBytes` each message has that
   * length, and no length is added. `[begin, end)`: of bytes, the part.
   *
   * **Throws** as `LocalWriter.tryWrite`; ERR_BUSBAR_MESSAGE_TOO_LARGE, RangeError, TypeError.
   */
  tryWrite(payload: Payload, begin: number = 0, end: number = lengthOf(payload)): boolean {
    checkPart(payload, begin, end);
    return this.framing.tryWrite(payload, begin, end);
  }

  /**
   * {@link tryWrite} that waits until the link is {@link writable} and has room; calls are served
   * in order. The network may still drop the datagram.
   *
   * **Ownership** do not change or release the payload before the promise resolves. **Throws**
   * (rejects) as `tryWrite`, and ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  write(payload: Payload, options?: WaitOptions): Promise<void> {
    try {
      const isTried = options === undefined && this.room.isEmpty && this.writable;
      if (isTried && this.tryWrite(payload)) return WRITTEN;
    } catch (error) {
      return Promise.reject(error);
    }
    return this.room.inTurn(options, async (rest) => this.framing.write(payload, rest));
  }

  /** @internal */
  protected override get framing(): FrameWriter {
    return this.#messages ?? this.#refuseWriter();
  }

  #refuseWriter(): never {
    throw new TypeError('a link without a peer has no writer');
  }

  /**
   * Sends a packet as one datagram, as it is (in mode 'packed': messages with their lengths), to
   * the peer or to `to`, at the end of this turn or at {@link flush}. False: not now.
   *
   * **Ownership** the link's on success; the caller's if it returns false or throws.
   * **Throws** ERR_BUSBAR_LINK_CLOSED, TypeError.
   */
  trySend(packet: Packet, to?: UdpPeer | UdpAddress): boolean {
    checkPacketOf(this.pool, packet);
    if (!this.trySendRegion(packet.bufferId, packet.offset, packet.length, to)) return false;
    packet.markMoved();
    return true;
  }

  /**
   * {@link trySend} with plain numbers: takes one of this thread's references on success.
   *
   * **Throws** also ERR_BUSBAR_NOT_HELD, RangeError, and, in mode 'packed',
   * ERR_BUSBAR_FRAME_MALFORMED for anything but a sequence of messages with lengths.
   */
  trySendRegion(
    bufferId: BufferId,
    offset: number,
    length: number,
    to?: UdpPeer | UdpAddress,
  ): boolean {
    this.checkOpen();
    if (!this.sender.makeRoom()) return false;
    this.sender.push(bufferId, offset, length, this.wordsOf(to), 0);
    return true;
  }

  /**
   * Sends a region as one datagram to the source of the current message. For handlers, while they
   * are called. In mode 'packed' the region holds messages with their lengths; the length of a
   * received message lies in the two bytes before it.
   *
   * **Ownership** takes one of this thread's references on success. **Throws** as
   * {@link trySendRegion}.
   */
  tryReplyRegion(bufferId: BufferId, offset: number, length: number): boolean {
    this.checkOpen();
    if (!this.sender.makeRoom()) return false;
    this.sender.push(bufferId, offset, length, this.sourceWords(), this.intake.sourceAt);
    return true;
  }

  override get writable(): boolean {
    const { gate } = this.sender;
    return this.life.state === OPEN && !gate.stalled && this.#writer?.closed !== true;
  }

  get bufferedBytes(): number {
    let bytes = this.sender.outbox.queuedBytes;
    for (const writer of this.sender.writers.values()) {
      bytes += writer.bufferedBytes + writer.flushedBytes;
    }
    return bytes;
  }

  flush(): boolean {
    if (this.life.state === OPEN) this.sender.flush();
    return this.writable;
  }

  // ── Life ──────────────────────────────────────────────────────────────────────────────────────

  override get closed(): boolean {
    return this.life.isGone;
  }

  /** A snapshot of the link's counters. **Cost** one system call. */
  stats(): UdpLinkStats {
    const { outbox, gate } = this.sender;
    return { ...this.readingStats(), ...outbox.stats(), stalls: gate.stalls };
  }

  /** @internal */
  protected override sendRest(): void {
    if (this.life.state !== FINISHING) return;
    const isSent = this.sender.sendRest();
    // The sender may have called user code that ended the link.
    if (this.life.state !== FINISHING) return;
    if (!isSent) {
      // If the socket has no room, it calls back when it has room again.
      if (!this.sender.outbox.blocked) this.sender.sendRestSoon();
    } else if (this.socket.pendingCount === 0) {
      this.act(this.life.drained());
    } else {
      this.watch();
    }
  }

  /** @internal Datagrams have no end: there is nothing to wait for. */
  protected override sendEnd(): void {
    this.destroy();
  }

  /** @internal */
  protected override release(): void {
    this.room.serve();
    try {
      this.sender.release();
    } finally {
      // Also after an exception: nothing else would close the socket.
      this.socket.close();
      // Not from here: a caller that destroys a link does not expect a callback meanwhile.
      queueMicrotask(() => this.act(this.life.osClosed()));
    }
  }

  /** @internal */
  protected override notifyClosed(): void {
    const { onClose, onError } = this.#handler;
    const { failure } = this.life;
    if (onClose !== undefined) this.#handler.onClose?.(this, this.error);
    else if (failure !== undefined && onError === undefined && !this.isRead) {
      this.reportUnheard(failure);
    }
  }

  /** @internal */
  protected override reportUnheard(failure: BusbarError): void {
    warnUnheard('a UDP link without onClose has failed', failure);
  }

  /** @internal */
  protected override notifyError(error: BusbarError): void {
    this.#handler.onError?.(error, this);
  }

  /** @internal */
  protected override get wantsRoom(): boolean {
    const isPending = this.life.state === FINISHING && this.socket.pendingCount > 0;
    return isPending || this.sender.outbox.blocked;
  }
}

describeAs(UdpLink, 'UdpLink', (link) => ({ ...link.inBrief, ...link.stats() }));
