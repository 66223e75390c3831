// SPDX-License-Identifier: MIT
/** The record that an executor shows to other threads, word by word. */

import { loadAcquire, storeRelease, type Words } from '../base/atomics.ts';
import { sharedNowMs } from '../base/clock.ts';
import {
  BADGE,
  blockWords,
  COUNTER_COUNT,
  COUNTERS,
  DRAINING,
  DROPPED,
  EXECUTOR_STATES,
  type ExecutorState,
  HANDLED,
  HANDLED_HIGH,
  PARKS,
  RECORD_WORDS,
  RUNNING,
  STARTING,
  STATE,
  TURN_MS,
  TURNS,
  TURNS_HIGH,
} from './executor-layout.ts';

const HIGH = 2 ** 32;

/** The figures of one executor at one moment. */
export interface Reading {
  readonly state: ExecutorState;
  readonly turns: number;
  readonly handled: number;
  readonly dropped: number;
  readonly parks: number;
  /** Milliseconds since the thread's last slice began; 0 while it waits for work. */
  readonly sinceTurnMs: number;
  readonly counters: readonly number[];
}

/**
 * The record of one executor. Its thread writes it; other threads read it, each through an object
 * of its own.
 */
export class Gauges {
  /** The user's own words. */
  readonly counters: Int32Array;
  private readonly words: Words;
  private readonly record: number;
  private readonly epochMs: number;

  constructor(block: SharedArrayBuffer, index: number, epochMs: number) {
    this.words = new Int32Array(block);
    this.record = index * RECORD_WORDS;
    this.epochMs = epochMs;
    const first = (this.record + COUNTERS) * Int32Array.BYTES_PER_ELEMENT;
    this.counters = new Int32Array(block, first, COUNTER_COUNT);
  }

  /** A block for `count` executors and their host, all of them STARTING. */
  static createBlock(count: number): SharedArrayBuffer {
    return new SharedArrayBuffer(blockWords(count) * Int32Array.BYTES_PER_ELEMENT);
  }

  get state(): number {
    // SYNC(executor-state): sees what the thread wrote before it changed its state.
    return loadAcquire(this.words, this.record + STATE);
  }

  become(state: number): void {
    // SYNC(executor-state): publishes the record; pairs with state.
    storeRelease(this.words, this.record + STATE, state);
  }

  /** The badge of the slot's last thread that attached to the pool; 0 if none did. */
  get badge(): number {
    // SYNC(executor-badge): pairs with the setter.
    return loadAcquire(this.words, this.record + BADGE);
  }

  set badge(badge: number) {
    // SYNC(executor-badge): the host reads it when the thread has died.
    storeRelease(this.words, this.record + BADGE, badge);
  }

  /** Records that a slice begins. */
  showTurn(): void {
    this.words[this.record + TURN_MS] = sharedNowMs() - this.epochMs;
  }

  addTurns(turns: number): void {
    const { words, record } = this;
    const low = (words[record + TURNS] >>> 0) + turns;
    words[record + TURNS] = low;
    if (low >= HIGH) words[record + TURNS_HIGH]++;
  }

  addHandled(packets: number): void {
    const { words, record } = this;
    const low = (words[record + HANDLED] >>> 0) + packets;
    words[record + HANDLED] = low;
    if (low >= HIGH) words[record + HANDLED_HIGH]++;
  }

  addDropped(packets: number): void {
    this.words[this.record + DROPPED] += packets;
  }

  addPark(): void {
    this.words[this.record + PARKS]++;
  }

  read(): Reading {
    const { words, record } = this;
    const state = this.state;
    const awake = state === RUNNING || state === DRAINING || state === STARTING;
    // Computed in 32 bits, so that it stays right for 24 days after TURN_MS overflows.
    const sinceMs = ((sharedNowMs() - this.epochMs) | 0) - words[record + TURN_MS];
    return {
      state: EXECUTOR_STATES[state] as ExecutorState,
      turns: this.wide(TURNS, TURNS_HIGH),
      handled: this.wide(HANDLED, HANDLED_HIGH),
      dropped: words[record + DROPPED] >>> 0,
      parks: words[record + PARKS] >>> 0,
      sinceTurnMs: awake ? Math.max(0, sinceMs | 0) : 0,
      counters: [...this.counters],
    };
  }

  /** A number in two words. The high one changes too rarely for a torn read to matter. */
  private wide(low: number, high: number): number {
    const { words, record } = this;
    return words[record + high] * HIGH + (words[record + low] >>> 0);
  }
}
