// SPDX-License-Identifier: MIT
/**
 * Model checker: the position of a replayed thread in its log. Up to the end of the log its reads
 * return the logged values; after that its accesses are new.
 */

import { OP_EXCEPTION, OP_LIMIT, OP_NAMES, type StateLayout, T_LOG } from './machine-layout.ts';
import type { ThreadLog } from './thread-log.ts';

export class ReplayCursor {
  /** Calls since the last logged access. */
  calls = 0;
  /** The logged value of the access that {@link differs} has compared. */
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

  /** Begins to replay the thread. */
  begin(thread: number): void {
    this.#thread = thread;
    this.#at = 0;
    this.skip();
    this.#at = 0;
  }

  /** Moves to the end of the log. */
  skip(): void {
    this.#end = this.#state[this.#layout.thread(this.#thread) + T_LOG];
    this.#at = this.#end;
    this.calls = 0;
  }

  /** True while the thread repeats logged accesses. */
  get isBehind(): boolean {
    return this.#at < this.#end;
  }

  /** The next entry of the log: operation + OP_LIMIT · cell. */
  next(): number {
    this.calls = 0;
    return this.#log.signature(this.#thread, this.#at++);
  }

  /** Describes how the access differs from the next entry of the log; undefined if it does not. */
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
