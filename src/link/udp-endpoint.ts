// SPDX-License-Identifier: MIT
/** The socket's end of the way, in both directions: the life of a UDP link, and its parts. */

import { offAbort, onAbort } from '../base/abort.ts';
import { checkOptions, checkTimeoutMs } from '../base/check.ts';
import { startTimer, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { throwLater } from '../base/throw-later.ts';
import type { BufferPool } from '../pool/index.ts';
import { LocalWriter, type WriterOptions } from '../writer/index.ts';
import { Lanes } from './lanes.ts';
import type { CloseOptions, LinkStats } from './link.ts';
import { UdpAddress } from './udp-address.ts';
import { CONNECTED } from './udp-address-table.ts';
import { UdpIntake, type UdpIntakeOwner, type UdpIntakeStats } from './udp-intake.ts';
import { checkUdpHandler, type ResolvedUdpOptions, type UdpHandlerOf } from './udp-options.ts';
import {
  CUT_EQUAL,
  CUT_MESSAGES,
  CUT_PACKED,
  UdpOutbox,
  type UdpOutboxOwner,
  type UdpOutboxStats,
} from './udp-outbox.ts';
import {
  datagramError,
  type UdpImplementation,
  type UdpSocket,
  type UdpSocketOwner,
} from './udp-socket.ts';

/** What a UDP link has done so far. */
export interface UdpLinkStats extends LinkStats, UdpIntakeStats, UdpOutboxStats {
  /** The shim's socket, Node's, or one of a `LoopbackNetwork`. */
  readonly implementation: UdpImplementation;
  /**
   * Datagrams that came and found no room. What the kernel had put together counts once, so with
   * offload it may be more. Without the shim: those that Node had read and nobody took.
   */
  readonly dropped: number;
  /** Reports that datagrams came to nothing; see `onError`. */
  readonly errors: number;
}

/** The order of a link's life: one way only. */
const OPEN = 0;
const DRAINING = 1;
const CLOSED = 2;
type State = typeof OPEN | typeof DRAINING | typeof CLOSED;

/**
 * What happens in a UDP link, of class `L`, between its socket and its handler, from open to close.
 *
 * A class of its own only so that each of the two can be read in one go.
 */
export abstract class UdpEndpoint<L> {
  readonly pool: BufferPool;
  /** Where datagrams arrive. */
  readonly local: UdpAddress;
  /** The one that the link is connected to. */
  readonly peer: UdpAddress | undefined;
  /** The shim's socket, Node's, or one of a `LoopbackNetwork`. */
  readonly implementation: UdpImplementation;

  protected readonly options: ResolvedUdpOptions<L>;
  protected readonly socket: UdpSocket;
  protected readonly intake: UdpIntake;
  protected readonly outbox: UdpOutbox;
  protected readonly lanes: Lanes;
  protected handler: UdpHandlerOf<L> = {};
  /** By their ids: the next of that id takes the place of one that was closed. */
  protected readonly writers: Map<number, LocalWriter> = new Map();
  protected ownWriter: LocalWriter | undefined;
  protected state: State = OPEN;
  private failure: BusbarError | undefined;
  private errors = 0;
  private isFinishDue = false;
  private dropped = 0;
  private deadline: Timer | undefined;
  private readonly onClosed: (() => void)[] = [];
  private readonly abort: () => void;

  protected constructor(pool: BufferPool, options: ResolvedUdpOptions<L>, socket: UdpSocket) {
    this.pool = pool;
    this.options = options;
    this.socket = socket;
    this.local = UdpAddress.from(socket.local);
    this.peer = options.peer;
    this.implementation = socket.implementation;
    const { packed, datagramBytes, flusher, highWaterBytes, lowWaterBytes, signal } = options;
    this.intake = new UdpIntake(pool, packed);
    const cut = packed ? CUT_PACKED : datagramBytes > 0 ? CUT_EQUAL : CUT_MESSAGES;
    this.outbox = new UdpOutbox(pool, cut, datagramBytes);
    this.lanes = new Lanes(pool, flusher, this.outbox, highWaterBytes, lowWaterBytes);
    this.abort = () => {
      const { reason } = signal as AbortSignal;
      this.end(new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'aborted', { cause: reason }));
    };
    if (signal !== undefined) onAbort(signal, this.abort);
  }

  /** Once the object is whole: makes the handler and begins. */
  protected start(target: SocketTarget, deliverer: () => UdpIntakeOwner['deliver']): void {
    const { socket, options } = this;
    try {
      if (options.peer !== undefined) this.ownWriter = this.openWriter(undefined, options.writer);
      target.endpoint = this;
      this.outbox.open(this.outboxOwner(), socket, options.offload);
      this.handler = checkUdpHandler(options.handler(this.self));
    } catch (error) {
      this.end(undefined);
      throw error;
    }
    this.intake.open(
      {
        deliver: deliverer(),
        deliveryFailed: (error) => this.handlerFailed(error),
        intakeFailed: (error) => this.end(asBusbarError(error)),
        receiveFailed: (errno) => this.report(datagramError(errno, 1)),
        watch: () => this.watch(),
      },
      socket,
    );
    this.watch();
  }

  /** Itself, as the handler knows it. */
  protected abstract readonly self: L;

  /** Sends what has been written now, instead of at the end of this turn. Returns `writable`. */
  flush(): boolean {
    if (this.state === OPEN) {
      for (const writer of this.writers.values()) if (!writer.closed) writer.flush();
      this.lanes.drain();
      this.outbox.send();
    }
    return this.writable;
  }

  /**
   * Whether the socket keeps up: false from `highWaterBytes` waiting on, until `onDrained`; false
   * when the link's own writer is closed.
   */
  get writable(): boolean {
    return this.state === OPEN && !this.lanes.stalled && this.ownWriter?.closed !== true;
  }

  /** Bytes that wait in this link; 64 more for each region. */
  get bufferedBytes(): number {
    return this.outbox.queuedBytes;
  }

  /** No more messages for now; what comes waits in the system as long as there is room. */
  pause(): void {
    this.intake.pause();
  }

  /** Messages again, possibly before this returns. */
  resume(): void {
    this.intake.resume();
  }

  get paused(): boolean {
    return this.intake.paused;
  }

  /** Keeps the event loop alive while the link is open (the default). */
  ref(): void {
    if (this.state !== CLOSED) this.socket.keepAlive(true);
  }

  /** Lets the process end while the link is open. */
  unref(): void {
    if (this.state !== CLOSED) this.socket.keepAlive(false);
  }

  // ── The end ───────────────────────────────────────────────────────────────────────────────────

  /** Why the link closed or is closing, if not in good order. */
  get error(): BusbarError | undefined {
    return this.failure;
  }

  get closed(): boolean {
    return this.state === CLOSED;
  }

  /**
   * Closes in good order: delivers no more, and hands what has been written to the system. Resolves
   * when the link holds no buffer. After `deadlineMs` what is left is dropped: then `link.error`
   * says so.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const { closeDeadlineMs } = this.options;
    checkOptions('options', options, ['deadlineMs']);
    const deadlineMs = checkTimeoutMs('deadlineMs', options.deadlineMs ?? closeDeadlineMs);
    if (this.state === CLOSED) return Promise.resolve();
    const done = new Promise<void>((resolve) => this.onClosed.push(resolve));
    stopTimer(this.deadline);
    if (deadlineMs !== Infinity) {
      this.deadline = startTimer(deadlineMs, () => {
        const what = `close, ${deadlineMs} ms: not all could be sent`;
        this.end(new BusbarError('ERR_BUSBAR_TIMEOUT', what));
      });
    }
    if (this.state === OPEN) {
      this.state = DRAINING;
      this.intake.close();
      this.watch();
    }
    this.finish();
    return done;
  }

  /** Closes at once; what has not been sent is dropped, and counted in `stats().lostBytes`. */
  destroy(): void {
    this.end(undefined);
  }

  /** Closes in good order. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A snapshot of the link's counters. **Cost** one system call. */
  stats(): UdpLinkStats {
    return {
      implementation: this.implementation,
      ...this.intake.stats(),
      dropped: this.state === CLOSED ? this.dropped : this.socket.drops(),
      ...this.outbox.stats(),
      errors: this.errors,
      stalls: this.lanes.stalls,
    };
  }

  // ── For the socket ────────────────────────────────────────────────────────────────────────────

  /** @internal */
  onReadable(): void {
    this.intake.readable();
  }

  /** @internal */
  onWritable(): void {
    this.outbox.unblock();
    if (this.state === DRAINING) this.finish();
  }

  /** @internal */
  onFailed(errno: number): void {
    if (this.state !== CLOSED) this.report(datagramError(errno, 1));
  }

  /** @internal */
  onSendFailed(errno: number, bytes: number): void {
    this.outbox.takeBack(bytes);
    this.onFailed(errno);
  }

  /** A writer to the address in these words; undefined: to the peer. */
  protected openWriter(to: Int32Array | undefined, options: WriterOptions): LocalWriter {
    this.checkOpen();
    const writer = new LocalWriter(this.lanes.flusher, options);
    this.writers.set(writer.id, writer);
    this.addLane(writer.id, to);
    return writer;
  }

  protected addLane(writerId: number, to: Int32Array | undefined): void {
    this.lanes.checkWriterId(writerId);
    this.lanes.add(writerId, to === undefined ? CONNECTED : this.outbox.addresses.add(to, 0));
  }

  private outboxOwner(): UdpOutboxOwner {
    return {
      sendFailed: (errno, count) => this.report(datagramError(errno, count)),
      sentSome: () => {
        if (this.lanes.resumeIfLow() && this.state === OPEN)
          this.tell(() => this.handler.onDrained?.(this.self));
        if (this.outbox.queuedBytes > 0) return;
        // A quiet link keeps no buffer.
        for (const writer of this.writers.values()) if (!writer.closed) writer.releaseIdle();
      },
      sendMalformed: (bytes) => {
        const what = `${bytes} bytes that a writer wrote are no messages with lengths`;
        this.report(new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', what));
      },
      watch: () => this.watch(),
    };
  }

  protected checkOpen(): void {
    if (this.state !== OPEN) throw new BusbarError('ERR_BUSBAR_LINK_CLOSED');
  }

  private watch(): void {
    if (this.state === CLOSED) return;
    this.socket.watch(this.intake.wantsMore, this.outbox.blocked);
  }

  private report(error: BusbarError): void {
    this.errors++;
    this.tell(() => this.handler.onError?.(error, this.self));
  }

  private tell(what: () => void): void {
    try {
      what();
    } catch (error) {
      // Not from here: whoever sends, maybe for another link, has nothing to do with it.
      this.end(handlerThrew(error));
      throwLater(error);
    }
  }

  private handlerFailed(error: unknown): never {
    this.end(handlerThrew(error));
    throw error;
  }

  /** While draining: closes once everything has gone. */
  private finish(): void {
    if (this.state !== DRAINING) return;
    let rest = false;
    for (const writer of this.writers.values()) {
      if (writer.closed || this.lanes.flusher.closed) continue;
      writer.abortOpen();
      if (!writer.flush()) rest = true;
    }
    if (!this.lanes.drain()) rest = true;
    this.outbox.send();
    if (rest || this.outbox.queuedBytes > 0 || this.lanes.stalled) {
      // Without room it goes on when there is some; see onWritable().
      if (!this.outbox.blocked) this.finishSoon();
      return;
    }
    if (this.socket.pendingCount === 0) this.end(undefined);
    else this.socket.watch(false, true);
  }

  private finishSoon(): void {
    if (this.isFinishDue) return;
    this.isFinishDue = true;
    setImmediate(() => {
      this.isFinishDue = false;
      this.finish();
    });
  }

  private end(error: BusbarError | undefined): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.failure ??= error;
    stopTimer(this.deadline);
    if (this.options.signal !== undefined) offAbort(this.options.signal, this.abort);
    this.dropped = this.socket.drops();
    try {
      this.intake.close();
      this.outbox.close();
      this.lanes.giveUp();
      for (const writer of this.writers.values()) this.outbox.lose(writer.close());
      this.lanes.drain();
    } finally {
      // Whatever happens: nobody else would.
      this.socket.close();
    }
    // Not from here: whoever destroys a link does not expect to be called back meanwhile.
    queueMicrotask(() => {
      for (const resolve of this.onClosed) resolve();
      this.handler?.onClose?.(this.self, this.failure);
    });
  }
}

/** What an endpoint of any link takes from its socket. */
type UdpSocketEvents = Pick<
  UdpEndpoint<never>,
  'onReadable' | 'onWritable' | 'onFailed' | 'onSendFailed'
>;

/** What the socket calls back: nobody, until there is an endpoint. */
export class SocketTarget implements UdpSocketOwner {
  endpoint: UdpSocketEvents | undefined;

  readable(): void {
    this.endpoint?.onReadable();
  }

  writable(): void {
    this.endpoint?.onWritable();
  }

  failed(errno: number): void {
    this.endpoint?.onFailed(errno);
  }

  sendFailed(errno: number, bytes: number): void {
    this.endpoint?.onSendFailed(errno, bytes);
  }
}

function handlerThrew(cause: unknown): BusbarError {
  return new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'its handler threw', { cause });
}

function asBusbarError(error: unknown): BusbarError {
  if (BusbarError.isOne(error)) return error;
  return new BusbarError('ERR_BUSBAR_LINK_FAILED', undefined, { cause: error });
}
