// SPDX-License-Identifier: MIT
/** Test tool: waits turn by turn of the event loop, never by the clock. */

/** The next turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Comes true, turn by turn. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

/** Turns in which everything under way on this machine has arrived. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}
