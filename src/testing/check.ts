// SPDX-License-Identifier: MIT
/**
 * Model checker: the three ways to run a scenario: every schedule, schedules by chance, one known
 * schedule.
 */

import { AccessPairs } from './access-pairs.ts';
import { SharedAccess } from './accesses.ts';
import { activeMachine, setActiveMachine } from './active.ts';
import { Agent } from './agent.ts';
import { ChanceChooser } from './chance.ts';
import { Explorer } from './explorer.ts';
import { drainMicrotasks, installGlobals } from './globals.ts';
import { Machine } from './machine.ts';
import type { MachineThread } from './machine-contract.ts';
import {
  ABSENT,
  DEAD,
  G_EXCEPTIONS,
  G_KILLS,
  T_FINISHED,
  T_LOG,
  T_PUBLISHED,
  T_STATUS,
} from './machine-layout.ts';
import { CELL_RACY } from './memory.ts';
import { MessagePorts, withPorts } from './message-ports.ts';
import {
  checkScenario,
  type ResolvedOptions,
  replayOptions,
  resolveOptions,
} from './model-options.ts';
import { parseSchedule } from './path.ts';
import { PlaybackChooser } from './playback.ts';
import { formatFailure, replayCall } from './report.ts';
import { RunWatch } from './run-watch.ts';
import type {
  Failure,
  ModelOptions,
  ModelReport,
  Outcome,
  SampleOptions,
  Scenario,
} from './scenario.ts';
import { messageOf } from './thrown.ts';
import { operationNames, TraceRecorder } from './trace-recorder.ts';
import { traceText } from './trace-text.ts';

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
  const run = new Run(scenario, options, resolveOptions(options, false));
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
  const run = new Run(scenario, options, resolveOptions(options, true));
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
  const run = new Run(scenario, options, resolveOptions(options, false));
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
  readonly #ports: MessagePorts;
  readonly #asked: ModelOptions;
  readonly #watch: RunWatch;
  readonly #pairs: AccessPairs | undefined;
  #shared: Shared | undefined;
  #schedules = 0;
  #ended = 0;
  #states = 0;
  #kills = 0;
  #exceptions = 0;
  #complete = false;
  #diverged = false;
  #failure: Failure | undefined;

  constructor(scenario: Scenario<Shared>, asked: ModelOptions, options: ResolvedOptions) {
    checkScenario(scenario, options.kills);
    if (activeMachine() !== undefined) {
      throw new Error('a thread of a scenario cannot run the model checker');
    }
    this.#scenario = scenario;
    this.#asked = replayOptions(asked);
    this.options = options;
    this.machine = new Machine(this.#threads().length, options);
    this.#watch = new RunWatch(options.milliseconds, options.progress);
    const { machine } = this;
    this.#pairs = options.coverage
      ? new AccessPairs(machine.memory, () => {
          let made = 0;
          for (let i = 0; i < machine.layout.threadCount; i++) {
            made += machine.state[machine.layout.thread(i) + T_LOG];
          }
          return made;
        })
      : undefined;
    this.#access = new SharedAccess(this.machine);
    this.#ports = new MessagePorts(this.machine, this.#access);
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
    this.#ports.makeWords();
    this.machine.freeze(this.#threads());
    const pairs = this.#pairs;
    if (pairs !== undefined) this.machine.recorder = (access) => pairs.note(access);
  }

  /** Every schedule within the bounds. */
  async exhaust(): Promise<void> {
    const machine = this.machine;
    const { preemptions, schedules: schedulesMax, states: statesMax } = this.options;
    let explorer = new Explorer(machine, preemptions);
    let started = false;
    let more = true;
    const isCut = (): boolean =>
      this.#schedules >= schedulesMax || explorer.states >= statesMax || this.#watch.isOver;
    machine.contention.grew = false;
    while (more && !this.failed) {
      await this.#inside(() => {
        for (let i = 0; i < SLICE_SCHEDULES && more && !this.failed; i++) {
          machine.chooser = explorer;
          if (started) more = explorer.advance();
          else explorer.first();
          started = true;
          if (more) this.#conclude(explorer.ended);
          if (isCut()) return;
        }
      });
      this.#states = explorer.states;
      this.#kills = explorer.kills;
      this.#exceptions = explorer.exceptions;
      this.#look();
      if (isCut()) break;
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
    for (let done = 0; done < schedules && !this.failed && !this.#watch.isOver; ) {
      this.#look();
      await this.#inside(() => {
        for (let i = 0; i < SLICE_SCHEDULES && done < schedules && !this.failed; i++, done++) {
          if (this.#watch.isOver) break;
          this.#chance(chooser);
        }
      });
    }
    if (this.#failure !== undefined) await this.#simplify(this.#failure);
  }

  #look(): void {
    this.#watch.look(() => ({
      scenario: this.#scenario.name,
      schedules: this.#schedules,
      states: this.#states,
    }));
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
    const named = this.#scenario.nameWord?.(this.#shared as Shared);
    const nameWord = (block: number, word: number): string | undefined =>
      named?.(block, word) ?? this.#ports.wordName(block, word);
    const operations = operationNames.get(this.#scenario);
    const recorder = new TraceRecorder(names, machine.memory, nameWord, operations);
    const chooser = new PlaybackChooser(machine, parseSchedule(schedule, names, this.options));
    machine.chooser = chooser;
    machine.everyStep = true;
    machine.recorder = (step) => recorder.access(step, machine.preparing);
    chooser.told = (thread, note) => recorder.note(thread, note);
    await this.#inside(() => {
      chooser.run();
      this.#conclude(chooser.ended);
    });
    machine.everyStep = false;
    machine.recorder = undefined;
    this.#diverged = chooser.diverged;
    const failure = this.#failure as Failure | undefined;
    if (failure === undefined) return;
    const cell = machine.failure?.cell;
    const steps = recorder.steps(cell);
    const race = failure.kind === 'data race' ? recorder.race(cell) : undefined;
    this.#failure = {
      ...failure,
      message: race ?? failure.message,
      schedule,
      trace: traceText(steps),
      steps,
      options: this.#asked,
      replay: replayCall(schedule, this.#asked),
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
      elapsedMs: this.#watch.elapsedMs,
      ...(this.#pairs === undefined ? {} : { coverage: this.#pairs.coverage() }),
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
    const waiting: string[] = [];
    machine.threads.forEach((thread, i) => {
      const base = machine.layout.thread(i);
      if (machine.state[base + T_STATUS] === DEAD) killed.push(thread.name);
      else if (machine.state[base + T_FINISHED] === 1) results[thread.name] = machine.results[i];
      else if (machine.state[base + T_STATUS] !== ABSENT) waiting.push(thread.name);
    });
    return { results, killed, waiting };
  }

  #threads(): MachineThread[] {
    const scenario = this.#scenario;
    const bodies = { ...scenario.threads, ...scenario.spawned };
    const names = Object.keys(bodies);
    const first = Object.keys(scenario.threads).length;
    const spawned = new Map(names.map((name, i) => [name, i] as const).slice(first));
    const killable = this.options.kills > 0 ? (scenario.killable ?? names) : [];
    const threads: MachineThread[] = names.map((name, i) => ({
      name,
      killable: killable.includes(name),
      prepares: scenario.prepares?.includes(name) ?? false,
      mayWait: scenario.mayWait?.includes(name) ?? false,
      isSpawned: i >= first,
      supervises: -1,
      run: (self) => bodies[name](this.#shared as Shared, withPorts(self, this.#ports, i, spawned)),
    }));
    if (scenario.supervisor === undefined) return threads;
    for (const name of killable) {
      const supervises = names.indexOf(name);
      threads.push({
        name: `${name}'s-supervisor`,
        killable: false,
        prepares: scenario.prepares?.includes('supervisor') ?? false,
        mayWait: false,
        isSpawned: false,
        supervises,
        run: (self) => {
          const base = this.machine.layout.thread(supervises);
          const count = this.machine.state[base + T_PUBLISHED];
          const published = this.machine.published[supervises].slice(0, count);
          const thread = withPorts(self, this.#ports, supervises, new Map());
          return scenario.supervisor?.(this.#shared as Shared, { name, published }, thread);
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
        const restore = installGlobals(this.machine, this.#access, this.#ports);
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
