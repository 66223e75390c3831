// SPDX-License-Identifier: MIT
/** Test tool: messages between the main thread and the workers of a channel test. */

import type { ChannelHandle } from 'busbar/channel';
import type { BufferPoolHandle } from 'busbar/pool';

export type Load = 'packets' | 'words';

/** Given to each worker when it is started. */
export interface WorkerStart {
  readonly pool: BufferPoolHandle;
}

/** One end of one channel, for a while. */
export interface ChannelTask {
  readonly channel: ChannelHandle;
  readonly carries: Load;
  readonly role: 'sender' | 'receiver';
  /** Of a sender: its number, which its messages carry. */
  readonly id: number;
  /** Of a sender: how many messages, at most. */
  readonly count: number;
  readonly seed: number;
  /** One byte for each message of each sender: how often it was received. */
  readonly seen: SharedArrayBuffer;
  /** Words of the board below. */
  readonly board: SharedArrayBuffer;
}

/** What a worker says: where it is, and what it has done. */
export type WorkerNews =
  | { readonly slot: number }
  | { readonly joined: true }
  | { readonly done: number; readonly closed: boolean; readonly calls: Record<string, number> };

// Words of the board.
/** Messages received so far. */
export const RECEIVED = 0;
/** Not 0: senders are to stop. */
export const STOP = 1;
/** First of one word per sender: how many of its messages were sent. */
export const SENT = 16;
export const BOARD_WORDS = 128;

/** Message `number` of a sender as a word. */
export const NUMBERS: number = 2 ** 16;

/** Counts a message as received; throws if it cannot be. Returns its sender and number. */
export class Account {
  readonly #seen: Uint8Array;
  readonly #board: Int32Array;
  readonly #last = new Map<number, number>();

  constructor(seen: SharedArrayBuffer, board: SharedArrayBuffer) {
    this.#seen = new Uint8Array(seen);
    this.#board = new Int32Array(board);
  }

  take(word: number): void {
    const sender = Math.floor(word / NUMBERS);
    const number = word % NUMBERS;
    const last = this.#last.get(sender) ?? -1;
    if (word < 0 || word >= this.#seen.length) throw new Error(`message ${word} was never sent`);
    if (number <= last) throw new Error(`message ${number} of sender ${sender} after ${last}`);
    this.#last.set(sender, number);
    if (Atomics.add(this.#seen, word, 1) > 0) {
      throw new Error(`message ${number} of sender ${sender} came twice`);
    }
    Atomics.add(this.#board, RECEIVED, 1);
  }
}
