// SPDX-License-Identifier: MIT
/** Example broker: whether a client takes what waits for it, in time. */

/** What a link says of its output. */
export interface OutputLink {
  readonly bufferedBytes: number;
  stats(): { readonly bytesWritten: number };
}

/**
 * What waits at one time must be gone a deadline later. Looked at every now and then, so a client
 * may have as much longer as there is between two looks.
 */
export class WriteDeadline {
  readonly #deadlineMs: number;
  /** Since when it is looked at what waited then; undefined: nothing waited. */
  #sinceMs: number | undefined = undefined;
  /** So many bytes have been written in all when it is gone. */
  #bytesWritten: number = 0;

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs;
  }

  /** **Cost** of a client for which nothing waits, a load. */
  isMissed(nowMs: number, link: OutputLink): boolean {
    const { bufferedBytes } = link;
    if (bufferedBytes === 0) {
      this.#sinceMs = undefined;
      return false;
    }
    const { bytesWritten } = link.stats();
    if (this.#sinceMs !== undefined && bytesWritten < this.#bytesWritten) {
      return nowMs - this.#sinceMs >= this.#deadlineMs;
    }
    this.#sinceMs = nowMs;
    this.#bytesWritten = bytesWritten + bufferedBytes;
    return false;
  }
}
