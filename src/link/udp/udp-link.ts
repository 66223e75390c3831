// SPDX-License-Identifier: MIT
/** One UDP socket between program and pool. */

import { checkOptions, checkSource } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import type { BusbarError } from '../../base/errors.ts';
import type { Packet } from '../../packet/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { LocalWriter, WriterOptions } from '../../writer/index.ts';
import { checkPacketOf } from '../egress/sent-region.ts';
import type { Link, LinkStats } from '../link.ts';
import { FINISHING, OPEN } from '../link-life.ts';
import type { UdpAddress } from './udp-address.ts';
import { inNumbers } from './udp-names.ts';
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

/** What a program does with a {@link UdpLink}. */
export interface UdpHandler extends UdpHandlerOf<UdpLink> {}

/** What a {@link UdpLink} is made with. */
export interface UdpLinkOptions extends UdpLinkOptionsOf<UdpLink> {}

/** What a UDP link has done so far. */
export interface UdpLinkStats extends LinkStats, UdpReaderStats, UdpOutboxStats {}

/**
 * One UDP socket: what arrives is delivered message by message, what is written leaves many
 * datagrams at a time.
 *
 *   socket ──▶ pool ──▶ handler.onMessage(s)          one call for all that waits
 *   socket ◀── outbox ◀── flusher ◀── link.writer     one call for all that was flushed
 *
 * **Writing.** What goes into writers is messages, each behind its length in two bytes, high byte
 * first ({@link tryWrite} puts it there); in mode 'packed' they travel like that, as many in a
 * datagram as fit; in mode 'message' each is a datagram, without the length. {@link trySend} sends
 * a packet as one datagram as it is, without a copy.
 *
 * **Nothing waits for a receiver.** UDP drops what finds no room, on the way or in the receiver's
 * socket; a link counts what it knows of (`stats().dropped`). Its own side is bounded: a socket
 * without room stops the writers as for `TcpLink`; a pool without buffers leaves datagrams in the
 * system.
 *
 * **Ownership** messages are borrowed; see {@link UdpHandler}. At `onClose` the link holds no
 * buffer, and a quiet one holds none either, except the one that kept packets lie in. **Threads**
 * one.
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
  #handler: UdpHandler = {};

  private constructor(
    pool: BufferPool,
    options: ResolvedUdpOptions<UdpLink>,
    socket: UdpSocket,
    target: LateOwner,
  ) {
    super(pool, options, socket);
    this.#options = options;
    this.sender = new UdpSender(pool, options, socket, {
      report: (error) => this.report(error),
      roomAgain: () => this.tellIfOpen(() => this.#handler.onDrained?.(this)),
      watch: () => this.watch(),
      sendRest: () => this.sendRest(),
    });
    this.heedSignal();
    try {
      if (options.peer !== undefined) {
        this.#writer = this.sender.openWriter(undefined, options.writer);
      }
      this.listen(target, this.sender.outbox);
      this.#handler = checkUdpHandler(options.handler(this));
    } catch (error) {
      this.destroy();
      throw error;
    }
    this.receive(this.message.deliverer(this.#handler, this));
  }

  /**
   * Opens a socket, binds it, and connects it if there is a peer. Names are looked up before that,
   * once, by the operating system, in the family of the other address if that one is in numbers; a
   * host that gets another address later is not noticed.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause, as when the port
   * is taken or a name has no address; ERR_BUSBAR_NATIVE_UNAVAILABLE for `reusePort` without the
   * shim; `signal.reason`; what the handler throws; TypeError or RangeError naming the option that
   * is wrong.
   */
  static async open(pool: BufferPool, options: UdpLinkOptions): Promise<UdpLink> {
    const own = checkOptions('options', options, UDP_OPTION_KEYS);
    return UdpLink.openOn(pool, await inNumbers(own), (resolved, owner) =>
      openUdpSocket(pool, resolved, owner),
    );
  }

  /** @internal On a socket of any kind. */
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
    if (this.#writer === undefined) throw new TypeError('a link without peer has no own writer');
    return this.#writer;
  }

  /**
   * A writer whose messages go to this address. Closed with the link, or before by its owner; what
   * it had flushed is sent all the same.
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
   * Sends what another writer of the same flusher writes too, to the peer or to `to`; for writers
   * of other threads.
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
   * Copies one message into the link's own writer, with its length. False: not now, nothing has
   * changed. With `messageBytes` it must have so many, and goes without a length.
   *
   * **Throws** as `LocalWriter.tryWrite`; ERR_BUSBAR_MESSAGE_TOO_LARGE, RangeError, TypeError.
   */
  tryWrite(source: Uint8Array, begin: number = 0, end: number = source?.length): boolean {
    checkSource(source, begin, end);
    return this.sender.tryWrite(this.writer, source, begin, end);
  }

  /**
   * Sends a packet as one datagram, as it is (in mode 'packed': messages with their lengths), to
   * the peer or to `to`, at the end of this turn or at {@link flush}. False: not now.
   *
   * **Ownership** the link has the packet on success, the caller still if not, or if this throws.
   * **Throws** ERR_BUSBAR_LINK_CLOSED, TypeError.
   */
  trySend(packet: Packet, to?: UdpPeer | UdpAddress): boolean {
    checkPacketOf(this.pool, packet);
    if (!this.trySendRegion(packet.bufferId, packet.offset, packet.length, to)) return false;
    packet.markMoved();
    return true;
  }

  /**
   * The same by numbers: takes one reference of this thread on success.
   *
   * **Throws** likewise; RangeError; ERR_BUSBAR_FRAME_MALFORMED for what is no sequence of messages
   * with their lengths, in mode 'packed'.
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
   * Sends a region as one datagram to where the present message came from. For handlers, while
   * they are called. In mode 'packed' it is messages with their lengths: that of a message that has
   * come lies in the two bytes before it.
   *
   * **Ownership** takes one reference of this thread on success. **Throws** as
   * {@link trySendRegion}.
   */
  tryReplyRegion(bufferId: BufferId, offset: number, length: number): boolean {
    this.checkOpen();
    if (!this.sender.makeRoom()) return false;
    this.message.check();
    const { table, sourceAt } = this.intake;
    const words = this.peer === undefined ? table : undefined;
    this.sender.push(bufferId, offset, length, words, sourceAt);
    return true;
  }

  get writable(): boolean {
    const { gate } = this.sender;
    return this.life.state === OPEN && !gate.stalled && this.#writer?.closed !== true;
  }

  get bufferedBytes(): number {
    return this.sender.outbox.queuedBytes;
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
    // What it called may have ended the link.
    if (this.life.state !== FINISHING) return;
    if (!isSent) {
      // Without room it goes on when there is some: the socket says so.
      if (!this.sender.outbox.blocked) this.sender.sendRestSoon();
    } else if (this.socket.pendingCount === 0) {
      this.act(this.life.drained());
    } else {
      this.watch();
    }
  }

  /** @internal Datagrams have no end: nobody is waited for. */
  protected override sendEnd(): void {
    this.destroy();
  }

  /** @internal */
  protected override release(): void {
    try {
      this.sender.release();
    } finally {
      // Whatever happens: nobody else would.
      this.socket.close();
      // Not from here: whoever destroys a link does not expect to be called back meanwhile.
      queueMicrotask(() => this.act(this.life.osClosed()));
    }
  }

  /** @internal */
  protected override tellClosed(): void {
    this.#handler.onClose?.(this, this.error);
  }

  /** @internal */
  protected override tellError(error: BusbarError): void {
    this.#handler.onError?.(error, this);
  }

  /** @internal */
  protected override get wantsRoom(): boolean {
    const isPending = this.life.state === FINISHING && this.socket.pendingCount > 0;
    return isPending || this.sender.outbox.blocked;
  }
}

describeAs(UdpLink, 'UdpLink', (link) => ({ closed: link.closed, ...link.stats() }));
