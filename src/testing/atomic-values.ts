// SPDX-License-Identifier: MIT
/** Model checker: results of atomic operations, and hashes of their operands. */

import {
  OP_ADD,
  OP_AND,
  OP_COMPARE_EXCHANGE,
  OP_EXCHANGE,
  OP_GROW,
  OP_LOAD,
  OP_OR,
  OP_STORE,
  OP_SUB,
  OP_XOR,
} from './machine-layout.ts';

/** The value of a word after an atomic access. */
export function valueAfter(op: number, before: number, a: number, b: number): number {
  switch (op) {
    case OP_LOAD:
      return before;
    case OP_STORE:
    case OP_EXCHANGE:
      return a | 0;
    case OP_ADD:
      return (before + a) | 0;
    case OP_SUB:
      return (before - a) | 0;
    case OP_AND:
      return before & a;
    case OP_OR:
      return before | a;
    case OP_XOR:
      return before ^ a;
    case OP_GROW:
      return Math.max(before, a);
    default:
      return before === (a | 0) ? b | 0 : before;
  }
}

/** True if an atomic access that has read `before` writes, be it the same value again. */
export function writesAfter(op: number, before: number, a: number): boolean {
  if (op === OP_COMPARE_EXCHANGE) return before === (a | 0);
  return op === OP_GROW ? before < a : op !== OP_LOAD;
}

/** The value of eight bytes, as unsigned bits, after an atomic access. */
export function longAfter(op: number, before: bigint, a: bigint, b: bigint): bigint {
  switch (op) {
    case OP_LOAD:
      return before;
    case OP_STORE:
    case OP_EXCHANGE:
      return BigInt.asUintN(64, a);
    case OP_ADD:
      return BigInt.asUintN(64, before + a);
    case OP_SUB:
      return BigInt.asUintN(64, before - a);
    case OP_AND:
      return BigInt.asUintN(64, before & a);
    case OP_OR:
      return BigInt.asUintN(64, before | a);
    case OP_XOR:
      return BigInt.asUintN(64, before ^ a);
    default:
      return before === BigInt.asUintN(64, a) ? BigInt.asUintN(64, b) : before;
  }
}

/** A hash of a thread's operands, to be compared when the access is replayed. */
export function operandsOf(a: number, b: number): number {
  return (Math.imul(a | 0, 0x9e3779b1) + (b | 0)) | 0;
}
