// SPDX-License-Identifier: MIT
/** `FrameReader`: the part of a framer for programs that read frames, as handlers of links do. */

import type { Framer } from './framer.ts';

/**
 * What a handler may use of `link.framer`: the next frame, and what describes the current one. The
 * bytes are brought by the link.
 */
export interface FrameReader
  extends Readonly<
    Pick<
      Framer,
      | 'pool'
      | 'codec'
      | 'next'
      | 'tryReceive'
      | 'takePacket'
      | 'finishFrame'
      | 'frameBufferId'
      | 'frameOffset'
      | 'frameLength'
      | 'framePosition'
      | 'frameRest'
      | 'maxFrameBytes'
      | 'pendingBytes'
      | 'stats'
    >
  > {}
