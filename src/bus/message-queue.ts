// SPDX-License-Identifier: MIT
/** The messages that wait for one subscriber, first in, first out, with bounds. */

import { assert } from '../base/assert.ts';
import { NO_BUFFER } from '../pool/index.ts';
import type { BufferRun, BusMessage } from './bus-message.ts';
import type { ResolvedSubscription } from './bus-options.ts';

const CAPACITY_MIN = 16;

export class MessageQueue {
  readonly #limit: ResolvedSubscription;
  /** A ring whose length is a power of two. */
  #ring: (BusMessage | undefined)[] = [];
  #first: number = 0;
  #count: number = 0;
  /** Messages that were taken and are still in hand. */
  #inHand: number = 0;
  #bytes: number = 0;
  /** Buffers held: runs of messages in the same buffer, which messages of one publisher form. */
  #buffers: number = 0;
  #run: BufferRun = { bufferId: NO_BUFFER, held: 0 };

  constructor(limit: ResolvedSubscription) {
    this.#limit = limit;
  }

  /** Messages that wait. */
  get count(): number {
    return this.#count;
  }

  /** Messages that wait or are in hand. */
  get held(): number {
    return this.#count + this.#inHand;
  }

  get inHand(): number {
    return this.#inHand;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether another message may come. One may always come to an empty queue. */
  get hasRoom(): boolean {
    const { messages, bytes, buffers } = this.#limit;
    return (
      this.held === 0 || (this.held < messages && this.#bytes < bytes && this.#buffers < buffers)
    );
  }

  /** Whether it has half its room or more. */
  get isHalfEmpty(): boolean {
    const { messages, bytes, buffers } = this.#limit;
    return this.held * 2 <= messages && this.#bytes * 2 <= bytes && this.#buffers * 2 <= buffers;
  }

  /** **Ownership** the message's reference is the queue's. */
  push(message: BusMessage): void {
    if (this.#count === this.#ring.length) this.#grow();
    const { bufferId } = message;
    let run = this.#run;
    if (run.held === 0 || run.bufferId !== bufferId) {
      if (run.held > 0) this.#run = run = { bufferId, held: 0 };
      run.bufferId = bufferId;
      this.#buffers++;
    }
    run.held++;
    message.run = run;
    this.#ring[(this.#first + this.#count) & (this.#ring.length - 1)] = message;
    this.#count++;
    this.#bytes += message.length;
  }

  /** The first message, into the caller's hand; undefined if none waits. */
  take(): BusMessage | undefined {
    if (this.#count === 0) return undefined;
    const message = this.#shift();
    this.#inHand++;
    return message;
  }

  /** Drops the first message. */
  dropFirst(): void {
    const message = this.#shift();
    this.#forget(message.length, message.run);
    message.release();
  }

  /** A message that was in hand is done with. `length` and `run` are what it had. */
  done(length: number, run: BufferRun | undefined): void {
    assert(this.#inHand > 0, 'a message was taken before it is done with');
    this.#inHand--;
    this.#forget(length, run);
  }

  #forget(length: number, run: BufferRun | undefined): void {
    this.#bytes -= length;
    if (run !== undefined && --run.held === 0) this.#buffers--;
  }

  /** Drops all that wait. */
  clear(): void {
    while (this.#count > 0) this.dropFirst();
    this.#ring = [];
    this.#first = 0;
  }

  #shift(): BusMessage {
    const mask = this.#ring.length - 1;
    const at = this.#first & mask;
    const message = this.#ring[at] as BusMessage;
    this.#ring[at] = undefined;
    this.#first = (this.#first + 1) & mask;
    this.#count--;
    return message;
  }

  #grow(): void {
    const { length } = this.#ring;
    const ring = new Array<BusMessage | undefined>(Math.max(CAPACITY_MIN, 2 * length));
    for (let i = 0; i < this.#count; i++) ring[i] = this.#ring[(this.#first + i) & (length - 1)];
    ring.fill(undefined, this.#count);
    this.#ring = ring;
    this.#first = 0;
  }
}
