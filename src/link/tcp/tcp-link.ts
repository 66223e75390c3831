// SPDX-License-Identifier: MIT
/** `TcpLink`: one TCP connection, or another stream, with its framer and its writer. */

import { Duplex } from 'node:stream';
import { checkMade, show } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { BusbarError, messageOf } from '../../base/errors.ts';
import type { BufferAllowance } from '../../framer/buffer-allowance.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferPool } from '../../pool/index.ts';
import type { Link, LinkStats } from '../link.ts';
import { FINISHING, LEAVING } from '../link-life.ts';
import { warnUnheard } from '../unheard.ts';
import { frameDeliverer } from './frame-deliverer.ts';
import { packetDeliverer } from './incoming-frame.ts';
import type { IntakeStats } from './intake.ts';
import type { OutboxStats } from './outbox.ts';
import type { IngestMode } from './read-target.ts';
import { StreamLink } from './stream-link.ts';
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
export class TcpLink extends StreamLink implements Link {
  readonly #host: TcpLinkHost | undefined;
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
      ...this.sender.outbox.stats(),
      stalls: this.sender.gate.stalls,
    };
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
    if (!this.sender.sendRest()) return;
    // The sender may have called user code that ended the link.
    if (this.life.state === FINISHING) this.act(this.life.drained());
  }

  /** @internal Sends the stream's end. What writers of other threads flush later is lost. */
  protected override sendEnd(): void {
    this.room.serve();
    this.sender.outbox.close();
    this.socket.end();
  }

  /** @internal */
  protected override release(): void {
    this.room.end();
    this.room.serve();
    try {
      this.sender.release();
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
      this.sender.outbox.streamClosed();
      this.act(this.life.destroy());
      this.#settle();
    });
    this.begin([this.intake.framer, this.sender]);
  }

  /** @internal */
  protected override notifyDrained(): void {
    this.#handler.onDrained?.(this);
  }

  /** @internal */
  protected override notifyEnd(): void {
    this.#handler.onEnd?.(this);
  }

  /** @internal */
  protected override written(): void {
    this.sendRest();
    this.#settle();
  }

  /** Ends the life once the socket is closed and the callback of its last write has run. */
  #settle(): void {
    if (!this.#isSocketClosed || this.life.state !== LEAVING) return;
    if (this.sender.outbox.queuedBytes > 0) return;
    this.intake.close();
    this.act(this.life.osClosed());
  }
}

describeAs(TcpLink, 'TcpLink', (link) => ({ ...link.inBrief, ...link.stats() }));
