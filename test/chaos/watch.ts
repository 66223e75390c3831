// SPDX-License-Identifier: MIT
/**
 * Test tool: waits for other threads as long as any of them makes progress, up to a generous limit.
 */

/**
 * Nothing moves: neither for so long nor in this many looks. On a busy machine this thread looks as
 * seldom as the others move.
 */
const STILL_MS_MAX = 30_000;
const STILL_LOOKS_MAX = 10_000;
/**
 * Messages that may move while a caller waits for one thing: a limit in work, not in time, so that
 * it is the same on a busy machine.
 */
const MOVES_MAX = 400_000;
/** Looks in as many turns of the event loop, then in pauses. */
const QUICK_LOOKS = 20;

/** Ends every wait when something has gone wrong, and when nothing moves any more. */
export class Watch {
  readonly #progress: () => number;
  #failure: Error | undefined;

  /** `progress` counts what everybody has done. */
  constructor(progress: () => number) {
    this.#progress = progress;
  }

  fail(failure: Error): void {
    this.#failure ??= failure;
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Looks until `isSo`. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    let progress = this.#progress();
    let sinceMs = performance.now();
    let moves = 0;
    let stillLooks = 0;
    for (let looks = 0; ; looks++) {
      this.check();
      if (isSo()) return;
      if (looks < QUICK_LOOKS) await new Promise((resolve) => setImmediate(resolve));
      else await new Promise((resolve) => setTimeout(resolve, 1));
      const present = this.#progress();
      if (present !== progress) {
        moves += Math.max(0, present - progress);
        if (moves > MOVES_MAX) throw new Error(`others go on for ever: waiting until ${what}`);
        progress = present;
        sinceMs = performance.now();
        stillLooks = 0;
      } else if (++stillLooks > STILL_LOOKS_MAX && performance.now() - sinceMs > STILL_MS_MAX) {
        throw new Error(`nothing moves: waiting until ${what}`);
      }
    }
  }
}
