// SPDX-License-Identifier: MIT
/** `BufferWait`: while its pool is empty, an intake waits for a buffer. */

import { assert } from '../base/assert.ts';
import { throwLater } from '../base/throw-later.ts';
import type { BufferId } from '../pool/index.ts';

/** The intake that waits: where buffers come from, and how the wait ended. */
export interface BufferWaitOwner {
  /** Resolves with a buffer; rejects once `signal` aborts. */
  acquire(signal: AbortSignal): Promise<BufferId>;
  /** Gives back a buffer that came too late. */
  release(bufferId: BufferId): void;
  /** Takes the buffer. The wait has ended. May throw what a handler throws, which is uncaught. */
  feed(bufferId: BufferId): void;
  /** The pool threw. The wait has ended. */
  waitFailed(error: unknown): void;
}

/** An intake's wait for a buffer; one at a time. */
export class BufferWait {
  readonly #owner: BufferWaitOwner;
  #ending: AbortController | undefined;

  constructor(owner: BufferWaitOwner) {
    this.#owner = owner;
  }

  get isOn(): boolean {
    return this.#ending !== undefined;
  }

  begin(): void {
    assert(!this.isOn, 'an intake waits for one buffer at a time');
    const owner = this.#owner;
    const ending = new AbortController();
    this.#ending = ending;
    owner.acquire(ending.signal).then(
      (bufferId) => {
        if (this.#ending !== ending) {
          owner.release(bufferId);
          return;
        }
        this.#ending = undefined;
        try {
          owner.feed(bufferId);
        } catch (error) {
          throwLater(error);
        }
      },
      (error) => {
        if (this.#ending !== ending) return;
        this.#ending = undefined;
        owner.waitFailed(error);
      },
    );
  }

  /** Ends the wait, if it is on. */
  end(): void {
    this.#ending?.abort();
    this.#ending = undefined;
  }
}
