// SPDX-License-Identifier: MIT
/** What the bus of another thread is told to do, and what it says. */
import type { Headers, SubscribeOptions } from 'busbar/bus';

export type Command =
  | { readonly kind: 'subscribe'; readonly pattern: string; readonly options: SubscribeOptions }
  | { readonly kind: 'unsubscribe'; readonly pattern: string }
  | {
      readonly kind: 'publish';
      readonly subject: string;
      readonly texts: readonly string[];
      readonly headers?: Headers;
      readonly isPacket?: boolean;
    }
  | { readonly kind: 'request'; readonly subject: string; readonly text: string }
  | { readonly kind: 'received' }
  | { readonly kind: 'count'; readonly subject: string; readonly messages: number }
  | { readonly kind: 'number'; readonly subject: string; readonly messages: number }
  /** Never done with what comes. */
  | { readonly kind: 'hold'; readonly pattern: string }
  /** Dies in the handler of the first message. */
  | { readonly kind: 'fall'; readonly subject: string }
  | { readonly kind: 'die' };

export interface Received {
  readonly pattern: string;
  readonly subject: string;
  readonly source: string;
  readonly sequence: number;
  readonly text: string;
  readonly headers?: Headers;
}
