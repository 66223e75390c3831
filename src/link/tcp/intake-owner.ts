// SPDX-License-Identifier: MIT
/** Interfaces of an intake's owner and socket, with placeholders for the time before `open`. */

import type { Duplex } from 'node:stream';
import { fail } from '../../base/assert.ts';
import type { BusbarError } from '../../base/errors.ts';

/** Receives an intake's events. */
export interface IntakeOwner {
  /** Takes frames out of the framer until it has no more, or the intake is paused. */
  deliver(): void;
  /** The other side has ended, and everything that it sent was delivered. */
  ended(): void;
  /** Reading cannot continue: the bytes are not a stream of frames, or the pool is closed. */
  intakeFailed(error: BusbarError): void;
  /** `deliver` threw an exception of the program. May rethrow it. */
  deliveryFailed(error: unknown): void;
}

/** The part of a socket that an intake uses. */
export type Stoppable = Pick<Duplex, 'pause' | 'resume'>;

/** Placeholder before `open`: nothing to stop. */
export const NO_SOCKET: Stoppable = { pause() {}, resume() {} } as unknown as Stoppable;

/** Placeholder before `open`: no event may come. */
export const NO_OWNER: IntakeOwner = {
  deliver: () => fail('nothing arrives before the intake is open'),
  ended: () => fail('no end comes before the intake is open'),
  intakeFailed: () => fail('no intake fails before it is open'),
  deliveryFailed: () => fail('nothing is delivered before the intake is open'),
};

/** The error if a framer got a buffer and still has no room: the handler left frames in it. */
export function leftBehind(): TypeError {
  return new TypeError('onFrames must call next() until it returns false, or pause()');
}
