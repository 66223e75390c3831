// SPDX-License-Identifier: MIT
/** `StreamLink`: base class of `TcpLink`, with what it sends: frames, packets, regions. */

import type { WaitOptions } from '../../base/wait-guard.ts';
import type { Codec } from '../../framer/index.ts';
import type { Packet } from '../../packet/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { LocalWriter } from '../../writer/index.ts';
import { checkPacketOf } from '../egress/sent-region.ts';
import {
  checkPart,
  FrameWriter,
  lengthOf,
  type Payload,
  type PayloadSource,
} from '../frame-writer.ts';
import { OPEN } from '../link-life.ts';
import { WRITTEN } from '../room-wait.ts';
import type { ResolvedSharedOptions } from '../shared-options.ts';
import type { OpenStream } from './tcp-open.ts';
import { TcpReader } from './tcp-reader.ts';
import { TcpSender, type TcpSenderOptions } from './tcp-sender.ts';

/** The calls by which a program sends. `TcpLink` adds opening, closing and the handler. */
export abstract class StreamLink extends TcpReader {
  /** Writes to the peer. Closed with the link. */
  readonly writer: LocalWriter;
  /** @internal */
  protected readonly sender: TcpSender;
  readonly #frames: FrameWriter;

  /** @internal */
  protected constructor(
    pool: BufferPool,
    options: ResolvedSharedOptions & TcpSenderOptions & { readonly allowHalfOpen: boolean },
    stream: OpenStream,
  ) {
    super(pool, options, stream);
    this.sender = new TcpSender(pool, options, stream.socket, {
      roomAgain: () => {
        this.room.serve();
        this.notifyIfOpen(() => this.notifyDrained());
      },
      written: () => this.written(),
      note: (error) => this.life.note(error),
      sendFailed: (error) => this.act(this.life.failed(error)),
    });
    this.writer = this.sender.writer;
    // A framer of a link has a codec.
    this.#frames = new FrameWriter(this.writer, this.framer.codec as Codec);
  }

  /** @internal Calls the handler: writers may continue. */
  protected abstract notifyDrained(): void;

  /** @internal A write has ended. */
  protected abstract written(): void;

  override get writable(): boolean {
    return this.life.state === OPEN && !this.sender.gate.stalled && !this.writer.closed;
  }

  /** The part of {@link bufferedBytes} that has left the writers and waits for the socket. */
  get queuedBytes(): number {
    return this.sender.outbox.queuedBytes;
  }

  get bufferedBytes(): number {
    return this.queuedBytes + this.writer.bufferedBytes + this.writer.flushedBytes;
  }

  flush(): boolean {
    if (this.life.state === OPEN) this.sender.flush();
    return this.writable;
  }

  /**
   * Sends a packet's bytes by reference, as they are, after everything that the link's writer has
   * written. One buffer may be sent to any number of links. False: not now, for example while a
   * reservation is open.
   *
   * **Ownership** the link's on success; the caller's if it returns false or throws.
   * **Throws** ERR_BUSBAR_LINK_CLOSED, TypeError.
   */
  trySend(packet: Packet): boolean {
    checkPacketOf(this.pool, packet);
    if (!this.trySendRegion(packet.bufferId, packet.offset, packet.length)) return false;
    packet.markMoved();
    return true;
  }

  /**
   * {@link trySend} with plain numbers: takes one of this thread's references on success. Also
   * **throws** ERR_BUSBAR_NOT_HELD, RangeError.
   */
  trySendRegion(bufferId: BufferId, offset: number, length: number): boolean {
    this.checkOpen();
    return !this.#frames.isInParts && this.sender.trySend(bufferId, offset, length);
  }

  /**
   * Writes a frame of this payload: bytes, a string or a packet, which are copied; the codec adds
   * what stands around it. False: not now; nothing has changed. `[begin, end)`: of bytes, the part.
   *
   * **Throws** as `LocalWriter.tryWrite`; TypeError if the codec only decodes; RangeError if it
   * cannot frame this payload (a line within a line).
   */
  tryWrite(payload: Payload, begin: number = 0, end: number = lengthOf(payload)): boolean {
    checkPart(payload, begin, end);
    return this.#frames.tryWrite(payload, begin, end);
  }

  /**
   * {@link tryWrite} that waits until the link is {@link writable} and the pool has room: for ever,
   * or `timeoutMs` milliseconds; calls are served in order. Resolves once the payload is copied;
   * the peer may not have it. A payload beyond a buffer is written in parts, as by
   * {@link writeFrame}, or, if the codec cannot, rejected with ERR_BUSBAR_MESSAGE_TOO_LARGE.
   *
   * **Ownership** do not change or release the payload before the promise resolves. **Throws**
   * (rejects) as `tryWrite`, and ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  write(payload: Payload, options?: WaitOptions): Promise<void> {
    try {
      const length = lengthOf(payload);
      if (this.#frames.needsParts(length)) return this.writeFrame(length, [payload], options);
      const isTried = options === undefined && this.room.isEmpty && this.writable;
      if (isTried && this.#frames.tryWrite(payload, 0, length)) return WRITTEN;
    } catch (error) {
      return Promise.reject(error);
    }
    return this.room.inTurn(options, (rest) => this.#frames.write(payload, rest));
  }

  /**
   * Writes one frame of `length` bytes of payload, of any length, from pieces: a stream, a
   * generator. Pieces are asked for when the link has room. Until the end other calls wait, or
   * return "not now"; do not use {@link writer} meanwhile.
   *
   * **Ownership** of a piece as in {@link write}, until the next one is asked for. **Throws**
   * (rejects) as `write`, what the source throws, and RangeError if that has more or fewer bytes;
   * TypeError if the codec's `encodes` is not 'head'. Once the frame was begun, each of these
   * closes the link, since its peer waits for the rest.
   */
  async writeFrame(length: number, source: PayloadSource, options?: WaitOptions): Promise<void> {
    await this.room.inTurn(options, async (rest) => {
      try {
        await this.#frames.writeParts(length, source, rest, this.room);
      } catch (error) {
        const isCut = this.#frames.isInParts;
        if (isCut && this.life.state === OPEN) this.act(this.life.handlerThrew(error));
        throw error;
      }
    });
  }

  /** Regions that are flushed after the link has ended count as lost. */
  addWriter(writerId: number): void {
    this.checkOpen();
    this.sender.gate.add(writerId);
  }

  removeWriter(writerId: number): void {
    this.sender.gate.remove(writerId);
  }

  /** @internal */
  protected override get framing(): FrameWriter {
    return this.#frames;
  }
}
