// SPDX-License-Identifier: MIT
/** Model checker: which threads make which operations: random plans, and smaller ones of them. */

import { show } from '../base/check.ts';
import { Random } from '../base/random.ts';
import type {
  ArgumentMaker,
  ArgumentSource,
  Call,
  Operation,
  PlannedThread,
  Structure,
} from './structure.ts';

export interface PlanLimits {
  readonly threads: number;
  readonly operations: number;
  readonly before: number;
}

/** A structure as far as plans are concerned. */
export type Operations = Pick<Structure<unknown, unknown>, 'operations' | 'roles'>;

/** An operation with its long form. */
export function operationOf(
  operations: Operations['operations'],
  name: string,
): Operation<unknown> {
  const operation = operations[name];
  return typeof operation === 'function' ? { args: operation } : operation;
}

/** Plans from a seed: the n-th is the same for the same seed, structure and limits. */
export class PlanMaker {
  readonly #structure: Operations;
  readonly #limits: PlanLimits;
  readonly #random: Random;

  constructor(structure: Operations, limits: PlanLimits, seed: number) {
    this.#structure = structure;
    this.#limits = limits;
    this.#random = new Random(seed);
  }

  next(): PlannedThread[] {
    const random = this.#random;
    const { threads, operations, before } = this.#limits;
    const threadCount = threads < 2 ? threads : random.between(2, threads);
    const source = argumentSource(random);
    const roles = this.#roles(threadCount);
    const calls = (names: readonly string[], count: number): Call[] =>
      names.length === 0
        ? []
        : Array.from({ length: count }, () => {
            const name = names[random.below(names.length)];
            return [name, ...this.#argumentsOf(name, source)] as const;
          });
    const prepared = roles.map(() => 0);
    for (let i = random.below(before + 1); i > 0; i--) prepared[random.below(roles.length)]++;
    return roles.map((role, i) => {
      const all = this.#namesFor(role);
      const calm = all.filter((name) => !this.#operation(name).waits);
      const prepares = calls(calm, prepared[i]);
      return {
        ...(role === '' ? {} : { role }),
        ...(prepares.length === 0 ? {} : { before: prepares }),
        operations: calls(all, operations),
      };
    });
  }

  #operation(name: string): Operation<unknown> & { args?: ArgumentMaker } {
    return operationOf(this.#structure.operations, name);
  }

  #argumentsOf(name: string, source: ArgumentSource): readonly unknown[] {
    const made = this.#operation(name).args?.(source) ?? [];
    if (Array.isArray(made)) return made;
    const whose = `structure.operations.${name}: the arguments that it makes`;
    throw new TypeError(`${whose} must be an array, got ${show(made)}`);
  }

  #namesFor(role: string): string[] {
    return Object.keys(this.#structure.operations).filter((name) => {
      const only = this.#operation(name).role;
      return only === undefined || only === role;
    });
  }

  /** Each role first, then again those that more threads may have. */
  #roles(threadCount: number): string[] {
    const roles = Object.entries(this.#structure.roles ?? {});
    if (roles.length === 0) return Array.from({ length: threadCount }, () => '');
    const given: string[] = [];
    while (given.length < threadCount) {
      const counts = roles.map(([name]) => given.filter((one) => one === name).length);
      const free = roles
        .map(([name, { most = Infinity }], i) => ({ name, count: counts[i], most }))
        .filter(({ count, most }) => count < most);
      if (free.length === 0) break;
      const fewest = Math.min(...free.map(({ count }) => count));
      const next = free.filter(({ count }) => count === fewest);
      given.push(next[this.#random.below(next.length)].name);
    }
    return given;
  }
}

function argumentSource(random: Random): ArgumentSource {
  let given = 0;
  return {
    below: (bound) => random.below(bound),
    unique: () => ++given,
  };
}

/** Plans that are one thread or one operation smaller, the greatest steps first. */
export function* smallerPlans(plan: readonly PlannedThread[]): Generator<PlannedThread[]> {
  if (plan.length > 1) {
    for (let i = 0; i < plan.length; i++) yield plan.filter((_, at) => at !== i);
  }
  for (const key of ['operations', 'before'] as const) {
    for (let i = 0; i < plan.length; i++) {
      const calls = plan[i][key] ?? [];
      for (let at = calls.length - 1; at >= 0; at--) {
        const fewer = calls.filter((_, j) => j !== at);
        yield plan.map((thread, j) => (j === i ? { ...thread, [key]: fewer } : thread));
      }
    }
  }
}

/** As it is pasted into a program. */
export function planText(plan: readonly PlannedThread[]): string {
  const literal = (value: unknown): string => {
    if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value !== 'object' || value === null) {
      return typeof value === 'string' ? JSON.stringify(value) : String(value);
    }
    const entries = Object.entries(value).map(([key, item]) => `${key}: ${literal(item)}`);
    return `{ ${entries.join(', ')} }`;
  };
  return literal(plan);
}
