// SPDX-License-Identifier: MIT
/** `Reservation`: space for one message in a writer's buffer, as an object. */

import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferPool } from '../pool/index.ts';

/** The part of a writer that a reservation uses. */
export interface ReservationWriter {
  readonly pool: BufferPool;
  readonly closed: boolean;
  commit(offset: number, length: number): void;
  commitPacket(offset: number, length: number): Packet;
  abort(offset: number): void;
}

/**
 * Space for one message in a writer's buffer: the offset that `tryReserve` returns, with its length
 * and methods to end it. It may be held across an `await`.
 *
 * **Ownership** end it once, by `commit` or `abort`; leaving a `using` block aborts it unless it
 * was committed. Until then the writer's later messages wait for it, but no call blocks. Closing
 * the writer (a link closes its writer when the connection ends) takes the space back at any time,
 * even before `reserve` has resolved. So read {@link offset} or {@link bytes} after the last
 * `await` before you write.
 */
export class Reservation {
  /** Bytes. */
  readonly length: number;
  readonly #writer: ReservationWriter;
  readonly #offset: number;
  #open = true;

  /** @internal */
  constructor(writer: ReservationWriter, offset: number, length: number) {
    this.#writer = writer;
    this.#offset = offset;
    this.length = length;
  }

  /**
   * First byte, absolute in `pool.bytes`.
   *
   * **Throws** ERR_BUSBAR_WRITER_CLOSED: the space no longer belongs to the reservation.
   */
  get offset(): number {
    if (this.#open && this.#writer.closed) throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
    return this.#offset;
  }

  /**
   * A view of the space. **Cost** allocates the view; `pool.view` and {@link offset} do not.
   * **Throws** ERR_BUSBAR_BAD_RESERVATION, ERR_BUSBAR_WRITER_CLOSED.
   */
  get bytes(): Uint8Array<SharedArrayBuffer> {
    this.#checkOpen();
    const { offset } = this;
    return this.#writer.pool.bytes.subarray(offset, offset + this.length);
  }

  /**
   * Ends the reservation: its first `length` bytes are a message. **Throws**
   * ERR_BUSBAR_BAD_RESERVATION the second time, ERR_BUSBAR_WRITER_CLOSED, RangeError.
   */
  commit(length: number = this.length): void {
    this.#checkOpen();
    this.#writer.commit(this.#offset, length);
    this.#open = false;
  }

  /** {@link commit} that also returns a packet of the same bytes, which the caller releases. */
  commitPacket(length: number = this.length): Packet {
    this.#checkOpen();
    const packet = this.#writer.commitPacket(this.#offset, length);
    this.#open = false;
    return packet;
  }

  /** Ends the reservation without a message. **Throws** as {@link commit}. */
  abort(): void {
    this.#checkOpen();
    this.#writer.abort(this.#offset);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    // A closed writer has aborted it already.
    if (this.#open && !this.#writer.closed) this.abort();
  }

  #checkOpen(): void {
    if (!this.#open)
      throw new BusbarError('ERR_BUSBAR_BAD_RESERVATION', 'already committed or aborted');
  }
}

describeAs(Reservation, 'Reservation', (reservation) => ({
  offset: reservation.offset,
  length: reservation.length,
}));
