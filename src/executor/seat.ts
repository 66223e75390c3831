// SPDX-License-Identifier: MIT
/** The room where packets are worked on, seen from its host: one place, whoever sits on it. */

import { nowMs, startTimer, stopTimer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { BufferPool } from '../pool/index.ts';
import { ENDED, STARTING } from './executor-layout.ts';
import { ExecutorWorker, type ThreadEnd } from './executor-worker.ts';
import type { Gauges } from './gauges.ts';
import type { ResolvedGroupOptions } from './group-options.ts';
import type { Mesh } from './mesh.ts';
import type { Assignment } from './messages.ts';
import { throwUncaught } from './uncaught.ts';

/**
 * One place of a group: its number, its lanes, its record; and the thread that sits there now.
 *
 *   launch ▸ thread … ended ▸ lanes recovered, buffers reclaimed ─┬─ as told ──▶ empty
 *      ▲                                                         └─ crash ─┬─ no more ──▶ empty
 *      └────────────────────── restart policy ◀────────────────────────────┘
 */
export class Seat {
  readonly index: number;
  readonly gauges: Gauges;
  /** How often a thread was started again. */
  restarts = 0;
  lastCrash: BusbarError | undefined;
  /** True while nobody sits here and nobody will. */
  isEmpty = false;
  readonly #assignment: Assignment;
  readonly #options: ResolvedGroupOptions;
  readonly #mesh: Mesh;
  readonly #onQuiet: () => void;
  /** When it was started again, lately. */
  readonly #restartsMs: number[] = [];
  #worker: ExecutorWorker;
  #terminated = false;
  #isRef = true;

  constructor(
    assignment: Assignment,
    options: ResolvedGroupOptions,
    mesh: Mesh,
    gauges: Gauges,
    onQuiet: () => void,
  ) {
    this.index = assignment.index;
    this.#assignment = assignment;
    this.#options = options;
    this.#mesh = mesh;
    this.gauges = gauges;
    this.#onQuiet = onQuiet;
    this.#worker = this.#launch();
  }

  /** The thread that sits here, or sat here last. */
  get worker(): ExecutorWorker {
    return this.#worker;
  }

  /**
   * Stays until nobody sits here any more; restarts what crashes as far as the policy allows and
   * `stopping` is not aborted.
   *
   * **Throws** (rejects) ERR_BUSBAR_EXECUTOR_CRASHED.
   */
  async keep(stopping: AbortSignal): Promise<void> {
    for (;;) {
      const end = await this.#worker.ended;
      this.#tidyUp(end);
      if (end.wasTold || this.#terminated) break;
      this.lastCrash = crashed(this.index, end);
      tell(this.#options.onCrash, this.index, this.lastCrash);
      if (!this.#mayRestart(stopping) || !(await this.#delay(stopping))) {
        this.#leaveEmpty();
        throw this.lastCrash;
      }
      this.restarts++;
      const worker = this.#launch();
      this.#worker = worker;
      void worker.started.then((report) => {
        if (report !== undefined) tell(this.#options.onRestart, this.index, undefined);
      });
    }
    this.#leaveEmpty();
  }

  /** Ends the thread, whatever it is doing. Not a crash. */
  terminate(): void {
    this.#terminated = true;
    this.#worker.terminate();
  }

  /** Waits for the end of a thread that never was to be restarted; nothing is kept of it. */
  async bury(): Promise<void> {
    this.#tidyUp(await this.#worker.ended);
    this.#leaveEmpty();
  }

  /** Whether the thread keeps the process alive. */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    if (isRef) this.#worker.ref();
    else this.#worker.unref();
  }

  #launch(): ExecutorWorker {
    this.gauges.become(STARTING);
    const worker = new ExecutorWorker(
      this.#assignment,
      this.#options.resourceLimits,
      this.#onQuiet,
    );
    if (!this.#isRef) worker.unref();
    return worker;
  }

  #leaveEmpty(): void {
    this.isEmpty = true;
    this.gauges.become(ENDED);
    this.#onQuiet();
  }

  /** What the thread had begun on its lanes is finished or undone; what it held is free again. */
  #tidyUp(end: ThreadEnd): void {
    const { pool } = this.#options;
    pool.checkAttached();
    const badge = this.gauges.badge;
    // Else it had left the pool, or somebody has reclaimed it already.
    if (badge !== 0 && pool.declareBadgeExited(badge)) {
      tell(this.#options.onDeath, this.index, BufferPool.slotOf(badge));
      pool.reclaimBadge(badge);
    }
    if (!end.wasTold) this.#mesh.recover(this.index);
  }

  #mayRestart(stopping: AbortSignal): boolean {
    const { maxRestarts, withinMs } = this.#options.restart;
    const sinceMs = nowMs() - withinMs;
    const lately = this.#restartsMs;
    while (lately.length > 0 && (lately[0] as number) < sinceMs) lately.shift();
    if (stopping.aborted || lately.length >= maxRestarts) return false;
    lately.push(nowMs());
    return true;
  }

  /** False if the group was stopped meanwhile. */
  #delay(stopping: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const onAbort = (): void => {
        stopTimer(timer);
        resolve(false);
      };
      const timer = startTimer(this.#options.restart.delayMs, () => {
        stopping.removeEventListener('abort', onAbort);
        resolve(true);
      });
      stopping.addEventListener('abort', onAbort, { once: true });
    });
  }
}

/** Calls the user, whose errors are the user's. */
function tell<T>(listener: (index: number, news: T) => void, index: number, news: T): void {
  try {
    listener(index, news);
  } catch (error) {
    throwUncaught(error);
  }
}

/** What is said of a thread that ended without having been told to. */
export function crashed(index: number, end: ThreadEnd): BusbarError {
  const how = end.error === undefined ? `exit code ${end.exitCode}` : (end.error as Error)?.message;
  return new BusbarError(
    'ERR_BUSBAR_EXECUTOR_CRASHED',
    `executor ${index}, ${how}`,
    end.error === undefined ? undefined : { cause: end.error },
  );
}
