// SPDX-License-Identifier: MIT
/** `UdpSender`: the writing half of a `UdpLink`, for its writers and for single regions. */

import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import { FixedCodec, LengthPrefixCodec } from '../../framer/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { LocalWriter, type WriterOptions } from '../../writer/index.ts';
import { checkHeldRegion } from '../egress/sent-region.ts';
import { WriterGate } from '../egress/writer-gate.ts';
import { FrameWriter } from '../frame-writer.ts';
import { CUT_EQUAL, CUT_MESSAGES, CUT_PACKED, CUT_WHOLE } from './region-queue.ts';
import { CONNECTED } from './udp-address-table.ts';
import { PREFIX_BYTES } from './udp-intake.ts';
import type { ResolvedUdpSettings } from './udp-options.ts';
import { UdpOutbox, type UdpOutboxOwner } from './udp-outbox.ts';
import { datagramError, type UdpSocket } from './udp-socket.ts';

/** How a writer's messages are written. */
const MESSAGES = new LengthPrefixCodec('u16');

/** Receives a sender's events. */
export interface UdpSenderOwner {
  /** Datagrams were lost. */
  report(error: BusbarError): void;
  /** A stall has ended. */
  roomAgain(): void;
  /** `outbox.blocked` has changed. */
  watch(): void;
  /** See {@link UdpSender.sendRestSoon}. */
  sendRest(): void;
}

/**
 * The writing half of a link:
 *
 *   writers ──▶ flusher ──▶ gate ──▶ outbox ──▶ socket
 *                    trySend: packets ──▶ ┘
 *
 * An address is eight words at an index; undefined is the one that the socket is connected to.
 *
 * **Ownership** owns its outbox, and its writers until {@link release}.
 */
export class UdpSender implements UdpOutboxOwner {
  readonly outbox: UdpOutbox;
  readonly gate: WriterGate;
  readonly #owner: UdpSenderOwner;
  readonly #pool: BufferPool;
  #holder = -1;
  readonly #packed: boolean;
  /** Bytes of each message of a writer; 0: messages with lengths. */
  readonly #messageBytes: number;
  /** By id: a new writer replaces a closed one with the same id. */
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

  /** Counts as part of that holder, with writers opened from now on. */
  holdAs(holder: number): void {
    this.#holder = holder;
    this.outbox.holdAs(holder);
  }

  /** **Throws** ERR_BUSBAR_WRITER_SLOTS, ERR_BUSBAR_FLUSHER_CLOSED; TypeError, RangeError. */
  openWriter(to: Int32Array | undefined, options: WriterOptions): LocalWriter {
    const writer = new LocalWriter(this.gate.flusher, options);
    if (this.#holder >= 0) writer.spans.held.holdAs(this.#holder);
    this.writers.set(writer.id, writer);
    this.add(writer.id, to);
    return writer;
  }

  /** Sends this writer's regions to the address. **Throws** TypeError, RangeError. */
  add(writerId: number, to: Int32Array | undefined): void {
    this.gate.checkWriterId(writerId);
    this.gate.add(writerId, to === undefined ? CONNECTED : this.outbox.addresses.add(to, 0));
  }

  /** Writes messages by a writer of {@link openWriter}. */
  messagesOf(writer: LocalWriter): FrameWriter {
    const bytes = this.#messageBytes;
    return new FrameWriter(writer, bytes > 0 ? new FixedCodec(bytes) : MESSAGES);
  }

  /** Makes room for a single datagram, sending if necessary. Returns whether there is room. */
  makeRoom(): boolean {
    return this.gate.tryMakeRoom();
  }

  /**
   * Sends a region as one datagram to the address at `words[index]`. Call {@link makeRoom} first.
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
    // Now the waiting region holds the row.
    outbox.releaseRow(row);
    this.gate.pushed();
  }

  /** Sends as much as possible of what the writers hold. */
  flush(): void {
    for (const writer of this.writers.values()) if (!writer.closed) writer.flush();
    this.gate.drain();
    this.outbox.send();
  }

  /** {@link flush} for a closing link. Returns whether everything was sent. */
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

  /** Closes the writers; drops everything unsent, now and later. */
  release(): void {
    this.outbox.close();
    this.gate.release();
    for (const writer of this.writers.values()) this.outbox.lose(writer.close());
    this.gate.drain();
    assert(this.outbox.queuedBytes === 0, 'an ended link has nothing to send');
    assert(!this.gate.stalled, 'an ended link leaves nothing in the flusher');
  }

  // ── For the outbox ────────────────────────────────────────────────────────────────────────────

  sendFailed(errno: number, count: number): void {
    this.#owner.report(datagramError(errno, count));
  }

  sendMalformed(bytes: number): void {
    const what = `${bytes} bytes of a writer are not messages with lengths`;
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

/** Checks that a datagram consists of messages with lengths, which the other side can parse. */
function checkPacked({ bytes }: BufferPool, offset: number, length: number): void {
  const end = offset + length;
  let at = offset;
  while (at + PREFIX_BYTES <= end) at += PREFIX_BYTES + ((bytes[at] << 8) | bytes[at + 1]);
  if (at === end) return;
  const what = `${length} bytes that are not messages with lengths, as mode 'packed' requires`;
  throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', what);
}
