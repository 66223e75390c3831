// SPDX-License-Identifier: MIT
/** One connection, its framer, its writer. */

import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { show } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { BusbarError, messageOf } from '../../base/errors.ts';
import type { BufferAllowance } from '../../framer/buffer-allowance.ts';
import type { Framer } from '../../framer/index.ts';
import type { Packet } from '../../packet/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { LocalWriter } from '../../writer/index.ts';
import { checkPacketOf } from '../egress/sent-region.ts';
import type { Link, LinkStats } from '../link.ts';
import { LinkBase } from '../link-base.ts';
import { FINISHING, LEAVING, OPEN } from '../link-life.ts';
import type { IngestMode } from './ingest.ts';
import type { Intake, IntakeStats } from './intake.ts';
import { frameDeliverer, type IntakeOwner } from './intake-owner.ts';
import type { OutboxStats } from './outbox.ts';
import { readAddress, TCP_ADDRESS_KEYS, type TcpAddress, tuneSocket } from './tcp-connect.ts';
import { type OpenStream, openStream, takeStream } from './tcp-open.ts';
import {
  checkHandler,
  type ResolvedTcpOptions,
  readTcpOptions,
  resolveTcpOptions,
  type TcpHandlerOf,
  type TcpLinkOptionsOf,
} from './tcp-options.ts';
import { TcpSender } from './tcp-sender.ts';

/** What a program does with a {@link TcpLink}. */
export interface TcpHandler extends TcpHandlerOf<TcpLink> {}

/** What every {@link TcpLink} needs to know, however its socket comes to be. */
export interface TcpLinkOptions extends TcpLinkOptionsOf<TcpLink> {}

/** What a TCP link has done so far. */
export interface TcpLinkStats extends LinkStats, IntakeStats, OutboxStats {
  /** How received bytes reach the pool. */
  readonly ingest: IngestMode;
}

/**
 * One TCP connection (or another stream) between a framer and a writer.
 *
 *   socket ──▶ framer ──▶ handler.onFrame(s)        reading: when the bytes arrive
 *   socket ◀── outbox ◀── flusher ◀── link.writer   writing: one write for all that was flushed
 *
 * **Back-pressure.** A peer that reads slowly: from `highWaterBytes` on the link leaves its
 * writers' regions in the flusher, `writable` is false, and when the lane is full the writer says
 * "not now" (tryReserve −1, flush false; reserve() waits); `onDrained` tells when it is over. A
 * program that is too slow: `pause()` and `resume()`; TCP stops the peer. A pool without buffers:
 * the link pauses by itself and queues up for one.
 *
 * **Ownership** frames are borrowed; see {@link TcpHandler}. At `onClose` the link holds no
 * buffer. A quiet link holds none either (one that packets lie in for up to 100 ms more), except
 * one after a read of `directReadBytes` or more and one while more than 256 bytes of a frame have
 * begun. **Threads** one.
 */
export class TcpLink extends LinkBase implements Link {
  /**
   * Whose frames the handler takes. Only `next`, `nextPacket`, `takePacket`, `finishFrame` and the
   * frame's numbers are for it.
   */
  readonly framer: Framer;
  /** Writes to the peer. Closed with the link. */
  readonly writer: LocalWriter;
  /** As a rule a `net.Socket`: for addresses, `setTimeout`. Not for reading, writing, ending. */
  readonly socket: Duplex;
  /** How received bytes reach the pool. */
  readonly ingest: IngestMode;

  readonly #intake: Intake;
  readonly #sender: TcpSender;
  #handler: TcpHandler = {};
  /** The last write may still be called back. */
  #isSocketClosed = false;

  private constructor(
    pool: BufferPool,
    options: ResolvedTcpOptions<TcpLink>,
    { socket, intake, ingest }: OpenStream,
  ) {
    super(pool, options, options.allowHalfOpen);
    this.framer = intake.framer;
    this.socket = socket;
    this.ingest = ingest;
    this.#intake = intake;
    this.#sender = new TcpSender(pool, options, socket, {
      roomAgain: () => this.tellIfOpen(() => this.#handler.onDrained?.(this)),
      written: () => {
        this.sendRest();
        this.#settle();
      },
      note: (error) => this.life.note(error),
    });
    this.writer = this.#sender.writer;
    tuneSocket(socket, options);
    this.#listen();
    try {
      this.#handler = checkHandler(options.handler(this));
    } catch (error) {
      this.destroy();
      throw error;
    }
    const owner: IntakeOwner = {
      deliver: frameDeliverer(this.#handler, this, intake),
      ended: () => this.#onEnd(),
      intakeFailed: (error) => this.act(this.life.failed(error)),
      deliveryFailed: (error) => this.handlerFailed(error),
    };
    intake.open(owner, socket, ingest === 'copy');
  }

  /**
   * Opens a connection; with `retry`, again and again until there is one.
   *
   * A link is one connection. `error` says why it closed, `stats().lostBytes` what it did not send.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause,
   * ERR_BUSBAR_TIMEOUT (after more than one attempt with the last one's error as cause),
   * `signal.reason`; TypeError or RangeError naming the option that is wrong.
   */
  static async connect(pool: BufferPool, options: TcpAddress & TcpLinkOptions): Promise<TcpLink> {
    const own = readTcpOptions(options, TCP_ADDRESS_KEYS);
    const resolved = resolveTcpOptions(pool, own, TCP_ADDRESS_KEYS);
    const make = (stream: OpenStream): TcpLink => new TcpLink(pool, resolved, stream);
    return openStream(pool, readAddress(own), resolved, make);
  }

  /**
   * Makes a link of an open socket or any other stream of bytes: accepted, upgraded, TLS, a pipe.
   *
   * The link takes it over. A plain `net.Socket` is exchanged for another one on the same
   * connection (`link.socket`), so that the kernel can read into the pool: the one given is dead
   * then, with its listeners. Bytes that it had buffered are not lost; they keep it as it is, with
   * `ingest` 'copy'.
   *
   * **Throws** what `codec` or `handler` throws, ERR_BUSBAR_WRITER_SLOTS,
   * ERR_BUSBAR_FLUSHER_CLOSED, ERR_BUSBAR_LINK_CLOSED if the socket was destroyed before; TypeError
   * or RangeError naming the argument or option that is wrong. Except in this last case the socket
   * is closed then.
   */
  static adopt(pool: BufferPool, socket: Duplex, options: TcpLinkOptions): TcpLink {
    return TcpLink.adoptWithin(undefined, pool, socket, options);
  }

  /** @internal The same for a server, whose links share `allowance` for what they read. */
  static adoptWithin(
    allowance: BufferAllowance | undefined,
    pool: BufferPool,
    socket: Duplex,
    options: TcpLinkOptions,
  ): TcpLink {
    if (!(socket instanceof Duplex)) {
      throw new TypeError(`socket must be a Duplex, got ${show(socket)}`);
    }
    const resolved = resolveTcpOptions(pool, options);
    if (socket.destroyed) {
      throw new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'its socket was destroyed before');
    }
    const stream = takeStream(pool, socket, resolved, allowance);
    try {
      return new TcpLink(pool, resolved, stream);
    } catch (error) {
      stream.socket.destroy();
      throw error;
    }
  }

  get writable(): boolean {
    return this.life.state === OPEN && !this.#sender.gate.stalled && !this.writer.closed;
  }

  get bufferedBytes(): number {
    return this.#sender.outbox.queuedBytes;
  }

  get paused(): boolean {
    return this.#intake.paused;
  }

  pause(): void {
    this.#intake.pause();
  }

  resume(): void {
    this.#intake.resume();
  }

  flush(): boolean {
    if (this.life.state === OPEN) this.#sender.flush();
    return this.writable;
  }

  /**
   * Sends a packet's bytes by reference, as they are, behind what the link's writer has written:
   * one buffer may go to any number of links. False: not now, as while a reservation is open.
   *
   * **Ownership** the link has the packet on success, the caller still if not, or if this throws.
   * **Throws** ERR_BUSBAR_LINK_CLOSED, TypeError.
   */
  trySend(packet: Packet): boolean {
    checkPacketOf(this.pool, packet);
    if (!this.trySendRegion(packet.bufferId, packet.offset, packet.length)) return false;
    packet.markMoved();
    return true;
  }

  /** The same by numbers: takes one reference of this thread on success. **Throws** RangeError. */
  trySendRegion(bufferId: BufferId, offset: number, length: number): boolean {
    this.checkOpen();
    return this.#sender.trySend(bufferId, offset, length);
  }

  /**
   * Sends what another writer of the same flusher writes too; for writers of other threads. Order
   * is kept per writer. What it flushes when the link has ended counts as lost.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED; TypeError or RangeError for what cannot be a writer's id.
   */
  addWriter(writerId: number): void {
    this.checkOpen();
    this.#sender.gate.add(writerId);
  }

  removeWriter(writerId: number): void {
    this.#sender.gate.remove(writerId);
  }

  ref(): void {
    if (this.socket instanceof Socket) this.socket.ref();
  }

  unref(): void {
    if (this.socket instanceof Socket) this.socket.unref();
  }

  /**
   * Ends the writing half: sends what has been written, then the end. Frames still arrive until the
   * peer ends too.
   */
  end(): void {
    this.act(this.life.end());
  }

  stats(): TcpLinkStats {
    return {
      ingest: this.ingest,
      ...this.#intake.stats(),
      ...this.#sender.outbox.stats(),
      stalls: this.#sender.gate.stalls,
    };
  }

  // ── Life ──────────────────────────────────────────────────────────────────────────────────────

  /** @internal */
  protected override stopReading(): void {
    this.#intake.stop();
    // What still comes before the peer's end is dropped.
    if (!this.life.isGone) this.socket.resume();
  }

  /** @internal */
  protected override sendRest(): void {
    if (this.life.state !== FINISHING || !this.#sender.sendRest()) return;
    // What it called may have ended the link.
    if (this.life.state === FINISHING) this.act(this.life.drained());
  }

  /** @internal From here on there is nowhere to go for what other threads' writers flush. */
  protected override sendEnd(): void {
    this.#sender.outbox.discard();
    this.socket.end();
  }

  /** @internal */
  protected override release(): void {
    try {
      this.#sender.release();
    } finally {
      // Whatever happens: nobody else would.
      this.socket.destroy();
    }
  }

  /** @internal */
  protected override tellClosed(): void {
    this.#handler.onClose?.(this, this.error);
  }

  /** Listens to the socket, and to the signal. */
  #listen(): void {
    const { socket } = this;
    socket.on('end', () => this.#intake.end());
    socket.on('error', (cause) => {
      this.life.note(new BusbarError('ERR_BUSBAR_LINK_FAILED', messageOf(cause), { cause }));
    });
    socket.on('close', () => {
      this.#isSocketClosed = true;
      this.#sender.outbox.streamClosed();
      this.destroy();
      this.#settle();
    });
    this.heedSignal();
  }

  #onEnd(): void {
    if (this.life.isGone) return;
    this.tell(() => this.#handler.onEnd?.(this));
    const { pendingBytes, stopped } = this.#intake;
    if (pendingBytes > 0 && !stopped) {
      this.life.note(new BusbarError('ERR_BUSBAR_LINK_TRUNCATED', `${pendingBytes} bytes of it`));
    }
    this.act(this.life.peerEnded());
  }

  /** The socket is closed, and its last write was called back: the kernel writes nowhere now. */
  #settle(): void {
    if (!this.#isSocketClosed || this.life.state !== LEAVING || this.bufferedBytes > 0) return;
    this.#intake.close();
    this.act(this.life.osClosed());
  }
}

describeAs(TcpLink, 'TcpLink', (link) => ({ closed: link.closed, ...link.stats() }));
