// SPDX-License-Identifier: MIT
/**
 * The 64 bytes that all message cases carry: every byte is written by the sender and read by the
 * receiver, whatever is in between.
 *
 * They are eight doubles, 2⁵² + 2³² × place + number: exact, and no byte is above 127, so that a
 * carrier of text takes them as they are, too.
 */

export const MESSAGE_BYTES = 64;

const FIRST = 2 ** 52;
/** From one place to the next. */
const STEP = 2 ** 32;

/** Message numbers count in the low seven bits of three bytes; this one follows `number`. */
export function nextNumber(number: number): number {
  return ((number | 0x808080) + 1) & 0x7f7f7f;
}

/** Writes message `number`. */
export function writeMessage(view: DataView, offset: number, number: number): void {
  const first = FIRST + number;
  view.setFloat64(offset, first, true);
  view.setFloat64(offset + 8, first + STEP, true);
  view.setFloat64(offset + 16, first + 2 * STEP, true);
  view.setFloat64(offset + 24, first + 3 * STEP, true);
  view.setFloat64(offset + 32, first + 4 * STEP, true);
  view.setFloat64(offset + 40, first + 5 * STEP, true);
  view.setFloat64(offset + 48, first + 6 * STEP, true);
  view.setFloat64(offset + 56, first + 7 * STEP, true);
}

/** Reads all of a message; true if it is message `number`. */
export function isMessage(view: DataView, offset: number, number: number): boolean {
  const first = FIRST + number;
  return (
    view.getFloat64(offset, true) === first &&
    view.getFloat64(offset + 8, true) === first + STEP &&
    view.getFloat64(offset + 16, true) === first + 2 * STEP &&
    view.getFloat64(offset + 24, true) === first + 3 * STEP &&
    view.getFloat64(offset + 32, true) === first + 4 * STEP &&
    view.getFloat64(offset + 40, true) === first + 5 * STEP &&
    view.getFloat64(offset + 48, true) === first + 6 * STEP &&
    view.getFloat64(offset + 56, true) === first + 7 * STEP
  );
}

/** Reads a message and compares. **Throws** when it is another one, or garbled. */
export function checkMessage(view: DataView, offset: number, number: number): void {
  if (!isMessage(view, offset, number)) throwWrong(view, offset, number);
}

function throwWrong(view: DataView, offset: number, number: number): never {
  const first = view.getFloat64(offset, true) - FIRST;
  throw new Error(`message ${number} should have come; what came begins with ${first}`);
}
