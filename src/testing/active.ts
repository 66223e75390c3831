// SPDX-License-Identifier: MIT
/**
 * Model checker: the machine that runs a scenario at this moment, for code that it does not call.
 */

import type { Machine } from './machine.ts';

let active: Machine | undefined;

export function activeMachine(): Machine | undefined {
  return active;
}

export function setActiveMachine(machine: Machine | undefined): void {
  active = machine;
}
