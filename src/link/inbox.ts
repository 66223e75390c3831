// SPDX-License-Identifier: MIT
/** `Inbox`: the packets of a link that a program reads by `await` instead of by callbacks. */

import { type Linked, LinkedList } from '../base/linked-list.ts';
import { Runs } from '../base/runs.ts';
import { ensureStep } from '../base/stack.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../base/wait-guard.ts';
import { type HandleOptions, type Handler, Handling } from '../packet/handling.ts';
import type { Packet } from '../packet/index.ts';

/** Packets that wait in an inbox before its link pauses; also at most a buffer of bytes. */
const PACKETS_MAX = 64;

/** The part of a link that its inbox uses. */
export interface InboxOwner {
  /** The inbox is full: nothing more is to be read. */
  hold(): void;
  /** The inbox is empty again. Delivers nothing before it returns. */
  endHold(): void;
  /** Whether the program has paused the link. */
  isPaused(): boolean;
  /** Every packet before the peer's end was taken, and its handler has ended. */
  endTaken(): void;
  /** Why the link failed. */
  error(): Error | undefined;
  /** Whether the link has failed, and a reader gets what had arrived before it gets the error. */
  keepsRest(): boolean;
}

/** More packets may come. */
const READING = 0;
/** The peer has ended; packets may wait. */
const ENDED = 1;
/** The owner was told of that. */
const TOLD = 2;
/** The link has failed; what came before waits for its reader, who then gets the error. */
const BROKEN = 3;
/** No packet waits, and none comes. */
const CLOSED = 4;
/** A handler has failed. */
const FAILED = 5;
type InboxState =
  | typeof READING
  | typeof ENDED
  | typeof TOLD
  | typeof BROKEN
  | typeof CLOSED
  | typeof FAILED;

interface Taker<P> extends Linked<Taker<P>> {
  readonly resolve: (packet: P | undefined) => void;
  readonly reject: (reason: unknown) => void;
  guard: WaitGuard | undefined;
}

/**
 * Between a link's delivery and a program that awaits.
 *
 *   delivery ──push──▶ queue ──▶ receive, for await, handle
 *
 * The link does not read from when the queue is full until it is empty. While the program has
 * paused the link, the queue keeps what it has. The peer's end is handled in its place, after all
 * packets that came before it; so is a failure of the link, if a program reads.
 */
export class Inbox<P extends Packet = Packet> {
  readonly #owner: InboxOwner;
  readonly #bytesMax: number;
  readonly #queue: P[] = [];
  #head = 0;
  #bytes = 0;
  #isFull = false;
  /** The handler is being called, and may end the link; what it throws comes first. */
  #isGiving = false;
  #state: InboxState = READING;
  readonly #takers = new LinkedList<Taker<P>>();
  #handling: Handling | undefined;
  #finish: (() => void) | undefined;
  #fail: ((error: unknown) => void) | undefined;

  constructor(bytesMax: number, owner: InboxOwner) {
    this.#bytesMax = bytesMax;
    this.#owner = owner;
  }

  /** Puts a packet in. **Ownership** takes the packet. */
  push(packet: P): void {
    if (this.#state >= BROKEN) {
      packet.release();
      return;
    }
    const taker = this.#takers.first;
    if (taker !== undefined && this.#isEmpty) {
      this.#serve(taker, packet);
      return;
    }
    if (this.#handling !== undefined && this.#isEmpty && !this.#handling.isFull) {
      this.#give(packet);
      // The handler may have ended the link.
      if (this.#state !== READING) this.advance();
      return;
    }
    this.#queue.push(packet);
    this.#bytes += packet.length;
    if (this.#isFull || (this.#count < PACKETS_MAX && this.#bytes < this.#bytesMax)) return;
    this.#isFull = true;
    this.#owner.hold();
  }

  /** The peer has ended. No effect if no program reads any more. */
  pushEnd(): void {
    if (this.#state !== READING) return;
    this.#state = ENDED;
    this.advance();
  }

  /** Whether the link has failed, and a reader is to get what had arrived. */
  get keepsRest(): boolean {
    return this.#state < BROKEN && this.#owner.keepsRest();
  }

  /** The link delivers no more. What is queued is released, unless a reader is to get it. */
  close(): void {
    if (this.#state >= BROKEN) return;
    if (!this.keepsRest) {
      this.destroy();
      return;
    }
    this.#state = BROKEN;
    this.advance();
  }

  /** The program reads no more: releases what is queued and what comes later. */
  destroy(): void {
    if (this.#state < CLOSED) this.#state = CLOSED;
    while (!this.#isEmpty) this.#shift()?.release();
    this.advance();
  }

  /** Whether a handler has failed. */
  get isFailed(): boolean {
    return this.#state === FAILED;
  }

  tryReceive(): P | undefined {
    this.#checkFree();
    const packet = this.#next();
    if (packet === undefined && this.#isEmpty) this.#takeEnd();
    return packet;
  }

  receive(options?: WaitOptions): Promise<P | undefined> {
    let limits: ReturnType<typeof resolveWaitOptions>;
    try {
      limits = resolveWaitOptions(options);
      this.#checkFree();
    } catch (error) {
      return Promise.reject(error);
    }
    const packet = this.#takers.isEmpty ? this.#next() : undefined;
    if (packet !== undefined) return Promise.resolve(packet);
    return new Promise((resolve, reject) => {
      const taker: Taker<P> = {
        resolve,
        reject,
        guard: undefined,
        list: undefined,
        previous: undefined,
        next: undefined,
      };
      taker.guard = new WaitGuard(limits, 'receive', (reason) => {
        if (this.#takers.remove(taker)) reject(reason);
      });
      this.#takers.push(taker);
      // No other call while packets may come: one that threw would leave a caller that has gone.
      if (this.#state !== READING) this.advance();
    });
  }

  packets(onReturn: () => void): Runs<P> {
    return new Runs(
      () => this.take(),
      () => this.receive(),
      onReturn,
    );
  }

  /** The next packet, if it is there, and no earlier caller waits. */
  take(): P | undefined {
    this.#checkFree();
    return this.#takers.isEmpty ? this.#next() : undefined;
  }

  /** Makes a packet that was just taken the next one again. **Ownership** takes the packet. */
  putBack(packet: P): void {
    if (this.#state >= CLOSED) {
      packet.release();
      return;
    }
    this.#bytes += packet.length;
    if (this.#head > 0) this.#queue[--this.#head] = packet;
    else this.#queue.unshift(packet);
  }

  /** Calls the handler until the end; then resolves. Rejects with what a handler throws. */
  handle(handler: (packet: P) => unknown, options: HandleOptions | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkFree();
      if (!this.#takers.isEmpty) throw new TypeError('the link is read by receive() already');
      const advance = (): void => this.advance();
      this.#handling = new Handling(handler as Handler, options, advance, (error) => {
        this.#failed(error);
      });
      this.#finish = resolve;
      this.#fail = reject;
      this.advance();
    });
  }

  get #isEmpty(): boolean {
    return this.#count === 0;
  }

  get #count(): number {
    return this.#queue.length - this.#head;
  }

  /** Also that the stack has room to take a packet out, and to hand it over. */
  #checkFree(): void {
    ensureStep();
    if (this.#handling !== undefined) throw new TypeError('the link is read by handle() already');
  }

  /** The next packet, unless the link is paused: that of a link that has ended is not. */
  #next(): P | undefined {
    return this.#state < BROKEN && this.#owner.isPaused() ? undefined : this.#shift();
  }

  #shift(): P | undefined {
    const { length } = this.#queue;
    if (this.#head === length) return undefined;
    const packet = this.#queue[this.#head] as P;
    const bytes = packet.length;
    const isLast = this.#head + 1 === length;
    if (isLast && this.#isFull) this.#owner.endHold();
    // No call from here on: one that threw would lose the packet.
    this.#head++;
    this.#bytes -= bytes;
    if (isLast) {
      this.#queue.length = 0;
      this.#head = 0;
      this.#isFull = false;
    }
    return packet;
  }

  #give(packet: P): void {
    this.#isGiving = true;
    try {
      this.#handling?.give(packet, 0);
    } catch (error) {
      this.#failed(error);
    }
    this.#isGiving = false;
  }

  #serve(taker: Taker<P>, packet: P | undefined): void {
    this.#takers.remove(taker);
    taker.guard?.end();
    taker.resolve(packet);
  }

  /** Serves readers after packets, an end, a promise or a pause; ends all after the last packet. */
  advance(): void {
    for (let taker = this.#takers.first; taker !== undefined; taker = this.#takers.first) {
      const packet = this.#next();
      if (packet === undefined) break;
      this.#serve(taker, packet);
    }
    const handling = this.#handling;
    while (handling !== undefined && !handling.isFull) {
      const packet = this.#next();
      if (packet === undefined) break;
      this.#give(packet);
    }
    const isWanted =
      handling === undefined ? !this.#takers.isEmpty : !this.#isGiving && handling.running === 0;
    if (!isWanted || !this.#isEmpty) return;
    this.#takeEnd();
    if (this.#state === READING) return;
    const error = this.#owner.error();
    for (let taker = this.#takers.first; taker !== undefined; taker = this.#takers.first) {
      if (error === undefined) {
        this.#serve(taker, undefined);
        continue;
      }
      this.#takers.remove(taker);
      taker.guard?.end();
      taker.reject(error);
    }
    if (error !== undefined) this.#fail?.(error);
    else this.#finish?.();
  }

  #takeEnd(): void {
    if (this.#state !== ENDED) return;
    this.#state = TOLD;
    this.#owner.endTaken();
  }

  #failed(error: unknown): void {
    this.#state = FAILED;
    this.#fail?.(error);
    while (!this.#isEmpty) this.#shift()?.release();
  }
}
