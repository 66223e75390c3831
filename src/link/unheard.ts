// SPDX-License-Identifier: MIT
/** Warns of failures of links that no handler gets. */

import { nowMs } from '../base/clock.ts';

/** Shortest time between two warnings: thousands of peers may fail in the same way. */
const WARNING_MS_MIN = 1000;

let warnedAtMs = -Infinity;
let silentCount = 0;

/**
 * Emits a process warning with the code `BUSBAR_LINK`, at most once a second on each thread; the
 * next one says how many were left out. `what`: "a TCP link has failed".
 */
export function warnUnheard(what: string, error: Error): void {
  const atMs = nowMs();
  if (atMs - warnedAtMs < WARNING_MS_MIN) {
    silentCount++;
    return;
  }
  const others = silentCount === 0 ? '' : ` (and ${silentCount} more since the last warning)`;
  warnedAtMs = atMs;
  silentCount = 0;
  const code = (error as { code?: string }).code ?? error.name;
  process.emitWarning(
    `${what}, and no handler gets its error: ${code}, ${error.message}${others}`,
    {
      type: 'BusbarLink',
      code: 'BUSBAR_LINK',
    },
  );
}
