// SPDX-License-Identifier: MIT
/** Deadlines of unfinished frames: closes links whose peers do not send the rest in time. */

import { assert } from '../../base/assert.ts';
import { showMs } from '../../base/check.ts';
import { PEER_TICK_MS, peerTicks, type Ticking } from './ticks.ts';

/** Progress of a reader. */
export interface FrameProgress {
  /** True while the reader, not the peer, causes the delay. */
  readonly isHeldUp: boolean;
  /** All bytes that have arrived. */
  readonly bytesRead: number;
  /** Bytes of the unfinished frame; 0: there is none. */
  readonly pendingBytes: number;
  /** True: it is delivered in parts, and each arrival of bytes restarts the deadline. */
  readonly isInParts: boolean;
}

/** Reads the frames of one peer. */
export interface DueReader {
  /** Undefined once it reads nothing more. */
  frameProgress(): FrameProgress | undefined;
  /** Called if the rest of a frame has not arrived in time. */
  frameLate(detail: string): void;
}

/** The deadline of one reader's unfinished frames, one after another. */
export class FrameWait implements Ticking {
  readonly #reader: DueReader;
  readonly #timeoutMs: number;
  /** Time waited so far, while bytes could be read. */
  #waitedMs = 0;
  /** Progress at the last tick. */
  #bytesRead = 0;
  #pendingBytes = 0;

  /** `timeoutMs` Infinity: no deadline. */
  constructor(reader: DueReader, timeoutMs: number) {
    this.#reader = reader;
    this.#timeoutMs = timeoutMs;
  }

  /** Called when a frame has begun. No effect during a wait, which notices a new frame itself. */
  begin(bytesRead: number, pendingBytes: number): void {
    if (this.#timeoutMs === Infinity || peerTicks.has(this)) return;
    this.#waitedMs = 0;
    this.#bytesRead = bytesRead;
    this.#pendingBytes = pendingBytes;
    assert(pendingBytes > 0, 'an unfinished frame has bytes');
    peerTicks.begin(this);
  }

  tick(): boolean {
    const progress = this.#reader.frameProgress();
    if (progress === undefined || progress.pendingBytes === 0) return false;
    const { isHeldUp, bytesRead, pendingBytes, isInParts } = progress;
    assert(peerTicks.has(this), 'only a listed wait gets ticks');
    assert(bytesRead >= this.#bytesRead, 'the number of bytes read never falls');
    // Pending bytes are fewer than before plus those that arrived: this is another frame.
    const arrived = bytesRead - this.#bytesRead;
    const isOther = pendingBytes < this.#pendingBytes + arrived || (isInParts && arrived > 0);
    this.#bytesRead = bytesRead;
    this.#pendingBytes = pendingBytes;
    if (isHeldUp || isOther) {
      this.#waitedMs = 0;
      return true;
    }
    // Compared before the addition: less than a whole tick had passed at the first one.
    if (this.#waitedMs < this.#timeoutMs) {
      this.#waitedMs += PEER_TICK_MS;
      return true;
    }
    const limit = showMs(this.#timeoutMs);
    const detail = `a frame within ${limit}; only ${pendingBytes} bytes of it arrived`;
    this.#reader.frameLate(detail);
    return false;
  }
}
