// SPDX-License-Identifier: MIT
/**
 * Model checker against brute force: finds all outcomes of a program by trying every step of every
 * thread in every state. It shares no code with the checker: threads are positions in lists, memory
 * is an array, and order between threads is computed from the definitions of the specification.
 */

import { type Instruction, LONG, type Program, type Thread, WORDS } from './oracle-programs.ts';

/** All that can come of a program. */
export interface Verdict {
  /** Results, memory and deaths of each way to the end. */
  readonly outcomes: ReadonlySet<string>;
  /** In some state no thread can move, and not all have ended. */
  readonly stuck: boolean;
  /** Two accesses, not both atomic on the same range, that nothing orders. */
  readonly races: boolean;
}

interface ThreadState {
  at: number;
  /** Rounds of the spin that it is in. */
  rounds: number;
  learned: (number | string)[];
  state: 'absent' | 'running' | 'waiting' | 'notified' | 'dead';
}

interface State {
  threads: ThreadState[];
  memory: number[];
  /** Threads that wait, in order of arrival, each with its word. */
  queue: { thread: number; word: number }[];
  kills: number;
}

/** Tries every step from every state that can be reached; `views` are looked at for races. */
export function bruteForce(program: Program, views: boolean): Verdict {
  const n = program.threads.length;
  const bodies: Thread[] = [...program.threads];
  if (program.kills > 0) for (let t = 0; t < n; t++) bodies.push(program.supervisor);
  const outcomes = new Set<string>();
  const seen = new Set<string>();
  let stuck = false;
  let races = false;

  const visit = (state: State, history: History | undefined): void => {
    if (history === undefined) {
      const key = JSON.stringify(state);
      if (seen.has(key)) return;
      seen.add(key);
    } else if (history.races) {
      races = true;
      return;
    }
    let moved = false;
    for (let t = 0; t < bodies.length; t++) {
      if (canMove(state, t, bodies[t])) {
        const next = copyOf(state);
        const trail = history?.copy();
        if (step(next, t, bodies[t], trail)) {
          moved = true;
          visit(next, trail);
        }
      }
      if (t < n && state.kills < program.kills && state.threads[t].state !== 'dead') {
        const after = copyOf(state);
        die(after, t, n);
        visit(after, history);
      }
    }
    if (moved) return;
    const threads = state.threads;
    if (threads.some((thread, t) => isUnfinished(thread, bodies[t]))) stuck = true;
    else outcomes.add(outcomeOf(threads.map(resultOf), wordsOf(state.memory), deadOf(threads)));
  };

  visit(
    {
      threads: bodies.map((_, t) => ({
        at: 0,
        rounds: 0,
        learned: [],
        state: t < n ? 'running' : 'absent',
      })),
      memory: Array.from({ length: 4 * WORDS }, () => 0),
      queue: [],
      kills: 0,
    },
    views ? new History(n) : undefined,
  );
  return { outcomes, stuck, races };
}

function copyOf(state: State): State {
  return {
    threads: state.threads.map((thread) => ({ ...thread, learned: [...thread.learned] })),
    memory: [...state.memory],
    queue: [...state.queue],
    kills: state.kills,
  };
}

function canMove(state: State, t: number, body: Thread): boolean {
  const thread = state.threads[t];
  return thread.state === 'notified' || (thread.state === 'running' && thread.at < body.length);
}

export function outcomeOf(
  results: readonly unknown[],
  words: readonly number[],
  killed: readonly number[],
): string {
  return JSON.stringify({ results, words, killed });
}

function resultOf(thread: ThreadState): unknown {
  return thread.state === 'running' ? thread.learned : null;
}

function deadOf(threads: readonly ThreadState[]): number[] {
  return threads.flatMap((thread, t) => (thread.state === 'dead' ? [t] : []));
}

function isUnfinished(thread: ThreadState, body: Thread): boolean {
  if (thread.state === 'absent' || thread.state === 'dead') return false;
  return thread.state !== 'running' || thread.at < body.length;
}

function die(state: State, t: number, n: number): void {
  state.kills++;
  state.threads[t].state = 'dead';
  state.queue = state.queue.filter((waiter) => waiter.thread !== t);
  state.threads[n + t].state = 'running';
}

/** One step of a thread; false if it has none that changes anything. */
function step(state: State, t: number, body: Thread, history: History | undefined): boolean {
  const thread = state.threads[t];
  if (thread.state === 'notified') {
    thread.state = 'running';
    thread.learned.push('ok');
    thread.at++;
    return true;
  }
  return apply(state, t, body[thread.at], history);
}

function apply(
  state: State,
  t: number,
  { op, at, value, count }: Instruction,
  history: History | undefined,
): boolean {
  const thread = state.threads[t];
  const { memory } = state;
  const word = 4 * at;
  const learn = (what?: number | string): true => {
    if (what !== undefined) thread.learned.push(what);
    thread.at++;
    thread.rounds = 0;
    return true;
  };
  const atomic = (change: (before: number) => number | undefined, isStore = false): number => {
    const before = read(memory, word, 4);
    const after = change(before);
    history?.access(t, word, 4, true, !isStore, after !== undefined);
    if (after !== undefined) write(memory, word, 4, after);
    return before;
  };
  const plain = (begin: number, size: number, isWrite: boolean): number => {
    history?.access(t, begin, size, false, !isWrite, isWrite);
    const before = read(memory, begin, size);
    if (isWrite) write(memory, begin, size, value);
    return before;
  };
  const part = (size: number, change: (before: number) => number | undefined, reads = true) => {
    const before = read(memory, at, size);
    const after = change(before);
    history?.access(t, at, size, true, reads, after !== undefined);
    if (after !== undefined) write(memory, at, size, after);
    return before;
  };
  const long = (isAtomic: boolean, change?: (before: bigint) => bigint, reads = true): string => {
    const before = readLong(memory);
    history?.access(t, 0, 8, isAtomic, reads, change !== undefined);
    if (change !== undefined) writeLong(memory, change(before));
    return String(before);
  };
  switch (op) {
    case 'load':
      return learn(atomic(() => undefined));
    case 'store':
      atomic(() => value, true);
      return learn();
    case 'add':
      return learn(atomic((before) => before + value));
    case 'compareExchange':
      return learn(atomic((before) => (before === value ? value + 1 : undefined)));
    case 'exchange':
      return learn(atomic(() => value));
    case 'until':
      return read(memory, word, 4) === value ? learn() : false;
    case 'lock':
      if (read(memory, word, 4) !== 0) return false;
      write(memory, word, 4, value);
      return learn();
    case 'poll':
      if (read(memory, word, 4) === value) return learn('saw it');
      if (thread.rounds + 1 === count) return learn('gave up');
      thread.rounds++;
      return true;
    case 'unless':
      if (atomic(() => undefined) !== value) thread.at += count;
      return learn(thread.at);
    case 'wait':
      if (read(memory, word, 4) !== value) return learn('not-equal');
      thread.state = 'waiting';
      state.queue.push({ thread: t, word: at });
      return true;
    case 'notify': {
      let woken = 0;
      while (woken < value) {
        const first = state.queue.findIndex((waiter) => waiter.word === at);
        if (first < 0) break;
        const [waiter] = state.queue.splice(first, 1);
        state.threads[waiter.thread].state = 'notified';
        woken++;
      }
      return learn(woken);
    }
    case 'getWord':
      return learn(plain(word, 4, false));
    case 'setWord':
      plain(word, 4, true);
      return learn();
    case 'getHalf':
      return learn((plain(at, 2, false) << 16) >> 16);
    case 'setHalf':
      plain(at, 2, true);
      return learn();
    case 'getByte':
      return learn(plain(at, 1, false) & 0xff);
    case 'loadByte':
      return learn(part(1, () => undefined));
    case 'addByte':
      return learn(part(1, (before) => before + value));
    case 'storeHalf':
      part(2, () => value, false);
      return learn();
    case 'exchangeHalf':
      return learn((part(2, () => value) << 16) >> 16);
    case 'loadLong':
      return learn(long(true));
    case 'addLong':
      return learn(long(true, (before) => before + LONG * BigInt(value)));
    case 'getLong':
      return learn(long(false));
    case 'setLong':
      long(false, () => LONG * BigInt(value), false);
      return learn();
    default:
      plain(at, 1, true);
      return learn();
  }
}

function read(memory: readonly number[], begin: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value |= memory[begin + i] << (8 * i);
  return value;
}

function write(memory: number[], begin: number, size: number, value: number): void {
  for (let i = 0; i < size; i++) memory[begin + i] = (value >> (8 * i)) & 0xff;
}

function readLong(memory: readonly number[]): bigint {
  let value = 0n;
  for (let i = 7; i >= 0; i--) value = (value << 8n) | BigInt(memory[i]);
  return BigInt.asIntN(64, value);
}

function writeLong(memory: number[], value: bigint): void {
  for (let i = 0; i < 8; i++) memory[i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

function wordsOf(memory: readonly number[]): number[] {
  return Array.from({ length: WORDS }, (_, word) => read(memory, 4 * word, 4));
}

interface Access {
  readonly thread: number;
  /** The how-manieth access of its thread. */
  readonly number: number;
  readonly begin: number;
  readonly end: number;
  readonly isAtomic: boolean;
  readonly writes: boolean;
  /** How far each thread had come that this access comes after. */
  readonly knows: readonly number[];
}

/** All accesses of one run so far, and which of them happen before which. */
class History {
  races = false;
  readonly #accesses: Access[] = [];
  readonly #knows: number[][];

  constructor(threads: number) {
    this.#knows = Array.from({ length: threads }, () => Array.from({ length: threads }, () => 0));
  }

  copy(): History {
    const copy = new History(this.#knows.length);
    this.#accesses.forEach((access) => void copy.#accesses.push(access));
    this.#knows.forEach((knows, t) => {
      copy.#knows[t] = [...knows];
    });
    return copy;
  }

  access(
    thread: number,
    begin: number,
    size: number,
    isAtomic: boolean,
    reads: boolean,
    writes: boolean,
  ): void {
    const end = begin + size;
    const knows = this.#knows[thread];
    // Synchronizes with the atomic writes of the same range that it reads from.
    if (isAtomic && reads) {
      for (let byte = begin; byte < end; byte++) {
        const from = this.#accesses.findLast((a) => a.writes && a.begin <= byte && byte < a.end);
        if (from === undefined || !from.isAtomic || from.begin !== begin || from.end !== end)
          continue;
        from.knows.forEach((number, t) => {
          knows[t] = Math.max(knows[t], number);
        });
      }
    }
    for (const other of this.#accesses) {
      if (other.thread === thread || other.end <= begin || end <= other.begin) continue;
      if (!writes && !other.writes) continue;
      if (isAtomic && other.isAtomic && other.begin === begin && other.end === end) continue;
      if (knows[other.thread] < other.number) this.races = true;
    }
    knows[thread]++;
    this.#accesses.push({
      thread,
      number: knows[thread],
      begin,
      end,
      isAtomic,
      writes,
      knows: [...knows],
    });
  }
}
