// SPDX-License-Identifier: MIT
/** Model checker: the machine that currently runs a scenario, for code that has no reference. */

import type { Machine } from './machine.ts';

let active: Machine | undefined;

export function activeMachine(): Machine | undefined {
  return active;
}

export function setActiveMachine(machine: Machine | undefined): void {
  active = machine;
}
