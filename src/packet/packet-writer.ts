// SPDX-License-Identifier: MIT
/** `PacketWriter`: carves many small packets from one buffer. */

import { checkBytes, checkInteger, OR_STRING } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStack } from '../base/stack.ts';
import { textBytes, writeText } from '../base/text.ts';
import { lengthOf } from '../base/views.ts';
import { checkPool } from '../pool/check-pool.ts';
import { CARVER } from '../pool/holder-layout.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import { Packet } from './packet.ts';

const NONE: BufferId = NO_BUFFER;

/**
 * Makes packets, one after the other in the same buffer, as long as they fit. A packet of its own
 * buffer (`Packet.tryFrom`) holds all of it, however few its bytes; here a hundred small ones hold
 * one together. So what waits for a slow peer costs the pool little more than its bytes.
 *
 *   buffer  │ packet │ packet │ packet │ next ──▶          │
 *
 * A buffer is free again when its last packet is released, so do not mix packets that live long
 * with many that do not.
 *
 * **Ownership** one reference on its current buffer, until {@link close} or {@link releaseIdle}.
 * **Threads** one.
 *
 * @example The same to many links.
 * ```ts
 * import { PacketWriter } from 'busbar/packet';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4 });
 * const writer = new PacketWriter(pool);
 * const packets = [];
 * for (const word of ['one', 'two', 'three']) {
 *   const packet = writer.tryWrite(word);
 *   if (packet !== undefined) packets.push(packet);
 * }
 * console.log(packets.join(), pool.stats().held); // one,two,three 1
 * for (const packet of packets) packet.release();
 * writer.close();
 * ```
 */
export class PacketWriter {
  readonly pool: BufferPool;
  readonly #held: number;
  #bufferId: BufferId = NONE;
  /** Where the next packet begins, and where the buffer ends. */
  #cursor = 0;
  #end = 0;
  /** Begin of the open reservation; -1: there is none. */
  #openAt = -1;
  #openEnd = 0;
  #isClosed = false;
  /** A buffer was changed for another one before. */
  #isWarm = false;

  /** Takes no buffer yet. */
  constructor(pool: BufferPool) {
    this.pool = checkPool(pool);
    this.#held = pool.holder() + CARVER;
  }

  /**
   * A packet of a copy of these bytes, or of a string in UTF-8; undefined: no buffer is free now.
   *
   * **Ownership** the packet is the caller's. **Throws** ERR_BUSBAR_MESSAGE_TOO_LARGE beyond the
   * pool's buffer size; ERR_BUSBAR_WRITER_CLOSED; TypeError.
   */
  tryWrite(source: Uint8Array | string): Packet | undefined {
    const isText = typeof source === 'string';
    if (!isText) checkBytes('source', source, OR_STRING);
    const length = isText ? textBytes(source) : lengthOf(source);
    const at = this.tryReserve(length);
    if (at < 0) return undefined;
    const { pool } = this;
    try {
      if (isText) writeText(pool.bytes, at, source, length);
      else pool.arena.write(at, source, 0, length);
    } catch (error) {
      this.#openAt = -1;
      throw error;
    }
    return this.commit(at, length);
  }

  /**
   * Room for a packet of up to `length` bytes: its offset in `pool.bytes`, or -1: no buffer is free
   * now. Write the bytes there, then call {@link commit}; a second reservation takes the place of
   * the first.
   *
   * **Throws** as {@link tryWrite}.
   */
  tryReserve(length: number): number {
    const { pool } = this;
    if (this.#isClosed) throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
    checkInteger('length', length, 0, 0x7fff_ffff);
    if (length > pool.bufferSize) {
      const detail = `${length} bytes, buffers have ${pool.bufferSize}`;
      throw new BusbarError('ERR_BUSBAR_MESSAGE_TOO_LARGE', detail);
    }
    if (this.#cursor + length > this.#end || this.#bufferId === NONE) {
      if (!this.#nextBuffer()) return -1;
    }
    this.#openAt = this.#cursor;
    this.#openEnd = this.#cursor + length;
    return this.#cursor;
  }

  /**
   * A packet of the first `length` bytes of the reservation at `offset`.
   *
   * **Ownership** the packet is the caller's. **Throws** ERR_BUSBAR_BAD_RESERVATION, RangeError.
   */
  commit(offset: number, length: number): Packet {
    if (offset !== this.#openAt || offset < 0) {
      throw new BusbarError('ERR_BUSBAR_BAD_RESERVATION', `at ${offset}`);
    }
    checkInteger('length', length, 0, this.#openEnd - offset);
    const packet = Packet.sharing(this.pool, this.#bufferId, offset, length);
    // No call from here on.
    this.#openAt = -1;
    this.#cursor = offset + length;
    return packet;
  }

  /** Gives the buffer back; the next packet takes another. For writers that may be idle. */
  releaseIdle(): void {
    const isHeld = this.#bufferId !== NONE;
    if (isHeld) this.pool.release(this.#bufferId);
    // No call before all are stored.
    this.#bufferId = NONE;
    this.#cursor = this.#end = 0;
    this.#openAt = -1;
    if (isHeld) this.pool.note(this.#held, -1);
  }

  /** Gives the buffer back, for good. Packets stay valid. May be called again. */
  close(): void {
    this.#isClosed = true;
    this.releaseIdle();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The buffer anew, if all packets of it were released, or else another one. False: not now. */
  #nextBuffer(): boolean {
    const { pool } = this;
    let bufferId = this.#bufferId;
    if (bufferId === NONE || !pool.isSoleHolder(bufferId)) {
      // Nothing may throw once it has the buffer.
      ensureStack(this.#isWarm);
      bufferId = pool.tryAcquire();
      if (bufferId === NONE) return false;
      pool.note(this.#held, 1);
      this.#isWarm = this.#bufferId !== NONE;
      this.releaseIdle();
    }
    this.#bufferId = bufferId;
    this.#cursor = pool.offsetOf(bufferId);
    this.#end = this.#cursor + pool.bufferSize;
    return true;
  }
}

describeAs(PacketWriter, 'PacketWriter', (writer) => ({ pool: writer.pool }));
