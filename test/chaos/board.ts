// SPDX-License-Identifier: MIT
/**
 * Test tool: the words that all threads of a chaos run share: the state of each seat, and how
 * far every message has come.
 *
 *   board   ┌────────┬────────┬─────┬─────────────────┐   ledger  ┌───────────────────────────┐
 *           │ global │ seat 0 │  …  │ path 0 … 2¹⁸ │           │ source 0: mark 0 … 2¹⁵ │ … │
 *           └────────┴────────┴─────┴─────────────────┘           └───────────────────────────┘
 *
 * A thread that takes a message writes a mark: how far it has come, and by which path. So a lost
 * message shows which thread had it last.
 */
import { atAccess, realAtomics } from '../accesses.ts';

/** Threads that can be killed, by number. */
export const SEATS = [
  'single',
  'twin 0',
  'twin 1',
  'collector',
  'exec 0',
  'exec 1',
  'exec 2',
  'hoarder',
] as const;
export const SINGLE = 0;
export const TWIN = 1;
export const COLLECTOR = 3;
export const EXECUTOR = 4;
export const EXECUTORS = 3;
export const HOARDER = 7;
export const SEAT_COUNT: number = SEATS.length;

// What a message is on its way to.
export const TO_CLIENT = 0;
export const TO_HOST = 1;
/** And from here on: to this seat (for twins: to either). */
export const TO_SEAT = 2;

// Words of a seat.
let word = 0;
/** Number of the thread's present path; 0: it has none yet. */
export const PATH: number = word++;
/** Its slot in the pool + 1. */
export const SLOT: number = word++;
/** What it is doing, by number in ACTS. */
export const ACT: number = word++;
/** Messages it has taken. */
export const TAKEN: number = word++;
/** Messages it has taken and not yet flushed or passed on; of the hoarder: buffers. */
export const IN_HAND: number = word++;
/** How it is to die: see {@link orderOf}. */
export const ORDER: number = word++;
/** 1 when it does as ordered, and waits to be terminated. */
export const DOOMED: number = word++;
/** Its number among the process's workers. */
export const THREAD_ID: number = word++;
/** Which of the threads that sat here it is; the host counts on when one has died. */
export const GENERATION: number = word++;
/** The number of the access, from then on, at which it stands still or throws. */
export const ACCESS: number = word++;
const SEAT_WORDS = 32;

// Words of all.
const PATHS_USED = 0;
/** Never written: threads that freeze wait on it. */
const NEVER = 1;
const SABOTAGE = 2;

/** Faults that can be put in, so that it shows whether a run finds them. */
export const SABOTAGES = ['none', 'leak', 'lose', 'change', 'repeat'] as const;
/** What the dead held is not reclaimed; or single messages are lost, changed, written twice. */
export type Sabotage = (typeof SABOTAGES)[number];

/** What a thread can be doing when it dies. */
export const ACTS = [
  'starting',
  'receiving',
  'reading',
  'reserving',
  'writing',
  'committing',
  'flushing',
  'passing on',
  'releasing',
  'waiting for messages',
  'waiting for room',
  'opening a writer',
  'hoarding',
  'holding all',
  'in the midst of calls',
] as const;
export const STARTING = 0;
export const RECEIVING = 1;
export const READING = 2;
export const RESERVING = 3;
export const WRITING = 4;
export const COMMITTING = 5;
export const FLUSHING = 6;
export const PASSING = 7;
export const RELEASING = 8;
export const WAITING = 9;
export const WAITING_ROOM = 10;
export const OPENING = 11;
export const HOARDING = 12;
export const HOLDING_ALL = 13;
export const AMIDST = 14;

/** How a thread dies. */
export const WAYS = [
  'terminate',
  'exit',
  'throw',
  'freeze',
  'frenzy',
  'access',
  'exception',
] as const;
export const TERMINATE = 0;
export const EXIT = 1;
export const THROW = 2;
/** It stands still in the middle of an operation, and is terminated there. */
export const FREEZE = 3;
/** It makes call after call, and is terminated within one. */
export const FRENZY = 4;
/** It stands still before an access to shared memory, and is terminated there. */
export const STAND = 5;
/**
 * An access throws what an overflow of the stack would; the thread goes on for some turns of its
 * event loop, and is terminated then.
 */
export const FAIL = 6;

/** What runs aim at besides, drawn from the seed. */
export const AIMS = ['stop', 'throw', 'tiny'] as const;
/** Threads stand still at an access; an access throws; messages fill buffers, rings are tiny. */
export type Aim = (typeof AIMS)[number];

/** What a thread says when it was told to throw. */
export const TOLD_TO_THROW = 'told to throw';
/** The message of an exception at an access. */
export const PLANTED = 'thrown at an access';
/** Turns of its event loop that a thread goes on after it, at most. */
const AFTERLIFE_TURNS_MAX = 40;

const PATHS_MAX = 1 << 18;
const HEAD_WORDS = 32 + SEAT_COUNT * SEAT_WORDS;

/** Messages of one source between the oldest that is under way and the newest, at most. */
export const LEDGER_SLOTS: number = 1 << 15;

/** Of each connection's client: bytes that it has of a frame, and how many the frame has. */
export const REST_WORDS = 2;

// How far a message has come.
export const STAGES = ['none', 'sent', 'framed', 'taken', 'written', 'passed', 'flushed'] as const;
export const SENT = 1;
/** With the host, or in a channel from it. */
export const FRAMED = 2;
export const READ = 3;
export const WRITTEN = 4;
/** On to another thread. */
export const PASSED = 5;
/** Handed to the flusher, or to a link by the host. */
export const FLUSHED = 6;

/** A mark: the stage, where it is on its way to, and the path that has it. */
export function markOf(stage: number, target: number, path: number): number {
  return stage | (target << 4) | (path << 8);
}

export function stageOf(mark: number): number {
  return mark & 15;
}

export function targetOf(mark: number): number {
  return (mark >>> 4) & 15;
}

export function pathOf(mark: number): number {
  return mark >>> 8;
}

/** The order to die in a way, at the n-th time from now that `act` begins. */
export function orderOf(way: number, act: number, times: number): number {
  return (way + 1) | (act << 4) | (times << 8);
}

/** The shared words. */
export class Board {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array<SharedArrayBuffer>;

  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(4 * (HEAD_WORDS + PATHS_MAX));
    this.words = new Int32Array(this.memory);
  }

  get sabotage(): Sabotage {
    return SABOTAGES[this.words[SABOTAGE] as number] as Sabotage;
  }

  set sabotage(sabotage: Sabotage) {
    this.words[SABOTAGE] = SABOTAGES.indexOf(sabotage);
  }

  get(seat: number, field: number): number {
    return realAtomics.load(this.words, 32 + seat * SEAT_WORDS + field);
  }

  set(seat: number, field: number, value: number): void {
    realAtomics.store(this.words, 32 + seat * SEAT_WORDS + field, value);
  }

  add(seat: number, field: number, value: number): number {
    return realAtomics.add(this.words, 32 + seat * SEAT_WORDS + field, value);
  }

  /** A number for a writer that this thread of the seat opens; its messages carry it. */
  openPath(seat: number): number {
    const path = realAtomics.add(this.words, PATHS_USED, 1) + 1;
    if (path >= PATHS_MAX) throw new Error('too many paths for one run');
    const generation = this.get(seat, GENERATION);
    realAtomics.store(this.words, HEAD_WORDS + path, seat | (generation << 4));
    this.set(seat, PATH, path);
    return path;
  }

  /** Who has had a path: the seat, and which thread on it. */
  holderOf(path: number): { readonly seat: number; readonly generation: number } {
    const holder = realAtomics.load(this.words, HEAD_WORDS + path);
    return { seat: holder & 15, generation: holder >>> 4 };
  }

  /** Stops the thread for good. */
  freeze(): never {
    for (;;) realAtomics.wait(this.words, NEVER, 0);
  }
}

/** A seat's words, as its own thread writes them. */
export class Place {
  readonly board: Board;
  readonly seat: number;
  #hasFailed = false;
  /** Some calls of the library that change nothing for others. */
  frenzy: () => void = () => {};

  constructor(board: Board, seat: number, slot: number, threadId: number) {
    this.board = board;
    this.seat = seat;
    board.set(seat, THREAD_ID, threadId);
    board.set(seat, SLOT, slot + 1);
  }

  /** Says what comes next; dies there if that is the order. */
  act(act: number): void {
    const { board, seat } = this;
    board.set(seat, ACT, act);
    const order = board.get(seat, ORDER);
    if (order === 0 || ((order >>> 4) & 15) !== act) return;
    if (order >>> 8 > 1) {
      board.set(seat, ORDER, order - 256);
      return;
    }
    board.set(seat, ORDER, 0);
    const way = (order & 15) - 1;
    if (way === EXIT) process.exit(3);
    if (way === THROW) throw new Error(TOLD_TO_THROW);
    if (way === STAND || way === FAIL) {
      this.#aim(way);
      return;
    }
    board.set(seat, DOOMED, 1);
    if (way === FREEZE) board.freeze();
    board.set(seat, ACT, AMIDST);
    for (;;) this.frenzy();
  }

  /** At the top of a thread: what was planted was caught, and the thread goes on. */
  survive(error: unknown): void {
    // What it had begun stays half done: what it does from here on may fail because of that.
    if (error instanceof RangeError && error.message === PLANTED) this.#hasFailed = true;
    if (!this.#hasFailed) throw error;
  }

  #aim(way: number): void {
    const count = this.board.get(this.seat, ACCESS);
    atAccess(count, () => {
      if (way === STAND) this.#standStill();
      this.#endAfter(1 + (count % AFTERLIFE_TURNS_MAX));
      throw new RangeError(PLANTED);
    });
  }

  #standStill(): never {
    this.board.set(this.seat, DOOMED, 1);
    this.board.freeze();
  }

  #endAfter(turns: number): void {
    setImmediate(() => (turns > 0 ? this.#endAfter(turns - 1) : this.#standStill()));
  }

  add(field: number, count: number): void {
    this.board.add(this.seat, field, count);
  }

  openPath(): number {
    return this.board.openPath(this.seat);
  }
}

/** How far every message has come. */
export class Ledger {
  readonly memory: SharedArrayBuffer;
  readonly marks: Int32Array<SharedArrayBuffer>;

  constructor(sources: number, memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(4 * sources * LEDGER_SLOTS);
    this.marks = new Int32Array(this.memory);
  }

  indexOf(source: number, sequence: number): number {
    return source * LEDGER_SLOTS + (sequence % LEDGER_SLOTS);
  }

  get(index: number): number {
    return realAtomics.load(this.marks, index);
  }

  set(index: number, mark: number): void {
    realAtomics.store(this.marks, index, mark);
  }

  /** Unless the client that received it has marked it. */
  move(index: number, from: number, to: number): void {
    realAtomics.compareExchange(this.marks, index, from, to);
  }
}
