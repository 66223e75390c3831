// SPDX-License-Identifier: MIT
/** The socket's end of the way, in both directions: one UDP socket between program and pool. */

import { copyBytes } from '../base/bytes.ts';
import { checkBoolean, checkInteger, checkOptions, checkSource } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { checkNetAllowed } from '../native/permission.ts';
import {
  ADDRESS_FAMILY,
  ADDRESS_HOST,
  ADDRESS_PORT,
  ADDRESS_WORDS,
  OPTION_BROADCAST,
  OPTION_MULTICAST_LOOP,
  OPTION_MULTICAST_TTL,
  OPTION_TRAFFIC_CLASS,
  OPTION_TTL,
  udpCalls,
} from '../native/udp.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { LocalWriter, WriterOptions } from '../writer/index.ts';
import type { Link } from './link.ts';
import { checkHeldRegion, checkPacketOf } from './sent-region.ts';
import { checkAddressWords, UdpAddress, writeAddress } from './udp-address.ts';
import { CONNECTED } from './udp-address-table.ts';
import { UdpDgramSocket } from './udp-dgram-socket.ts';
import { SocketTarget, UdpEndpoint } from './udp-endpoint.ts';
import { PREFIX_BYTES } from './udp-intake.ts';
import { inNumbers } from './udp-names.ts';
import { UdpNativeSocket } from './udp-native-socket.ts';
import {
  checkUdpAddress,
  type ResolvedUdpOptions,
  resolveUdpOptions,
  UDP_OPTION_KEYS,
  type UdpHandlerOf,
  type UdpLinkOptionsOf,
  type UdpPeer,
} from './udp-options.ts';
import { CUT_WHOLE } from './udp-outbox.ts';
import type { UdpSocket, UdpSocketOwner } from './udp-socket.ts';

/** What a program does with a {@link UdpLink}. */
export interface UdpHandler extends UdpHandlerOf<UdpLink> {}

/** What a {@link UdpLink} is made with. */
export interface UdpLinkOptions extends UdpLinkOptionsOf<UdpLink> {}

const TTL_MAX = 255;
const MESSAGE_BYTES_MAX = 0xffff;

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
export class UdpLink extends UdpEndpoint<UdpLink> implements Link {
  /** The present message, while it is delivered. */
  private messageBuffer: BufferId = NO_BUFFER;
  private messageOffset = 0;
  private messageLength = 0;

  private constructor(
    pool: BufferPool,
    options: ResolvedUdpOptions<UdpLink>,
    socket: UdpSocket,
    target: SocketTarget,
  ) {
    super(pool, options, socket);
    this.start(target, () => this.deliverer());
  }

  protected get self(): this {
    return this;
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
    return UdpLink.openOn(pool, await inNumbers(own), ({ implementation, config }, target) => {
      checkNetAllowed();
      const calls = implementation === 'dgram' ? undefined : udpCalls();
      return calls === undefined
        ? UdpDgramSocket.open(pool.bytes, config, target)
        : new UdpNativeSocket(calls, pool.bytes, config, target);
    });
  }

  /** @internal On a socket of any kind. */
  static async openOn(
    pool: BufferPool,
    options: UdpLinkOptions,
    open: (
      options: ResolvedUdpOptions<UdpLink>,
      owner: UdpSocketOwner,
    ) => UdpSocket | Promise<UdpSocket>,
  ): Promise<UdpLink> {
    const resolved = resolveUdpOptions(pool, options);
    resolved.signal?.throwIfAborted();
    const target = new SocketTarget();
    const socket = await open(resolved, target);
    try {
      resolved.signal?.throwIfAborted();
      return new UdpLink(pool, resolved, socket, target);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  // ── Sending ───────────────────────────────────────────────────────────────────────────────────

  /**
   * Writes to the peer. Closed with the link.
   *
   * **Throws** TypeError if the link has no peer.
   */
  get writer(): LocalWriter {
    if (this.ownWriter === undefined) throw new TypeError('a link without peer has no own writer');
    return this.ownWriter;
  }

  /**
   * A writer whose messages go to this address. Closed with the link, or before by its owner; what
   * it had flushed is sent all the same.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED, ERR_BUSBAR_WRITER_SLOTS; TypeError or RangeError, also if
   * the link has a peer.
   */
  writerTo(to: UdpPeer | UdpAddress, options?: WriterOptions): LocalWriter {
    return this.openWriter(this.wordsOf(to), options === undefined ? this.options.writer : options);
  }

  /**
   * Sends what another writer of the same flusher writes too, to the peer or to `to`; for writers
   * of other threads.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED; TypeError or RangeError.
   */
  addWriter(writerId: number, to?: UdpPeer | UdpAddress): void {
    this.checkOpen();
    this.addLane(writerId, to === undefined ? this.toPeer() : this.wordsOf(to));
  }

  /** Takes no more from a writer; what it has flushed and this link has not taken is dropped. */
  removeWriter(writerId: number): void {
    this.lanes.remove(writerId);
  }

  /**
   * Copies one message into the link's own writer, with its length. False: not now, nothing has
   * changed. With `messageBytes` it must have so many, and goes without a length.
   *
   * **Throws** as `LocalWriter.tryWrite`; ERR_BUSBAR_MESSAGE_TOO_LARGE, RangeError, TypeError.
   */
  tryWrite(source: Uint8Array, begin: number = 0, end: number = source?.length): boolean {
    checkSource(source, begin, end);
    const { writer, options, pool } = this;
    const length = end - begin;
    if (!options.packed && options.datagramBytes > 0) {
      checkInteger('length', length, options.datagramBytes, options.datagramBytes);
      return writer.tryWrite(source, begin, end);
    }
    if (length > MESSAGE_BYTES_MAX) {
      throw new BusbarError('ERR_BUSBAR_MESSAGE_TOO_LARGE', `${length} bytes in a datagram`);
    }
    const at = writer.tryReserve(PREFIX_BYTES + length);
    if (at < 0) return false;
    const { bytes } = pool;
    bytes[at] = length >>> 8;
    bytes[at + 1] = length;
    try {
      copyBytes(bytes, at + PREFIX_BYTES, source, begin, end);
    } catch (error) {
      writer.abort(at);
      throw error;
    }
    writer.commit(at, PREFIX_BYTES + length);
    return true;
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
    if (!this.lanes.makeRoom()) return false;
    const words = to === undefined ? this.toPeer() : this.wordsOf(to);
    return this.pushWhole(bufferId, offset, length, words, 0);
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
    if (!this.lanes.makeRoom()) return false;
    const { intake } = this;
    this.checkMessage();
    const words = this.peer === undefined ? intake.table : undefined;
    return this.pushWhole(bufferId, offset, length, words, intake.sourceAt);
  }

  // ── The present message ───────────────────────────────────────────────────────────────────────

  /** The present message as a packet of its own. For handlers, while they are called. */
  takePacket(): Packet {
    this.checkMessage();
    this.pool.retain(this.messageBuffer);
    return Packet.within(this.pool, this.messageBuffer, this.messageOffset, this.messageLength);
  }

  /**
   * Where the present message came from: the IPv4 address as a signed number (`>>> 0` makes it one
   * from 0 on), or the first of four words. For handlers, while they are called.
   */
  get sourceHost(): number {
    this.checkMessage();
    return this.intake.table[this.intake.sourceAt + ADDRESS_HOST];
  }

  /** Likewise. */
  get sourcePort(): number {
    this.checkMessage();
    return this.intake.table[this.intake.sourceAt + ADDRESS_PORT];
  }

  /** Copies the present source into eight words; `UdpAddress` says which. Likewise. */
  copySource(target: Int32Array, index: number = 0): void {
    checkAddressWords('target', target, index);
    this.checkMessage();
    const { table, sourceAt } = this.intake;
    for (let i = 0; i < ADDRESS_WORDS; i++) target[index + i] = table[sourceAt + i];
  }

  /** The present source as an object. Likewise. **Cost** allocates it and its text. */
  source(): UdpAddress {
    this.checkMessage();
    return UdpAddress.from(this.intake.table, this.intake.sourceAt);
  }

  /** Whether the present datagram was longer than a buffer. */
  get truncated(): boolean {
    return this.intake.isTruncated;
  }

  /** The two bits of Explicit Congestion Notification; 0 without the shim. */
  get ecn(): number {
    return this.intake.ecn;
  }

  // ── The socket ────────────────────────────────────────────────────────────────────────────────

  /**
   * Receives what is sent to a group, on the interface that has this address (or, IPv6, this zone:
   * '::%eth0'); the system chooses without. **Throws** ERR_BUSBAR_NATIVE_FAILED, RangeError.
   */
  join(group: string, networkInterface?: string): void {
    const words = wordsOf('group', group);
    this.openSocket().membership(words, this.interfaceWords(networkInterface), true);
  }

  /** Undoes {@link join}. **Throws** likewise. */
  leave(group: string, networkInterface?: string): void {
    const words = wordsOf('group', group);
    this.openSocket().membership(words, this.interfaceWords(networkInterface), false);
  }

  /** Sends multicast through this interface, named as for {@link join}, or the system's choice. */
  setMulticastInterface(networkInterface?: string): void {
    this.openSocket().multicastInterface(this.interfaceWords(networkInterface));
  }

  /** How many routers a datagram may pass: 1 … 255. */
  setTtl(ttl: number): void {
    this.openSocket().setOption(OPTION_TTL, checkInteger('ttl', ttl, 1, TTL_MAX));
  }

  /** The same for multicast: 0 … 255; the system's default is 1. */
  setMulticastTtl(ttl: number): void {
    this.openSocket().setOption(OPTION_MULTICAST_TTL, checkInteger('ttl', ttl, 0, TTL_MAX));
  }

  /** Whether this machine hears the multicast that it sends; the system's default is yes. */
  setMulticastLoop(wanted: boolean): void {
    this.openSocket().setOption(OPTION_MULTICAST_LOOP, checkBoolean('wanted', wanted) ? 1 : 0);
  }

  /** Whether broadcast addresses may be sent to. */
  setBroadcast(wanted: boolean): void {
    this.openSocket().setOption(OPTION_BROADCAST, checkBoolean('wanted', wanted) ? 1 : 0);
  }

  /**
   * The byte that routers look at: six bits of service class, two of ECN. **Throws**
   * ERR_BUSBAR_NATIVE_UNAVAILABLE without the shim.
   */
  setTrafficClass(value: number): void {
    this.openSocket().setOption(OPTION_TRAFFIC_CLASS, checkInteger('value', value, 0, 255));
  }

  /** What the system grants the socket; Linux says twice what was asked for. */
  socketBytes(): { readonly receive: number; readonly send: number } {
    return this.socket.bufferBytes();
  }

  // ── Private ───────────────────────────────────────────────────────────────────────────────────

  private deliverer(): (offset: number, length: number, bufferId: BufferId) => void {
    const { handler, pool } = this;
    const { onMessage } = handler;
    if (onMessage !== undefined) {
      return (offset, length, bufferId) => {
        this.messageBuffer = bufferId;
        this.messageOffset = offset;
        this.messageLength = length;
        try {
          handler.onMessage?.(offset, length, bufferId, this);
        } finally {
          this.messageBuffer = NO_BUFFER;
        }
      };
    }
    return (offset, length, bufferId) => {
      pool.retain(bufferId);
      const packet = Packet.within(pool, bufferId, offset, length);
      this.messageBuffer = bufferId;
      this.messageOffset = offset;
      this.messageLength = length;
      try {
        handler.onPacket?.(packet, this);
      } finally {
        this.messageBuffer = NO_BUFFER;
      }
    };
  }

  private checkMessage(): void {
    if (this.messageBuffer === NO_BUFFER) {
      throw new TypeError('there is a present message only while the handler is called');
    }
  }

  private openSocket(): UdpSocket {
    this.checkOpen();
    return this.socket;
  }

  /** No address: the socket knows it. */
  private toPeer(): undefined {
    if (this.peer === undefined) throw new TypeError('a link without peer must be told where to');
    return undefined;
  }

  private wordsOf(to: UdpPeer | UdpAddress): Int32Array {
    const { words } = checkUdpAddress('to', to);
    if (this.peer !== undefined) throw new TypeError('a link with a peer sends to nobody else');
    const family = words[ADDRESS_FAMILY];
    if (family !== this.local.family) {
      throw new RangeError(`to must be an IPv${this.local.family} address, got IPv${family}`);
    }
    return words;
  }

  private interfaceWords(networkInterface: string | undefined): Int32Array {
    const none = this.local.family === 6 ? '::' : '0.0.0.0';
    return wordsOf('networkInterface', networkInterface === undefined ? none : networkInterface);
  }

  /** A region as one datagram, to the address at `words[index]`; undefined: to the peer. */
  private pushWhole(
    bufferId: BufferId,
    offset: number,
    length: number,
    words: Int32Array | undefined,
    index: number,
  ): true {
    checkHeldRegion(this.pool, bufferId, offset, length);
    if (this.options.packed) checkPacked(this.pool, offset, length);
    const { outbox } = this;
    const row = words === undefined ? CONNECTED : outbox.addresses.add(words, index);
    outbox.push(offset, length, bufferId, row, CUT_WHOLE);
    // The region holds it now.
    outbox.letGo(row);
    this.lanes.pushed();
    return true;
  }
}

/** Datagrams of packed messages are what the other side can take apart. */
function checkPacked({ bytes }: BufferPool, offset: number, length: number): void {
  const end = offset + length;
  let at = offset;
  while (at + PREFIX_BYTES <= end) at += PREFIX_BYTES + ((bytes[at] << 8) | bytes[at + 1]);
  if (at === end) return;
  const what = `${length} bytes that are no messages with lengths, as mode 'packed' has them`;
  throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', what);
}

function wordsOf(name: string, host: string): Int32Array {
  const words = new Int32Array(ADDRESS_WORDS);
  writeAddress(name, host, 0, words, 0);
  return words;
}

describeAs(UdpLink, 'UdpLink', (link) => ({
  closed: link.closed,
  ...link.stats(),
}));
