// SPDX-License-Identifier: MIT
/** How long a peer may take for a frame that it has begun. */

import { assert } from '../../base/assert.ts';
import { startTicking, stopTimer, type Timer } from '../../base/clock.ts';

/** A deadline is met up to two ticks late, never early. */
const TICK_MS = 100;

/** How far a frame has come. */
export interface FrameProgress {
  /** What has come cannot be taken now, which is not the peer's doing. */
  readonly isHeldUp: boolean;
  /** Bytes that have arrived in all. */
  readonly bytesRead: number;
  /** Bytes of the frame that has begun; 0: none has. */
  readonly pendingBytes: number;
}

/** Who reads the frames of one peer. */
export interface FrameReader {
  /** Undefined: nothing is read any more. */
  frameProgress(): FrameProgress | undefined;
  /** The rest of a frame has not come in time. */
  frameLate(detail: string): void;
}

/**
 * The waits of one reader for the rest of a frame, one after the other.
 *
 * All waits of a thread share one timer, which runs only while there are some, and does not keep
 * the event loop alive. While the event loop stands, no tick passes: a slow program does not count
 * against its peers.
 */
export class FrameWait {
  readonly #reader: FrameReader;
  readonly #timeoutMs: number;
  /** How long it has been, while bytes could come. */
  #waitedMs = 0;
  /** At the last tick. */
  #bytesRead = 0;
  #pendingBytes = 0;

  /** `timeoutMs` Infinity: nothing is ever late. */
  constructor(reader: FrameReader, timeoutMs: number) {
    this.#reader = reader;
    this.#timeoutMs = timeoutMs;
  }

  /** A frame has begun. Nothing happens while a wait goes on: it notices other frames itself. */
  begin(bytesRead: number, pendingBytes: number): void {
    if (this.#timeoutMs === Infinity || waits.has(this)) return;
    this.#waitedMs = 0;
    this.#bytesRead = bytesRead;
    this.#pendingBytes = pendingBytes;
    assert(pendingBytes > 0, 'a frame that has begun has bytes');
    waits.add(this);
    if (ticking !== undefined) return;
    ticking = startTicking(TICK_MS, tickAll);
    ticking.current.unref();
  }

  /** @internal A tick has passed. Returns whether to wait on. */
  tick(): boolean {
    const progress = this.#reader.frameProgress();
    if (progress === undefined || progress.pendingBytes === 0) return false;
    const { isHeldUp, bytesRead, pendingBytes } = progress;
    assert(waits.has(this), 'who waits is asked');
    assert(bytesRead >= this.#bytesRead, 'no read is undone');
    // Fewer than there were and have come: frames were completed, and this is another one.
    const isOther = pendingBytes < this.#pendingBytes + (bytesRead - this.#bytesRead);
    this.#bytesRead = bytesRead;
    this.#pendingBytes = pendingBytes;
    if (isHeldUp || isOther) {
      this.#waitedMs = 0;
      return true;
    }
    // The tick in which it began was not a whole one.
    if (this.#waitedMs < this.#timeoutMs) {
      this.#waitedMs += TICK_MS;
      return true;
    }
    waits.delete(this);
    const detail = `the rest of a frame, ${this.#timeoutMs} ms: ${pendingBytes} bytes had come`;
    this.#reader.frameLate(detail);
    return false;
  }
}

const waits = new Set<FrameWait>();
let ticking: Timer | undefined;

function tickAll(): void {
  for (const wait of waits) if (!wait.tick()) waits.delete(wait);
  if (waits.size > 0) return;
  stopTimer(ticking);
  ticking = undefined;
}
