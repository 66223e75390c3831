// SPDX-License-Identifier: MIT
/** Example udp-relay: numbers on the command lines of its programs. */

/** Parses an integer. **Throws** RangeError naming the option. */
export function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new RangeError(
    `--${name} must be an integer from ${min} to ${max}, got ${JSON.stringify(text)}`,
  );
}
