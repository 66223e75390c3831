// SPDX-License-Identifier: MIT
/**
 * Model checker: the part of a thread that lives on the JavaScript heap, made anew each time the
 * thread runs again.
 *
 * It models the thread's event loop: promises of `waitAsync`, timers, its own clock. Nothing in
 * it needs saving, because running the thread again on the values it read brings it back.
 */

import { OP_EVENT, OP_NAMES, OP_TIMER, OP_TURN } from './machine-layout.ts';

/** A timer of a model thread, returned by its `setTimeout`. */
export class ModelTimer {
  readonly id: number;
  dueMs: number;
  /** 0 for a timer that fires once. */
  readonly periodMs: number;
  readonly callback: () => void;
  /** It keeps the thread's event loop turning, also once the body has returned. */
  #isRef = true;

  constructor(id: number, dueMs: number, periodMs: number, callback: () => void) {
    this.id = id;
    this.dueMs = dueMs;
    this.periodMs = periodMs;
    this.callback = callback;
  }

  ref(): this {
    this.#isRef = true;
    return this;
  }

  unref(): this {
    this.#isRef = false;
    return this;
  }

  hasRef(): boolean {
    return this.#isRef;
  }

  [Symbol.toPrimitive](): number {
    return this.id;
  }
}

export class Agent {
  /** The thread's clock: it moves when a wait or timer ends by time, or as the thread looks. */
  nowMs = 0;
  /** Resolve functions of pending `waitAsync` promises, by number. */
  readonly resolvers: (((outcome: 'ok' | 'timed-out') => void) | undefined)[] = [];
  readonly timers: ModelTimer[] = [];
  readonly turns: ModelTimer[] = [];
  readonly published: unknown[] = [];
  settled = false;
  result: unknown;
  failed = false;
  error: unknown;
  #nextTimer = 0;

  /** Settles with what the body returned, or what its promise brings unless it is `paused`. */
  follow(result: unknown, paused: () => boolean): void {
    if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') {
      this.settle(result);
      return;
    }
    (result as PromiseLike<unknown>).then(
      (value) => this.settle(value),
      (error) => paused() || this.fail(error),
    );
  }

  settle(result: unknown): void {
    this.settled = true;
    this.result = result;
  }

  fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    this.error = error;
  }

  startTimer(callback: () => void, delayMs: number, repeats: boolean): ModelTimer {
    const delay = Math.max(1, delayMs);
    const due = this.nowMs + delay;
    const timer = new ModelTimer(this.#nextTimer++, due, repeats ? delay : 0, callback);
    this.timers.push(timer);
    return timer;
  }

  startTurn(callback: () => void): ModelTimer {
    const timer = new ModelTimer(this.#nextTimer++, this.nowMs, 0, callback);
    this.turns.push(timer);
    return timer;
  }

  stop(timer: unknown): void {
    const known = typeof timer === 'object' ? timer : this.timer(Number(timer));
    remove(this.timers, known);
    remove(this.turns, known);
  }

  /**
   * True if a timer may fire. Once the body has returned and nothing else keeps the event loop
   * turning, timers without a reference do not.
   */
  mayFire(isKept: boolean): boolean {
    return this.timers.some((timer) => isKept || timer.hasRef());
  }

  /** The timer that is due first, if any. */
  nextTimer(): ModelTimer | undefined {
    let next: ModelTimer | undefined;
    for (const timer of this.timers) {
      if (next === undefined || timer.dueMs < next.dueMs) next = timer;
    }
    return next;
  }

  timer(id: number): ModelTimer | undefined {
    return this.timers.find((t) => t.id === id) ?? this.turns.find((t) => t.id === id);
  }

  /** Runs what waits for an event; returns a description of the problem if nothing does. */
  deliver(op: number, number: number): string | undefined {
    if (op === OP_EVENT) {
      const resolve = this.resolvers[number];
      this.resolvers[number] = undefined;
      resolve?.('ok');
      return resolve === undefined ? 'an event came for no waiter' : undefined;
    }
    if (op !== OP_TIMER && op !== OP_TURN) return `stopped before its next access, ${OP_NAMES[op]}`;
    const timer = this.timer(number);
    if (timer === undefined) return 'a timer fired that was not set';
    this.fire(timer);
    return undefined;
  }

  fire(timer: ModelTimer): void {
    if (timer.dueMs > this.nowMs) this.nowMs = timer.dueMs;
    if (timer.periodMs > 0) timer.dueMs = this.nowMs + timer.periodMs;
    else this.stop(timer);
    timer.callback();
  }
}

function remove(timers: ModelTimer[], timer: unknown): void {
  const at = timers.indexOf(timer as ModelTimer);
  if (at >= 0) timers.splice(at, 1);
}
