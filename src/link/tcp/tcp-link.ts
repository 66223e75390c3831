// SPDX-License-Identifier: MIT
/** `TcpLink`: one TCP connection, or another stream, with its framer and its writer. */

import { Duplex } from 'node:stream';
import { checkMade, show } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { BusbarError, messageOf } from '../../base/errors.ts';
import type { WaitOptions } from '../../base/wait-guard.ts';
import type { BufferAllowance } from '../../framer/buffer-allowance.ts';
import type { Codec } from '../../framer/index.ts';
import type { Packet } from '../../packet/index.ts';
import { checkPool } from '../../pool/check-pool.ts';
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
import type { Link, LinkStats } from '../link.ts';
import { FINISHING, LEAVING, OPEN } from '../link-life.ts';
import { WRITTEN } from '../room-wait.ts';
import { warnUnheard } from '../unheard.ts';
import { frameDeliverer } from './frame-deliverer.ts';
import { packetDeliverer } from './incoming-frame.ts';
import type { IntakeStats } from './intake.ts';
import type { OutboxStats } from './outbox.ts';
import type { IngestMode } from './read-target.ts';
import {
  destroyWithReset,
  readAddress,
  TCP_ADDRESS_KEYS,
  type TcpAddress,
  tuneSocket,
} from './tcp-connect.ts';
import { type OpenStream, openStream, takeStream } from './tcp-open.ts';
import {
  checkHandler,
  type ResolvedTcpOptions,
  readTcpOptions,
  resolveTcpOptions,
  type TcpHandlerOf,
  type TcpLinkOptionsOf,
} from './tcp-options.ts';
import { TcpReader } from './tcp-reader.ts';
import { TcpSender } from './tcp-sender.ts';

/** Callbacks of a {@link TcpLink}. */
export interface TcpHandler extends TcpHandlerOf<TcpLink> {}

/** Options of a {@link TcpLink}, connected, accepted or adopted. */
export interface TcpLinkOptions extends TcpLinkOptionsOf<TcpLink> {}

/** The server of links. */
export interface TcpLinkHost {
  /** Bounds the buffers that its links read into. */
  readonly allowance: BufferAllowance;
  /** Called as soon as the link begins to end, and possibly again. */
  linkEnding(link: TcpLink): void;
  linkFailed(failure: BusbarError): void;
  /** Called if neither a handler nor a reader of the link gets its failure. */
  linkUnheard(link: TcpLink, failure: BusbarError): void;
}

/** Counters of a TCP link. */
export interface TcpLinkStats extends LinkStats, IntakeStats, OutboxStats {
  /** How received bytes reach the pool. */
  readonly ingest: IngestMode;
}

/**
 * One TCP connection (or another stream) between a framer and a writer.
 *
 *   socket ──▶ framer ──▶ handler.onFrame(s)        reading: when the bytes arrive
 *   socket ◀── outbox ◀── flusher ◀── link.writer   writing: one write for everything flushed
 *
 * **Back-pressure.** When the peer reads slowly: once `highWaterBytes` bytes wait, the link leaves
 * its writers' regions in the flusher, and `writable` is false. When the lane is full as well, the
 * writer returns "not now": `tryReserve` returns −1, `flush` false, and `reserve` waits. The link
 * calls `onDrained` when writers may continue. When the program is slow: call `pause()`, later
 * `resume()`; TCP stops the peer. When the pool has no buffer: the link stops reading and waits for
 * one.
 *
 * **Ownership** frames are borrowed; see {@link TcpHandler}. At `onClose` the link holds no buffer.
 * A quiet link holds none either, with three exceptions, one buffer each: for up to 100 ms while
 * packets lie in it; after a read of more than `directReadBytes`; and during an unfinished frame of
 * which more than 256 bytes have arrived. **Threads** the one that created the link.
 */
export class TcpLink extends TcpReader implements Link {
  /** Writes to the peer. Closed with the link. */
  readonly writer: LocalWriter;
  readonly #sender: TcpSender;
  readonly #host: TcpLinkHost | undefined;
  readonly #frames: FrameWriter;
  #handler: TcpHandler = {};
  /** True after the socket's 'close'. The callback of the last write may still come. */
  #isSocketClosed = false;

  private constructor(
    pool: BufferPool,
    options: ResolvedTcpOptions<TcpLink>,
    stream: OpenStream,
    host?: TcpLinkHost,
  ) {
    checkMade(stream !== undefined, new.target);
    super(pool, options, stream);
    const { socket, intake } = stream;
    this.#host = host;
    this.#sender = new TcpSender(pool, options, socket, {
      roomAgain: () => {
        this.room.serve();
        this.notifyIfOpen(() => this.#handler.onDrained?.(this));
      },
      written: () => {
        this.sendRest();
        this.#settle();
      },
      note: (error) => this.life.note(error),
      sendFailed: (error) => this.act(this.life.failed(error)),
    });
    this.writer = this.#sender.writer;
    // A framer of a link has a codec.
    this.#frames = new FrameWriter(this.writer, this.framer.codec as Codec);
    tuneSocket(socket, options);
    this.#listen();
    try {
      const handler = this.takeHandler(() => options.handler(this));
      if (handler !== undefined) this.#handler = checkHandler(handler, this.isInParts);
    } catch (error) {
      this.destroy();
      throw error;
    }
    const { inbox } = this;
    const deliver =
      inbox === undefined
        ? frameDeliverer(this.#handler, this, intake)
        : packetDeliverer(intake, inbox, this.isInParts);
    this.beginReading(deliver);
  }

  /**
   * Opens a connection; with `retry`, in several attempts.
   *
   * A link is one connection: it does not reconnect. `error` is the reason why it closed,
   * `stats().lostBytes` the number of bytes that it did not send.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause, or
   * ERR_BUSBAR_TIMEOUT; after several attempts the cause is the error of the last one. Also
   * `signal.reason`; TypeError or RangeError naming the option.
   */
  static async connect(pool: BufferPool, options: TcpAddress & TcpLinkOptions): Promise<TcpLink> {
    checkPool(pool);
    const own = readTcpOptions(options, TCP_ADDRESS_KEYS);
    const resolved = resolveTcpOptions(pool, own, TCP_ADDRESS_KEYS);
    const make = (stream: OpenStream): TcpLink => new TcpLink(pool, resolved, stream);
    return openStream(pool, readAddress(own), resolved, make);
  }

  /**
   * Makes a link of an open socket or any other stream of bytes: accepted, upgraded, TLS, a pipe.
   *
   * **Ownership** the stream is the link's. A plain `net.Socket` is replaced by another one on the
   * same connection (`link.socket`), so that the kernel can read into the pool; the given socket
   * and its listeners are then dead. A socket with buffered bytes is kept, with `ingest` 'copy', so
   * that no byte is lost.
   *
   * **Throws** what `codec` or `handler` throws, ERR_BUSBAR_WRITER_SLOTS,
   * ERR_BUSBAR_FLUSHER_CLOSED, or ERR_BUSBAR_LINK_CLOSED if the socket is already destroyed; in all
   * these cases the socket is then closed. TypeError or RangeError naming the argument or option;
   * the socket is then untouched.
   */
  static adopt(pool: BufferPool, socket: Duplex, options: TcpLinkOptions): TcpLink {
    return TcpLink.adoptWithin(undefined, pool, socket, options);
  }

  /** @internal {@link adopt} for a server. */
  static adoptWithin(
    host: TcpLinkHost | undefined,
    pool: BufferPool,
    socket: Duplex,
    options: TcpLinkOptions,
  ): TcpLink {
    if (!(socket instanceof Duplex)) {
      throw new TypeError(`socket must be a Duplex, got ${show(socket)}`);
    }
    const resolved = resolveTcpOptions(pool, options);
    if (socket.destroyed) {
      throw new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'its socket is already destroyed');
    }
    const stream = takeStream(pool, socket, resolved, host?.allowance);
    try {
      return new TcpLink(pool, resolved, stream, host);
    } catch (error) {
      stream.socket.destroy();
      throw error;
    }
  }

  override get writable(): boolean {
    return this.life.state === OPEN && !this.#sender.gate.stalled && !this.writer.closed;
  }

  /** The part of {@link bufferedBytes} that has left the writers and waits for the socket. */
  get queuedBytes(): number {
    return this.#sender.outbox.queuedBytes;
  }

  get bufferedBytes(): number {
    return this.queuedBytes + this.writer.bufferedBytes + this.writer.flushedBytes;
  }

  flush(): boolean {
    if (this.life.state === OPEN) this.#sender.flush();
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
    return !this.#frames.isInParts && this.#sender.trySend(bufferId, offset, length);
  }

  /**
   * Writes a frame of this payload: bytes, a text or a packet, which are copied; the codec adds
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
   * {@link tryWrite} that waits until the link is {@link writable} and has room; calls are served
   * in order. A payload beyond a buffer is written in parts, as by {@link writeFrame}.
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
        const wasBegun = this.#frames.endParts();
        if (wasBegun && this.life.state === OPEN) this.act(this.life.handlerThrew(error));
        throw error;
      }
    });
  }

  /** Regions that are flushed after the link has ended count as lost. */
  addWriter(writerId: number): void {
    this.checkOpen();
    this.#sender.gate.add(writerId);
  }

  removeWriter(writerId: number): void {
    this.#sender.gate.remove(writerId);
  }

  /**
   * Ends the writing half: sends what was written, then the stream's end. Frames keep arriving
   * until the peer ends as well.
   */
  end(): void {
    this.act(this.life.end());
  }

  stats(): TcpLinkStats {
    return {
      ingest: this.ingest,
      ...this.intake.stats(),
      ...this.#sender.outbox.stats(),
      stalls: this.#sender.gate.stalls,
    };
  }

  /** @internal */
  protected override get framing(): FrameWriter {
    return this.#frames;
  }

  // ── Life ──────────────────────────────────────────────────────────────────────────────────────

  /** @internal */
  protected override noLongerOpen(): void {
    this.#host?.linkEnding(this);
  }

  /** @internal */
  protected override sendRest(): void {
    if (this.life.state !== FINISHING) return;
    this.room.end();
    if (!this.#sender.sendRest()) return;
    // The sender may have called user code that ended the link.
    if (this.life.state === FINISHING) this.act(this.life.drained());
  }

  /** @internal Sends the stream's end. What writers of other threads flush later is lost. */
  protected override sendEnd(): void {
    this.room.serve();
    this.#sender.outbox.close();
    this.socket.end();
  }

  /** @internal */
  protected override release(): void {
    this.room.end();
    this.room.serve();
    try {
      this.#sender.release();
    } finally {
      // Also after an exception: nothing else would close the socket.
      if (this.life.isBroken) destroyWithReset(this.socket);
      else this.socket.destroy();
    }
  }

  /** @internal */
  protected override notifyClosed(): void {
    const { failure } = this.life;
    if (failure !== undefined) {
      this.#host?.linkFailed(failure);
      if (this.#handler.onClose === undefined && !this.isRead) this.reportUnheard(failure);
    }
    this.#handler.onClose?.(this, this.error);
  }

  /** @internal */
  protected override reportUnheard(failure: BusbarError): void {
    if (this.#host !== undefined) this.#host.linkUnheard(this, failure);
    else warnUnheard('a TCP link without onClose has failed', failure);
  }

  /** Listens to the socket, and to the signal. */
  #listen(): void {
    const { socket } = this;
    socket.on('end', () => this.intake.end());
    socket.on('error', (cause) => {
      this.life.note(new BusbarError('ERR_BUSBAR_LINK_FAILED', messageOf(cause), { cause }));
    });
    socket.on('close', () => {
      this.#isSocketClosed = true;
      this.#sender.outbox.streamClosed();
      this.destroy();
      this.#settle();
    });
    this.begin([this.intake.framer, this.#sender]);
  }

  /** @internal */
  protected override notifyEnd(): void {
    this.#handler.onEnd?.(this);
  }

  /** Ends the life once the socket is closed and the callback of its last write has run. */
  #settle(): void {
    if (!this.#isSocketClosed || this.life.state !== LEAVING) return;
    if (this.#sender.outbox.queuedBytes > 0) return;
    this.intake.close();
    this.act(this.life.osClosed());
  }
}

describeAs(TcpLink, 'TcpLink', (link) => ({ ...link.inBrief, ...link.stats() }));
