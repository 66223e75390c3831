// SPDX-License-Identifier: MIT
/** `WordSender`: the sending end of a `WordChannel`. */

import type { Words } from '../base/atomics.ts';
import { checkInteger, checkRange, checkWords } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { ensureStep } from '../base/stack.ts';
import { lengthOf } from '../base/views.ts';
import { NEVER, NOT_NOW } from './ring.ts';
import { Sender } from './sender.ts';

/**
 * Sends 32-bit integers to another thread, or to several.
 *
 * **Threads** the one that created it. Integers of one sender arrive in the order of sending.
 */
export class WordSender extends Sender<number> {
  /**
   * Sends an integer from −2³¹ to 2³¹ − 1 if there is room now. False: full, or earlier callers of
   * {@link send} wait.
   *
   * **Cost** one read-modify-write (spsc) or two (mpsc, mpmc); no allocation.
   * **Throws** ERR_BUSBAR_CHANNEL_CLOSED, RangeError, TypeError.
   */
  trySend(word: number): boolean {
    return this.line.isEmpty ? this.attempt(word) : this.refuse(NOT_NOW);
  }

  /**
   * Sends as many of the words `[begin, end)` as there is room for, in order; returns their number.
   *
   * **Cost** one read-modify-write for as many as fit at once (spsc), two for up to 8 (mpsc, mpmc).
   * **Throws** ERR_BUSBAR_CHANNEL_CLOSED if none could be sent, RangeError, TypeError.
   */
  trySendBatch(source: Words, begin: number = 0, end: number = source?.length): number {
    checkRange(begin, end, lengthOf(checkWords('source', source)));
    if (!this.line.isEmpty) return begin < end ? Number(this.refuse(NOT_NOW)) : 0;
    ensureStep();
    this.invariants();
    const { ring, words, capacity, slotWords } = this;
    let next = begin;
    try {
      while (next < end) {
        const rest = end - next;
        const claimed = ring.claim(rest < capacity ? rest : capacity);
        if (claimed <= NOT_NOW) {
          if (next === begin) this.refuse(claimed);
          break;
        }
        const at = ring.slot();
        for (let i = 0; i < claimed; i++) words[at + i * slotWords] = source[next + i];
        if (!ring.publish(claimed)) {
          if (next === begin) this.refuse(NEVER);
          break;
        }
        next += claimed;
        const { passedAt } = this;
        const before = words[passedAt];
        const after = (before + claimed) | 0;
        words[passedAt] = after;
        if (before < 0 && after >= 0) words[passedAt + 1]++;
      }
    } catch (error) {
      // The words before these were sent.
      if (next === begin) throw error;
    }
    return next - begin;
  }

  protected override attempt(word: number): boolean {
    if ((word | 0) !== word) checkInteger('word', word, -(2 ** 31), 2 ** 31 - 1);
    if (this.isClaiming) ensureStep();
    const { ring } = this;
    const claimed = ring.claim(1);
    if (claimed <= NOT_NOW) return this.refuse(claimed);
    this.words[ring.slot()] = word;
    if (!ring.publish(1)) return this.refuse(NEVER);
    // Sent: no call from here on.
    const { words, passedAt } = this;
    const passed = (words[passedAt] + 1) | 0;
    words[passedAt] = passed;
    if (passed === 0) words[passedAt + 1]++;
    return true;
  }
}

describeAs(WordSender, 'WordSender', (end) => ({ closed: end.closed }));
