// SPDX-License-Identifier: MIT
/** Model checker: what instrumented modules call wherever an engine could end their thread. */

import { activeMachine } from './active.ts';

export function mayDie(): void {
  activeMachine()?.mayDie();
}
