// SPDX-License-Identifier: MIT
/** Model checker: one scenario being run, schedule after schedule. */

import { AccessPairs } from './access-pairs.ts';
import { SharedAccess } from './accesses.ts';
import { activeMachine, setActiveMachine } from './active.ts';
import { Agent } from './agent.ts';
import { ChanceChooser } from './chance.ts';
import { Checkpoints, writeWhole } from './checkpoint.ts';
import { Explorer } from './explorer.ts';
import { installGlobals } from './globals.ts';
import { Machine } from './machine.ts';
import type { MachineFailure } from './machine-contract.ts';
import { G_EXCEPTIONS, G_KILLS, OP_WAIT } from './machine-layout.ts';
import { CELL_RACY } from './memory.ts';
import { MessagePorts } from './message-ports.ts';
import { drainMicrotasks } from './microtasks.ts';
import { FOREIGN } from './model-atomics.ts';
import { checkScenario, type ResolvedOptions, replayOptions } from './model-options.ts';
import { parseSchedule } from './path.ts';
import { PlaybackChooser } from './playback.ts';
import { formatEnd, nameOf, replayCall, type WordNames } from './report.ts';
import { RunWatch } from './run-watch.ts';
import type { Failure, ModelOptions, ModelReport, Scenario } from './scenario.ts';
import { outcomeOf, type ThreadWorld, threadsOf } from './scenario-threads.ts';
import { type RunCounts, Search, type SearchCopy, SLICE_MS, SLICE_SCHEDULES } from './search.ts';
import { messageOf } from './thrown.ts';
import { operationNames, TraceRecorder } from './trace-recorder.ts';
import { traceText } from './trace-text.ts';
import { findUnseen, wasWritten } from './unseen.ts';
import { Watchdog } from './watchdog.ts';

const SIMPLER_SCHEDULES_MAX = 20_000;

// Taken before a test or a schedule replaces them.
const later = setImmediate;
const now = performance.now.bind(performance);

/** One scenario being run. */
export class Run<Shared> {
  readonly machine: Machine;
  readonly options: ResolvedOptions;
  readonly #scenario: Scenario<Shared>;
  readonly #access: SharedAccess;
  readonly #ports: MessagePorts;
  readonly watch: RunWatch;
  /** Schedules spent on finding a failure again, with each number of preemptions. */
  simplerMax: number = SIMPLER_SCHEDULES_MAX;
  readonly #pairs: AccessPairs | undefined;
  /** What the caller asked that a single schedule depends on. */
  readonly #asked: ModelOptions;
  readonly #watchdog = new Watchdog();
  #shared: Shared | undefined;
  readonly counts: RunCounts = {
    schedules: 0,
    ended: 0,
    states: 0,
    kills: 0,
    exceptions: 0,
    covered: -1,
  };
  #outcome: 'open' | 'exhausted' | 'diverged' | 'hung' = 'open';
  #failure: Failure | undefined;
  readonly #search: Search = new Search(this);
  #checkpoints: Checkpoints | undefined;

  constructor(scenario: Scenario<Shared>, asked: ModelOptions, options: ResolvedOptions) {
    checkScenario(scenario, options.kills);
    if (activeMachine() !== undefined) {
      throw new Error('a thread of a scenario cannot run the model checker');
    }
    this.#scenario = scenario;
    this.options = options;
    this.#asked = replayOptions(asked);
    this.watch = new RunWatch(options.milliseconds, options.progress);
    const world = () => this.#world();
    this.machine = new Machine(threadsOf(scenario, options.kills, world).length, options);
    this.#access = new SharedAccess(this.machine);
    this.#ports = new MessagePorts(this.machine, this.#access);
    this.#pairs = options.coverage ? new AccessPairs(this.machine) : undefined;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Runs setup. `keeps`: checkpoints are read or written. */
  async begin(keeps: boolean = this.options.checkpoint !== undefined): Promise<void> {
    const machine = this.machine;
    await this.inside(() => {
      const shared = this.#scenario.setup();
      if (isThenable(shared)) {
        throw new TypeError('scenario.setup must return what it made, not a promise');
      }
      drainMicrotasks();
      if (machine.complaint !== undefined) throw new Error(machine.complaint);
      if (machine.agent.turns.length > 0 || machine.agent.mayFire(false)) {
        throw new Error('scenario.setup has set a timer: it never fires, for setup does not wait');
      }
      if (findUnseen(shared, machine.memory)) throw new Error(FOREIGN);
      this.#shared = shared;
      const racy = this.#scenario.racy?.(shared);
      const memory = machine.memory;
      for (const region of memory.regions) {
        for (let word = 0; word < region.byteLength >> 2; word++) {
          if (racy?.(region.ordinal, word) !== true) continue;
          memory.flags[region.firstCell + word * memory.cellWords] |= CELL_RACY;
        }
      }
    }, false);
    this.#ports.makeWords();
    machine.freeze(threadsOf(this.#scenario, this.options.kills, () => this.#world()));
    if (keeps) this.#checkpoints = new Checkpoints(this.#scenario, this.options, machine.memory);
    const pairs = this.#pairs;
    if (pairs !== undefined) {
      machine.observer = (thread, op, cell) => pairs.note(thread, op, cell);
    }
    if (!this.options.races) machine.leftOut.add('races');
  }

  /** Runs some random schedules, which show where threads meet. */
  async warmUp(): Promise<void> {
    const { machine } = this;
    const schedules = Math.min(this.options.warmUp, this.options.schedules);
    machine.contention.everyWord = true;
    await this.#several(new ChanceChooser(machine, 1, 3), schedules);
    machine.contention.everyWord = false;
    if (this.options.races) machine.leftOut.clear();
    else machine.leaveOut(['races']);
  }

  /** Runs random schedules. */
  async sample(): Promise<void> {
    const { machine } = this;
    const { seed, changes, schedules } = this.options;
    machine.contention.everyWord = true;
    await this.#several(new ChanceChooser(machine, seed, changes), schedules);
  }

  /** Every schedule within the bounds; from a checkpoint, those that are left. */
  async exhaust(from?: Uint8Array): Promise<void> {
    if (from !== undefined) this.#search.load((this.#checkpoints as Checkpoints).read(from));
    await this.#search.explore();
    if (this.counts.covered >= 0 && !this.failed) this.#outcome = 'exhausted';
    if (this.#failure !== undefined) await this.#simplify(this.#failure);
  }

  /** Hands on a checkpoint if one is wanted now: now and then, and when the run stops. */
  keep(copy: () => SearchCopy, isLast: boolean): void {
    const { checkpoint } = this.options;
    if (checkpoint === undefined || !(isLast || this.watch.isTimeToKeep())) return;
    const bytes = (this.#checkpoints as Checkpoints).write(copy());
    if (typeof checkpoint === 'string') writeWhole(checkpoint, bytes);
    else checkpoint(bytes);
  }

  async #several(chooser: ChanceChooser, schedules: number): Promise<void> {
    for (let done = 0; done < schedules && !this.failed && !this.watch.isOver; ) {
      this.look();
      await this.inside(() => {
        const end = now() + SLICE_MS;
        for (let i = 0; i < SLICE_SCHEDULES && done < schedules && !this.failed; i++, done++) {
          if (now() > end) break;
          this.#chance(chooser);
        }
      });
    }
    if (this.#failure !== undefined) await this.#simplify(this.#failure);
  }

  look(): void {
    this.watch.look(() => ({
      scenario: this.#scenario.name,
      schedules: this.counts.schedules,
      states: this.counts.states,
    }));
  }

  #world(): ThreadWorld<Shared> {
    const { machine } = this;
    return { shared: () => this.#shared as Shared, machine, ports: this.#ports };
  }

  #chance(chooser: ChanceChooser): void {
    chooser.run();
    this.conclude(chooser.ended);
    if (this.machine.state[G_KILLS] > 0) this.counts.kills++;
    if (this.machine.state[G_EXCEPTIONS] > 0) this.counts.exceptions++;
  }

  /** Runs one schedule and records it. */
  async playBack(schedule: string): Promise<void> {
    this.#failure = undefined;
    const machine = this.machine;
    const names = machine.threads.map((thread) => thread.name);
    const nameWord = this.#nameWord();
    const operations = operationNames.get(this.#scenario);
    const recorder = new TraceRecorder(names, machine.memory, nameWord, operations);
    const chooser = new PlaybackChooser(machine, parseSchedule(schedule, names, this.options));
    machine.recorder = (step) => recorder.access(step, machine.preparing);
    chooser.told = (thread, note) => recorder.note(thread, note);
    await this.inside(() => {
      chooser.run();
      this.conclude(chooser.ended);
    }, false);
    machine.recorder = undefined;
    if (chooser.diverged) this.#outcome = 'diverged';
    const failure = this.#failure as Failure | undefined;
    if (failure === undefined) return;
    const cell = machine.failure?.cell;
    const steps = recorder.steps(cell);
    const race = failure.kind === 'data race' ? recorder.race(cell) : undefined;
    this.#failure = {
      ...failure,
      message: race ?? failure.message,
      schedule,
      trace: [traceText(steps), ...this.#ends()].join('\n'),
      steps,
      options: this.#asked,
      replay: replayCall(schedule, this.#asked),
    };
  }

  /** What `check` has read that was not the last write, line by line. */
  #ends(): string[] {
    const { machine } = this;
    const names = this.#scenario.nameWord?.(this.#shared as Shared) ?? (() => undefined);
    return (machine.weak?.ends.weak() ?? []).map((end) => formatEnd(end, machine.memory, names));
  }

  report(): ModelReport {
    const { machine } = this;
    if (this.#failure === undefined && this.#outcome !== 'diverged') this.#findUnseen();
    const leftOut = [...machine.leftOut].sort();
    return {
      scenario: this.#scenario.name,
      complete: this.#outcome === 'exhausted' && !this.failed && leftOut.length === 0,
      leftOut,
      covered: this.counts.covered,
      schedules: this.counts.schedules,
      ended: this.counts.ended,
      states: this.counts.states,
      transitions: machine.path.total,
      kills: this.counts.kills,
      exceptions: this.counts.exceptions,
      diverged: this.#outcome === 'diverged',
      elapsedMs: this.watch.elapsedMs,
      ...(this.#pairs === undefined ? {} : { coverage: this.#pairs.coverage() }),
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
    };
  }

  /** Nothing failed: fails if nothing was checked either. */
  #findUnseen(): void {
    const { machine } = this;
    const fails = (message: string): void => {
      this.#failure = { kind: 'misuse', message, schedule: '', trace: '' };
    };
    if (machine.memory.regions.some(wasWritten)) {
      fails('shared memory was written through a view that the checker did not make');
    } else if (machine.accesses === 0) {
      fails('no thread has touched shared memory that the checker sees');
    }
  }

  /** Looks for the same kind of failure with as few preemptions as possible, and records it. */
  async #simplify(found: Failure): Promise<void> {
    if (this.#outcome === 'hung') return;
    let simplest = found;
    const machine = this.machine;
    const counts = { schedules: this.counts.schedules, ended: this.counts.ended };
    for (let preemptions = 0; preemptions < 4 && simplest === found; preemptions++) {
      const explorer = new Explorer(machine, preemptions);
      let more = true;
      this.#failure = undefined;
      await this.inside(() => {
        explorer.first();
        this.conclude(explorer.ended);
        for (let i = 0; i < this.simplerMax && more && !this.failed; i++) {
          more = explorer.advance();
          if (more) this.conclude(explorer.ended);
        }
      }, false);
      const again = this.#failure as Failure | undefined;
      if (again?.kind === found.kind) simplest = again;
    }
    this.counts.schedules = counts.schedules;
    this.counts.ended = counts.ended;
    await this.playBack(simplest.schedule);
    this.#outcome = 'open';
    this.#failure ??= { ...simplest, trace: '(the replay did not show it again)' };
  }

  /** After a schedule: checks it, and notes what went wrong. */
  conclude(ended: boolean): void {
    const machine = this.machine;
    this.counts.schedules++;
    if (ended && machine.failure === undefined) {
      this.counts.ended++;
      this.#check();
    }
    if (machine.failure === undefined) return;
    const { kind, error } = machine.failure;
    const message = this.#messageOf(machine.failure);
    const schedule = machine.path.format(machine.threads.map((thread) => thread.name));
    this.#failure = {
      kind,
      message,
      schedule,
      trace: '',
      ...(error === undefined ? {} : { error }),
    };
  }

  #messageOf({ message, missed }: MachineFailure): string {
    if (missed === undefined) return message;
    const { memory, threads } = this.machine;
    const by = new Map<number, string[]>();
    for (const { thread, cell } of missed) {
      by.set(cell, [...(by.get(cell) ?? []), threads[thread].name]);
    }
    const tell = ([cell, names]: [number, string[]]): string => {
      const step = { thread: 0, op: OP_WAIT, cell, a: 0, b: 0, value: 0 };
      const word = nameOf(step, memory, this.#nameWord());
      return `waits on ${word}, which has changed: ${names.join(', ')}`;
    };
    return [...by].map(tell).join('; ');
  }

  /** Names of words, given by the scenario or by their use in the checker. */
  #nameWord(): WordNames {
    const named = this.#scenario.nameWord?.(this.#shared as Shared);
    return (block, word) => named?.(block, word) ?? this.#ports.wordName(block, word);
  }

  /** A part of the run took too long. */
  #hangs(): void {
    const { machine } = this;
    const names = machine.threads.map((thread) => thread.name);
    this.#outcome = 'hung';
    this.#failure = {
      kind: 'livelock',
      message: `${names[machine.current] ?? 'check'} computes on and on without an access`,
      schedule: machine.path.format(names),
      trace: '',
    };
  }

  #check(): void {
    const check = this.#scenario.check;
    if (check === undefined) return;
    const machine = this.machine;
    const state = machine.save();
    const undoMark = machine.memory.undoTop;
    let failure: MachineFailure | undefined;
    machine.weak?.ends.nextPass(true);
    do {
      machine.agent = new Agent();
      machine.current = -1;
      try {
        machine.directly(() => {
          const shared = this.#shared as Shared;
          const answer: unknown = check.call(this.#scenario, shared, outcomeOf(machine));
          if (isThenable(answer)) {
            answer.then(undefined, () => undefined);
            throw new TypeError('scenario.check must not be async: nothing waits for its promise');
          }
          drainMicrotasks();
        });
      } catch (error) {
        failure = { kind: 'assertion', message: messageOf(error), error };
      }
      machine.restore(state, 0, state.length, undoMark);
    } while (failure === undefined && machine.weak?.ends.nextPass(false) === true);
    machine.failure = failure;
    if (machine.complaint === undefined) return;
    machine.failure = { kind: 'misuse', message: machine.complaint };
    machine.complaint = undefined;
  }

  /**
   * Does something with the replaced globals, in a macrotask of its own so that microtasks can be
   * drained in it.
   */
  inside(body: () => void, isWatched = true): Promise<void> {
    const { machine } = this;
    return new Promise((resolve, reject) => {
      later(() => {
        const restore = installGlobals(machine, this.#access, this.#ports);
        setActiveMachine(machine);
        try {
          if (!isWatched) body();
          else if (!this.#watchdog.watch(body)) this.#hangs();
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}
