// SPDX-License-Identifier: MIT
/** Types of pool-calculator.mjs, for its test. */
export function planText(fields: Readonly<Record<string, number | boolean>>): string;
