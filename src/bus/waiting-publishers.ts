// SPDX-License-Identifier: MIT
/** Calls that wait until they can publish: in order for each subject, bounded in number. */

import { BusbarError } from '../base/errors.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import type { BufferPool } from '../pool/index.ts';

/** One call. */
export interface Attempt {
  readonly subject: string;
  /** Publishes. False: not now. */
  run(): boolean;
  /** What `run` threw, or why it can never succeed. */
  fail(error: unknown): void;
}

/** No waiting attempt lacks a buffer. */
const ENOUGH = 'enough';
/** The last attempt found none. */
const LACKING = 'lacking';
/** This object waits in the pool's queue for one. */
const AWAITING = 'awaiting';
type BufferNeed = typeof ENOUGH | typeof LACKING | typeof AWAITING;

interface Limits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

export class WaitingPublishers {
  readonly #pool: BufferPool;
  readonly #countMax: number;
  #attempts: Attempt[] = [];
  readonly #closed: AbortController = new AbortController();
  #buffers: BufferNeed = ENOUGH;
  #isRetrying: boolean = false;
  /** Room has come while the attempts were tried, perhaps for one that was tried before. */
  #isAskedAgain: boolean = false;
  readonly #onIdle: (() => void)[] = [];

  constructor(pool: BufferPool, countMax: number) {
    this.#pool = pool;
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#attempts.length;
  }

  /** Whether an earlier call waits to publish to this subject. */
  isAhead(subject: string): boolean {
    return this.#attempts.length > 0 && this.#attempts.some((each) => each.subject === subject);
  }

  /** Tries at once, and otherwise later. **Throws** nothing: it fails by `fail`. */
  start(attempt: Attempt): void {
    this.#forgetLack();
    if (!this.isAhead(attempt.subject) && settled(attempt)) return;
    if (this.#attempts.length >= this.#countMax) {
      const text = `${this.#countMax} calls wait already`;
      attempt.fail(new BusbarError('ERR_BUSBAR_BUS_CROWDED', text));
      return;
    }
    this.#attempts.push(attempt);
    this.#awaitBuffer();
  }

  /** Like {@link start}, as a promise. */
  async until(subject: string, options: Limits, run: () => boolean): Promise<void> {
    const limits = resolveWaitOptions(withoutUndefined(options));
    await new Promise<void>((resolve, reject) => {
      const finish = (): boolean => {
        if (!run()) return false;
        guard.end();
        resolve();
        return true;
      };
      const fail = (error: unknown): void => {
        guard.end();
        reject(error);
      };
      const attempt = { subject, run: finish, fail };
      const guard = new WaitGuard(limits, `publish to ${subject}`, (reason) => {
        this.withdraw(attempt);
        reject(reason);
      });
      this.start(attempt);
    });
  }

  /** Ends the wait of an attempt; ignores one that does not wait. */
  withdraw(attempt: Attempt): void {
    const at = this.#attempts.indexOf(attempt);
    if (at < 0) return;
    this.#attempts.splice(at, 1);
    this.#tellIfIdle();
  }

  /** There may be room: each tries again, in order. */
  retry(): void {
    if (this.#attempts.length === 0) return;
    this.#isAskedAgain = true;
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    try {
      while (this.#isAskedAgain) {
        this.#isAskedAgain = false;
        this.#tryEach();
      }
    } finally {
      this.#isRetrying = false;
    }
    if (this.#attempts.length > 0) this.#awaitBuffer();
  }

  #tryEach(): void {
    this.#forgetLack();
    const blocked: Set<string> = new Set();
    for (const attempt of this.#attempts.slice()) {
      const { subject } = attempt;
      if (blocked.has(subject) || !this.#attempts.includes(attempt)) continue;
      if (settled(attempt)) this.withdraw(attempt);
      else blocked.add(subject);
    }
  }

  /** An attempt found no free buffer. */
  noteLack(): void {
    if (this.#buffers === ENOUGH) this.#buffers = LACKING;
  }

  #forgetLack(): void {
    if (this.#buffers === LACKING) this.#buffers = ENOUGH;
  }

  /** If an attempt lacks a buffer, tries again once one is free. Keeps the event loop alive. */
  #awaitBuffer(): void {
    if (this.#buffers !== LACKING || this.#closed.signal.aborted) return;
    this.#buffers = AWAITING;
    this.#pool.acquire({ signal: this.#closed.signal }).then(
      (bufferId) => {
        this.#buffers = ENOUGH;
        this.#pool.release(bufferId);
        this.retry();
      },
      () => {
        this.#buffers = ENOUGH;
        // The pool was closed: the attempts fail by that.
        if (!this.#closed.signal.aborted) this.retry();
      },
    );
  }

  /** Resolves when the calls that wait now have ended. */
  async idle(): Promise<void> {
    if (this.#attempts.length === 0) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  close(error: unknown): void {
    this.#closed.abort();
    for (const attempt of this.#attempts.splice(0)) attempt.fail(error);
    this.#tellIfIdle();
  }

  #tellIfIdle(): void {
    if (this.#attempts.length > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}

/** Whether the attempt has published, or failed for good. */
function settled(attempt: Attempt): boolean {
  try {
    return attempt.run();
  } catch (error) {
    attempt.fail(error);
    return true;
  }
}

function withoutUndefined(options: Limits): WaitOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
