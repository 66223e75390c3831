// SPDX-License-Identifier: MIT
/** What the conformance suite asks of a party of a bus, wherever that runs. */
import type { BusStats, Headers, Overflow, SubscriptionLimit } from 'busbar/bus';

/** A message as a subscriber saw it. */
export interface Got {
  readonly subject: string;
  readonly text: string;
  readonly source: string;
  readonly sequence: number;
  readonly reply: string | undefined;
  readonly headers: Headers | undefined;
  /** Where its bytes lay. */
  readonly offset: number;
}

export interface Wish {
  /**
   * 'handler' (default) handles at once; 'gated' is asynchronous, and waits until it is opened; a
   * 'loop' gets messages by `take`.
   */
  readonly kind?: 'handler' | 'gated' | 'loop';
  readonly queue?: string;
  readonly max?: number;
  readonly limit?: SubscriptionLimit;
  readonly overflow?: Overflow;
  /** Replies with this and the message's text. */
  readonly respond?: string;
  /** Its handler throws, of each message. */
  readonly throws?: boolean;
}

export interface Sending {
  readonly headers?: Headers;
  readonly reply?: string;
  readonly as?: 'text' | 'bytes' | 'packet';
}

export interface Asking {
  readonly timeoutMs?: number;
  readonly headers?: Headers;
  readonly max?: number;
  /** Aborts it as soon as it was made. */
  readonly abort?: boolean;
}

/** 'sent', 'not now', or the code or text of the error. */
export type Outcome = string;

export interface SubscriptionState {
  readonly state: string;
  readonly delivered: number;
  readonly dropped: number;
  readonly held: number;
  /** Codes of what its `onError` was told. */
  readonly failures: readonly string[];
}

export interface Party {
  /** Resolves once every bus knows of it. '' or the code of the error. */
  subscribe(id: string, pattern: string, wish?: Wish): Promise<Outcome>;
  unsubscribe(id: string): Promise<void>;
  /** Resolves once the subscription has handled what waits. */
  drainOne(id: string): Promise<void>;
  /** What a subscription has handled. */
  got(id: string): Promise<readonly Got[]>;
  /** The next messages of a loop; the code of the error with which it ends. */
  take(id: string, count: number): Promise<readonly (Got | Outcome)[]>;
  /** Lets the handler of a gated subscription return, now and from now on. */
  open(id: string): Promise<void>;
  state(id: string): Promise<SubscriptionState>;
  tryPublish(subject: string, text: string, sending?: Sending): Promise<Outcome>;
  publish(subject: string, text: string, sending?: Sending): Promise<Outcome>;
  /** Publishes `${from}` … `${to - 1}`, by turns as text, bytes and packets. */
  publishNumbers(subject: string, from: number, to: number): Promise<Outcome>;
  request(subject: string, text: string, asking?: Asking): Promise<Got | Outcome>;
  replies(subject: string, text: string, asking?: Asking): Promise<readonly (Got | Outcome)[]>;
  flush(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
  stats(): Promise<BusStats>;
  /** Closes all subscriptions. */
  reset(): Promise<void>;
}

/** The parties of one bus, or of several that are joined. */
export interface Stage {
  readonly parties: readonly Party[];
  /** All parties are one bus. */
  readonly isOneBus: boolean;
  /** Parties may end without a word: `replace` ends one, and resolves when there is another. */
  readonly replace?: (index: number) => Promise<void>;
  /** Stops all, and checks that every buffer is home. */
  end(): Promise<void>;
}

export const BUFFER_SIZE = 1024;
