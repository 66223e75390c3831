// SPDX-License-Identifier: MIT
/** Model checker: the clock as a thread sees it that looks at it. */

import type { Agent } from './agent.ts';
import type { Contention } from './contention.ts';
import type { MachineParts } from './machine-contract.ts';
import { LEAPS_MS, OP_CLOCK, T_LATE, T_LOOKED, T_TIMEOUTS } from './machine-layout.ts';
import { CLOCK_CELL } from './memory.ts';
import type { SchedulePath } from './path.ts';
import type { Access } from './report.ts';

/** What the clock needs of a machine. */
interface ClockMachine extends MachineParts {
  readonly agent: Agent;
  readonly current: number;
  readonly direct: boolean;
  readonly preparing: boolean;
  readonly contention: Contention;
  readonly path: SchedulePath;
  readonly recorder: ((step: Access) => void) | undefined;
  readonly replayed: number;
  replays(op: number, cell: number, operands: number): boolean;
  arrive(op: number, cell: number, schedules: boolean, changes: boolean): void;
  chooseRead(op: number, cell: number, count: number): number;
  append(op: number, cell: number, operands: number, value: number): void;
}

/**
 * Between two looks, time may have passed: by which of {@link LEAPS_MS} is a choice, as that of a
 * weak read. It costs one of the time-outs that the thread may have.
 *
 * The choice is offered where a look can tell the thread something. Not in later rounds of a loop
 * that it spins in: a leap in one of the first rounds differs from a later one by nothing but the
 * number of rounds, since what others do meanwhile, they can do before. And at a thread's first
 * look only if others look, too: there is nothing else that it could compare the time with.
 */
export class ThreadClock {
  readonly #machine: ClockMachine;

  constructor(machine: ClockMachine) {
    this.#machine = machine;
  }

  /** The thread that runs looks at the clock. Setup and `check` find that it stands still. */
  look(): number {
    const { agent, current, direct } = this.#machine;
    if (current < 0 || direct) return agent.nowMs;
    agent.nowMs += LEAPS_MS[this.#leap()] ?? 0;
    return agent.nowMs;
  }

  /** Nothing else can happen: the thread finds that time has passed, each time more. */
  pass(thread: number): void {
    const { state, layout } = this.#machine;
    const base = layout.thread(thread);
    const passed = ++state[base + T_TIMEOUTS];
    state[base + T_LATE] = Math.min(passed, LEAPS_MS.length - 1);
  }

  #leap(): number {
    const machine = this.#machine;
    if (machine.replays(OP_CLOCK, CLOCK_CELL, 0)) return machine.replayed;
    const { state, spins, current } = machine;
    const base = machine.layout.thread(current);
    const isAlone = this.#looksAlone(current);
    const repeats = spins.repeats(current, CLOCK_CELL);
    machine.arrive(OP_CLOCK, CLOCK_CELL, true, false);
    const isFirst = isAlone && state[base + T_LOOKED] === 0;
    const tells = !isFirst && (!repeats || spins.isLeaving(current));
    let leap = state[base + T_LATE];
    if (leap === 0 && tells && !machine.preparing && !spins.isProbing) leap = this.#choose();
    state[base + T_LATE] = 0;
    state[base + T_LOOKED] = 1;
    if (leap > 0) spins.noteChange(current);
    else spins.noteRead(current, CLOCK_CELL, 0);
    machine.append(OP_CLOCK, CLOCK_CELL, 0, leap);
    const step = { thread: current, op: OP_CLOCK, cell: -1, a: 0, b: 0, value: leap };
    if (leap > 0) machine.recorder?.(step);
    return leap;
  }

  /** True if no other thread is known to look. What was explored by then lacks first looks. */
  #looksAlone(thread: number): boolean {
    const { memory, contention } = this.#machine;
    const before = memory.readers[CLOCK_CELL];
    const lookers = before | (1 << thread);
    if (before !== 0 && before !== lookers) contention.grew = true;
    memory.readers[CLOCK_CELL] = lookers;
    return (lookers & (lookers - 1)) === 0;
  }

  #choose(): number {
    const { state, layout, leftOut, limits, path, current } = this.#machine;
    const base = layout.thread(current);
    // Beyond the bound, or by other leaps: what the time is compared with is not known.
    leftOut.add('timeouts');
    if (state[base + T_TIMEOUTS] >= limits.timeouts) return 0;
    const leap = this.#machine.chooseRead(OP_CLOCK, CLOCK_CELL, LEAPS_MS.length);
    if (leap === 0) return 0;
    path.reads(current, `@${leap}`);
    state[base + T_TIMEOUTS]++;
    return leap;
  }
}
