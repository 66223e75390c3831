// SPDX-License-Identifier: MIT
/** Hands the frames of an intake to the callbacks of a link's handler. */

import type { Framer } from '../../framer/index.ts';
import { refuseResult } from '../handler-result.ts';
import type { TcpHandlerOf } from './tcp-options.ts';

/** Returns an intake's `deliver`, which calls the handler. */
export function frameDeliverer<L>(
  handler: Pick<TcpHandlerOf<L>, 'onFrames' | 'onFrame' | 'onFramePart'>,
  link: L,
  intake: { readonly framer: Framer; readonly stopped: boolean },
): () => void {
  if (handler.onFrames !== undefined) {
    return () => {
      const result: unknown = handler.onFrames?.(link);
      if (result !== undefined) refuseResult('onFrames', result);
    };
  }
  const { framer } = intake;
  if (handler.onFramePart !== undefined) {
    return () => {
      while (!intake.stopped && framer.next()) {
        const result: unknown = handler.onFramePart?.(
          framer.frameOffset,
          framer.frameLength,
          framer.framePosition,
          framer.frameRest,
          framer.frameBufferId,
          link,
        );
        if (result !== undefined) refuseResult('onFramePart', result);
      }
    };
  }
  return () => {
    while (!intake.stopped && framer.next()) {
      const { frameOffset, frameLength, frameBufferId } = framer;
      const result: unknown = handler.onFrame?.(frameOffset, frameLength, frameBufferId, link);
      if (result !== undefined) refuseResult('onFrame', result);
    }
  };
}
