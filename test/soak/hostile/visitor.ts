// SPDX-License-Identifier: MIT
/** Hostile soak: the connection of one hostile client, with its duration. */

import { connect, type Socket } from 'node:net';

/** Before it says more, the broker has read all but so much. */
const WAITING_BYTES_MAX = 1 << 20;
const NIBBLE_BYTES = 64 * 1024;

/** Connections of all visitors of this thread so far. */
export const traffic: { opened: number; left: number } = { opened: 0, left: 0 };

export class Visitor {
  readonly number: number;
  readonly #port: number;
  readonly #untilMs: number;
  #socket: Socket;
  /** A pending wait. */
  readonly #waking: Set<() => void> = new Set();
  readonly #timer: NodeJS.Timeout;
  #isOver: boolean = false;
  #isReading: boolean = true;

  /** Stays for so long, unless it is cut off. */
  constructor(port: number, number: number, stayMs: number, signal: AbortSignal) {
    this.#port = port;
    this.number = number;
    this.#untilMs = performance.now() + stayMs;
    this.#socket = this.#connect();
    this.#timer = setTimeout(() => this.#end(), stayMs);
    signal.addEventListener('abort', this.#onAbort);
    this.#signal = signal;
  }
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => this.#end();

  /** The visit is not over, and the broker has not closed the connection. */
  get isWelcome(): boolean {
    return !this.#isOver && !this.#socket.destroyed && performance.now() < this.#untilMs;
  }

  say(text: string): void {
    this.#socket.write(Buffer.from(text, 'latin1'));
  }

  /** Says it, and waits until there is room for more, or the visit is over. */
  async sayAll(text: string): Promise<void> {
    this.say(text);
    while (this.isWelcome && this.#socket.writableLength > WAITING_BYTES_MAX) await this.#wake();
    // Others on this thread have their turn.
    await new Promise(setImmediate);
  }

  pause(): void {
    this.#isReading = false;
    this.#socket.pause();
  }

  resume(): void {
    this.#isReading = true;
    this.#socket.resume();
  }

  /** A little, of what has arrived. */
  readSome(): void {
    this.#socket.read(Math.min(NIBBLE_BYTES, this.#socket.readableLength)) ?? this.#socket.read();
  }

  async rest(ms: number): Promise<void> {
    const timer = setTimeout(() => this.#wakeAll(), ms);
    await this.#wake();
    clearTimeout(timer);
  }

  async untilOver(): Promise<void> {
    while (this.isWelcome) await this.#wake();
  }

  /** Leaves, by a reset or not, and comes again. */
  async again(withReset: boolean): Promise<void> {
    if (this.#socket.connecting) await this.#wake();
    await this.#leave(withReset);
    if (!this.#isOver) this.#socket = this.#connect();
  }

  /** Is gone for good. */
  async leave(withReset: boolean): Promise<void> {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#end();
    await this.#leave(withReset);
  }

  async #leave(withReset: boolean): Promise<void> {
    const socket = this.#socket;
    if (socket.closed) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (withReset && !socket.connecting) socket.resetAndDestroy();
    else socket.destroy();
    await closed;
  }

  #connect(): Socket {
    const socket = connect(this.#port, '127.0.0.1');
    const wake = (): void => this.#wakeAll();
    traffic.opened++;
    socket
      .on('connect', wake)
      .on('drain', wake)
      .on('close', () => {
        traffic.left++;
        wake();
      })
      .on('error', () => {});
    if (this.#isReading) socket.resume();
    return socket;
  }

  #end(): void {
    this.#isOver = true;
    this.#wakeAll();
  }

  #wake(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => this.#waking.add(resolve));
  }

  #wakeAll(): void {
    for (const wake of this.#waking) wake();
    this.#waking.clear();
  }
}
