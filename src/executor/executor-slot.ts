// SPDX-License-Identifier: MIT
/** `ExecutorSlot`: one executor of a group, with its lanes, its record, and its present thread. */

import { assert } from '../base/assert.ts';
import { nowMs, startTimer, stopTimer } from '../base/clock.ts';
import { BusbarError, messageOf } from '../base/errors.ts';
import { type EventChannel, eventChannel, publish } from '../base/events.ts';
import { throwLater } from '../base/throw-later.ts';
import { BufferPool } from '../pool/index.ts';
import { ENDED, STARTING } from './executor-layout.ts';
import { ExecutorWorker, type ThreadEnd } from './executor-worker.ts';
import type { Gauges } from './gauges.ts';
import type { ResolvedGroupOptions } from './group-options.ts';
import { Hand } from './in-hand.ts';
import type { Mesh } from './mesh.ts';
import type { Assignment } from './messages.ts';

const crash = eventChannel('busbar.executor.crash');
const restart = eventChannel('busbar.executor.restart');

/** A thread runs here; if it crashes, the policy decides whether another one follows. */
const SUPERVISED = 'supervised';
/** The thread was ended by the group: it is not started again. */
const TERMINATED = 'terminated';
/** No thread runs here and none will be started. */
const EMPTY = 'empty';
type SlotState = typeof SUPERVISED | typeof TERMINATED | typeof EMPTY;

/**
 * One executor of a group. The slot outlives its threads: a restart runs a new one in it.
 *
 *   launch ▸ thread … ended ▸ lanes recovered, buffers reclaimed ─┬─ ordered ──▶ empty
 *      ▲                                                         └─ crash ─┬─ no more ──▶ empty
 *      └────────────────────── restart policy ◀────────────────────────────┘
 */
export class ExecutorSlot {
  readonly index: number;
  readonly gauges: Gauges;
  /** How often a thread was started again. */
  restarts = 0;
  lastCrash: BusbarError | undefined;
  /** Buffers that threads still held when they ended in another way than by a crash. */
  leaked = 0;
  /** True if the group had to end a thread that had not ended by itself. */
  wasTerminated = false;
  readonly #assignment: Assignment;
  readonly #options: ResolvedGroupOptions;
  readonly #mesh: Mesh;
  readonly #onQuiet: () => void;
  /** Times of the restarts within the policy's window. */
  readonly #restartsMs: number[] = [];
  #worker: ExecutorWorker;
  #state: SlotState = SUPERVISED;
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

  /** True when no thread runs here and none will be started. */
  get isEmpty(): boolean {
    return this.#state === EMPTY;
  }

  /** The thread that runs here, or ran here last. */
  get worker(): ExecutorWorker {
    return this.#worker;
  }

  /**
   * Supervises this slot: restarts crashed threads as the policy allows, until `stopping` is
   * aborted. Resolves when the slot is empty.
   *
   * **Throws** (rejects) ERR_BUSBAR_EXECUTOR_CRASHED.
   */
  async supervise(stopping: AbortSignal): Promise<void> {
    for (;;) {
      const end = await this.#worker.ended;
      const hand = this.#recover(end);
      if (end.wasOrdered || this.#state === TERMINATED) break;
      const error = crashed(this.index, this.#assignment.name, end);
      this.lastCrash = error;
      this.#publish(crash);
      const inHand = hand.packets();
      notify(() => this.#options.onCrash(this.index, error, inHand, hand.taken()));
      for (const { packet } of inHand) if (!packet.released) packet.release();
      const isNext = this.#mayRestart(stopping) && (await this.#delay(stopping));
      if (!isNext || !this.#relaunch()) {
        this.#leaveEmpty();
        throw this.lastCrash;
      }
    }
    this.#leaveEmpty();
  }

  /** Starts another thread. False: that failed, for instance because its data cannot be cloned. */
  #relaunch(): boolean {
    this.restarts++;
    try {
      this.#worker = this.#launch();
    } catch (error) {
      this.restarts--;
      const end = { wasOrdered: false, error, exitCode: 0 };
      this.lastCrash = crashed(this.index, this.#assignment.name, end);
      return false;
    }
    void this.#worker.started.then((report) => {
      if (report === undefined) return;
      this.#publish(restart);
      notify(() => this.#options.onRestart(this.index));
    });
    return true;
  }

  /** Ends the thread, whatever it is doing. Not a crash. */
  terminate(): void {
    if (this.#state === SUPERVISED) this.#state = TERMINATED;
    this.#worker.terminate();
  }

  /** Waits for the end of a thread that is not to be restarted, and reclaims what it held. */
  async awaitEnd(): Promise<void> {
    this.#recover(await this.#worker.ended);
    this.#leaveEmpty();
  }

  /** Whether the thread keeps the process alive. */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    if (isRef) this.#worker.ref();
    else this.#worker.unref();
  }

  #publish(event: EventChannel): void {
    if (!event.hasSubscribers) return;
    const { index, restarts, lastCrash } = this;
    publish(event, { group: this.#options.name, index, restarts, error: lastCrash });
  }

  #launch(): ExecutorWorker {
    this.gauges.become(STARTING);
    const worker = new ExecutorWorker(
      { ...this.#assignment, restarts: this.restarts },
      this.#options.resourceLimits,
      this.#onQuiet,
    );
    if (!this.#isRef) worker.unref();
    return worker;
  }

  #leaveEmpty(): void {
    assert(this.#state !== EMPTY, 'a slot is left once');
    this.#state = EMPTY;
    this.gauges.become(ENDED);
    this.#onQuiet();
  }

  /**
   * Recovers the lanes of a thread that has ended, and reclaims what it held. After a crash, takes
   * over what it had in hand.
   */
  #recover(end: ThreadEnd): Hand {
    const { pool } = this.#options;
    pool.checkAttached();
    const hand = new Hand(pool);
    const isTerminated = this.#state === TERMINATED && !end.wasOrdered;
    const isCrash = !end.wasOrdered && !isTerminated;
    const badge = this.gauges.badge;
    // If not, it has left the pool, or another thread has reclaimed it already.
    if (badge !== 0 && pool.declareBadgeExited(badge)) {
      notify(() => this.#options.onDeath(this.index, BufferPool.slotOf(badge)));
      const lanes = isCrash ? this.#mesh.lanesTo(this.index) : [];
      pool.reclaimBadge(badge, (held) => hand.choose(lanes, held));
    }
    if (!end.wasOrdered) this.#mesh.recover(this.index);
    if (!isCrash) this.leaked += hand.held;
    if (isTerminated) this.wasTerminated = true;
    return hand;
  }

  #mayRestart(stopping: AbortSignal): boolean {
    const { maxRestarts, withinMs } = this.#options.restart;
    const sinceMs = nowMs() - withinMs;
    const recent = this.#restartsMs;
    while (recent.length > 0 && (recent[0] as number) < sinceMs) recent.shift();
    if (stopping.aborted || recent.length >= maxRestarts) return false;
    recent.push(nowMs());
    return true;
  }

  /** Waits for the policy's delay. Resolves with false if the group is stopped meanwhile. */
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

/** Calls a listener of the user. What it throws becomes an uncaught exception. */
function notify(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    throwLater(error);
  }
}

/** The error for a thread that ended without an order. */
export function crashed(index: number, name: string, end: ThreadEnd): BusbarError {
  const { error } = end;
  const cause = error === undefined ? undefined : { cause: error };
  return new BusbarError('ERR_BUSBAR_EXECUTOR_CRASHED', endOf(index, name, end), cause);
}

/** Which thread ended, and how. */
export function endOf(index: number, name: string, { error, exitCode }: ThreadEnd): string {
  const how = error === undefined ? `exit code ${exitCode}` : messageOf(error);
  return `executor ${index} ("${name}"), ${how}`;
}
