// SPDX-License-Identifier: MIT
/** Soak: keeps a fixed number of messages in flight, so that the load adapts to what it tests. */

import { sharedNowMs } from '../../bench/broker/shared-clock.ts';

/** Writes message `number`; false: not now. */
export type SendOne = (number: number, nowMs: number) => boolean;

/** Interval at which a send that had no room is tried again. */
const RETRY_MS = 20;

export class Window {
  readonly #size: number;
  readonly #copies: number;
  readonly #sendOne: SendOne;
  #sent: number = 0;
  /** Copies. */
  #confirmed: number = 0;
  #isOpen: boolean = false;
  #retry: NodeJS.Timeout | undefined = undefined;
  #whenEmpty: () => void = () => {};

  /** `size`: messages on their way; `copies`: to how many places each goes. */
  constructor(size: number, copies: number, sendOne: SendOne) {
    this.#size = size;
    this.#copies = copies;
    this.#sendOne = sendOne;
  }

  start(): void {
    this.#isOpen = true;
    this.#retry = setInterval(() => this.#fill(), RETRY_MS);
    this.#fill();
  }

  /** A copy has arrived where it should. */
  confirm(): void {
    this.#confirmed++;
    const { waiting } = this;
    if (this.#isOpen && waiting <= this.#size >> 1) this.#fill();
    if (waiting === 0) this.#whenEmpty();
  }

  /** Messages on their way, of which a copy may have arrived. */
  get waiting(): number {
    return this.#sent - Math.floor(this.#confirmed / this.#copies);
  }

  /** Sends up to `count`, as far as there is room. */
  send(count: number, nowMs: number): void {
    for (let i = 0; i < count && this.#sendOne(this.#sent, nowMs); i++) this.#sent++;
  }

  /** Sends no more, and resolves when all have arrived. */
  async finish(): Promise<void> {
    this.#isOpen = false;
    clearInterval(this.#retry);
    if (this.waiting === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  /** Stops, without waiting for messages in flight. */
  destroy(): void {
    this.#isOpen = false;
    clearInterval(this.#retry);
    this.#whenEmpty();
  }

  #fill(): void {
    this.send(this.#size - this.waiting, sharedNowMs());
  }
}
