// SPDX-License-Identifier: MIT
/** `DatagramLink`: base class of `UdpLink`, with what it sends, and to which address. */

import type { WaitOptions } from '../../base/wait-guard.ts';
import type { Packet } from '../../packet/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { LocalWriter, WriterOptions } from '../../writer/index.ts';
import { checkPacketOf } from '../egress/sent-region.ts';
import { checkPart, type FrameWriter, lengthOf, type Payload } from '../frame-writer.ts';
import { OPEN } from '../link-life.ts';
import { WRITTEN } from '../room-wait.ts';
import type { UdpAddress } from './udp-address.ts';
import type { ResolvedUdpSettings, UdpPeer } from './udp-options.ts';
import { UdpReader } from './udp-reader.ts';
import { UdpSender } from './udp-sender.ts';
import type { UdpSocket } from './udp-socket.ts';

/** The calls by which a program sends. `UdpLink` adds opening, closing and the handler. */
export abstract class DatagramLink extends UdpReader {
  /** @internal */
  readonly sender: UdpSender;
  readonly #writerOptions: WriterOptions;
  #writer: LocalWriter | undefined;
  #messages: FrameWriter | undefined;

  /** @internal */
  protected constructor(pool: BufferPool, options: ResolvedUdpSettings, socket: UdpSocket) {
    super(pool, options, socket);
    this.#writerOptions = options.writer;
    this.sender = new UdpSender(pool, options, socket, {
      report: (error) => this.report(error),
      roomAgain: () => {
        this.room.serve();
        this.notifyIfOpen(() => this.notifyDrained());
      },
      watch: () => this.watch(),
      sendRest: () => this.sendRest(),
    });
  }

  /** @internal Opens the writer to the peer. **Throws** as {@link writerTo}. */
  protected openPeerWriter(): void {
    this.#writer = this.sender.openWriter(undefined, this.#writerOptions);
    this.#messages = this.sender.messagesOf(this.#writer);
  }

  /** @internal Calls the handler: writers may continue. */
  protected abstract notifyDrained(): void;

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
    const chosen = options === undefined ? this.#writerOptions : options;
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
   * Copies one message, bytes, a string or a packet, into the link's own writer, with its length.
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
   * {@link tryWrite} that waits until the link is {@link writable} and the pool has room: for ever,
   * or `timeoutMs` milliseconds; calls are served in order. Resolves once the payload is copied;
   * the network may still drop the datagram.
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

  /** @internal */
  protected override get framing(): FrameWriter {
    return this.#messages ?? this.#refuseWriter();
  }

  #refuseWriter(): never {
    throw new TypeError('a link without a peer has no writer of its own: use writerTo or trySend');
  }
}
