// SPDX-License-Identifier: MIT
/** The writers' room: space for one message that somebody holds, perhaps across an await. */

import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import type { Packet } from '../packet/index.ts';
import type { BufferPool } from '../pool/index.ts';

/** What a reservation needs of its writer. */
export interface ReservationWriter {
  readonly pool: BufferPool;
  readonly closed: boolean;
  commit(offset: number, length: number): void;
  commitPacket(offset: number, length: number): Packet;
  abort(offset: number): void;
}

/**
 * Space in a writer's buffer, as an object: the same as the number that `tryReserve` answers, with
 * its length and its end.
 *
 * **Ownership** end it once, by `commit` or `abort`; leaving a `using` block aborts what was not
 * committed. Until then the writer's later messages wait behind it, but nobody blocks. A writer
 * that is closed, as a link closes its own when the connection ends, takes the space back, also if
 * nobody has been told yet that it was reserved: ask for {@link offset} or {@link bytes} after the
 * last `await` before you write there.
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
   * **Throws** ERR_BUSBAR_WRITER_CLOSED: the space is another's by now.
   */
  get offset(): number {
    if (this.#open && this.#writer.closed) throw new BusbarError('ERR_BUSBAR_WRITER_CLOSED');
    return this.#offset;
  }

  /**
   * A view of the space. **Cost** allocates the view; `pool.view` and {@link offset} cost nothing.
   * **Throws** ERR_BUSBAR_BAD_RESERVATION, ERR_BUSBAR_WRITER_CLOSED: it is another's by now.
   */
  get bytes(): Uint8Array<SharedArrayBuffer> {
    this.#checkOpen();
    const { offset } = this;
    return this.#writer.pool.bytes.subarray(offset, offset + this.length);
  }

  /** Ends it: the first `length` bytes are a message. */
  commit(length: number = this.length): void {
    this.#checkOpen();
    this.#writer.commit(this.#offset, length);
    this.#open = false;
  }

  /** Like {@link commit}; returns a packet of the same bytes, which the caller releases. */
  commitPacket(length: number = this.length): Packet {
    this.#checkOpen();
    const packet = this.#writer.commitPacket(this.#offset, length);
    this.#open = false;
    return packet;
  }

  /** Ends it: there is no message. */
  abort(): void {
    this.#checkOpen();
    this.#writer.abort(this.#offset);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    // A writer that was closed has aborted it.
    if (this.#open && !this.#writer.closed) this.abort();
  }

  #checkOpen(): void {
    if (!this.#open)
      throw new BusbarError('ERR_BUSBAR_BAD_RESERVATION', 'committed or aborted before');
  }
}

describeAs(Reservation, 'Reservation', (reservation) => ({
  offset: reservation.offset,
  length: reservation.length,
}));
