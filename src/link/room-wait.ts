// SPDX-License-Identifier: MIT
/** `RoomWait`: callers that wait until a link is writable, one after the other. */

import { nowMs } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';

/** Returned by `write` if it need not wait. */
export const WRITTEN: Promise<void> = Promise.resolve();

interface Caller extends Linked<Caller> {
  readonly begin: () => void;
}

/** The callers of one link, first come, first served. */
export class RoomWait {
  readonly #hasRoom: () => boolean;
  readonly #callers = new LinkedList<Caller>();
  /** The first caller has begun, and may wait for a buffer. */
  #isBusy = false;
  #goOn: (() => void) | undefined;
  /** Set by the work under way: ends it when the link ends. */
  onEnd: ((reason: unknown) => void) | undefined;

  constructor(hasRoom: () => boolean) {
    this.#hasRoom = hasRoom;
  }

  /** True if no caller waits: a new one may try at once. */
  get isEmpty(): boolean {
    return !this.#isBusy && this.#callers.isEmpty;
  }

  /** Runs `work` when the link has room and each earlier caller has been served. */
  async inTurn<T>(
    options: WaitOptions | undefined,
    work: (rest: WaitOptions) => Promise<T>,
  ): Promise<T> {
    const limits = resolveWaitOptions(options);
    const endMs = nowMs() + limits.timeoutMs;
    await new Promise<void>((resolve, reject) => {
      const caller: Caller = {
        begin: () => {
          guard.end();
          this.#isBusy = true;
          resolve();
        },
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      const guard = new WaitGuard(limits, 'write', (reason) => {
        if (this.#callers.remove(caller)) reject(reason);
      });
      this.#callers.push(caller);
      this.serve();
    });
    try {
      const { signal, timeoutMs } = limits;
      const left = timeoutMs === Infinity ? timeoutMs : Math.max(0, endMs - nowMs());
      return await work(signal === undefined ? { timeoutMs: left } : { signal, timeoutMs: left });
    } finally {
      this.#isBusy = false;
      this.serve();
    }
  }

  /** For the work under way: waits until there is room again. */
  async room(options: WaitOptions): Promise<void> {
    if (this.#hasRoom()) return;
    const limits = resolveWaitOptions(options);
    await new Promise<void>((resolve, reject) => {
      const guard = new WaitGuard(limits, 'write', reject);
      this.#goOn = () => {
        guard.end();
        resolve();
      };
    });
  }

  /** Ends the work under way, since the link ends; {@link serve} then serves the callers. */
  end(): void {
    this.onEnd?.(new BusbarError('ERR_BUSBAR_LINK_CLOSED'));
  }

  /** Lets the work under way go on, or else the next caller begin, if there is room. */
  serve(): void {
    const { first } = this.#callers;
    if (!this.#hasRoom()) return;
    this.#goOn?.();
    this.#goOn = undefined;
    if (first === undefined || this.#isBusy) return;
    this.#callers.remove(first);
    first.begin();
  }
}
