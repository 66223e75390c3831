// SPDX-License-Identifier: MIT
/** Whom an intake works for, and what it works on; and nobody, before it is open. */

import type { Duplex } from 'node:stream';
import { fail } from '../../base/assert.ts';
import type { BusbarError } from '../../base/errors.ts';
import type { Framer } from '../../framer/index.ts';
import type { BufferId } from '../../pool/index.ts';

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

/** The part of a handler that takes frames. */
interface FrameTaker<L> {
  onFrames?(link: L): void;
  onFrame?(offset: number, length: number, bufferId: BufferId, link: L): void;
}

/** What an intake calls when bytes have arrived: hands frames to the handler in its way. */
export function frameDeliverer<L>(
  handler: FrameTaker<L>,
  link: L,
  intake: { readonly framer: Framer; readonly stopped: boolean },
): IntakeOwner['deliver'] {
  if (handler.onFrames !== undefined) return () => handler.onFrames?.(link);
  const { framer } = intake;
  return () => {
    while (!intake.stopped && framer.next()) {
      handler.onFrame?.(framer.frameOffset, framer.frameLength, framer.frameBufferId, link);
    }
  };
}

/** A framer that has got a buffer and still has no room is full of frames. */
export function leftBehind(): TypeError {
  return new TypeError('onFrames must call next() until it answers false, or pause()');
}
