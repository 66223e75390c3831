// SPDX-License-Identifier: MIT
/** The task of the piscina baseline. */

export function answer(argument: unknown): unknown {
  return argument;
}
