// SPDX-License-Identifier: MIT
/** `UdpLink`: a UDP socket that sends and receives messages in pool memory. */

import { checkMade, checkOptions } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import type { BusbarError } from '../../base/errors.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferPool } from '../../pool/index.ts';
import type { Link, LinkStats } from '../link.ts';
import { FINISHING } from '../link-life.ts';
import { warnUnheard } from '../unheard.ts';
import { DatagramLink } from './datagram-link.ts';
import { resolveNames } from './udp-names.ts';
import { type OpenUdpSocket, openUdpSocket, openWith } from './udp-open.ts';
import {
  checkUdpHandler,
  type ResolvedUdpOptions,
  resolveUdpOptions,
  UDP_OPTION_KEYS,
  type UdpHandlerOf,
  type UdpLinkOptionsOf,
} from './udp-options.ts';
import type { UdpOutboxStats } from './udp-outbox.ts';
import type { UdpReaderStats } from './udp-reader.ts';
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
 * ({@link UdpLink.tryWrite} adds it). In mode 'packed' a datagram holds as many of them, with
 * lengths, as fit; in mode 'message' each message is a datagram, without the length. {@link
 * UdpLink.trySend} sends a packet as one datagram, as it is and without a copy.
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
export class UdpLink extends DatagramLink implements Link {
  #handler: UdpHandler = {};

  private constructor(
    pool: BufferPool,
    options: ResolvedUdpOptions<UdpLink>,
    socket: UdpSocket,
    target: LateOwner,
  ) {
    checkMade(socket !== undefined, new.target);
    super(pool, options, socket);
    this.begin([this.intake, this.sender]);
    try {
      if (options.isConnected) this.openPeerWriter();
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
  protected override notifyDrained(): void {
    this.#handler.onDrained?.(this);
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
