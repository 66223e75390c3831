// SPDX-License-Identifier: MIT
/** Deadlines of writes: closes links whose peers take nothing of what waits for them. */

import { assert } from '../../base/assert.ts';
import { showMs } from '../../base/check.ts';
import { PEER_TICK_MS, peerTicks, type Ticking } from './ticks.ts';

/** Writes to one peer. */
export interface DueWriter {
  /** Bytes that wait or are in flight; 0: there is nothing to wait for. */
  readonly queuedBytes: number;
  /** A number that changes whenever the system takes some of them, in one write or in several. */
  readonly progress: number;
  /** Called if the system has taken nothing in time. */
  writeLate(detail: string): void;
}

/** The deadline of one writer's writes. Each byte that the system takes restarts it. */
export class WriteWait implements Ticking {
  readonly #writer: DueWriter;
  readonly #timeoutMs: number;
  #isWaiting = false;
  #waitedMs = 0;
  /** At the last tick. */
  #progress = 0;

  /** `timeoutMs` Infinity: no deadline. */
  constructor(writer: DueWriter, timeoutMs: number) {
    this.#writer = writer;
    this.#timeoutMs = timeoutMs;
  }

  /** Called when the system did not take everything at once. No effect during a wait. */
  begin(): void {
    if (this.#isWaiting || this.#timeoutMs === Infinity) return;
    this.#isWaiting = true;
    this.#waitedMs = 0;
    this.#progress = this.#writer.progress;
    peerTicks.begin(this);
  }

  tick(): boolean {
    const { queuedBytes, progress } = this.#writer;
    assert(this.#isWaiting, 'only a wait gets ticks');
    this.#isWaiting = queuedBytes > 0;
    if (!this.#isWaiting) return false;
    if (progress !== this.#progress) {
      this.#progress = progress;
      this.#waitedMs = 0;
      return true;
    }
    // Compared before the addition: less than a whole tick had passed at the first one.
    if (this.#waitedMs < this.#timeoutMs) {
      this.#waitedMs += PEER_TICK_MS;
      return true;
    }
    this.#isWaiting = false;
    const what = `the peer took none of ${queuedBytes} bytes`;
    this.#writer.writeLate(`a write within ${showMs(this.#timeoutMs)}; ${what}`);
    return false;
  }
}
