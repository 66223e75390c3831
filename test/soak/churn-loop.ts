// SPDX-License-Identifier: MIT
/** Soak: visitors, one after the other. */

import type { Tally } from './tally.ts';

/**
 * Between two visits: the system keeps the port of a closed connection for a minute, and has some
 * 28 000 of them.
 */
const PAUSE_MS = 20;

export class ChurnLoop {
  readonly #visit: () => Promise<void>;
  readonly #tally: Tally;
  #ended: Promise<void> | undefined = undefined;
  #isOver: boolean = false;

  /** What `visit` throws is a complaint. */
  constructor(visit: () => Promise<void>, tally: Tally) {
    this.#visit = visit;
    this.#tally = tally;
  }

  start(): void {
    this.#ended = this.#run();
  }

  /** Resolves when the present visit is over. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#visit();
      } catch (error) {
        this.#tally.complain((error as Error).message);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
