// SPDX-License-Identifier: MIT
/**
 * The plainest ring there is, as a measure for channels: a turn and a value per slot; no thread
 * sleeps, closes, dies or counts. Both of its ends, and its sending thread.
 */

import { NOTHING } from './control.ts';
import type { Role } from './role.ts';

/** As many messages as the channels of the other cases hold. */
const SLOTS = 1024;
const TURN = 0;
const VALUE = 1;
const SLOT_WORDS = 2;

export interface PlainRingData {
  readonly words: Int32Array;
}

export function createPlainRing(): PlainRingData {
  const bytes = SLOTS * SLOT_WORDS * Int32Array.BYTES_PER_ELEMENT;
  const words = new Int32Array(new SharedArrayBuffer(bytes));
  for (let i = 0; i < SLOTS; i++) words[i * SLOT_WORDS + TURN] = i;
  return { words };
}

/** One end of the ring: one load and one store a message. */
export class PlainRingEnd {
  private readonly words: Int32Array;
  private position = 0;

  constructor({ words }: PlainRingData) {
    this.words = words;
  }

  tryPush(value: number): boolean {
    const { words, position } = this;
    const at = (position & (SLOTS - 1)) * SLOT_WORDS;
    if (Atomics.load(words, at + TURN) !== position) return false;
    words[at + VALUE] = value;
    Atomics.store(words, at + TURN, (position + 1) | 0);
    this.position = (position + 1) | 0;
    return true;
  }

  /** The next value, which is not negative; or −1: nothing there. */
  tryPop(): number {
    const { words, position } = this;
    const at = (position & (SLOTS - 1)) * SLOT_WORDS;
    if (Atomics.load(words, at + TURN) !== ((position + 1) | 0)) return -1;
    const value = words[at + VALUE];
    Atomics.store(words, at + TURN, (position + SLOTS) | 0);
    this.position = (position + 1) | 0;
    return value;
  }
}

/** A thread that pushes `ops` numbers a turn. */
export function createPlainRingSource(data: PlainRingData): Role {
  const end = new PlainRingEnd(data);
  return {
    run(ops) {
      for (let i = 0; i < ops; ) if (end.tryPush(i)) i++;
      return NOTHING;
    },
    close() {},
  };
}
