// SPDX-License-Identifier: MIT
/** `WaitingWriter`: the calls of both writers that wait for room. */

import type { Packet } from '../packet/index.ts';
import type { BufferPool, WaitOptions } from '../pool/index.ts';
import { Reservation } from './reservation.ts';
import type { SpaceWait } from './space-wait.ts';

/** Base class of `LocalWriter` and `SharedWriter`: repeats what returned "not now". */
export abstract class WaitingWriter {
  abstract readonly pool: BufferPool;
  /** @internal */
  protected abstract readonly waiting: SpaceWait;

  abstract get closed(): boolean;
  abstract tryReserve(length: number): number;
  abstract commit(offset: number, length: number): void;
  abstract commitPacket(offset: number, length: number): Packet;
  abstract abort(offset: number): void;
  abstract tryWrite(source: Uint8Array | string, begin?: number, end?: number): boolean;
  abstract flush(): boolean;

  /**
   * Reserves, waiting for a buffer or for the receiver if necessary.
   *
   * **Throws** (rejects) as `tryReserve` and `flush`, and ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  async reserve(length: number, options: WaitOptions = {}): Promise<Reservation> {
    const at = await this.waiting.until(() => this.tryReserve(length), options);
    return new Reservation(this, at, length);
  }

  /**
   * `tryWrite` that waits; do not change `source` meanwhile. **Throws** (rejects) as
   * {@link reserve}.
   */
  async write(source: Uint8Array | string, options: WaitOptions = {}): Promise<void> {
    await this.waiting.until(() => (this.tryWrite(source) ? 0 : -1), options);
  }
}
