// SPDX-License-Identifier: MIT
/**
 * The only file that calls `Atomics`. Each function is named after what its access is for.
 *
 * JavaScript gives sequential consistency for every atomic access. The names state what the
 * algorithm *needs*, so that a reader (and a port) can tell a publication from a counter.
 * `Atomics.x` is looked up at each call and never destructured: the model checker replaces the
 * global.
 *
 * The functions under "Compound steps" exist because a thread may be terminated. An engine ends a
 * thread only where it calls something, built-ins like `Atomics.add` and getters included, before
 * the call is begun, and at the back edge of a loop (measured: test/threads/compound.test.ts). A
 * stack that overflows throws at the same places. So reads, then ONE call, then plain stores are
 * all done or not begun; a store before the call, or a second call, can be torn. Other threads may
 * still *observe* a state between two of its accesses: a compound step is indivisible for death,
 * not for concurrency.
 */

/**
 * Words shared between threads. A view on a plain ArrayBuffer is allowed for single-threaded use.
 */
export type Words = Int32Array<ArrayBufferLike>;

/**
 * Reads without ordering: for words that one thread owns, and for hints that are checked again
 * later.
 */
export function loadPlain(words: Words, index: number): number {
  return words[index];
}

/** Writes without ordering: for words that one thread owns until it publishes them. */
export function storePlain(words: Words, index: number, value: number): void {
  words[index] = value;
}

/** Reads a word that another thread published with {@link storeRelease} or a read-modify-write. */
export function loadAcquire(words: Words, index: number): number {
  return Atomics.load(words, index);
}

/** Publishes everything this thread wrote before. */
export function storeRelease(words: Words, index: number, value: number): void {
  Atomics.store(words, index, value);
}

/**
 * Reads in the one total order of all sequentially consistent accesses (both sides of a Dekker
 * pair).
 */
export function loadSeqCst(words: Words, index: number): number {
  return Atomics.load(words, index);
}

/**
 * Writes in the one total order of all sequentially consistent accesses (both sides of a Dekker
 * pair).
 */
export function storeSeqCst(words: Words, index: number, value: number): void {
  Atomics.store(words, index, value);
}

/** Adds; returns the value before. */
export function fetchAdd(words: Words, index: number, delta: number): number {
  return Atomics.add(words, index, delta);
}

/** Subtracts; returns the value before. */
export function fetchSub(words: Words, index: number, delta: number): number {
  return Atomics.sub(words, index, delta);
}

/** Sets bits; returns the value before. */
export function fetchOr(words: Words, index: number, bits: number): number {
  return Atomics.or(words, index, bits);
}

/** Keeps only the given bits; returns the value before. */
export function fetchAnd(words: Words, index: number, bits: number): number {
  return Atomics.and(words, index, bits);
}

/** Whether `Atomics` takes a view. Accesses nothing: the index is out of range. */
export function isAtomicView(view: Words): boolean {
  try {
    return Atomics.load(view, -1) === 0;
  } catch (error) {
    return error instanceof RangeError;
  }
}

/** Swaps; returns the value before. */
export function exchange(words: Words, index: number, value: number): number {
  return Atomics.exchange(words, index, value);
}

/** Writes `replacement` if the word holds `expected`; returns the value before. */
export function compareExchange(
  words: Words,
  index: number,
  expected: number,
  replacement: number,
): number {
  return Atomics.compareExchange(words, index, expected, replacement);
}

/**
 * Wakes up to `count` waiters of the word, all if that is undefined; returns how many there were.
 * (Infinity would make an object in every call.)
 */
export function notify(words: Words, index: number, count?: number): number {
  return Atomics.notify(words, index, count);
}

/** Blocks while the word holds `expected`, for at most `timeoutMs`. */
export function waitSync(
  words: Words,
  index: number,
  expected: number,
  timeoutMs: number = Infinity,
): 'ok' | 'not-equal' | 'timed-out' {
  return Atomics.wait(words, index, expected, timeoutMs);
}

/** The result of {@link waitAsync}: at once, or later through a promise. */
export type AsyncWait =
  | { readonly async: false; readonly value: 'not-equal' | 'timed-out' }
  | { readonly async: true; readonly value: Promise<'ok' | 'timed-out'> };

/** Waits without blocking while the word holds `expected`. Does not keep the event loop alive. */
export function waitAsync(words: Words, index: number, expected: number): AsyncWait {
  return Atomics.waitAsync(words as Int32Array, index, expected) as AsyncWait;
}

// ── Compound steps: one call, then plain stores ──────────────────────────────────────────────────

/**
 * Writes `replacement` if the word holds `expected`, and in that case stores another word, which is
 * this thread's. Returns the value before.
 */
export function compareExchangeThenStore(
  words: Words,
  index: number,
  expected: number,
  replacement: number,
  ownedIndex: number,
  ownedValue: number,
): number {
  const before = Atomics.compareExchange(words, index, expected, replacement);
  if (before === expected) words[ownedIndex] = ownedValue;
  return before;
}

/** Publishes a word, then stores one that only its claimant reads. */
export function storeThenStore(
  published: Words,
  publishedIndex: number,
  publishedValue: number,
  owned: Words,
  ownedIndex: number,
  ownedValue: number,
): void {
  Atomics.store(published, publishedIndex, publishedValue);
  owned[ownedIndex] = ownedValue;
}

/** Publishes a word, then stores two neighbours that only their claimant reads. */
export function publishThenStore(
  published: Words,
  publishedIndex: number,
  publishedValue: number,
  owned: Words,
  ownedIndex: number,
  first: number,
  second: number,
): void {
  Atomics.store(published, publishedIndex, publishedValue);
  owned[ownedIndex] = first;
  owned[ownedIndex + 1] = second;
}

/** Changes a shared total and writes the account that the change belongs to. */
export function addThenStore(
  words: Words,
  totalIndex: number,
  delta: number,
  accountIndex: number,
  value: number,
): number {
  const before = Atomics.add(words, totalIndex, delta);
  words[accountIndex] = value;
  return before;
}

/**
 * Takes an account's whole contribution out of a shared total. The thread that brings the total to
 * zero becomes the owner.
 *
 * Returns what is left of the total.
 */
export function withdraw(
  words: Words,
  accountIndex: number,
  totalIndex: number,
  ownerIndex: number,
  self: number,
): number {
  const contribution = words[accountIndex];
  const left = Atomics.sub(words, totalIndex, contribution) - contribution;
  words[accountIndex] = 0;
  if (left === 0) words[ownerIndex] = self;
  return left;
}
