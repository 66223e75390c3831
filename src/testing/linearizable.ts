// SPDX-License-Identifier: MIT
/**
 * Model checker: checks that the operations of a structure look as if they happened one at a time,
 * in scenarios that chance makes.
 */

import { checkFunction, show } from '../base/check.ts';
import { explore, replay } from './check.ts';
import { FINAL, type History, judge, type Verdict } from './history.ts';
import { historyTable } from './history-table.ts';
import { checkStructure, type Resolved, resolveOptions } from './linearizable-options.ts';
import { replayOptions } from './model-options.ts';
import { PlanMaker, planText, smallerPlans } from './operation-plan.ts';
import { recordedScenario, threadNames } from './recorded-operations.ts';
import { RunWatch } from './run-watch.ts';
import type { Failure, ModelReport } from './scenario.ts';
import { modelMaker } from './sequential.ts';
import type {
  LinearizableOptions,
  LinearizableReport,
  PlannedThread,
  Structure,
} from './structure.ts';
import { textOf } from './value-text.ts';

/** Smaller scenarios that are tried for one that has failed. */
const SMALLER_MAX = 200;
/** A history that no order of its operations explains. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';
  readonly table: string;

  constructor(verdict: string, table: string) {
    super(verdict);
    this.table = table;
  }
}

/**
 * Makes scenarios of a structure's operations from a seed and {@link explore}s each, up to
 * 100 000 states unless the options say otherwise. After each schedule some
 * order of the operations must explain all results, in which an operation that had ended before
 * another began comes before it.
 *
 * A scenario that fails is made smaller; the report shows the smallest that still fails, as a table
 * and with a call that runs it again. A thread that dies in an operation has done it or not; a
 * thread that waits at the end must have to.
 *
 * **Threads** as {@link explore}. **Throws** (rejects) TypeError and RangeError that name the
 * argument; what `setup` throws.
 */
export async function linearizable<Shared, Subject = Shared>(
  structure: Structure<Shared, Subject>,
  options: LinearizableOptions = {},
): Promise<LinearizableReport> {
  checkStructure(structure as never);
  return new Check(structure, resolveOptions(options, structure as never)).run();
}

class Check<Shared, Subject> {
  readonly #structure: Structure<Shared, Subject>;
  readonly #options: Resolved;
  readonly #make: () => object;
  readonly #recovery: boolean;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #reports: ModelReport[] = [];
  readonly #watch: RunWatch;
  #isCut = false;

  constructor(structure: Structure<Shared, Subject>, options: Resolved) {
    this.#structure = structure;
    this.#options = options;
    this.#watch = new RunWatch(options.milliseconds, undefined);
    this.#make = modelMaker(structure.sequential);
    const model = this.#make() as Record<string, unknown>;
    if (typeof model !== 'object' || model === null || model instanceof Promise) {
      throw new TypeError(`structure.sequential must return an object, got ${show(model)}`);
    }
    const needed = Object.keys(structure.operations);
    if (structure.final !== undefined) needed.push(FINAL);
    for (const name of needed) checkFunction(`the sequential model's method ${name}`, model[name]);
    const kills = options.model.kills ?? 0;
    this.#recovery = kills > 0 && structure.recover !== undefined && 'recover' in model;
  }

  async run(): Promise<LinearizableReport> {
    const { scenario, schedule, seed, scenarios } = this.#options;
    if (scenario !== undefined) return this.#report(scenario, await this.#try(scenario, schedule));
    const plans = new PlanMaker(this.#structure as never, this.#options, seed);
    for (let i = 0; i < scenarios && !this.#watch.isOver; i++) {
      const plan = plans.next();
      const report = await this.#try(plan);
      if (report.failure !== undefined) return this.#shrink(plan, report);
      this.#isCut = this.#watch.isOver && i + 1 < scenarios;
    }
    return this.#report([], undefined);
  }

  async #try(plan: readonly PlannedThread[], schedule?: string): Promise<ModelReport> {
    const judged = (history: History): void => this.#judge(history, plan);
    const scenario = recordedScenario(this.#structure, plan, this.#recovery, judged);
    const { model } = this.#options;
    const report = await (schedule === undefined
      ? explore(scenario, model)
      : replay(scenario, schedule, model));
    this.#reports.push(report);
    return report;
  }

  #judge(history: History, plan: readonly PlannedThread[]): void {
    const key = textOf([
      history.final,
      ...history.operations.map((o) => [o.threadName, o.name, o.args, o.seen, o.end, o.text]),
    ]);
    let verdict = this.#verdicts.get(key);
    if (!this.#verdicts.has(key)) {
      verdict = judge(history, this.#make);
      this.#verdicts.set(key, verdict);
    }
    if (verdict === undefined) return;
    throw new HistoryError(verdict, historyTable(history.operations, titles(plan, history)));
  }

  /** Takes threads and operations away as long as the rest still fails in the same way. */
  async #shrink(first: readonly PlannedThread[], found: ModelReport): Promise<LinearizableReport> {
    let plan = first;
    let report = found;
    let tried = 0;
    for (let smaller = true; smaller; ) {
      smaller = false;
      for (const candidate of smallerPlans(plan)) {
        if (tried++ >= SMALLER_MAX) break;
        const again = await this.#try(candidate);
        this.#reports.pop();
        if (kindOf(again) !== kindOf(found)) continue;
        plan = candidate;
        report = again;
        smaller = true;
        break;
      }
    }
    const tidy = plan.filter(
      ({ before = [], operations }) => before.length + operations.length > 0,
    );
    if (tidy.length > 0 && tidy.length < plan.length) {
      const again = await this.#try(tidy);
      this.#reports.pop();
      if (kindOf(again) === kindOf(found)) return this.#report(tidy, again);
    }
    return this.#report(plan, report);
  }

  #report(plan: readonly PlannedThread[], last: ModelReport | undefined): LinearizableReport {
    const reports = this.#reports;
    const sum = (key: 'schedules' | 'ended' | 'states' | 'transitions' | 'kills' | 'exceptions') =>
      reports.reduce((total, report) => total + report[key], 0);
    const failure = last?.failure;
    const leftOut = new Set(reports.flatMap((report) => report.leftOut));
    if (this.#isCut) leftOut.add('milliseconds');
    return {
      scenario: this.#structure.name,
      complete: !this.#isCut && reports.every(({ complete }) => complete),
      leftOut: [...leftOut].sort(),
      covered: Math.min(...reports.map(({ covered }) => covered)),
      schedules: sum('schedules'),
      ended: sum('ended'),
      states: sum('states'),
      transitions: sum('transitions'),
      kills: sum('kills'),
      exceptions: sum('exceptions'),
      diverged: reports.some(({ diverged }) => diverged),
      elapsedMs: reports.reduce((total, { elapsedMs }) => total + elapsedMs, 0),
      scenarios: reports.length,
      histories: this.#verdicts.size,
      ...(failure === undefined ? {} : { failed: plan, failure: this.#failure(plan, failure) }),
    };
  }

  #failure(plan: readonly PlannedThread[], failure: Failure): Failure {
    const { error } = failure;
    const isHistory = error instanceof HistoryError;
    const asked = {
      ...replayOptions(this.#options.model),
      scenario: plan,
      schedule: failure.schedule,
    };
    return {
      ...failure,
      kind: isHistory ? 'not linearizable' : failure.kind,
      message: `${isHistory ? error.message : failure.message}\n\n${
        isHistory ? error.table : planTable(plan)
      }\n`,
      replay: `linearizable(structure, ${planText(asked as never)})`,
    };
  }
}

/** In which way it failed, or undefined. */
function kindOf({ failure }: ModelReport): string | undefined {
  return failure?.error instanceof HistoryError ? 'not linearizable' : failure?.kind;
}

function titles(plan: readonly PlannedThread[], history: History): string[] {
  const names = threadNames(plan).map((name, i) =>
    plan[i].role === undefined ? name : `${name} (${plan[i].role})`,
  );
  for (const { thread, threadName } of history.operations) names[thread] ??= threadName;
  return Array.from(names, (name) => name ?? '');
}

/** What the threads do, if no history shows it. */
function planTable(plan: readonly PlannedThread[]): string {
  return threadNames(plan)
    .map((name, i) => {
      const { before = [], operations } = plan[i];
      const calls = (list: PlannedThread['operations']): string =>
        list
          .map(([call, ...args]) => `${call}(${args.map((a) => textOf(a)).join(', ')})`)
          .join(' ');
      const first = before.length === 0 ? '' : `${calls(before)} before; `;
      return `  ${titles(plan, { operations: [] })[i] ?? name}: ${first}${calls(operations)}`;
    })
    .join('\n');
}
