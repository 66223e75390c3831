// SPDX-License-Identifier: MIT
/** Model checker: what {@link linearizable} is handed, checked and with its defaults. */

import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  show,
} from '../base/check.ts';
import { OPERATIONS_MAX } from './history.ts';
import { environmentOptions } from './model-environment.ts';
import { resolveOptions as resolveModelOptions } from './model-options.ts';
import { operationOf } from './operation-plan.ts';
import type { ModelOptions } from './scenario.ts';
import type { LinearizableOptions, PlannedThread, Structure } from './structure.ts';

/** Bounds that hold unless the caller gives others. */
const BOUNDS = { states: 100_000 } as const;
/** Threads of a scenario. */
const THREADS_MAX = 15;

const STRUCTURE_KEYS: readonly (keyof Structure<unknown>)[] = [
  'name',
  'setup',
  'attach',
  'sequential',
  'operations',
  'roles',
  'recover',
  'final',
  'check',
  'racy',
  'nameWord',
];
const OPERATION_KEYS = ['args', 'run', 'role', 'waits', 'mayRefuse'];
const PLAN_KEYS = ['role', 'before', 'operations'];

/** All options of one call. */
export interface Resolved {
  readonly seed: number;
  readonly scenarios: number;
  readonly threads: number;
  readonly operations: number;
  readonly before: number;
  readonly scenario: readonly PlannedThread[] | undefined;
  readonly schedule: string | undefined;
  readonly milliseconds: number;
  readonly model: ModelOptions;
}

type AnyStructure = Structure<never, never>;

export function checkStructure(structure: AnyStructure): void {
  checkOptions('structure', structure, STRUCTURE_KEYS);
  const { name, operations, roles } = structure;
  if (typeof name !== 'string' || name === '') {
    throw new TypeError(`structure.name must be a string that is not empty, got ${show(name)}`);
  }
  for (const key of ['setup', 'sequential'] as const) {
    checkFunction(`structure.${key}`, structure[key]);
  }
  for (const key of ['attach', 'recover', 'final', 'check', 'racy', 'nameWord'] as const) {
    if (structure[key] !== undefined) checkFunction(`structure.${key}`, structure[key]);
  }
  if (typeof operations !== 'object' || operations === null || Array.isArray(operations)) {
    throw new TypeError(
      `structure.operations must be an object of operations by name, got ${show(operations)}`,
    );
  }
  if (Object.keys(operations).length === 0) {
    throw new TypeError('structure.operations must have an operation at least, got none');
  }
  if (roles !== undefined) {
    checkOptions('structure.roles', roles, Object.keys(roles ?? {}));
    for (const role of Object.keys(roles)) {
      checkOptions(`structure.roles.${role}`, roles[role], ['most']);
      const { most } = roles[role];
      if (most !== undefined) checkInteger(`structure.roles.${role}.most`, most, 1, THREADS_MAX);
    }
  }
  for (const each of Object.keys(operations)) checkOperation(structure, each);
}

function checkOperation({ operations, roles }: AnyStructure, name: string): void {
  const at = `structure.operations.${name}`;
  const operation = operationOf(operations as never, name);
  checkOptions(at, operation, OPERATION_KEYS);
  const { args, run, role, waits, mayRefuse } = operation;
  if (args !== undefined) checkFunction(`${at}.args`, args);
  if (run !== undefined) checkFunction(`${at}.run`, run);
  if (waits !== undefined) checkBoolean(`${at}.waits`, waits);
  if (role !== undefined) checkRole(`${at}.role`, role, roles);
  if (mayRefuse === undefined) return;
  checkOptions(`${at}.mayRefuse`, mayRefuse, ['result']);
  if (!('result' in mayRefuse)) {
    throw new TypeError(`${at}.mayRefuse must be { result }, got ${show(mayRefuse)}`);
  }
}

function checkRole(name: string, role: unknown, roles: AnyStructure['roles']): void {
  const known = Object.keys(roles ?? {});
  if (known.includes(role as string)) return;
  const which = known.length === 0 ? 'the structure has none' : `known are ${known.join(', ')}`;
  throw new TypeError(`${name}: there is no role ${show(role)}; ${which}`);
}

export function resolveOptions(asked: LinearizableOptions, structure: AnyStructure): Resolved {
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) {
    throw new TypeError(`options must be an object, got ${show(asked)}`);
  }
  const options = { ...asked, ...environmentOptions(process.env, ['seed', 'milliseconds']) };
  const { seed, scenarios, threads, operations, before, scenario, schedule, ...model } = options;
  const threadCount = checkInteger('options.threads', threads ?? 2, 1, 7);
  const each = Math.floor(OPERATIONS_MAX / threadCount) - 2;
  if (schedule !== undefined && typeof schedule !== 'string') {
    throw new TypeError(`options.schedule must be a string, got ${show(schedule)}`);
  }
  if (schedule !== undefined && scenario === undefined) {
    throw new TypeError('options.schedule needs options.scenario: a schedule is one of a scenario');
  }
  const bounds = { ...BOUNDS, ...model };
  resolveModelOptions(bounds, false);
  return {
    seed: checkInteger('options.seed', seed ?? 1, 0, 2 ** 32 - 1),
    scenarios: checkInteger('options.scenarios', scenarios ?? 40, 1, 2 ** 31 - 1),
    threads: threadCount,
    operations: checkInteger('options.operations', operations ?? 3, 1, each),
    before: checkInteger('options.before', before ?? 2, 0, 8),
    scenario: scenario === undefined ? undefined : checkPlan(scenario, structure),
    schedule,
    milliseconds: model.milliseconds ?? Number.POSITIVE_INFINITY,
    model: bounds,
  };
}

function checkPlan(
  plan: readonly PlannedThread[],
  { operations, roles }: AnyStructure,
): readonly PlannedThread[] {
  const refuse = (where: string, value: unknown): never => {
    const form = 'options.scenario must be a list of { operations: [[name, ...args], …] }';
    throw new TypeError(`${form}, ${where === '' ? 'got' : `${where} is`} ${show(value)}`);
  };
  if (!Array.isArray(plan) || plan.length === 0) refuse('', plan);
  checkInteger('options.scenario.length', plan.length, 1, THREADS_MAX);
  const known = Object.keys(operations);
  const checkCalls = (name: string, calls: unknown): void => {
    if (!Array.isArray(calls)) refuse(name, calls);
    (calls as unknown[]).forEach((call, i) => {
      if (!Array.isArray(call)) refuse(`${name}[${i}]`, call);
      checkOneOf(`options.scenario${name}[${i}][0]`, (call as unknown[])[0], known);
    });
  };
  plan.forEach((thread, i) => {
    checkOptions(`options.scenario[${i}]`, thread, PLAN_KEYS);
    checkCalls(`[${i}].operations`, thread.operations);
    if (thread.before !== undefined) checkCalls(`[${i}].before`, thread.before);
    if (thread.role !== undefined) checkRole(`options.scenario[${i}].role`, thread.role, roles);
  });
  return plan;
}
