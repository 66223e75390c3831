// SPDX-License-Identifier: MIT
/** `WritableLink`: base class of links that write frames, waiting for room. */

import type { WaitOptions } from '../base/wait-guard.ts';
import type { Reservation } from '../writer/index.ts';
import type { FrameWriter } from './frame-writer.ts';
import { LinkBase } from './link-base.ts';
import { OPEN } from './link-life.ts';
import { RoomWait } from './room-wait.ts';

/** What TCP and UDP links have in common for writing; `tryWrite` and `write` are their own. */
export abstract class WritableLink extends LinkBase {
  /** @internal Callers that wait for room. */
  protected readonly room: RoomWait = new RoomWait(() => this.writable || this.life.state !== OPEN);

  /** True while more may be written: the link is open, and not too much waits to be sent. */
  abstract get writable(): boolean;

  /** @internal Writes the frames. **Throws** TypeError if the link has no writer. */
  protected abstract get framing(): FrameWriter;

  /**
   * Space for one payload of at most `length` bytes, written in place; `commit` writes the rest of
   * the frame around it. Undefined: not now. **Throws** as `tryWrite`.
   */
  tryReserveFrame(length: number): Reservation | undefined {
    return this.framing.tryReserve(length);
  }

  /** {@link tryReserveFrame} that waits, as `write` does. */
  reserveFrame(length: number, options?: WaitOptions): Promise<Reservation> {
    return this.room.inTurn(options, (rest) => this.framing.reserve(length, rest));
  }

  /** Waits until the link is {@link writable}, or closing. **Throws** as `write`. */
  drained(options?: WaitOptions): Promise<void> {
    return this.room.inTurn(options, async () => {});
  }
}
