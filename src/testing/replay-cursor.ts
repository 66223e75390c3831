// SPDX-License-Identifier: MIT
/**
 * Model checker: how far a thread that runs again has come in its log. Up to the end of the log it
 * is given what it read before; what it does then is new.
 */

import { OP_EXCEPTION, OP_LIMIT, OP_NAMES, type StateLayout, T_LOG } from './machine-layout.ts';
import type { ThreadLog } from './thread-log.ts';

export class ReplayCursor {
  /** Calls since the last access that is logged. */
  calls = 0;
  /** What the access has learned that {@link differs} has looked at. */
  value = 0;
  readonly #log: ThreadLog;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  #thread = 0;
  #at = 0;
  #end = 0;

  constructor(log: ThreadLog, state: Int32Array, layout: StateLayout) {
    this.#log = log;
    this.#state = state;
    this.#layout = layout;
  }

  /** The thread runs again, from its beginning. */
  begin(thread: number): void {
    this.#thread = thread;
    this.#at = 0;
    this.skip();
    this.#at = 0;
  }

  /** All that is logged by now has happened. */
  skip(): void {
    this.#end = this.#state[this.#layout.thread(this.#thread) + T_LOG];
    this.#at = this.#end;
    this.calls = 0;
  }

  /** True while the thread does what it has done before. */
  get isBehind(): boolean {
    return this.#at < this.#end;
  }

  /** The next entry of the log: operation + OP_LIMIT · cell. */
  next(): number {
    this.calls = 0;
    return this.#log.signature(this.#thread, this.#at++);
  }

  /** Says how the access differs from the next entry of the log, which it should repeat. */
  differs(op: number, cell: number, operands: number): string | undefined {
    const at = this.#at;
    if (this.next() !== op + OP_LIMIT * cell) {
      return `${OP_NAMES[op]} where another access was before`;
    }
    if (this.#log.operands(this.#thread, at) !== operands) {
      return `${OP_NAMES[op]} with other values than before`;
    }
    this.value = this.#log.value(this.#thread, at);
    return undefined;
  }

  /** Counts a call; true if it threw before. */
  countCall(): boolean {
    const calls = ++this.calls;
    if (!this.isBehind) return false;
    const signature = this.#log.signature(this.#thread, this.#at);
    if (signature !== OP_EXCEPTION + OP_LIMIT * calls) return false;
    this.next();
    return true;
  }
}
