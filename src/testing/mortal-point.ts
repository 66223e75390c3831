// SPDX-License-Identifier: MIT
/** Model checker: what code calls wherever an engine could end its thread. */

import { activeMachine } from './active.ts';

/**
 * A place where the thread that runs may be killed, for `deaths: 'entries'`. Elsewhere, and outside
 * of a model check, it does nothing.
 *
 * V8 delivers `terminate()` at function entries and at the back edges of loops. Code whose recovery
 * relies on straight lines being all done or not begun is checked with a call at each of those.
 */
export function mayDie(): void {
  activeMachine()?.mayDie();
}
