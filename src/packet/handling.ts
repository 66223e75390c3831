// SPDX-License-Identifier: MIT
/** `Handling`: calls a handler that may take its time, for a bounded number of packets at once. */

import { checkFunction, checkInteger, checkOptions } from '../base/check.ts';
import type { Packet } from './packet.ts';

/** How packets are handed to a handler that may return a promise. */
export interface HandleOptions {
  /**
   * Packets that may be under way at once: 1 … 65536. The default, 1, keeps their order; with more,
   * handlers begin in order, and end as they like. Meanwhile nothing more is read.
   */
  readonly concurrency?: number;
  /**
   * Called when a handler throws or rejects, with the packet, which is released afterwards.
   * Default: what is read from ends with the error.
   */
  readonly onError?: (error: unknown, packet: Packet) => void;
}

/** Takes a packet over, at once or by the time its promise settles. */
export type Handler = (packet: never, from: number) => unknown;

const CONCURRENCY_MAX = 65536;

/**
 * Packets under way.
 *
 * **Ownership** a packet is the handler's; if the handler fails and has not released the packet,
 * this does, or puts it into `failed`.
 */
export class Handling {
  /** How many packets are under way. */
  running = 0;
  readonly #handler: Handler;
  readonly #concurrency: number;
  readonly #onError: ((error: unknown, packet: Packet) => void) | undefined;
  readonly #onSettled: () => void;
  readonly #onFailed: (error: unknown) => void;
  readonly #failed: Packet[] | undefined;
  readonly #settled = (): void => this.#settle();

  /**
   * `onSettled` is called after each promise, `onFailed` with what no `onError` takes; `failed`
   * gets the packets of such failures.
   */
  constructor(
    handler: Handler,
    options: HandleOptions | undefined,
    onSettled: () => void,
    onFailed: (error: unknown) => void,
    failed?: Packet[],
  ) {
    this.#handler = checkFunction('handler', handler);
    const own = checkOptions('options', options === undefined ? {} : options, [
      'concurrency',
      'onError',
    ]);
    this.#concurrency = checkInteger('concurrency', own.concurrency ?? 1, 1, CONCURRENCY_MAX);
    if (own.onError !== undefined) checkFunction('onError', own.onError);
    this.#onError = own.onError;
    this.#onSettled = onSettled;
    this.#onFailed = onFailed;
    this.#failed = failed;
  }

  /** Whether no further packet may be given now. */
  get isFull(): boolean {
    return this.running >= this.#concurrency;
  }

  /** Calls the handler. **Throws** what it throws, unless there is `onError`. */
  give(packet: Packet, from: number): void {
    let settled: Promise<unknown>;
    try {
      const result = this.#handler(packet as never, from) as PromiseLike<unknown> | undefined;
      if (typeof result?.then !== 'function') return;
      // A foreign `then` may throw, or call back twice.
      settled = Promise.resolve(result);
    } catch (error) {
      this.#fail(error, packet);
      return;
    }
    this.running++;
    settled.then(this.#settled, (error: unknown) => {
      try {
        this.#fail(error, packet);
      } catch (thrown) {
        this.#onFailed(thrown);
      }
      this.#settle();
    });
  }

  #fail(error: unknown, packet: Packet): void {
    const isKept = this.#onError === undefined && this.#failed !== undefined;
    try {
      if (this.#onError === undefined) throw error;
      this.#onError(error, packet);
    } finally {
      if (isKept) this.#failed?.push(packet);
      else if (!packet.released) packet.release();
    }
  }

  #settle(): void {
    this.running--;
    this.#onSettled();
  }
}
