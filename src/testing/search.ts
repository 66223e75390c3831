// SPDX-License-Identifier: MIT
/**
 * Model checker: the explorations of one run. Without a bound on preemptions, a small scenario is
 * explored at once; a larger one with 0, 1, 2 and 3 preemptions, then without a bound.
 */

import { BusbarError } from '../base/errors.ts';
import { Explorer, type ExplorerCopy } from './explorer.ts';
import type { Machine } from './machine.ts';
import type { MachineCopy } from './machine-state.ts';
import type { ResolvedOptions } from './model-options.ts';
import { PASSES_FEW, PASSES_MAX } from './moment.ts';
import type { LeftOut } from './omissions.ts';
import type { RunWatch } from './run-watch.ts';

/** Schedules and milliseconds between two turns of the real event loop. */
export const SLICE_SCHEDULES = 500;
export const SLICE_MS = 500;
/** Schedules, states and accesses of a scenario that is explored without a bound at once. */
const SMALL = 20_000;
const SMALL_EFFORT = 4_000_000;
/** Preemptions of the explorations of a larger one, one after the other. */
const BOUNDS = [0, 1, 2, 3, Number.POSITIVE_INFINITY];

// Taken before a test or a schedule replaces it.
const now = performance.now.bind(performance);

/** What a run has counted so far. */
export interface RunCounts {
  schedules: number;
  /** Schedules that ran to their end. */
  ended: number;
  states: number;
  kills: number;
  exceptions: number;
  /** Preemptions up to which everything was covered, or −1. */
  covered: number;
}

/** The run that the explorations belong to. */
interface SearchRun {
  readonly machine: Machine;
  readonly options: ResolvedOptions;
  readonly watch: RunWatch;
  readonly counts: RunCounts;
  readonly failed: boolean;
  /** Judges the schedule that was run last. */
  conclude(ended: boolean): void;
  /** Calls `body` while the globals are replaced. */
  inside(body: () => void, isWatched?: boolean): Promise<void>;
  look(): void;
  /** Takes a copy that a later run can continue from. `isLast`: this run stops here. */
  keep(copy: () => SearchCopy, isLast: boolean): void;
}

/** Everything that a later run needs to continue. */
export interface SearchCopy {
  readonly phase: number;
  readonly known: readonly LeftOut[];
  readonly lastSchedule: number;
  readonly lastEffort: number;
  readonly started: boolean;
  readonly mattered: boolean;
  readonly counts: RunCounts;
  readonly explorer: ExplorerCopy;
  readonly machine: MachineCopy;
}

export class Search {
  readonly #run: SearchRun;
  /** 0: without a bound, while it is small; n: with the n-th of the bounds. */
  #phase = 0;
  /** What the explorations with bounds have left out. */
  #known: readonly LeftOut[] = [];
  /** Where this run continues. */
  #resumed: SearchCopy | undefined;

  constructor(run: SearchRun) {
    this.#run = run;
  }

  /** Continues from a copy. */
  load(copy: SearchCopy): void {
    this.#resumed = copy;
    this.#phase = copy.phase;
    this.#known = copy.known;
    Object.assign(this.#run.counts, copy.counts);
    this.#run.machine.load(copy.machine);
  }

  /** Explores every schedule within the bounds. */
  async explore(): Promise<void> {
    const { machine, options, counts } = this.#run;
    const { preemptions, states } = options;
    if (this.#resumed === undefined) machine.moment.passesMax = PASSES_MAX;
    if (preemptions !== undefined) {
      if (await this.#search(preemptions, states)) counts.covered = preemptions;
      return;
    }
    if (this.#phase === 0) {
      if (await this.#search(Number.POSITIVE_INFINITY, Math.min(SMALL, states), true)) {
        counts.covered = Number.POSITIVE_INFINITY;
        return;
      }
      if (machine.leftOut.has('unfair schedules')) machine.moment.passesMax = PASSES_FEW;
      this.#phase = 1;
    }
    await this.#deepen();
  }

  async #deepen(): Promise<void> {
    const { machine, options, counts } = this.#run;
    while (!this.#isOver()) {
      const bound = BOUNDS[this.#phase - 1];
      const isLast = this.#phase === BOUNDS.length;
      if (isLast && this.#resumed === undefined) this.#known = [...machine.leftOut];
      const statesMax = isLast ? options.states : Math.ceil(options.states / 8);
      const isDone = await this.#search(bound, statesMax);
      if (isDone) counts.covered = bound;
      else if (isLast && counts.covered >= 0) {
        for (const what of this.#known) machine.leftOut.add(what);
      }
      // A bound that has cut nothing off was no bound.
      if (isLast || (isDone && !machine.leftOut.has('preemptions'))) return;
      this.#phase = isDone ? this.#phase + 1 : BOUNDS.length;
    }
  }

  #isOver(): boolean {
    const { failed, watch, counts, options } = this.#run;
    return failed || watch.isOver || counts.schedules >= options.schedules;
  }

  /** Every schedule with that number of preemptions; false if that took too long, or one failed. */
  async #search(preemptions: number, statesMax: number, isSmall = false): Promise<boolean> {
    const run = this.#run;
    const { machine, options, counts, watch } = run;
    const from = this.#resumed;
    this.#resumed = undefined;
    let explorer = new Explorer(machine, preemptions);
    let fits = true;
    if (from !== undefined) {
      await run.inside(() => {
        fits = explorer.load(from.explorer);
      }, false);
      machine.load(from.machine);
    }
    if (!fits) throw new BusbarError('ERR_BUSBAR_BAD_CHECKPOINT', 'threads do something else now');
    let started = from?.started ?? false;
    let more = true;
    const infinite = Number.POSITIVE_INFINITY;
    const lastSchedule = from?.lastSchedule ?? (isSmall ? counts.schedules + SMALL : infinite);
    const lastEffort = from?.lastEffort ?? (isSmall ? machine.effort + SMALL_EFFORT : infinite);
    const isCut = (): boolean =>
      watch.isOver ||
      counts.schedules >= Math.min(options.schedules, lastSchedule) ||
      explorer.states >= statesMax ||
      machine.effort >= lastEffort;
    if (from === undefined) {
      machine.leaveOut(options.races ? [] : ['races']);
      machine.contention.grew = false;
    }
    let mattered = from?.mattered ?? machine.key.resultsMatter;
    // Then what was explored did not switch at some word, or took states for equal that are not.
    const isStale = (): boolean =>
      machine.contention.grew || mattered !== machine.key.resultsMatter;
    const copy = (): SearchCopy => ({
      phase: this.#phase,
      known: this.#known,
      lastSchedule,
      lastEffort,
      started,
      mattered,
      counts: { ...counts },
      explorer: explorer.copy(),
      machine: machine.copy(),
    });
    while (more && !run.failed && !isCut()) {
      if (isStale()) {
        // From the beginning.
        machine.contention.grew = false;
        mattered = machine.key.resultsMatter;
        explorer = new Explorer(machine, preemptions);
        started = false;
      }
      // To watch costs more than many a small scenario, whose bodies the warm-up has run.
      const isWatched = counts.schedules > options.warmUp || options.warmUp === 0;
      await run.inside(() => {
        const end = now() + SLICE_MS;
        for (let i = 0; i < SLICE_SCHEDULES && more && !run.failed && !isCut(); i++) {
          if (isStale() || now() > end) break;
          if (started) more = explorer.advance();
          else explorer.first();
          started = true;
          if (more) run.conclude(explorer.ended);
        }
        // The same if it did not know that some value would be written.
        if (!more && machine.weak?.isNews() === true) machine.contention.grew = true;
        if (isStale()) more = true;
      }, isWatched);
      counts.states = explorer.states;
      counts.kills = explorer.kills;
      counts.exceptions = explorer.exceptions;
      run.look();
      if (more && !run.failed) run.keep(copy, false);
    }
    if (more && !run.failed) {
      const schedulesOver = counts.schedules >= options.schedules;
      if (watch.isOver || schedulesOver || explorer.states >= options.states) run.keep(copy, true);
      const what = schedulesOver ? 'schedules' : 'states';
      machine.leftOut.add(watch.isOver ? 'milliseconds' : what);
    }
    return !more && !run.failed;
  }
}
