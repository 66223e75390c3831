// SPDX-License-Identifier: MIT
/** `Phased`: a primitive that comes to an end, or for which one thread runs something. */

import {
  compareExchange,
  compareExchangeThenStore,
  loadAcquire,
  type Words,
} from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import type { BufferPool } from '../pool/index.ts';
import type { Asker } from '../pool/liveness.ts';
import { DIED, DONE, OPEN, PHASE, RUNNING, RUNS } from './phase-layout.ts';
import { Primitive } from './primitive.ts';
import { HELD, STATE, WAITED } from './sync-layout.ts';

/** What countdowns, wait groups, barriers, onces and gates have in common. */
export abstract class Phased extends Primitive {
  /** First word of what this thread holds. */
  protected readonly held: number;

  protected constructor(pool: BufferPool, words: Words) {
    super(pool, words, 'first come');
    this.held = this.waiters.seat + HELD;
    this.waiters.join();
  }

  /** The STATE after this one when `HELD` of a dead thread comes back, without `died`. */
  protected abstract withoutDead(state: number, held: number): number;

  /** True if a caller that waits has to wait on. */
  protected abstract isPending(state: number): boolean;

  /** @internal */
  override get isHeldHere(): boolean {
    return (this.words[this.held] & RUNS) !== 0;
  }

  /** @internal */
  override armRing(): boolean {
    const { words } = this;
    const state = loadAcquire(words, STATE);
    if (!this.isPending(state)) return false;
    return state < 0 || compareExchange(words, STATE, state, state | WAITED) === state;
  }

  protected override recoverDead(asker: Asker): boolean {
    const freed = this.waiters.recover(asker);
    if (freed > 0) this.waiters.ringAll();
    return freed > 0;
  }

  protected override passRingOn(): void {
    // One waiter was rung for what all of them wait for.
    if (!this.isPending(loadAcquire(this.words, STATE))) this.waiters.ringFirst();
  }

  /** One indivisible call, so another thread can continue if this one dies here. */
  protected override inherit(seat: number): void {
    const { words } = this;
    for (;;) {
      const held = words[seat + HELD];
      if (held === 0) return;
      const state = loadAcquire(words, STATE);
      const next = this.withoutDead(state, held);
      const told = next === state ? state : next | DIED;
      compareExchangeThenStore(words, STATE, state, told, seat + HELD, 0);
    }
  }

  /** Changes STATE and what this thread holds, or neither. Returns whether it did. */
  protected swap(state: number, next: number, held: number): boolean {
    // SYNC(sync-state): publishes what this thread wrote before; sees what earlier threads wrote.
    return compareExchangeThenStore(this.words, STATE, state, next, this.held, held) === state;
  }

  /** Ends what this thread runs, and stores `fields`. **Throws** ERR_BUSBAR_NOT_OWNER. */
  protected endRun(phase: number, fields: number, what: string): void {
    const { words, waiters } = this;
    if (!this.pool.isAttached) this.pool.checkAttached();
    if (!this.isHeldHere) throw new BusbarError('ERR_BUSBAR_NOT_OWNER', what);
    ensureStep();
    for (;;) {
      const state = loadAcquire(words, STATE);
      const waited = phase === OPEN ? state & WAITED : 0;
      const next = (state & DIED) | phase | waited | fields;
      if (!this.swap(state, next, words[this.held] & ~RUNS)) continue;
      if (state >= 0) return;
      if (phase === OPEN) waiters.owe();
      else waiters.oweAll();
      return;
    }
  }

  protected get phase(): number {
    return loadAcquire(this.words, STATE) & PHASE;
  }

  protected get hasDied(): boolean {
    return (loadAcquire(this.words, STATE) & DIED) !== 0;
  }
}

/** A phase by its name, for inspection. */
export function nameOf(phase: number, failed: string): string {
  if (phase === OPEN) return 'open';
  if (phase === RUNNING) return 'running';
  return phase === DONE ? 'done' : failed;
}
