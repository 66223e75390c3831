// SPDX-License-Identifier: MIT
/**
 * Model checker: loops that read the same words again and again and learn nothing.
 *
 * A thread spins after `limit` consecutive accesses that returned no new value and changed nothing.
 * A *probe* then finds out what it does if no word changes: it runs alone from there, and all of
 * that is undone. What a thread does is a function of what it has read, so the finding holds
 * whenever the thread is at this point again and the words have the same values.
 *
 *   - If it reads on and on, it is blocked until one of the words changes; or, if it looks at the
 *     clock, until nothing else can happen and time passes.
 *     The places of its calls are compared, too: a loop that it has left for another one, at the
 *     same words, was not endless.
 *   - If it leaves the loop by itself, it is known when. Other threads run between its first rounds
 *     and before each of its last accesses, and not between those in the middle: only the number of
 *     rounds before it sees a change would differ.
 */

import {
  RING_ENTRIES,
  RING_FIELDS,
  type StateLayout,
  T_EXIT,
  T_HASH_A,
  T_HASH_B,
  T_LATE,
  T_LOG,
  T_RING,
  T_RING_NEXT,
  T_SPINS,
} from './machine-layout.ts';
import { CLOCK_CELL, type ModelMemory, mixA } from './memory.ts';

/** Accesses of a probe after which a loop counts as endless; where a like one did: fewer. */
const ENDLESS = 20_000;
const ENDLESS_AGAIN = 400;
/** Places of the last accesses of a probe that are compared. */
const PLACES = 24;
/** Accesses before a loop is left at which other threads may run. */
const LAST = 4;

/** What a probe has found out: where the thread leaves its loop, or what it looks at for ever. */
interface Finding {
  /** Length of the log when it leaves; 0: never. */
  readonly exit: number;
  readonly cells: Int32Array;
  readonly values: Int32Array;
}

interface Probe {
  readonly thread: number;
  readonly key: number;
  readonly like: number;
  /** Length of the log at its begin, and at which it is enough. */
  readonly begin: number;
  readonly end: number;
  readonly seen: Map<number, number>;
  /** Where the first access and the last ones are called from. */
  first: string;
  readonly last: string[];
  /** Of a second run, which ends at one of these places: log length there; 0: not yet. */
  readonly goal: ReadonlySet<string> | undefined;
  reached: number;
}

/** Everything that a checkpoint keeps of the findings. */
export interface SpinsCopy {
  readonly findings: readonly (readonly (readonly [number, Finding])[])[];
  readonly longest: readonly (readonly [number, number])[];
  readonly single: readonly string[];
}

/**
 * Remembers, per thread, the last few words it has looked at. A cell is noted as itself + 1, so 0
 * means none.
 */
export class SpinWatch {
  readonly #memory: ModelMemory;
  readonly #state: Int32Array;
  readonly #layout: StateLayout;
  readonly #limit: number;
  /** By thread, and by a hash of all that it has read. */
  readonly #findings: Map<number, Finding>[] = [];
  /**
   * Of loops that look at the same words with the same values: the longest that was left, once one
   * was found that is not.
   */
  readonly #longest = new Map<number, number>();
  /** Loops that were found to be one loop, by words, values and place. */
  readonly #single = new Set<string>();
  #probe: Probe | undefined;

  constructor(memory: ModelMemory, state: Int32Array, layout: StateLayout, limit: number) {
    this.#memory = memory;
    this.#state = state;
    this.#layout = layout;
    this.#limit = limit;
    for (let thread = 0; thread < layout.threadCount; thread++) this.#findings.push(new Map());
  }

  /** The thread has read the word, or written what it held already. */
  noteRead(thread: number, cell: number, value: number): void {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    this.#probe?.seen.set(cell, value);
    for (let i = 0; i < RING_ENTRIES; i++) {
      const entry = base + T_RING + RING_FIELDS * i;
      if (state[entry] !== cell + 1) continue;
      if (state[entry + 1] === value) {
        state[base + T_SPINS]++;
        state[entry + 2] = 1;
      } else {
        state[entry + 1] = value;
        this.#news(base);
      }
      return;
    }
    const entry = base + T_RING + RING_FIELDS * state[base + T_RING_NEXT];
    state[base + T_RING_NEXT] = (state[base + T_RING_NEXT] + 1) % RING_ENTRIES;
    state[entry] = cell + 1;
    state[entry + 1] = value;
    this.#news(base);
  }

  /** The thread has changed something: what it reads next may be new to it. */
  noteChange(thread: number): void {
    const base = this.#layout.thread(thread);
    this.#state[base + T_EXIT] = 0;
    if (this.#state[base + T_RING] === 0) return;
    this.#state.fill(0, base + T_SPINS, base + T_RING + RING_FIELDS * RING_ENTRIES);
  }

  /** True while the thread spins: a function of its log and the memory. */
  isSpinning(thread: number): boolean {
    const spins = this.#state[this.#layout.thread(thread) + T_SPINS];
    return spins >= this.#limit && this.#isUnchanged(thread);
  }

  /** Accesses in a row that told the thread nothing. */
  length(thread: number): number {
    return this.#state[this.#layout.thread(thread) + T_SPINS];
  }

  /** True if the thread spins, and an access of the cell would once more tell it what it knows. */
  repeats(thread: number, cell: number): boolean {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    if (state[base + T_SPINS] < this.#limit || !this.#isUnchanged(thread)) return false;
    for (let i = 0; i < RING_ENTRIES; i++) {
      const entry = base + T_RING + RING_FIELDS * i;
      if (state[entry] === cell + 1) return state[entry + 1] === this.#memory.heap[cell];
    }
    return false;
  }

  /** True if the thread spins in the middle of a loop that it leaves by itself. */
  isAmidst(thread: number): boolean {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    return state[base + T_SPINS] > this.#limit && state[base + T_EXIT] - state[base + T_LOG] > LAST;
  }

  /** True if the thread is known to spin for ever unless a word changes. */
  isBlocked(thread: number): boolean {
    if (this.#state[this.#layout.thread(thread) + T_SPINS] < this.#limit) return false;
    const finding = this.#findings[thread].get(this.#key(thread));
    return finding !== undefined && finding.exit === 0 && this.#holds(finding);
  }

  /** True if a thread that is blocked looks at the clock in its loop: time may end that. */
  awaitsTime(thread: number): boolean {
    const finding = this.#findings[thread].get(this.#key(thread));
    return this.isBlocked(thread) && finding?.cells.includes(CLOCK_CELL) === true;
  }

  /** True if the thread leaves its loop with one of the next few accesses. */
  isLeaving(thread: number): boolean {
    const base = this.#layout.thread(thread);
    return this.#state[base + T_EXIT] > this.#state[base + T_LOG] && !this.isAmidst(thread);
  }

  /** True if the thread spins, and it is not known yet whether it leaves its loop by itself. */
  isUnknown(thread: number): boolean {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    if (state[base + T_SPINS] < this.#limit || state[base + T_LOG] < state[base + T_EXIT]) {
      return false;
    }
    if (!this.#isUnchanged(thread)) return false;
    const finding = this.#findings[thread].get(this.#key(thread));
    if (finding === undefined) return true;
    state[base + T_EXIT] = finding.exit;
    return false;
  }

  copy(): SpinsCopy {
    const findings = this.#findings.map((byKey) => [...byKey]);
    return { findings, longest: [...this.#longest], single: [...this.#single] };
  }

  load({ findings, longest, single }: SpinsCopy): void {
    findings.forEach((byKey, thread) => {
      for (const [key, finding] of byKey) this.#findings[thread].set(key, finding);
    });
    for (const [like, length] of longest) this.#longest.set(like, length);
    for (const place of single) this.#single.add(place);
  }

  // ── Probes ──────────────────────────────────────────────────────────────────────────────────

  get isProbing(): boolean {
    return this.#probe !== undefined;
  }

  beginProbe(thread: number): void {
    const key = this.#key(thread);
    const like = this.#likeness(thread);
    const log = this.#state[this.#layout.thread(thread) + T_LOG];
    const longest = this.#longest.get(like);
    const enough = longest === undefined ? ENDLESS : 4 * longest + ENDLESS_AGAIN;
    this.#probe = {
      thread,
      key,
      like,
      begin: log,
      end: log + enough,
      seen: new Map(),
      first: '',
      last: [],
      goal: undefined,
      reached: 0,
    };
  }

  /** The thread comes to another access that returns no new value. */
  noteRepeat(): void {
    const probe = this.#probe as Probe;
    const log = this.#state[this.#layout.thread(probe.thread) + T_LOG];
    if (probe.goal !== undefined) {
      if (probe.goal.has(callers())) probe.reached = log;
    } else if (probe.first === '') {
      probe.first = callers();
    } else if (log >= probe.end - PLACES && !this.#single.has(`${probe.like} ${probe.first}`)) {
      probe.last.push(callers());
    }
  }

  /** True if the thread has been watched long enough. */
  get isEnough(): boolean {
    const probe = this.#probe as Probe;
    const log = this.#state[this.#layout.thread(probe.thread) + T_LOG];
    return probe.reached > 0 || log >= probe.end;
  }

  /** The thread has stopped. True if it is to be run once more, from the same moment. */
  endProbe(): boolean {
    const probe = this.#probe as Probe;
    const { thread, key, like, begin, end, seen } = probe;
    this.#probe = undefined;
    const length = this.#state[this.#layout.thread(thread) + T_LOG];
    if (length >= end && probe.goal === undefined && probe.last.length > 0) {
      const goal = new Set(probe.last);
      if (isRound(probe.last) && !goal.has(probe.first)) {
        // It goes round elsewhere than where it began: when did it come there?
        this.#probe = { ...probe, goal };
        return true;
      }
      this.#single.add(`${like} ${probe.first}`);
    }
    const exit = probe.reached > 0 || length < end ? Math.max(length, 1) : 0;
    this.#findings[thread].set(key, {
      exit,
      cells: Int32Array.from(seen.keys()),
      values: Int32Array.from(seen.values()),
    });
    const longest = this.#longest.get(like);
    if (exit === 0) this.#longest.set(like, longest ?? 0);
    else if (longest !== undefined) this.#longest.set(like, Math.max(longest, exit - begin));
    return false;
  }

  #key(thread: number): number {
    const base = this.#layout.thread(thread);
    // What it will do depends on whether it finds that time has passed, too.
    const late = Math.imul(this.#state[base + T_LATE], 0x9e37);
    const low = (this.#state[base + T_HASH_B] ^ late) & 0x1f_ffff;
    return (this.#state[base + T_HASH_A] >>> 0) * 0x20_0000 + low;
  }

  #likeness(thread: number): number {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    let likeness = thread;
    for (let i = 0; i < RING_ENTRIES; i++) {
      const entry = base + T_RING + RING_FIELDS * i;
      if (state[entry + 2] === 1) likeness ^= mixA(state[entry], state[entry + 1]);
    }
    return likeness;
  }

  #holds({ cells, values }: Finding): boolean {
    const heap = this.#memory.heap;
    for (let i = 0; i < cells.length; i++) if (heap[cells[i]] !== values[i]) return false;
    return true;
  }

  #isUnchanged(thread: number): boolean {
    const state = this.#state;
    const base = this.#layout.thread(thread);
    const heap = this.#memory.heap;
    for (let i = 0; i < RING_ENTRIES; i++) {
      const entry = base + T_RING + RING_FIELDS * i;
      if (state[entry + 2] === 1 && heap[state[entry] - 1] !== state[entry + 1]) return false;
    }
    return true;
  }

  #news(base: number): void {
    const state = this.#state;
    state[base + T_SPINS] = 0;
    state[base + T_EXIT] = 0;
    for (let i = 0; i < RING_ENTRIES; i++) state[base + T_RING + RING_FIELDS * i + 2] = 0;
  }
}

/** True if the places come again and again in the same order, at least twice. */
function isRound(places: readonly string[]): boolean {
  for (let period = 1; period <= places.length >> 1; period++) {
    if (places.every((place, i) => i < period || place === places[i - period])) return true;
  }
  return false;
}

/** Where the access that is being made is called from, as text that costs little. */
function callers(): string {
  const { prepareStackTrace, stackTraceLimit } = Error;
  Error.stackTraceLimit = 16;
  // Without this function and the one that calls it.
  Error.prepareStackTrace = (_, calls) =>
    calls
      .slice(2)
      .map((call) => `${call.getFileName()}:${call.getPosition()}`)
      .join();
  const text = String(new Error().stack);
  Error.prepareStackTrace = prepareStackTrace;
  Error.stackTraceLimit = stackTraceLimit;
  return text;
}
