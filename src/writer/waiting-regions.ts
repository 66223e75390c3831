// SPDX-License-Identifier: MIT
/** `WaitingRegions`: what waits for a flusher's receiver, and callers until that is taken. */

import { loadAcquire, loadSeqCst, type Words } from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import { type FlusherLayout, HEAD, LANES_USED, OWNER, OWNER_NONE, TAIL } from './flusher-layout.ts';

/** A caller that waits. */
interface Caller extends Linked<Caller> {
  /** For each lane with regions at the time of the call: its record, and its TAIL then. */
  readonly goals: number[];
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  guard: WaitGuard | undefined;
}

/** The regions in the lanes of one flusher. **Threads** the receiver, except {@link count}. */
export class WaitingRegions {
  readonly #words: Words;
  readonly #layout: FlusherLayout;
  /** In order of arrival, so that none reaches its goals before one that came earlier. */
  readonly #callers = new LinkedList<Caller>();

  constructor(words: Words, layout: FlusherLayout) {
    this.#words = words;
    this.#layout = layout;
  }

  /** Writers, and the regions that wait; a closed flusher has none. */
  count(closed: boolean): { readonly writers: number; readonly waitingRegions: number } {
    const words = this.#words;
    const layout = this.#layout;
    const used = loadSeqCst(words, LANES_USED);
    let writers = 0;
    let waitingRegions = 0;
    for (let lane = 0; lane < used; lane++) {
      const record = layout.lane(lane);
      if (loadAcquire(words, record + OWNER) === OWNER_NONE) continue;
      writers++;
      if (closed) continue;
      waitingRegions += (loadAcquire(words, record + TAIL) - words[record + HEAD]) | 0;
    }
    return { writers, waitingRegions };
  }

  /** Waits until all that wait now are taken. */
  async untilTaken(options: WaitOptions | undefined): Promise<void> {
    const limits = resolveWaitOptions(options);
    const goals = this.#goals();
    if (goals.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      const caller: Caller = {
        goals,
        resolve,
        reject,
        guard: undefined,
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      caller.guard = new WaitGuard(limits, 'drained', (reason) => {
        if (this.#callers.remove(caller)) reject(reason);
      });
      this.#callers.push(caller);
    });
  }

  /** Called after a drain: resolves for those whose regions are taken. */
  advance(): void {
    for (let caller = this.#callers.first; caller !== undefined; caller = this.#callers.first) {
      if (!this.#hasReached(caller.goals)) return;
      this.#callers.remove(caller);
      caller.guard?.end();
      caller.resolve();
    }
  }

  /** The flusher is closed: what still waited is released undelivered. */
  close(): void {
    for (let caller = this.#callers.first; caller !== undefined; caller = this.#callers.first) {
      this.#callers.remove(caller);
      caller.guard?.end();
      caller.reject(new BusbarError('ERR_BUSBAR_FLUSHER_CLOSED'));
    }
  }

  #goals(): number[] {
    const words = this.#words;
    const goals: number[] = [];
    const used = loadSeqCst(words, LANES_USED);
    for (let lane = 0; lane < used; lane++) {
      const record = this.#layout.lane(lane);
      const tail = loadAcquire(words, record + TAIL);
      if (tail !== words[record + HEAD]) goals.push(record, tail);
    }
    return goals;
  }

  /** Drops the goals that are reached, from the last one on; true if none is left. */
  #hasReached(goals: number[]): boolean {
    const words = this.#words;
    // A lane's next owner continues with its HEAD and TAIL, mod 2³².
    while (goals.length > 0) {
      const tail = goals[goals.length - 1] as number;
      const record = goals[goals.length - 2] as number;
      if (((words[record + HEAD] - tail) | 0) < 0) return false;
      goals.length -= 2;
    }
    return true;
  }
}
