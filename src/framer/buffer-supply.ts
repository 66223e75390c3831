// SPDX-License-Identifier: MIT
/** Where a framer's buffers come from: its pool, a spare one, and a permit for both. */

import { assert } from '../base/assert.ts';
import { FRAMER } from '../pool/holder-layout.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import { type BufferAllowance, UNLIMITED } from './buffer-allowance.ts';

/**
 * Acquires a framer's buffers. The framer has one permit from the first buffer on until
 * {@link finish}, also while it briefly holds two.
 *
 * **Ownership** one reference on the spare buffer. One that was acquired is the framer's.
 */
export class BufferSupply {
  readonly #pool: BufferPool;
  /** The word that counts the references of the framer and of the spare buffer. */
  #held: number;
  #allowance: BufferAllowance = UNLIMITED;
  #hasPermit: boolean = false;
  /** A buffer that was provided, for the next {@link tryAcquire}. */
  #spare: BufferId = NO_BUFFER;

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.#held = pool.holder() + FRAMER;
  }

  /** Counts as part of that holder; before the first buffer. */
  holdAs(holder: number): void {
    this.#held = holder + FRAMER;
  }

  /** Takes permits of `allowance`, instead of any number; before the first one. */
  limitTo(allowance: BufferAllowance): void {
    assert(this.#allowance === UNLIMITED, 'a framer is limited once');
    assert(!this.#hasPermit, 'no permit was taken before');
    this.#allowance = allowance;
  }

  /** Takes over a buffer and its reference. False: there is a spare one already. */
  provide(bufferId: BufferId): boolean {
    if (this.#spare !== NO_BUFFER) return false;
    this.#hasPermit ||= this.#allowance.tryTake();
    this.#spare = bufferId;
    this.#pool.note(this.#held, 1);
    return true;
  }

  /** Takes over a permit that was waited for. */
  providePermit(): void {
    if (this.#hasPermit) this.#allowance.giveBack();
    this.#hasPermit = true;
  }

  /**
   * The spare buffer or a new one; with the framer's first buffer a permit is taken. NO_BUFFER: not
   * now. `holdsOne`: the framer has a buffer already, and so keeps its permit in any case.
   */
  tryAcquire(holdsOne: boolean): BufferId {
    const spare = this.#spare;
    if (spare !== NO_BUFFER) {
      this.#spare = NO_BUFFER;
      return spare;
    }
    this.#hasPermit ||= this.#allowance.tryTake();
    if (!this.#hasPermit) return NO_BUFFER;
    const bufferId = this.#pool.tryAcquire();
    if (bufferId !== NO_BUFFER) this.#pool.note(this.#held, 1);
    else if (!holdsOne) this.#returnPermit();
    return bufferId;
  }

  /** Releases a buffer of {@link tryAcquire}. */
  release(bufferId: BufferId): void {
    this.#pool.release(bufferId);
    this.#pool.note(this.#held, -1);
  }

  /** Releases the spare buffer, which the framer does not need now. */
  releaseSpare(): void {
    const spare = this.#spare;
    this.#spare = NO_BUFFER;
    if (spare !== NO_BUFFER) this.release(spare);
  }

  /** Called when the framer has released its buffer: releases the spare one and the permit. */
  finish(): void {
    this.releaseSpare();
    this.#returnPermit();
  }

  #returnPermit(): void {
    if (!this.#hasPermit) return;
    this.#hasPermit = false;
    this.#allowance.giveBack();
  }
}
