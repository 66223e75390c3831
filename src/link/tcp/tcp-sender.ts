// SPDX-License-Identifier: MIT
/** `TcpSender`: the writing half of a `TcpLink`, for its writers and for single regions. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { LocalWriter } from '../../writer/index.ts';
import { checkHeldRegion } from '../egress/sent-region.ts';
import { WriterGate } from '../egress/writer-gate.ts';
import { DirectWrites } from './direct-writes.ts';
import { Outbox, type OutboxOwner } from './outbox.ts';
import type { ResolvedTcpOptions } from './tcp-options.ts';

/** The options of a link that its sender needs. */
export type TcpSenderOptions = Pick<
  ResolvedTcpOptions<never>,
  'flusher' | 'writer' | 'highWaterBytes' | 'lowWaterBytes' | 'highWaterBuffers' | 'writeTimeoutMs'
>;

/** Receives a sender's events. */
export interface TcpSenderOwner {
  /** A stall has ended. */
  roomAgain(): void;
  /** A write has ended. */
  written(): void;
  /** Bytes were lost. */
  note(error: BusbarError): void;
  /** The link cannot go on. */
  sendFailed(error: BusbarError): void;
}

/**
 * The writing half of a link:
 *
 *   writers ──▶ flusher ──▶ gate ──▶ outbox ──▶ stream
 *                    trySend: packets ──▶ ┘
 *
 * **Ownership** owns its outbox, and its writer until {@link release}.
 */
export class TcpSender implements OutboxOwner {
  readonly outbox: Outbox;
  readonly gate: WriterGate;
  readonly writer: LocalWriter;
  readonly #pool: BufferPool;
  readonly #owner: TcpSenderOwner;

  /** **Throws** ERR_BUSBAR_WRITER_SLOTS, ERR_BUSBAR_FLUSHER_CLOSED, ERR_BUSBAR_FLUSHER_ROLE. */
  constructor(pool: BufferPool, options: TcpSenderOptions, socket: Duplex, owner: TcpSenderOwner) {
    this.#pool = pool;
    this.#owner = owner;
    const copying = !(socket instanceof Socket);
    this.outbox = new Outbox(pool, socket, copying, options.writeTimeoutMs, this);
    this.gate = new WriterGate(pool, this.outbox, {
      ...options,
      batch: DirectWrites.forPool(pool),
    });
    this.writer = new LocalWriter(this.gate.flusher, options.writer);
    this.gate.add(this.writer.id);
  }

  /** Counts as part of that holder; before the first buffer. */
  holdAs(holder: number): void {
    this.writer.spans.held.holdAs(holder);
    this.outbox.held.holdAs(holder);
  }

  /** Sends as much as possible of what the writers hold. */
  flush(): void {
    if (!this.writer.closed) this.writer.flush();
    this.gate.drain();
    this.outbox.send();
  }

  /**
   * Sends a region as it is, after everything the writer has written. False: not now.
   *
   * **Ownership** takes one reference on success. **Throws** ERR_BUSBAR_NOT_HELD, RangeError.
   */
  trySend(bufferId: BufferId, offset: number, length: number): boolean {
    checkHeldRegion(this.#pool, bufferId, offset, length);
    // Usually the writer is not used, and one message follows another: nothing to flush.
    const isNext = this.gate.flows && this.writer.isTaken;
    if (!isNext && !this.writer.closed && !this.#flushBefore()) return false;
    if (!this.gate.tryMakeRoom()) return false;
    this.outbox.push(offset, length, bufferId);
    this.gate.pushed();
    return true;
  }

  /**
   * Closes the writer once its messages are in the lanes, and sends them. Returns whether all was
   * sent; if not, call it again after the write in flight.
   */
  sendRest(): boolean {
    const { writer, gate, outbox } = this;
    if (!writer.closed && this.#flushLast()) {
      const lostBytes = this.#closeWriter();
      if (lostBytes > 0) this.#note(`${lostBytes} bytes were not sent`);
    }
    const isDrained = gate.drain();
    outbox.send();
    return isDrained && !gate.stalled && outbox.queuedBytes === 0 && writer.closed;
  }

  /** Closes the writer; drops everything unsent, now and later. */
  release(): void {
    this.outbox.close();
    // From now on the outbox counts the regions in the writer and in the lanes as lost.
    this.gate.release();
    this.#closeWriter();
    this.gate.drain();
    assert(this.writer.closed, 'an ended link has closed its writer');
    assert(!this.gate.stalled, 'an ended link leaves nothing in the flusher');
  }

  /** Returns the lost bytes. */
  #closeWriter(): number {
    const bytes = this.writer.close();
    this.outbox.lose(bytes);
    return bytes;
  }

  /** Flushes the writer. Returns true once it holds nothing that could still be sent. */
  #flushLast(): boolean {
    if (this.gate.flusher.closed) return true;
    try {
      this.writer.abortOpen();
      return this.writer.flush();
    } catch (cause) {
      this.#note('some bytes were not sent', cause);
      return true;
    }
  }

  /** Moves into the outbox everything that the writer has written; false if some must wait. */
  #flushBefore(): boolean {
    if (!this.writer.flush() && this.gate.drain()) this.writer.flush();
    return this.writer.bufferedBytes === 0 && this.gate.drain() && !this.gate.stalled;
  }

  #note(what: string, cause?: unknown): void {
    this.#owner.note(new BusbarError('ERR_BUSBAR_LINK_CLOSED', what, { cause }));
  }

  // ── For the outbox ────────────────────────────────────────────────────────────────────────────

  writeLate(detail: string): void {
    this.#owner.sendFailed(new BusbarError('ERR_BUSBAR_TIMEOUT', detail));
  }

  wrote(): void {
    // A quiet link keeps no buffer.
    if (this.outbox.queuedBytes === 0 && !this.writer.closed) this.writer.releaseIdle();
    if (this.gate.resumeIfLow()) this.#owner.roomAgain();
    this.#owner.written();
  }
}
