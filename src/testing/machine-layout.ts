// SPDX-License-Identifier: MIT
/**
 * Model checker: the layout of the state block, the one typed array that holds how far each thread
 * has come.
 *
 *   ┌─────────┬───────────────────────────────┬─────────────────────────────┐
 *   │ globals │ thread 0 … n−1: fields, clock │ waiters of agents 0 … n     │
 *   └─────────┴───────────────────────────────┴─────────────────────────────┘
 *                                              only the first WAITERS_END count
 *
 * To go back to an earlier moment, the explorer copies the block back and undoes the memory's log:
 * nothing else of a run has to be remembered, since each thread's own variables are a function of
 * the values it has read. Agent n is the one that ran setup: it only has waiters, and never runs
 * again.
 *
 *   STATUS   ABSENT ──a kill──▶ READY ◀──▶ BLOCKED (Atomics.wait)
 *                                │ ▲ └───▶ IDLE (event loop)   any ──kill──▶ DEAD
 *                                └─┴── next shared access is known
 */

// Globals.
let field = 0;
export const G_KILLS: number = field++;
/** Exceptions thrown at calls so far. */
export const G_EXCEPTIONS: number = field++;
export const G_PREEMPTIONS: number = field++;
/** 1 if the thread that runs was only brought to its first access: it does not count as running. */
export const G_STARTS: number = field++;
/** Length of the path: how many times the running thread changed. */
export const G_PATH: number = field++;
/** Numbers waiters and notifications in order. */
export const G_SEQUENCE: number = field++;
/** Places in the table of waiters that are or were in use. */
export const G_WAITERS_END: number = field++;
/** How many times there was a choice so far: the time by which fairness is measured. */
export const G_DECISIONS: number = field++;
/** Hash of all waiters. */
export const G_WAITERS_A: number = field++;
export const G_WAITERS_B: number = field++;
/** Hash of the memory, kept here only while the block is copied. */
export const G_HASH_A: number = field++;
export const G_HASH_B: number = field++;
const GLOBALS = field;

// Thread fields.
field = 0;
export const T_STATUS: number = field++;
/** 1 once the body has returned (or its promise settled); its event loop may still have work. */
export const T_FINISHED: number = field++;
/** Accesses done so far. */
export const T_LOG: number = field++;
export const T_HASH_A: number = field++;
export const T_HASH_B: number = field++;
/** READY: the next shared access. */
export const T_OP: number = field++;
export const T_CELL: number = field++;
/** 1 if a death now leaves another state than the last one that was considered. */
export const T_DIRTY: number = field++;
/** BLOCKED: 1 if the wait has an end. IDLE: 1 if a timer may fire, + 2 if a turn is queued. */
export const T_TIMED: number = field++;
/** How many times the thread's time passed: waits, timers, looks at the clock. */
export const T_TIMEOUTS: number = field++;
/** By which leap the clock will have moved on when the thread next looks at it; 0: none. */
export const T_LATE: number = field++;
/** 1 once the thread has looked at the clock. */
export const T_LOOKED: number = field++;
/** Its places in the table of waiters, and how many of its async ones were notified. */
export const T_WAITS: number = field++;
export const T_EVENTS: number = field++;
/** Values handed to the supervisor so far, and a hash of what they depend on. */
export const T_PUBLISHED: number = field++;
export const T_PUBLISHED_A: number = field++;
export const T_PUBLISHED_B: number = field++;
/** Calls made since the last access that is logged, the present one included. */
export const T_CALLS: number = field++;
/** Length of the log when the thread was last one of those to choose from. */
export const T_CHOSEN: number = field++;
/** DECISIONS when the thread last ran, or could not. */
export const T_SINCE: number = field++;
/** How many times the thread was switched to. */
export const T_TURNS: number = field++;
/** Length of the log at which the thread leaves the loop that it spins in; 0: not known. */
export const T_EXIT: number = field++;
/**
 * Reads in a row that told the thread nothing new, and the last few words read with their values.
 */
export const T_SPINS: number = field++;
export const T_RING_NEXT: number = field++;
export const T_RING: number = field;
export const RING_ENTRIES = 8;
/** Cell + 1, value, and whether it was read again without news. */
export const RING_FIELDS = 3;
field += RING_FIELDS * RING_ENTRIES;
const T_CLOCK = field;

// Waiter fields.
field = 0;
export const W_STATE: number = field++;
export const W_AGENT: number = field++;
export const W_CELL: number = field++;
export const W_SEQUENCE: number = field++;
/** SYNC_WAITER, or the number of earlier waitAsync calls of its thread. */
export const W_NUMBER: number = field++;
export const W_EXPECTED: number = field++;
export const WAITER_FIELDS: number = field;
/** Pending waits of all agents together, per agent. */
const WAITERS_PER_AGENT = 96;

export const ABSENT = 0;
export const READY = 1;
export const BLOCKED = 2;
export const IDLE = 3;
export const DEAD = 4;

export const SYNC_WAITER = -1;
export const WAITER_NONE = 0;
export const WAITER_WAITING = 1;
export const WAITER_NOTIFIED = 2;
/** It waited when its thread died. A notifier that finds it learns what the dead thread knew. */
export const WAITER_GHOST = 3;

/** Offsets in the state block for a number of threads. */
export class StateLayout {
  readonly threadCount: number;
  readonly #threadWords: number;
  /** First word of the table of waiters. */
  readonly firstWaiter: number;
  readonly size: number;

  constructor(threadCount: number) {
    this.threadCount = threadCount;
    this.#threadWords = T_CLOCK + threadCount;
    this.firstWaiter = GLOBALS + threadCount * this.#threadWords;
    this.size = this.firstWaiter + (threadCount + 1) * WAITERS_PER_AGENT * WAITER_FIELDS;
  }

  thread(thread: number): number {
    return GLOBALS + thread * this.#threadWords;
  }

  /** First word of the thread's vector clock. */
  clock(thread: number): number {
    return GLOBALS + thread * this.#threadWords + T_CLOCK;
  }

  /** End of what counts of a state block: places of the table that were never used follow. */
  used(state: Int32Array): number {
    return this.firstWaiter + state[G_WAITERS_END] * WAITER_FIELDS;
  }
}

/**
 * Milliseconds that may have passed since a thread last read the clock. The checker cannot see what
 * a program compares the time with: so there is one for short spins, and some for time limits.
 */
export const LEAPS_MS: readonly number[] = [0, 2, 1024, 86_400_000];

// What an access does. Nothing depends on the order of the read-modify-writes.
export const OP_START = 0;
export const OP_LOAD = 1;
export const OP_STORE = 2;
export const OP_ADD = 3;
export const OP_SUB = 4;
export const OP_AND = 5;
export const OP_OR = 6;
export const OP_XOR = 7;
/** Of the length of growable memory: the larger one of old and new. */
export const OP_GROW = 8;
export const OP_EXCHANGE = 9;
export const OP_COMPARE_EXCHANGE = 10;
export const OP_WAIT = 11;
export const OP_WAIT_ASYNC = 12;
export const OP_NOTIFY = 13;
export const OP_PLAIN_LOAD = 14;
export const OP_PLAIN_STORE = 15;
export const OP_BYTES_LOAD = 16;
export const OP_BYTES_STORE = 17;
export const OP_EVENT = 18;
export const OP_TIMER = 19;
export const OP_TURN = 20;
export const OP_WAKE = 21;
/** No access: the call with this number since the last logged access threw. */
export const OP_EXCEPTION = 22;
/** The thread reads the clock: the value is the leap by which time has passed, 0 for none. */
export const OP_CLOCK = 23;
/** An access is logged as its operation plus this times its cell. */
export const OP_LIMIT = 32;

export const OP_NAMES: readonly string[] = [
  'start',
  'load',
  'store',
  'add',
  'sub',
  'and',
  'or',
  'xor',
  'grow',
  'exchange',
  'compareExchange',
  'wait',
  'waitAsync',
  'notify',
  'read',
  'write',
  'read bytes',
  'write bytes',
  'notified',
  'timer',
  'turn',
  'wake from',
  'exception',
  'look at the clock',
];

/** True if others can see that the access happened. */
export function isWrite(op: number): boolean {
  return (
    (op >= OP_STORE && op <= OP_COMPARE_EXCHANGE) ||
    op === OP_NOTIFY ||
    op === OP_PLAIN_STORE ||
    op === OP_BYTES_STORE
  );
}
