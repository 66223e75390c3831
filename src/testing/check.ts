// SPDX-License-Identifier: MIT
/**
 * Model checker: the three ways to run a scenario: every schedule, schedules by chance, one known
 * schedule.
 */

import { SharedAccess } from './accesses.ts';
import { activeMachine, setActiveMachine } from './active.ts';
import { Agent } from './agent.ts';
import { ChanceChooser } from './chance.ts';
import { Explorer } from './explorer.ts';
import { drainMicrotasks, installGlobals } from './globals.ts';
import { Machine } from './machine.ts';
import type { MachineThread } from './machine-contract.ts';
import {
  DEAD,
  G_EXCEPTIONS,
  G_KILLS,
  T_FINISHED,
  T_PUBLISHED,
  T_STATUS,
} from './machine-layout.ts';
import { CELL_RACY } from './memory.ts';
import { checkScenario, type ResolvedOptions, resolveOptions } from './model-options.ts';
import { parseSchedule } from './path.ts';
import { PlaybackChooser } from './playback.ts';
import { formatFailure, formatTrace, type Step, whereNow } from './report.ts';
import type {
  Failure,
  ModelOptions,
  ModelReport,
  Outcome,
  SampleOptions,
  Scenario,
} from './scenario.ts';
import { messageOf } from './thrown.ts';

/** Schedules between two turns of the real event loop. */
const SLICE_SCHEDULES = 500;
/** Schedules spent on finding a failure again with fewer preemptions. */
const SIMPLER_SCHEDULES_MAX = 20_000;

/**
 * Runs every interleaving of a scenario within the bounds.
 *
 * The report is complete if all were covered. It stops at the first failure, which it then shows
 * with as few preemptions as it finds. A failure is an answer, not an error: see
 * {@link expectPassed}.
 *
 * **Threads** one exploration at a time in a process, and nothing else of weight beside it: while
 * it runs, `Atomics`, the shared views, the clock and the timers are replaced on `globalThis`. It
 * lets the real event loop turn every 500 schedules.
 * **Throws** (rejects) TypeError and RangeError that name the argument; what `setup` throws.
 */
export async function explore<Shared>(
  scenario: Scenario<Shared>,
  options: ModelOptions = {},
): Promise<ModelReport> {
  const run = new Run(scenario, resolveOptions(options, false));
  await run.begin();
  const { warmUp } = run.options;
  if (warmUp > 0) {
    const chance = new ChanceChooser(run.machine, 1, 3);
    run.machine.contention.everyWord = true;
    for (let i = 0; i < warmUp && !run.failed; i++) await run.several(chance, 1);
    run.machine.contention.everyWord = false;
  }
  if (!run.failed) await run.exhaust();
  return run.report();
}

/**
 * Runs `schedules` schedules (default 1000) that chance picks, the same ones for the same seed: for
 * scenarios too large to {@link explore}. Never complete.
 *
 * **Throws** (rejects) as {@link explore}.
 */
export async function sample<Shared>(
  scenario: Scenario<Shared>,
  options: SampleOptions = {},
): Promise<ModelReport> {
  const run = new Run(scenario, resolveOptions(options, true));
  await run.begin();
  run.machine.contention.everyWord = true;
  const chance = new ChanceChooser(run.machine, run.options.seed, run.options.changes);
  await run.several(chance, run.options.schedules);
  return run.report();
}

/**
 * Runs one schedule, as a failure names it, with the options under which it failed.
 *
 * Code or scenario may have changed since: a report with `diverged` says that the schedule could
 * not be followed to its end, and so has shown nothing.
 *
 * **Throws** (rejects) TypeError if `schedule` is none; otherwise as {@link explore}.
 */
export async function replay<Shared>(
  scenario: Scenario<Shared>,
  schedule: string,
  options: ModelOptions = {},
): Promise<ModelReport> {
  const run = new Run(scenario, resolveOptions(options, false));
  await run.begin();
  await run.playBack(schedule);
  return run.report();
}

/** Throws, with the trace, unless the report says that all went well. */
export function expectPassed(report: ModelReport): void {
  if (report.failure !== undefined) throw new Error(formatFailure(report));
  if (report.diverged) {
    throw new Error(
      `${report.scenario}: the schedule does not fit the scenario any more: explore it again`,
    );
  }
}

/** One scenario being run. */
class Run<Shared> {
  readonly machine: Machine;
  readonly options: ResolvedOptions;
  readonly #scenario: Scenario<Shared>;
  readonly #access: SharedAccess;
  readonly #beganMs: number = performance.now();
  #shared: Shared | undefined;
  #schedules = 0;
  #ended = 0;
  #states = 0;
  #kills = 0;
  #exceptions = 0;
  #complete = false;
  #diverged = false;
  #failure: Failure | undefined;

  constructor(scenario: Scenario<Shared>, options: ResolvedOptions) {
    checkScenario(scenario, options.kills);
    if (activeMachine() !== undefined) {
      throw new Error('a thread of a scenario cannot run the model checker');
    }
    this.#scenario = scenario;
    this.options = options;
    this.machine = new Machine(this.#threads().length, options);
    this.#access = new SharedAccess(this.machine);
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Runs setup. */
  async begin(): Promise<void> {
    await this.#inside(() => {
      const shared = this.#scenario.setup();
      if (typeof (shared as { then?: unknown } | undefined)?.then === 'function') {
        throw new TypeError('scenario.setup must return what it made, not a promise');
      }
      drainMicrotasks();
      this.#shared = shared;
      const racy = this.#scenario.racy?.(shared);
      const memory = this.machine.memory;
      for (const region of memory.regions) {
        for (let word = 0; word < region.byteLength >> 2; word++) {
          if (racy?.(region.ordinal, word) !== true) continue;
          memory.flags[region.firstCell + word * memory.cellWords] |= CELL_RACY;
        }
      }
    });
    this.machine.freeze(this.#threads());
  }

  /** Every schedule within the bounds. */
  async exhaust(): Promise<void> {
    const machine = this.machine;
    const { preemptions, schedules: schedulesMax, states: statesMax } = this.options;
    let explorer = new Explorer(machine, preemptions);
    let started = false;
    let more = true;
    machine.contention.grew = false;
    while (more && !this.failed) {
      await this.#inside(() => {
        for (let i = 0; i < SLICE_SCHEDULES && more && !this.failed; i++) {
          machine.chooser = explorer;
          if (started) more = explorer.advance();
          else explorer.first();
          started = true;
          if (more) this.#conclude(explorer.ended);
          if (this.#schedules >= schedulesMax || explorer.states >= statesMax) return;
        }
      });
      this.#states = explorer.states;
      this.#kills = explorer.kills;
      this.#exceptions = explorer.exceptions;
      if (this.#schedules >= schedulesMax || explorer.states >= statesMax) break;
      if (!machine.contention.grew || this.failed) continue;
      // What was explored so far did not switch at that word: from the beginning.
      machine.contention.grew = false;
      explorer = new Explorer(machine, preemptions);
      started = false;
      more = true;
    }
    this.#complete = !more && !this.failed;
    if (this.#failure !== undefined) await this.#simplify(this.#failure);
  }

  async several(chooser: ChanceChooser, schedules: number): Promise<void> {
    for (let done = 0; done < schedules && !this.failed; ) {
      await this.#inside(() => {
        for (let i = 0; i < SLICE_SCHEDULES && done < schedules && !this.failed; i++, done++) {
          this.#chance(chooser);
        }
      });
    }
    if (this.#failure !== undefined) await this.#simplify(this.#failure);
  }

  #chance(chooser: ChanceChooser): void {
    this.machine.chooser = chooser;
    chooser.run();
    this.#conclude(chooser.ended);
    if (this.machine.state[G_KILLS] > 0) this.#kills++;
    if (this.machine.state[G_EXCEPTIONS] > 0) this.#exceptions++;
  }

  /** Runs one schedule and records it. */
  async playBack(schedule: string): Promise<void> {
    this.#failure = undefined;
    const machine = this.machine;
    const names = machine.threads.map((thread) => thread.name);
    const steps: Step[] = [];
    const chooser = new PlaybackChooser(machine, parseSchedule(schedule, names));
    machine.chooser = chooser;
    machine.everyStep = true;
    machine.recorder = (step) => {
      steps.push({ ...step, where: whereNow(), prepares: machine.preparing });
    };
    await this.#inside(() => {
      chooser.run();
      this.#conclude(chooser.ended);
    });
    machine.everyStep = false;
    machine.recorder = undefined;
    this.#diverged = chooser.diverged;
    const failure = this.#failure as Failure | undefined;
    if (failure === undefined) return;
    const nameWord = this.#scenario.nameWord?.(this.#shared as Shared) ?? (() => undefined);
    const cell = machine.failure?.cell;
    this.#failure = {
      ...failure,
      schedule,
      trace: formatTrace(steps, names, machine.memory, nameWord, cell),
    };
  }

  report(): ModelReport {
    return {
      scenario: this.#scenario.name,
      complete: this.#complete,
      schedules: this.#schedules,
      ended: this.#ended,
      states: this.#states,
      transitions: this.machine.path.total,
      kills: this.#kills,
      exceptions: this.#exceptions,
      diverged: this.#diverged,
      elapsedMs: performance.now() - this.#beganMs,
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
    };
  }

  /** Looks for the same kind of failure with as few preemptions as possible, and records it. */
  async #simplify(found: Failure): Promise<void> {
    let simplest = found;
    const machine = this.machine;
    const counts = { schedules: this.#schedules, ended: this.#ended };
    for (let preemptions = 0; preemptions < 4 && simplest === found; preemptions++) {
      const explorer = new Explorer(machine, preemptions);
      let more = true;
      this.#failure = undefined;
      await this.#inside(() => {
        machine.chooser = explorer;
        explorer.first();
        this.#conclude(explorer.ended);
        for (let i = 0; i < SIMPLER_SCHEDULES_MAX && more && !this.failed; i++) {
          more = explorer.advance();
          if (more) this.#conclude(explorer.ended);
        }
      });
      const again = this.#failure as Failure | undefined;
      if (again?.kind === found.kind) simplest = again;
    }
    this.#schedules = counts.schedules;
    this.#ended = counts.ended;
    await this.playBack(simplest.schedule);
    this.#diverged = false;
    this.#failure ??= { ...simplest, trace: '(the replay did not show it again)' };
  }

  /** After a schedule: checks it, and notes what went wrong. */
  #conclude(ended: boolean): void {
    const machine = this.machine;
    this.#schedules++;
    if (ended && machine.failure === undefined) {
      this.#ended++;
      this.#check();
    }
    if (machine.failure === undefined) return;
    const { kind, message, error } = machine.failure;
    const schedule = machine.path.format(machine.threads.map((thread) => thread.name));
    this.#failure = {
      kind,
      message,
      schedule,
      trace: '',
      ...(error === undefined ? {} : { error }),
    };
  }

  #check(): void {
    const check = this.#scenario.check;
    if (check === undefined) return;
    const machine = this.machine;
    machine.save();
    const state = machine.state.slice();
    const undoMark = machine.memory.undoTop;
    let caught: unknown;
    let failed = false;
    machine.direct = true;
    machine.unwinding = false;
    machine.agent = new Agent();
    try {
      const answer: unknown = check.call(this.#scenario, this.#shared as Shared, this.#outcome());
      if (typeof (answer as { then?: unknown } | undefined)?.then === 'function') {
        throw new TypeError('scenario.check must not be async: nobody waits for its promise');
      }
      drainMicrotasks();
    } catch (error) {
      failed = true;
      caught = error;
    }
    machine.direct = false;
    machine.restore(state, 0, undoMark);
    if (failed) {
      machine.failure = { kind: 'assertion', message: messageOf(caught), error: caught };
    }
  }

  #outcome(): Outcome {
    const machine = this.machine;
    const results: Record<string, unknown> = {};
    const killed: string[] = [];
    machine.threads.forEach((thread, i) => {
      const base = machine.layout.thread(i);
      if (machine.state[base + T_STATUS] === DEAD) killed.push(thread.name);
      else if (machine.state[base + T_FINISHED] === 1) results[thread.name] = machine.results[i];
    });
    return { results, killed };
  }

  #threads(): MachineThread[] {
    const scenario = this.#scenario;
    const names = Object.keys(scenario.threads);
    const killable = this.options.kills > 0 ? (scenario.killable ?? names) : [];
    const threads: MachineThread[] = names.map((name) => ({
      name,
      killable: killable.includes(name),
      prepares: scenario.prepares?.includes(name) ?? false,
      supervises: -1,
      run: (self) => scenario.threads[name](this.#shared as Shared, self),
    }));
    if (scenario.supervisor === undefined) return threads;
    for (const name of killable) {
      const supervises = names.indexOf(name);
      threads.push({
        name: `${name}'s-supervisor`,
        killable: false,
        prepares: scenario.prepares?.includes('supervisor') ?? false,
        supervises,
        run: (self) => {
          const base = this.machine.layout.thread(supervises);
          const count = this.machine.state[base + T_PUBLISHED];
          const published = this.machine.published[supervises].slice(0, count);
          return scenario.supervisor?.(this.#shared as Shared, { name, published }, self);
        },
      });
    }
    return threads;
  }

  /**
   * Does something with the replaced globals, in a macrotask of its own so that microtasks can be
   * drained in it.
   */
  #inside(body: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        const restore = installGlobals(this.machine, this.#access);
        setActiveMachine(this.machine);
        try {
          body();
          resolve();
        } catch (error) {
          reject(error as Error);
        } finally {
          setActiveMachine(undefined);
          restore();
        }
      });
    });
  }
}
