// SPDX-License-Identifier: MIT
/** The writing half of a stream's link: its writers, and what is sent as it is. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { LocalWriter } from '../../writer/index.ts';
import { checkHeldRegion } from '../egress/sent-region.ts';
import { WriterGate } from '../egress/writer-gate.ts';
import type { ResolvedSharedOptions } from '../shared-options.ts';
import { DirectWrites } from './direct-writes.ts';
import { Outbox } from './outbox.ts';

/** Whom a sender works for. */
export interface TcpSenderOwner {
  /** Little enough waits again, after `stalled`. */
  roomAgain(): void;
  /** A write is over. */
  written(): void;
  /** Something was lost. */
  note(error: BusbarError): void;
}

/**
 *   writers ──▶ flusher ──▶ gate ──▶ outbox ──▶ stream
 *                 regions as they are ──▶ ┘
 *
 * **Ownership** holds what its outbox holds, and its writer until {@link release}.
 */
export class TcpSender {
  readonly outbox: Outbox;
  readonly gate: WriterGate;
  readonly writer: LocalWriter;
  readonly #pool: BufferPool;
  readonly #owner: TcpSenderOwner;

  /** **Throws** ERR_BUSBAR_WRITER_SLOTS, ERR_BUSBAR_FLUSHER_CLOSED, ERR_BUSBAR_FLUSHER_ROLE. */
  constructor(
    pool: BufferPool,
    options: ResolvedSharedOptions,
    socket: Duplex,
    owner: TcpSenderOwner,
  ) {
    this.#pool = pool;
    this.#owner = owner;
    this.outbox = new Outbox(pool, socket, !(socket instanceof Socket), () => this.#afterWrite());
    this.gate = new WriterGate(pool, this.outbox, {
      ...options,
      batch: DirectWrites.forPool(pool),
    });
    this.writer = new LocalWriter(this.gate.flusher, options.writer);
    this.gate.add(this.writer.id);
  }

  /** Sends what the writers hold, as far as it goes. */
  flush(): void {
    if (!this.writer.closed) this.writer.flush();
    this.gate.drain();
    this.outbox.send();
  }

  /**
   * Sends a region as it is, behind what the writer has written. False: not now.
   *
   * **Ownership** takes one reference on success. **Throws** ERR_BUSBAR_NOT_HELD, RangeError.
   */
  trySend(bufferId: BufferId, offset: number, length: number): boolean {
    checkHeldRegion(this.#pool, bufferId, offset, length);
    if (!this.writer.closed && !this.#flushBefore()) return false;
    if (!this.gate.tryMakeRoom()) return false;
    this.outbox.push(offset, length, bufferId);
    this.gate.pushed();
    return true;
  }

  /**
   * Closes the writer as soon as what it holds is in the lanes, and sends what is there. Returns
   * whether all of it has left; if not, a write is under way, and it is to be called again then.
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

  /** Closes the writer, and drops what has not been sent and whatever comes. */
  release(): void {
    this.outbox.discard();
    // What the writer and the lanes still have counts as lost there.
    this.gate.giveUp();
    this.#closeWriter();
    this.gate.drain();
    assert(this.writer.closed, 'a link that is gone writes no more');
    assert(!this.gate.stalled, 'nothing stays in the flusher of a link that is gone');
  }

  #afterWrite(): void {
    // A quiet link keeps no buffer.
    if (this.outbox.queuedBytes === 0 && !this.writer.closed) this.writer.releaseIdle();
    if (this.gate.resumeIfLow()) this.#owner.roomAgain();
    this.#owner.written();
  }

  /** Returns the bytes that are lost. */
  #closeWriter(): number {
    const bytes = this.writer.close();
    this.outbox.lose(bytes);
    return bytes;
  }

  /** Whether the writer holds nothing that could still be sent. */
  #flushLast(): boolean {
    if (this.gate.flusher.closed) return true;
    try {
      this.writer.abortOpen();
      return this.writer.flush();
    } catch (cause) {
      this.#note('not all was sent', cause);
      return true;
    }
  }

  /** Takes all that the link's writer has written; false if some of it must stay there. */
  #flushBefore(): boolean {
    if (!this.writer.flush() && this.gate.drain()) this.writer.flush();
    return this.writer.bufferedBytes === 0 && this.gate.drain() && !this.gate.stalled;
  }

  #note(what: string, cause?: unknown): void {
    this.#owner.note(new BusbarError('ERR_BUSBAR_LINK_CLOSED', what, { cause }));
  }
}
