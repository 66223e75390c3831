// SPDX-License-Identifier: MIT
/** Model checker: what atomic accesses leave in a word, and what tells two accesses apart. */

import {
  OP_ADD,
  OP_AND,
  OP_EXCHANGE,
  OP_LOAD,
  OP_OR,
  OP_STORE,
  OP_SUB,
  OP_XOR,
} from './machine-layout.ts';

/** What a word holds after an atomic access. */
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
    default:
      return before === (a | 0) ? b | 0 : before;
  }
}

/** What eight bytes, as unsigned bits, hold after an atomic access. */
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

/** What a thread hands in, to be compared when it does so again. */
export function operandsOf(a: number, b: number): number {
  return (Math.imul(a | 0, 0x9e3779b1) + (b | 0)) | 0;
}
