// SPDX-License-Identifier: MIT
/** Model checker: the replacement of `Atomics`. */

import type { SharedAccess, WaitOutcome } from './accesses.ts';
import type { Machine } from './machine.ts';
import {
  OP_ADD,
  OP_AND,
  OP_COMPARE_EXCHANGE,
  OP_EXCHANGE,
  OP_LOAD,
  OP_OR,
  OP_STORE,
  OP_SUB,
  OP_XOR,
} from './machine-layout.ts';
import { type Element, integerOf, isAtomic } from './view-elements.ts';
import { arrayViewOf, isSharedView, type WordView, wordViewOf } from './views.ts';

const realAtomics = globalThis.Atomics;
const RealSharedArrayBuffer = SharedArrayBuffer;
const RealInt32Array = Int32Array;

export const FOREIGN: string =
  'memory is shared that setup did not make with `new SharedArrayBuffer`: nobody sees who ' +
  'touches it (that of a WebAssembly.Memory, a copy by slice(), or of a constructor that was kept)';

/** Position of a wait or a notification: its word, and the expected value of the next word. */
interface Wait {
  readonly cell: number;
  readonly expected: number;
  readonly high?: number;
}

type Real = (words: Int32Array, index: number, a: number, b: number) => number;

/** `owned`: shared memory that one thread has created for itself. */
export function modelAtomics(
  machine: Machine,
  access: SharedAccess,
  owned: WeakSet<object>,
): object {
  /** Checks that words belong to one thread. */
  const ownWords = (words: Int32Array): Int32Array => {
    const block: unknown = (words as Int32Array | undefined)?.buffer;
    if (block instanceof RealSharedArrayBuffer && !owned.has(block) && !isSharedView(words)) {
      machine.complain(FOREIGN);
    }
    return words;
  };
  const operate = (
    op: number,
    real: Real,
    words: Int32Array,
    index: number,
    a: number,
    b: number,
  ): number => {
    const view = arrayViewOf(words);
    if (view === undefined) return real(ownWords(words), index, a, b);
    // The engine rejects floats, with its own error.
    if (!isAtomic(view.elements)) return real(new view.View(1) as Int32Array, 0, a, b);
    return view.elements.atomic(op, indexIn(view, index), a, b) as number;
  };
  const operation =
    (op: number, real: Real) =>
    (words: Int32Array, index: number, a: number, b: number): number => {
      const view = wordViewOf(words);
      if (view === undefined) return operate(op, real, words, index, a, b);
      return access.atomic(op, view.cell(index), a, b);
    };
  const waitAt = (
    words: Int32Array | BigInt64Array,
    index: number,
    expected: Element,
    view: WordView | undefined = wordViewOf(words),
  ): Wait => {
    if (view !== undefined) {
      return { cell: view.cell(index), expected: integerOf(expected) | 0 };
    }
    const long = arrayViewOf(words);
    if (long === undefined) {
      ownWords(words as Int32Array);
      return machine.complain('the model checker has Atomics.wait on memory of setup only');
    }
    const cell = waitCell(long, index);
    const bits = BigInt.asIntN(64, expected as bigint);
    return {
      cell,
      expected: Number(BigInt.asIntN(32, bits)),
      high: Number(BigInt.asIntN(32, bits >> 32n)),
    };
  };
  const store = operation(OP_STORE, realAtomics.store);
  return {
    load: operation(OP_LOAD, realAtomics.load),
    store: (words: Int32Array, index: number, value: number): number => {
      if (wordViewOf(words) === undefined) return store(words, index, value, 0);
      // It returns the integer, not its truncation to the word.
      const integer = integerOf(value);
      store(words, index, integer, 0);
      return integer;
    },
    add: operation(OP_ADD, realAtomics.add),
    sub: operation(OP_SUB, realAtomics.sub),
    and: operation(OP_AND, realAtomics.and),
    or: operation(OP_OR, realAtomics.or),
    xor: operation(OP_XOR, realAtomics.xor),
    exchange: operation(OP_EXCHANGE, realAtomics.exchange),
    compareExchange: operation(OP_COMPARE_EXCHANGE, realAtomics.compareExchange),
    isLockFree: realAtomics.isLockFree,
    pause: () => undefined,
    wait: (
      words: Int32Array,
      index: number,
      expected: Element,
      timeoutMs = Number.POSITIVE_INFINITY,
    ): WaitOutcome => {
      const at = waitAt(words, index, expected);
      return access.wait(at.cell, at.expected, timeoutMs, at.high);
    },
    waitAsync: (words: Int32Array, index: number, expected: Element, timeoutMs?: number) => {
      if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
        machine.complain('the model checker has no waitAsync with a timeout');
      }
      const at = waitAt(words, index, expected);
      return access.waitAsync(at.cell, at.expected, at.high);
    },
    notify: (words: Int32Array, index: number, count = Number.POSITIVE_INFINITY): number => {
      const view = wordViewOf(words);
      if (view !== undefined) return access.notify(view.cell(index), count);
      const long = arrayViewOf(words);
      if (long === undefined) return realAtomics.notify(ownWords(words), index, count);
      return access.notify(waitCell(long, index), count);
    },
  };
}

type Viewed = NonNullable<ReturnType<typeof arrayViewOf>>;

/** The word of an element to wait on. */
function waitCell(view: Viewed, index: number): number {
  // The engine rejects waits on other elements, with its own error.
  if (view.View.name !== 'BigInt64Array') realAtomics.notify(new view.View(1) as Int32Array, 0);
  const { memory, region, begin } = view.place;
  return memory.cellOfByte(region, begin + 8 * indexIn(view, index));
}

/** **Throws** as the engine does if there is no such element. */
function indexIn(view: Viewed, index: number): number {
  const at = Math.trunc(Number(index)) || 0;
  if (at < 0 || !view.hasElement(at)) realAtomics.load(new RealInt32Array(1), -1);
  return at;
}
