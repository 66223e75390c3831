// SPDX-License-Identifier: MIT
/** `LinkBase`: base class of TCP and UDP links. Runs the life cycle: closing, deadline, signal. */

import { offAbort, onAbort } from '../base/abort.ts';
import { assert } from '../base/assert.ts';
import { checkOptions, checkTimeoutMs } from '../base/check.ts';
import { startTimer, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { eventChannel, publish } from '../base/events.ts';
import { throwLater } from '../base/throw-later.ts';
import type { BufferPool } from '../pool/index.ts';
import type { CloseOptions, Link } from './link.ts';
import { CLOSED, LinkLife, OPEN, type Ready } from './link-life.ts';
import type { ResolvedSharedOptions } from './shared-options.ts';

const closed = eventChannel('busbar.link.close');
let linkCount = 0;

/**
 * The life of a link: its deadline, its signal, the callers that wait for its end. Each kind of
 * link implements what concerns its socket and buffers.
 */
export abstract class LinkBase
  implements Pick<Link, 'pool' | 'error' | 'closed' | 'close' | 'destroy'>
{
  readonly pool: BufferPool;
  /** The option `name`; else 'link ' and a number of this thread. */
  readonly name: string;
  /** @internal Counts what it holds, for `pool.who()`. */
  protected holder: number = -1;
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
    { closeDeadlineMs, signal, name }: ResolvedSharedOptions,
    allowHalfOpen: boolean,
  ) {
    this.pool = pool;
    this.name = name === '' ? `link ${++linkCount}` : name;
    this.life = new LinkLife(closeDeadlineMs, allowHalfOpen);
    this.#closeDeadlineMs = closeDeadlineMs;
    this.#signal = signal;
  }

  /** @internal For `inspect`. */
  get inBrief(): object {
    return { name: this.name, closed: this.closed };
  }

  get error(): BusbarError | undefined {
    return this.life.error;
  }

  /** @internal Whether the program may write. */
  get isOpen(): boolean {
    return this.life.state === OPEN;
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

  /**
   * @internal Called once all parts of the link exist: from then on they count under its name in
   * `pool.who()`, and its signal can end it.
   */
  protected begin(parts: readonly { holdAs(holder: number): void }[]): void {
    this.holder = this.pool.holder(this.name);
    for (const part of parts) part.holdAs(this.holder);
    const signal = this.#signal;
    if (signal?.aborted) queueMicrotask(this.#abort);
    else if (signal !== undefined) onAbort(signal, this.#abort);
  }

  /** @internal Called before the actions of each step of a link that is not open any more. */
  protected noLongerOpen(): void {}

  /** @internal Carries out what the automaton returned. */
  protected act(ready: Ready): void {
    if (this.life.state !== OPEN) this.noLongerOpen();
    if (ready.deadlineMs !== undefined) this.#startDeadline(ready.deadlineMs);
    if (ready.stopReading) this.stopReading();
    if (ready.sendRest) this.sendRest();
    if (ready.sendEnd) {
      assert(!ready.sendRest, 'the end is sent after the rest');
      this.sendEnd();
    }
    if (ready.release) {
      assert(this.life.isGone, 'only an ended link is released');
      stopTimer(this.#deadline);
      if (this.#signal !== undefined) offAbort(this.#signal, this.#abort);
      this.release();
    }
    if (ready.notifyClosed) {
      assert(this.life.state === CLOSED, 'onClose comes last');
      if (this.holder >= 0) this.pool.closeHolder(this.holder);
      for (const resolve of this.#waiting) resolve();
      if (closed.hasSubscribers) publish(closed, { link: this, error: this.error });
      this.notifyClosed();
    }
  }

  /** @internal **Throws** ERR_BUSBAR_LINK_CLOSED. */
  protected checkOpen(): void {
    if (this.life.state !== OPEN) throw new BusbarError('ERR_BUSBAR_LINK_CLOSED');
  }

  /** @internal Closes the link because its handler threw `error`, and rethrows that. */
  protected handlerFailed(error: unknown): never {
    this.act(this.life.handlerThrew(error));
    throw error;
  }

  /**
   * @internal Calls the handler. If it throws, the link is closed, and the exception is rethrown
   * from a microtask, not from here: the caller may be sending or reading for another link.
   */
  protected notify(what: () => void): void {
    try {
      what();
    } catch (error) {
      this.act(this.life.handlerThrew(error));
      throwLater(error);
    }
  }

  /** @internal {@link notify}, but only while the program may write. */
  protected notifyIfOpen(what: () => void): void {
    if (this.life.state === OPEN) this.notify(what);
  }

  #startDeadline(deadlineMs: number): void {
    stopTimer(this.#deadline);
    if (deadlineMs === Infinity) return;
    this.#deadline = startTimer(deadlineMs, () => this.act(this.life.deadlineOver()));
  }

  // ── Implemented by each kind of link: see the fields of Ready ─────────────────────────────────

  /** @internal */
  protected abstract stopReading(): void;
  /** @internal Also called by the link itself when there is room again. */
  protected abstract sendRest(): void;
  /** @internal */
  protected abstract sendEnd(): void;
  /** @internal */
  protected abstract release(): void;
  /** @internal */
  protected abstract notifyClosed(): void;
}
