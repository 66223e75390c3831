// SPDX-License-Identifier: MIT
/** The writing half of a UDP link: its writers, and what is sent as it is. */

import { assert } from '../../base/assert.ts';
import { copyBytes } from '../../base/bytes.ts';
import { checkInteger } from '../../base/check.ts';
import { BusbarError } from '../../base/errors.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { LocalWriter, type WriterOptions } from '../../writer/index.ts';
import { checkHeldRegion } from '../egress/sent-region.ts';
import { WriterGate } from '../egress/writer-gate.ts';
import { CONNECTED } from './udp-address-table.ts';
import { PREFIX_BYTES } from './udp-intake.ts';
import type { ResolvedUdpSettings } from './udp-options.ts';
import {
  CUT_EQUAL,
  CUT_MESSAGES,
  CUT_PACKED,
  CUT_WHOLE,
  UdpOutbox,
  type UdpOutboxOwner,
} from './udp-outbox.ts';
import { datagramError, type UdpSocket } from './udp-socket.ts';

const MESSAGE_BYTES_MAX = 0xffff;

/** Whom a sender works for. */
export interface UdpSenderOwner {
  /** Datagrams came to nothing. */
  report(error: BusbarError): void;
  /** Little enough waits again, after `stalled`. */
  roomAgain(): void;
  /** The socket is to be watched for room, or no more. */
  watch(): void;
  /** See {@link UdpSender.sendRestSoon}. */
  sendRest(): void;
}

/**
 *   writers ──▶ flusher ──▶ gate ──▶ outbox ──▶ socket
 *                 regions as they are ──▶ ┘
 *
 * An address is eight words at an index; undefined is the one that the socket is connected to.
 *
 * **Ownership** holds what its outbox holds, and its writers until {@link release}.
 */
export class UdpSender implements UdpOutboxOwner {
  readonly outbox: UdpOutbox;
  readonly gate: WriterGate;
  readonly #owner: UdpSenderOwner;
  readonly #pool: BufferPool;
  readonly #packed: boolean;
  /** What each message of a writer must have; 0: they have their lengths with them. */
  readonly #messageBytes: number;
  /** By their ids: the next of that id takes the place of one that was closed. */
  readonly writers: Map<number, LocalWriter> = new Map();
  #isRestDue = false;

  constructor(
    pool: BufferPool,
    options: ResolvedUdpSettings,
    socket: UdpSocket,
    owner: UdpSenderOwner,
  ) {
    this.#owner = owner;
    const { packed, datagramBytes } = options;
    this.#pool = pool;
    this.#packed = packed;
    this.#messageBytes = packed ? 0 : datagramBytes;
    const cut = packed ? CUT_PACKED : datagramBytes > 0 ? CUT_EQUAL : CUT_MESSAGES;
    this.outbox = new UdpOutbox(pool, cut, datagramBytes);
    this.gate = new WriterGate(pool, this.outbox, options);
    this.outbox.open(this, socket, options.offload);
  }

  /** **Throws** ERR_BUSBAR_WRITER_SLOTS, ERR_BUSBAR_FLUSHER_CLOSED; TypeError, RangeError. */
  openWriter(to: Int32Array | undefined, options: WriterOptions): LocalWriter {
    const writer = new LocalWriter(this.gate.flusher, options);
    this.writers.set(writer.id, writer);
    this.add(writer.id, to);
    return writer;
  }

  /** Regions of this writer go to the address. **Throws** TypeError, RangeError. */
  add(writerId: number, to: Int32Array | undefined): void {
    this.gate.checkWriterId(writerId);
    this.gate.add(writerId, to === undefined ? CONNECTED : this.outbox.addresses.add(to, 0));
  }

  /** Copies one message into a writer of {@link openWriter}. False: not now. */
  tryWrite(writer: LocalWriter, source: Uint8Array, begin: number, end: number): boolean {
    const length = end - begin;
    if (this.#messageBytes > 0) {
      checkInteger('length', length, this.#messageBytes, this.#messageBytes);
      return writer.tryWrite(source, begin, end);
    }
    if (length > MESSAGE_BYTES_MAX) {
      throw new BusbarError('ERR_BUSBAR_MESSAGE_TOO_LARGE', `${length} bytes in a datagram`);
    }
    const at = writer.tryReserve(PREFIX_BYTES + length);
    if (at < 0) return false;
    const { bytes } = this.#pool;
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

  /** Whether there is room for a datagram as it is, if need be after a try to send what waits. */
  makeRoom(): boolean {
    return this.gate.tryMakeRoom();
  }

  /**
   * Sends a region as one datagram to the address at `words[index]`, when there is room.
   *
   * **Ownership** takes one reference. **Throws** as `trySendRegion` of the link.
   */
  push(
    bufferId: BufferId,
    offset: number,
    length: number,
    words: Int32Array | undefined,
    index: number,
  ): void {
    checkHeldRegion(this.#pool, bufferId, offset, length);
    if (this.#packed) checkPacked(this.#pool, offset, length);
    const { outbox } = this;
    const row = words === undefined ? CONNECTED : outbox.addresses.add(words, index);
    outbox.push(offset, length, bufferId, row, CUT_WHOLE);
    // The region holds it now.
    outbox.letGo(row);
    this.gate.pushed();
  }

  /** Sends what the writers hold, as far as it goes. */
  flush(): void {
    for (const writer of this.writers.values()) if (!writer.closed) writer.flush();
    this.gate.drain();
    this.outbox.send();
  }

  /** The same for the last time. Returns whether all of it has left. */
  sendRest(): boolean {
    let isAll = true;
    for (const writer of this.writers.values()) {
      if (writer.closed || this.gate.flusher.closed) continue;
      writer.abortOpen();
      if (!writer.flush()) isAll = false;
    }
    if (!this.gate.drain()) isAll = false;
    this.outbox.send();
    return isAll && this.outbox.queuedBytes === 0 && !this.gate.stalled;
  }

  /** Calls `sendRest` of the owner in the event loop's next turn. */
  sendRestSoon(): void {
    if (this.#isRestDue) return;
    this.#isRestDue = true;
    setImmediate(() => {
      this.#isRestDue = false;
      this.#owner.sendRest();
    });
  }

  /** Closes the writers, and drops what has not been sent and whatever comes. */
  release(): void {
    this.outbox.close();
    this.gate.giveUp();
    for (const writer of this.writers.values()) this.outbox.lose(writer.close());
    this.gate.drain();
    assert(this.outbox.queuedBytes === 0, 'a link that is gone sends no more');
    assert(!this.gate.stalled, 'nothing stays in the flusher of a link that is gone');
  }

  // ── For the outbox ────────────────────────────────────────────────────────────────────────────

  sendFailed(errno: number, count: number): void {
    this.#owner.report(datagramError(errno, count));
  }

  sendMalformed(bytes: number): void {
    const what = `${bytes} bytes that a writer wrote are no messages with lengths`;
    this.#owner.report(new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', what));
  }

  sentSome(): void {
    if (this.gate.resumeIfLow()) this.#owner.roomAgain();
    if (this.outbox.queuedBytes > 0) return;
    // A quiet link keeps no buffer.
    for (const writer of this.writers.values()) if (!writer.closed) writer.releaseIdle();
  }

  watch(): void {
    this.#owner.watch();
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
