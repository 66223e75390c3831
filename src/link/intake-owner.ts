// SPDX-License-Identifier: MIT
/** Whom an intake works for, and what it works on; and nobody, before it is open. */

import type { Duplex } from 'node:stream';
import { fail } from '../base/assert.ts';
import type { BusbarError } from '../base/errors.ts';

/** Whom an intake works for. */
export interface IntakeOwner {
  /** Takes frames out of the framer until it has no more, or until the intake is paused. */
  deliver(): void;
  /** The other side has ended, and all that it sent is delivered. */
  ended(): void;
  /** Reading cannot go on: this is no stream of frames, or the pool has ended. */
  intakeFailed(error: BusbarError): void;
  /** `deliver` threw what is its program's to know. May throw on. */
  deliveryFailed(error: unknown): void;
}

/** What an intake asks of its socket. */
export type Stoppable = Pick<Duplex, 'pause' | 'resume'>;

/** Before it is open there is nothing to stop. */
export const NO_SOCKET: Stoppable = { pause() {}, resume() {} } as unknown as Stoppable;

/** Nor does anything come. */
export const NOBODY: IntakeOwner = {
  deliver: () => fail('nothing comes before the intake is open'),
  ended: () => fail('no end comes before the intake is open'),
  intakeFailed: () => fail('no intake fails before it is open'),
  deliveryFailed: () => fail('nothing is delivered before the intake is open'),
};
