// SPDX-License-Identifier: MIT
/** The socket's end of the way, in both directions: one connection, its framer, its writer. */

import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { offAbort, onAbort } from '../base/abort.ts';
import { checkOptions, checkTimeoutMs, show } from '../base/check.ts';
import { startTimer, stopTimer, type Timer } from '../base/clock.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError, messageOf } from '../base/errors.ts';
import type { Framer } from '../framer/index.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferId, BufferPool } from '../pool/index.ts';
import { LocalWriter } from '../writer/index.ts';
import { type IngestMode, readsInto, rewire } from './ingest.ts';
import type { Intake, IntakeOwner, IntakeStats } from './intake.ts';
import { Lanes } from './lanes.ts';
import type { CloseOptions, Link, LinkStats } from './link.ts';
import { Outbox, type OutboxStats } from './outbox.ts';
import { checkHeldRegion, checkPacketOf } from './sent-region.ts';
import { openSocket, readAddress, TCP_ADDRESS_KEYS, type TcpAddress } from './tcp-connect.ts';
import {
  checkHandler,
  makeIntake,
  type ResolvedTcpOptions,
  readTcpOptions,
  resolveTcpOptions,
  type TcpHandlerOf,
  type TcpLinkOptionsOf,
} from './tcp-options.ts';

/** What a program does with a {@link TcpLink}. */
export interface TcpHandler extends TcpHandlerOf<TcpLink> {}

/** What every {@link TcpLink} needs to know, however its socket comes to be. */
export interface TcpLinkOptions extends TcpLinkOptionsOf<TcpLink> {}

/** What a TCP link has done so far. */
export interface TcpLinkStats extends LinkStats, IntakeStats, OutboxStats {
  /** How received bytes reach the pool. */
  readonly ingest: IngestMode;
}

/** What the link still does with its writers. */
const WRITING = 0;
/** The writers are closed, and what they left is being sent. */
const DRAINING = 1;
/** The end was sent. */
const ENDED = 2;

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
export class TcpLink implements Link {
  readonly pool: BufferPool;
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

  readonly #options: ResolvedTcpOptions<TcpLink>;
  readonly #intake: Intake;
  readonly #outbox: Outbox;
  readonly #lanes: Lanes;
  readonly #handler: TcpHandler;

  #writeState: typeof WRITING | typeof DRAINING | typeof ENDED = WRITING;
  #writerClosed = false;
  /** `close` was called: its deadline holds, whatever the peer does. */
  #closing = false;
  #destroyed = false;
  #socketClosed = false;
  #closed = false;
  #error: BusbarError | undefined;
  #deadline: Timer | undefined;
  readonly #onClosed: (() => void)[] = [];

  private constructor(
    pool: BufferPool,
    options: ResolvedTcpOptions<TcpLink>,
    intake: Intake,
    socket: Duplex,
    ingest: IngestMode,
  ) {
    this.pool = pool;
    this.framer = intake.framer;
    this.socket = socket;
    this.ingest = ingest;
    this.#options = options;
    this.#intake = intake;
    const { flusher, highWaterBytes, lowWaterBytes } = options;
    this.#outbox = new Outbox(pool, socket, !(socket instanceof Socket), () => this.#afterWrite());
    this.#lanes = new Lanes(pool, flusher, this.#outbox, highWaterBytes, lowWaterBytes);
    this.writer = new LocalWriter(this.#lanes.flusher, options.writer);
    this.#lanes.add(this.writer.id);
    this.#listen();
    try {
      this.#handler = checkHandler(options.handler(this));
    } catch (error) {
      this.#handler = {};
      this.destroy();
      throw error;
    }
    const owner: IntakeOwner = {
      deliver: this.#deliverer(),
      ended: () => this.#onEnd(),
      intakeFailed: (error) => this.#destroy(error),
      deliveryFailed: (error) => this.#handlerFailed(error),
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
    const intake = makeIntake(pool, resolved);
    const target = resolved.ingest === 'direct' ? intake.target : undefined;
    return openSocket(readAddress(own), target, resolved.signal, (socket) => {
      const ingest = target !== undefined && readsInto(socket) ? 'direct' : 'copy';
      return new TcpLink(pool, resolved, intake, socket, ingest);
    });
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
    if (!(socket instanceof Duplex)) {
      throw new TypeError(`socket must be a Duplex, got ${show(socket)}`);
    }
    const resolved = resolveTcpOptions(pool, options);
    if (socket.destroyed) {
      throw new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'its socket was destroyed before');
    }
    let open = socket;
    try {
      const intake = makeIntake(pool, resolved);
      const rewired = resolved.ingest === 'direct' ? rewire(socket, intake.target) : undefined;
      if (rewired === undefined) socket.allowHalfOpen = true;
      else open = rewired;
      return new TcpLink(pool, resolved, intake, open, rewired === undefined ? 'copy' : 'direct');
    } catch (error) {
      open.destroy();
      throw error;
    }
  }

  /**
   * Whether the peer keeps up: false from `highWaterBytes` waiting on, until `onDrained`; false
   * when the writer is closed.
   */
  get writable(): boolean {
    return !this.#lanes.stalled && this.#writeState === WRITING && !this.writer.closed;
  }

  /** Bytes that wait for the peer in this link; the flusher and the writers may hold more. */
  get bufferedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** Why the link closed or is closing, if not in good order. */
  get error(): BusbarError | undefined {
    return this.#error;
  }

  /** True when the connection is gone and the link holds no buffer: see `onClose`. */
  get closed(): boolean {
    return this.#closed;
  }

  /** True after {@link pause}, until {@link resume}. */
  get paused(): boolean {
    return this.#intake.paused;
  }

  /** No more frames for now; the peer is stopped when the system's buffers are full. */
  pause(): void {
    this.#intake.pause();
  }

  /** Frames again, first those that have arrived already, possibly before this returns. */
  resume(): void {
    this.#intake.resume();
  }

  /** Sends now what has been written, see `Link.flush`. Returns {@link writable}. */
  flush(): boolean {
    if (this.#writeState === WRITING) {
      if (!this.writer.closed) this.writer.flush();
      this.#lanes.drain();
      this.#outbox.send();
    }
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
    if (this.#writeState !== WRITING) throw new BusbarError('ERR_BUSBAR_LINK_CLOSED');
    checkHeldRegion(this.pool, bufferId, offset, length);
    if (!this.writer.closed && !this.#flushBefore()) return false;
    if (!this.#lanes.makeRoom()) return false;
    this.#outbox.push(offset, length, bufferId);
    this.#lanes.pushed();
    return true;
  }

  /**
   * Sends what another writer of the same flusher writes too; for writers of other threads. Order
   * is kept per writer. What it flushes when the link has ended counts as lost.
   *
   * **Throws** ERR_BUSBAR_LINK_CLOSED; TypeError or RangeError for what cannot be a writer's id.
   */
  addWriter(writerId: number): void {
    if (this.#writeState !== WRITING) throw new BusbarError('ERR_BUSBAR_LINK_CLOSED');
    this.#lanes.add(writerId);
  }

  /** Takes no more from a writer; what it has flushed and this link has not taken is dropped. */
  removeWriter(writerId: number): void {
    this.#lanes.remove(writerId);
  }

  /** Keeps the event loop alive while the link is open (the default). */
  ref(): void {
    if (this.socket instanceof Socket) this.socket.ref();
  }

  /** Lets the process end while the link is open. */
  unref(): void {
    if (this.socket instanceof Socket) this.socket.unref();
  }

  /**
   * Ends the writing half: sends what has been written, then the end. Frames still arrive until the
   * peer ends too.
   */
  end(): void {
    if (this.#writeState !== WRITING || this.#destroyed) return;
    this.#writeState = DRAINING;
    this.#finish();
  }

  /**
   * Closes in good order: delivers no more, sends what has been written, then the end, and waits
   * for the peer's.
   *
   * Resolves when the link is closed and holds no buffer. After `deadlineMs` what is left is
   * dropped: then, and whenever something was lost, `link.error` says so.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkOptions('options', options, ['deadlineMs']);
    const { closeDeadlineMs } = this.#options;
    const deadlineMs = checkTimeoutMs('deadlineMs', options.deadlineMs ?? closeDeadlineMs);
    const done = new Promise<void>((resolve) => {
      if (this.#closed) resolve();
      else this.#onClosed.push(resolve);
    });
    if (!this.#destroyed) {
      this.#closing = true;
      this.#intake.stop();
      this.socket.resume();
      this.#setDeadline(deadlineMs);
      this.end();
    }
    return done;
  }

  /** Closes at once; what has not been sent is dropped, and counted in `stats().lostBytes`. */
  destroy(): void {
    this.#destroy(undefined);
  }

  /** Closes in good order. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A snapshot of the link's counters. */
  stats(): TcpLinkStats {
    return {
      ingest: this.ingest,
      ...this.#intake.stats(),
      ...this.#outbox.stats(),
      stalls: this.#lanes.stalls,
    };
  }

  /** Listens to the socket, and to the signal. */
  #listen(): void {
    const { socket } = this;
    const { noDelay, keepAliveMs, signal } = this.#options;
    if (socket instanceof Socket) {
      if (noDelay) socket.setNoDelay(true);
      if (keepAliveMs !== undefined) socket.setKeepAlive(true, keepAliveMs);
    }
    socket.on('end', () => this.#intake.end());
    socket.on('error', (cause) => {
      this.#error ??= new BusbarError('ERR_BUSBAR_LINK_FAILED', messageOf(cause), { cause });
    });
    const abort = (): void => {
      const { reason } = signal as AbortSignal;
      this.#destroy(new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'aborted', { cause: reason }));
    };
    socket.on('close', () => {
      if (signal !== undefined) offAbort(signal, abort);
      this.#socketClosed = true;
      this.#outbox.streamClosed();
      this.#destroy(undefined);
      this.#settle();
    });
    if (signal?.aborted) queueMicrotask(abort);
    else if (signal !== undefined) onAbort(signal, abort);
  }

  /** What the intake calls when bytes have arrived. */
  #deliverer(): IntakeOwner['deliver'] {
    const handler = this.#handler;
    if (handler.onFrames !== undefined) return () => handler.onFrames?.(this);
    const intake = this.#intake;
    const framer = this.framer;
    return () => {
      while (!intake.stopped && framer.next()) {
        handler.onFrame?.(framer.frameOffset, framer.frameLength, framer.frameBufferId, this);
      }
    };
  }

  #handlerFailed(error: unknown): never {
    this.#destroy(new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'its handler threw', { cause: error }));
    throw error;
  }

  #tell(event: 'onEnd' | 'onDrained'): void {
    try {
      this.#handler[event]?.(this);
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  #onEnd(): void {
    if (!this.#destroyed) {
      this.#tell('onEnd');
      const { pendingBytes } = this.#intake;
      if (pendingBytes > 0 && !this.#intake.stopped) {
        this.#error ??= new BusbarError('ERR_BUSBAR_LINK_TRUNCATED', `${pendingBytes} bytes of it`);
      }
      if (this.#options.allowHalfOpen) return;
      if (!this.#closing) this.#setDeadline(this.#options.closeDeadlineMs);
      this.end();
    }
  }

  #afterWrite(): void {
    // A quiet link keeps no buffer.
    if (this.#outbox.queuedBytes === 0 && !this.#writerClosed) this.writer.releaseIdle();
    if (this.#lanes.resumeIfLow() && this.#writeState === WRITING) this.#tell('onDrained');
    if (this.#writeState === DRAINING) this.#finish();
    if (this.#socketClosed) this.#settle();
  }

  /** Sends the end once all before it has gone: from the writer, from the lanes, from here. */
  #finish(): void {
    if (this.#destroyed) return;
    if (!this.#writerClosed && this.#flushLast()) {
      this.#writerClosed = true;
      this.#closeWriter();
    }
    const isDrained = this.#lanes.drain();
    this.#outbox.send();
    // Every write that ends calls this again, and lanes that are not drained wait for one.
    const waits = !isDrained || this.#lanes.stalled || this.#outbox.queuedBytes > 0;
    if (waits || !this.#writerClosed) return;
    this.#writeState = ENDED;
    // From here on there is nowhere to go for what other threads' writers flush.
    this.#outbox.discard();
    this.socket.end();
  }

  #closeWriter(): void {
    const bytes = this.writer.close();
    this.#outbox.lose(bytes);
    if (bytes > 0 && !this.#destroyed) {
      this.#error ??= new BusbarError('ERR_BUSBAR_LINK_CLOSED', `${bytes} bytes were not sent`);
    }
  }

  /** Whether the writer holds nothing that could still be sent. */
  #flushLast(): boolean {
    if (this.writer.closed || this.#lanes.flusher.closed) return true;
    try {
      this.writer.abortOpen();
      return this.writer.flush();
    } catch (cause) {
      this.#error ??= new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'not all was sent', { cause });
      return true;
    }
  }

  /** Takes all that the link's writer has written; false if some of it must stay there. */
  #flushBefore(): boolean {
    if (!this.writer.flush() && this.#lanes.drain()) this.writer.flush();
    return this.writer.bufferedBytes === 0 && this.#lanes.drain() && !this.#lanes.stalled;
  }

  #setDeadline(deadlineMs: number): void {
    if (this.#destroyed) return;
    stopTimer(this.#deadline);
    if (deadlineMs === Infinity) return;
    this.#deadline = startTimer(deadlineMs, () => {
      const what = this.#writeState === ENDED ? 'the peer did not end' : 'not all could be sent';
      this.#destroy(new BusbarError('ERR_BUSBAR_TIMEOUT', `close, ${deadlineMs} ms: ${what}`));
    });
  }

  #destroy(error: BusbarError | undefined): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#error ??= error;
    stopTimer(this.#deadline);
    this.#intake.stop();
    this.#writeState = ENDED;
    try {
      this.#outbox.discard();
      // What the writer and the lanes still have counts as lost there.
      this.#lanes.giveUp();
      this.#closeWriter();
      this.#lanes.drain();
    } finally {
      // Whatever happens: nobody else would.
      this.socket.destroy();
    }
  }

  /** After the socket's 'close': the last write may still be called back. */
  #settle(): void {
    if (this.#closed || this.#outbox.queuedBytes > 0) return;
    this.#closed = true;
    this.#intake.close();
    for (const resolve of this.#onClosed) resolve();
    this.#handler.onClose?.(this, this.#error);
  }
}

describeAs(TcpLink, 'TcpLink', (link) => ({ closed: link.closed, ...link.stats() }));
