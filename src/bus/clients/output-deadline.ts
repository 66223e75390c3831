// SPDX-License-Identifier: MIT
/** A deadline by which a client must have taken the output that waits for it. */

/** The counters of a link's output. */
export interface OutputLink {
  readonly queuedBytes: number;
  stats(): { readonly bytesWritten: number };
}

/**
 * Output that waits at one time must be written within the deadline. Checked at intervals, so a
 * client may take one interval longer.
 */
export class OutputDeadline {
  readonly #deadlineMs: number;
  /** When the output now being watched was seen waiting; undefined: nothing waited. */
  #sinceMs: number | undefined = undefined;
  /** Total of bytes written once that output is gone. */
  #bytesWritten: number = 0;

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs;
  }

  /** **Cost** one load if nothing waits. */
  isMissed(nowMs: number, link: OutputLink): boolean {
    const { queuedBytes } = link;
    if (queuedBytes === 0) {
      this.#sinceMs = undefined;
      return false;
    }
    const { bytesWritten } = link.stats();
    if (this.#sinceMs !== undefined && bytesWritten < this.#bytesWritten) {
      return nowMs - this.#sinceMs >= this.#deadlineMs;
    }
    this.#sinceMs = nowMs;
    this.#bytesWritten = bytesWritten + queuedBytes;
    return false;
  }
}
