// SPDX-License-Identifier: MIT
/** What links of every kind have in common: their life, and what ends it. */

import { offAbort, onAbort } from '../base/abort.ts';
import { assert } from '../base/assert.ts';
import { checkOptions, checkTimeoutMs } from '../base/check.ts';
import { startTimer, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { throwLater } from '../base/throw-later.ts';
import type { BufferPool } from '../pool/index.ts';
import type { CloseOptions, Link } from './link.ts';
import { CLOSED, LinkLife, OPEN, type Ready } from './link-life.ts';
import type { ResolvedSharedOptions } from './shared-options.ts';

/**
 * Runs a {@link LinkLife}: its deadline, its signal, and who waits for its end. What is to be done
 * with socket and buffers, each kind of link does in its own way.
 */
export abstract class LinkBase
  implements Pick<Link, 'pool' | 'error' | 'closed' | 'close' | 'destroy'>
{
  readonly pool: BufferPool;
  /** @internal */
  protected readonly life: LinkLife;
  readonly #closeDeadlineMs: number;
  readonly #signal: AbortSignal | undefined;
  #deadline: Timer | undefined;
  readonly #waiting: (() => void)[] = [];
  readonly #abort = (): void => this.act(this.life.aborted(this.#signal?.reason));

  /** @internal */
  protected constructor(
    pool: BufferPool,
    { closeDeadlineMs, signal }: ResolvedSharedOptions,
    allowHalfOpen: boolean,
  ) {
    this.pool = pool;
    this.life = new LinkLife(closeDeadlineMs, allowHalfOpen);
    this.#closeDeadlineMs = closeDeadlineMs;
    this.#signal = signal;
  }

  get error(): BusbarError | undefined {
    return this.life.error;
  }

  get closed(): boolean {
    return this.life.state === CLOSED;
  }

  close(options: CloseOptions = {}): Promise<void> {
    checkOptions('options', options, ['deadlineMs']);
    const wanted = options.deadlineMs ?? this.#closeDeadlineMs;
    const deadlineMs = checkTimeoutMs('deadlineMs', wanted);
    const done = new Promise<void>((resolve) => {
      if (this.life.state === CLOSED) resolve();
      else this.#waiting.push(resolve);
    });
    this.act(this.life.close(deadlineMs));
    return done;
  }

  destroy(): void {
    this.act(this.life.destroy());
  }

  /** Closes in good order. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Once all its parts are there: from now on its signal ends the link. */
  protected heedSignal(): void {
    const signal = this.#signal;
    if (signal?.aborted) queueMicrotask(this.#abort);
    else if (signal !== undefined) onAbort(signal, this.#abort);
  }

  /** @internal Does what the life says. */
  protected act(ready: Ready): void {
    if (ready.deadlineMs !== undefined) this.#startDeadline(ready.deadlineMs);
    if (ready.stopReading) this.stopReading();
    if (ready.sendRest) this.sendRest();
    if (ready.sendEnd) {
      assert(!ready.sendRest, 'the end comes after the rest');
      this.sendEnd();
    }
    if (ready.release) {
      assert(this.life.isGone, 'who is released is gone');
      stopTimer(this.#deadline);
      if (this.#signal !== undefined) offAbort(this.#signal, this.#abort);
      this.release();
    }
    if (ready.tellClosed) {
      assert(this.life.state === CLOSED, 'onClose comes last');
      for (const resolve of this.#waiting) resolve();
      this.tellClosed();
    }
  }

  /** @internal **Throws** ERR_BUSBAR_LINK_CLOSED. */
  protected checkOpen(): void {
    if (this.life.state !== OPEN) throw new BusbarError('ERR_BUSBAR_LINK_CLOSED');
  }

  /** @internal Closes the link for what its handler threw, and throws that on. */
  protected handlerFailed(error: unknown): never {
    this.act(this.life.handlerThrew(error));
    throw error;
  }

  /**
   * @internal Calls the handler. What it throws closes the link, and is not thrown from here:
   * whoever sends or reads, maybe for another link, has nothing to do with it.
   */
  protected tell(what: () => void): void {
    try {
      what();
    } catch (error) {
      this.act(this.life.handlerThrew(error));
      throwLater(error);
    }
  }

  /** @internal The same, unless the program writes no more. */
  protected tellIfOpen(what: () => void): void {
    if (this.life.state === OPEN) this.tell(what);
  }

  #startDeadline(deadlineMs: number): void {
    stopTimer(this.#deadline);
    if (deadlineMs === Infinity) return;
    this.#deadline = startTimer(deadlineMs, () => this.act(this.life.deadlineOver()));
  }

  // ── What each kind does in its own way: see the fields of Ready ───────────────────────────────

  /** @internal */
  protected abstract stopReading(): void;
  /** @internal Called by the link itself, too, when there is room again. */
  protected abstract sendRest(): void;
  /** @internal */
  protected abstract sendEnd(): void;
  /** @internal */
  protected abstract release(): void;
  /** @internal */
  protected abstract tellClosed(): void;
}
