// SPDX-License-Identifier: MIT
/** `WordReceiver`: the receiving end of a `WordChannel`. */

import type { Words } from '../base/atomics.ts';
import { checkFunction, checkRange, checkWords } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { ensureStep } from '../base/stack.ts';
import { lengthOf } from '../base/views.ts';
import { checkMax, Receiver } from './receiver.ts';

/**
 * Receives 32-bit integers from other threads.
 *
 * **Threads** the one that created it.
 */
export class WordReceiver extends Receiver<number> {
  /**
   * Takes the next integer; undefined if there is none now.
   *
   * **Cost** one read-modify-write, two if several threads receive; one plain load if the channel
   * is empty. No allocation.
   */
  tryReceive(): number | undefined {
    return this.next();
  }

  /**
   * Takes the integers that are there now into `target[begin, end)`; returns their number.
   *
   * **Cost** one read-modify-write for up to 64 (spsc) or 8 (mpsc), two for up to 8 (mpmc),
   * which are lost if the thread is terminated within the call.
   */
  tryReceiveBatch(target: Words, begin: number = 0, end: number = target?.length): number {
    checkRange(begin, end, lengthOf(checkWords('target', target)));
    ensureStep();
    this.invariants();
    let next = begin;
    try {
      while (next < end) {
        const count = this.peekRun(end - next);
        if (count === 0) break;
        const { words, slotWords } = this;
        const at = this.ring.slot();
        for (let i = 0; i < count; i++) target[next + i] = words[at + i * slotWords];
        this.freeRun(count);
        next += count;
      }
    } catch (error) {
      // Earlier integers are in `target` already.
      if (next === begin) throw error;
    }
    if (next === begin && begin < end) this.countRefused();
    return next - begin;
  }

  /**
   * Calls back with each integer that is there now, at most `max`; returns their number.
   *
   * If the callback throws, the rest stays in the channel. If the thread is terminated inside it,
   * the next receiver may receive up to 64 (spsc) or 8 (mpsc) of these integers again.
   */
  drain(callback: (word: number) => void, max: number = Infinity): number {
    checkFunction('callback', callback);
    checkMax(max);
    ensureStep();
    this.invariants();
    const { words } = this;
    let count = 0;
    try {
      while (count < max) {
        const at = this.look(max - count);
        if (at < 0) break;
        this.left--;
        this.taken++;
        count++;
        callback(words[at]);
      }
    } finally {
      this.freeTaken();
    }
    return count;
  }

  protected override next(): number | undefined {
    if (this.isClaiming) ensureStep();
    if (this.peekRun(1) === 0) {
      this.countRefused();
      return undefined;
    }
    const word = this.words[this.ring.slot()];
    this.freeRun(1);
    return word;
  }
}

describeAs(WordReceiver, 'WordReceiver', (end) => ({ closed: end.closed }));
