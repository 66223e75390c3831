// SPDX-License-Identifier: MIT
/** Model checker: checks scenarios and options, and applies defaults. */

import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  show,
} from '../base/check.ts';
import type { MachineLimits } from './machine-contract.ts';
import { environmentOptions } from './model-environment.ts';
import type { ModelOptions, ModelProgress, SampleOptions, Scenario } from './scenario.ts';

/** Most threads of a scenario, including supervisors: each takes two bits of a word. */
const THREADS_MAX = 15;
const COUNT_MAX = 2 ** 31 - 1;

const SCENARIO_KEYS: readonly (keyof Scenario<unknown>)[] = [
  'name',
  'setup',
  'threads',
  'spawned',
  'supervisor',
  'killable',
  'prepares',
  'mayWait',
  'check',
  'racy',
  'nameWord',
];

/** Options that affect a single schedule. */
const REPLAY_KEYS: readonly (keyof ModelOptions)[] = [
  'kills',
  'exceptions',
  'timeouts',
  'deaths',
  'polls',
  'spins',
  'steps',
  'races',
];

const MODEL_KEYS: readonly (keyof ModelOptions)[] = [
  'preemptions',
  ...REPLAY_KEYS,
  'memory',
  'weakReads',
  'states',
  'warmUp',
  'schedules',
  'milliseconds',
  'progress',
  'coverage',
];

/** Options of {@link explore} alone. */
const EXPLORE_KEYS: readonly string[] = [...MODEL_KEYS, 'checkpoint'];

const MEMORIES = ['sequential', 'es'] as const;

/** All options of one run. */
export interface ResolvedOptions extends MachineLimits {
  /** Undefined: no limit, few first. */
  readonly preemptions: number | undefined;
  readonly states: number;
  readonly warmUp: number;
  readonly schedules: number;
  readonly seed: number;
  readonly changes: number;
  readonly milliseconds: number;
  readonly progress: ((progress: ModelProgress) => void) | undefined;
  readonly coverage: boolean;
  readonly checkpoint: string | ((bytes: Uint8Array) => void) | undefined;
}

/** Checks the options of {@link explore}, {@link replay} or, with `forSample`, {@link sample}. */
export function resolveOptions(
  asked: ModelOptions & SampleOptions,
  forSample: boolean,
): ResolvedOptions {
  const known = forSample ? [...MODEL_KEYS, 'seed', 'changes'] : EXPLORE_KEYS;
  checkOptions('options', asked, known);
  const options: ModelOptions & SampleOptions = {
    ...asked,
    ...environmentOptions(process.env, known),
  };
  if (options.progress !== undefined) checkFunction('options.progress', options.progress);
  const count = (key: keyof SampleOptions, otherwise: number, min = 0, max = COUNT_MAX): number =>
    checkInteger(`options.${key}`, options[key] ?? otherwise, min, max);
  const bound = (key: keyof SampleOptions, otherwise: number, min: number): number =>
    (options[key] ?? otherwise) === Infinity ? Infinity : count(key, otherwise, min);
  const memory = checkOneOf('options.memory', options.memory ?? 'sequential', MEMORIES);
  const races = checkBoolean('options.races', options.races ?? true);
  if (memory === 'es' && !races) {
    throw new TypeError("options.races must be true with memory: 'es', which needs to know them");
  }
  const coverage = checkBoolean('options.coverage', options.coverage ?? false);
  const { checkpoint } = options;
  if (checkpoint !== undefined) {
    if (typeof checkpoint !== 'string') checkFunction('options.checkpoint', checkpoint);
    if (memory === 'es' || coverage) {
      throw new TypeError("options.checkpoint: there is none with memory: 'es' or coverage: true");
    }
  }
  return {
    kills: count('kills', 0, 0, THREADS_MAX),
    exceptions: count('exceptions', 0, 0, THREADS_MAX),
    timeouts: count('timeouts', 1),
    polls: count('polls', 12),
    spins: count('spins', 2, 1),
    steps: count('steps', 2000, 1, 1 << 17),
    races,
    memory,
    weakReads: bound('weakReads', Infinity, 0),
    deaths: checkOneOf('options.deaths', options.deaths ?? 'anywhere', ['anywhere', 'calls']),
    preemptions: options.preemptions === undefined ? undefined : bound('preemptions', Infinity, 0),
    states: bound('states', 4_000_000, 1),
    warmUp: count('warmUp', 24),
    schedules: bound('schedules', forSample ? 1000 : Infinity, 1),
    seed: count('seed', 1, 0, 2 ** 32 - 1),
    changes: count('changes', 3),
    milliseconds: bound('milliseconds', Infinity, 0),
    progress: options.progress,
    coverage,
    checkpoint,
  };
}

/** Returns those of the caller's options that affect a single schedule. */
export function replayOptions(options: ModelOptions): ModelOptions {
  return Object.fromEntries(
    REPLAY_KEYS.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]),
  );
}

/** Checks a scenario. */
export function checkScenario<Shared>(scenario: Scenario<Shared>, kills: number): void {
  checkOptions('scenario', scenario, SCENARIO_KEYS);
  const { name, threads, killable, prepares, mayWait } = scenario;
  if (typeof name !== 'string' || name === '') {
    throw new TypeError('scenario.name must be a string that describes the scenario');
  }
  checkFunction('scenario.setup', scenario.setup);
  for (const key of ['supervisor', 'check', 'racy', 'nameWord'] as const) {
    if (scenario[key] !== undefined) checkFunction(`scenario.${key}`, scenario[key]);
  }
  if (typeof threads !== 'object' || threads === null) {
    throw new TypeError('scenario.threads must be an object of functions, by name of the thread');
  }
  const { spawned = {} } = scenario;
  if (typeof spawned !== 'object' || spawned === null) {
    throw new TypeError('scenario.spawned must be an object of functions, by name of the thread');
  }
  const names = [...Object.keys(threads), ...Object.keys(spawned)];
  for (const thread of names) {
    checkFunction(
      thread in threads ? `scenario.threads.${thread}` : `scenario.spawned.${thread}`,
      threads[thread] ?? spawned[thread],
    );
    if (thread in threads && thread in spawned) {
      throw new TypeError(`scenario.spawned: ${show(thread)} is also in scenario.threads`);
    }
    if (!/^[^\s:~!*]+$/.test(thread)) {
      throw new TypeError(
        `scenario.threads: ${show(thread)} cannot name a thread: schedules use spaces and : ~ ! *`,
      );
    }
  }
  checkNames('killable', killable, names);
  checkNames('prepares', prepares, [...names, 'supervisor']);
  checkNames('mayWait', mayWait, names);
  const supervisors =
    scenario.supervisor !== undefined && kills > 0 ? (killable ?? names).length : 0;
  checkInteger(
    supervisors > 0 ? 'threads of the scenario and their supervisors' : 'threads of the scenario',
    names.length + supervisors,
    1,
    THREADS_MAX,
  );
}

function checkNames(key: string, value: unknown, known: readonly string[]): void {
  if (value === undefined) return;
  if (!Array.isArray(value)) throw new TypeError(`scenario.${key} must be a list of thread names`);
  value.forEach((name, i) => {
    checkOneOf(`scenario.${key}[${i}]`, name, known);
  });
}
