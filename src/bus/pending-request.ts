// SPDX-License-Identifier: MIT
/** A request that waits: for room to be published, and then for its reply. */

import { BusbarError } from '../base/errors.ts';
import { WaitGuard } from '../base/wait-guard.ts';
import type { BusMessage } from './bus-message.ts';
import type { RequestOptions } from './bus-options.ts';
import type { Envelope } from './envelope.ts';
import type { Attempt } from './waiting-publishers.ts';

/** The part of a bus that a request uses. */
export interface RequestHome {
  /** What the subjects of its replies begin with. */
  readonly inbox: string;
  /** Publishes it. Returns the number of subscribers, less than 0: not now. */
  send(request: PendingRequest): number;
  /** It has ended. */
  forget(request: PendingRequest): void;
}

export class PendingRequest implements Attempt {
  readonly subject: string;
  /** No other request of the bus has it. */
  readonly number: number;
  readonly envelope: Envelope;
  /** The subject of its reply, which ends with the number. */
  readonly reply: string;
  readonly #home: RequestHome;
  #guard: WaitGuard | undefined = undefined;
  #resolve: ((message: BusMessage) => void) | undefined = undefined;
  #reject: ((error: unknown) => void) | undefined = undefined;

  constructor(home: RequestHome, subject: string, number: number, headers: Envelope['headers']) {
    this.#home = home;
    this.subject = subject;
    this.number = number;
    this.reply = `${home.inbox}${number}`;
    this.envelope = { reply: this.reply, headers };
  }

  /** Resolves with the reply. Called once. */
  wait({ signal, timeoutMs }: RequestOptions): Promise<BusMessage> {
    if (signal !== undefined || timeoutMs !== undefined) {
      const limits = { signal, timeoutMs: timeoutMs ?? Infinity };
      const what = `request to ${this.subject}`;
      this.#guard = new WaitGuard(limits, what, (reason) => this.fail(reason));
    }
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  run(): boolean {
    const count = this.#home.send(this);
    if (count === 0) this.fail(new BusbarError('ERR_BUSBAR_NO_RESPONDERS', this.subject));
    return count >= 0;
  }

  /** **Ownership** the message is the caller's of {@link wait}. */
  answer(message: BusMessage): void {
    this.#end();
    this.#resolve?.(message);
  }

  fail(error: unknown): void {
    this.#end();
    this.#reject?.(error);
  }

  #end(): void {
    this.#guard?.end();
    this.#home.forget(this);
  }
}
