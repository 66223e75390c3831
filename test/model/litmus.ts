// SPDX-License-Identifier: MIT
/**
 * Litmus tests of weak memory and what ECMAScript allows: programs of plain and atomic accesses,
 * run by the model checker. docs/verification.md has the table.
 */

import { expectPassed, explore, type ModelOptions, type Scenario } from 'busbar/testing';
import type { Random } from '../../src/base/random.ts';

/** One access. `value` is what is stored, added, or exchanged; `expected` is for `cas`. */
export interface Access {
  readonly kind: 'read' | 'write' | 'load' | 'store' | 'add' | 'exchange' | 'cas';
  readonly word: number;
  readonly value: number;
  readonly expected?: number;
}

/** Threads, each a list of accesses. */
export type Program = readonly (readonly Access[])[];

function perform(words: Int32Array, { kind, word, value, expected }: Access): number | undefined {
  switch (kind) {
    case 'read':
      return words[word];
    case 'write':
      words[word] = value;
      return undefined;
    case 'load':
      return Atomics.load(words, word);
    case 'store':
      Atomics.store(words, word, value);
      return undefined;
    case 'add':
      return Atomics.add(words, word, value);
    case 'exchange':
      return Atomics.exchange(words, word, value);
    default:
      return Atomics.compareExchange(words, word, expected ?? 0, value);
  }
}

export function scenarioOf(
  program: Program,
  outcomes: Set<string>,
  withLast = false,
): Scenario<Int32Array> {
  const wordCount = Math.max(...program.flat().map(({ word }) => word)) + 1;
  const threads = program.map((accesses, i) => [
    `t${i}`,
    (words: Int32Array): number[] =>
      accesses.flatMap((access) => {
        const value = perform(words, access);
        return value === undefined ? [] : [value];
      }),
  ]);
  return {
    name: 'litmus',
    setup: () => new Int32Array(new SharedArrayBuffer(4 * wordCount)),
    threads: Object.fromEntries(threads),
    racy: () => () => true,
    check: (words, { results }) => {
      const values = program.flatMap((_, i) => results[`t${i}`] as number[]);
      const last = withLast ? Array.from({ length: wordCount }, (_, i) => words[i]) : [];
      outcomes.add([...values, ...last].join());
    },
  };
}

/** What a program may do: the values that its reads return, in the order of the text. */
export async function outcomesOf(
  program: Program,
  options: ModelOptions = {},
  withLast = false,
): Promise<Set<string>> {
  const outcomes = new Set<string>();
  const report = await explore(scenarioOf(program, outcomes, withLast), {
    memory: 'es',
    spins: 10,
    ...options,
  });
  expectPassed(report, { leftOut: options.memory === 'sequential' ? ['stale reads'] : [] });
  return outcomes;
}

const X = 0;
const Y = 1;
/** Of programs on memory that grows: its length, 0 before and 1 after. */
const L = 2;

/** A litmus test: what its plain form is, and whether the last values of the words count. */
export interface Litmus {
  readonly name: string;
  readonly what: string;
  readonly program: Program;
  readonly withLast?: boolean;
  /** The outcome that sequential consistency forbids. */
  readonly weak: string;
}

const write = (word: number, value: number): Access => ({ kind: 'write', word, value });
const read = (word: number): Access => ({ kind: 'read', word, value: 0 });

export const litmusTests: readonly Litmus[] = [
  {
    name: 'SB',
    what: 'store buffering',
    program: [
      [write(X, 1), read(Y)],
      [write(Y, 1), read(X)],
    ],
    weak: '0,0',
  },
  {
    name: 'LB',
    what: 'load buffering',
    program: [
      [read(X), write(Y, 1)],
      [read(Y), write(X, 1)],
    ],
    weak: '1,1',
  },
  {
    name: 'MP',
    what: 'message passing',
    program: [
      [write(X, 1), write(Y, 1)],
      [read(Y), read(X)],
    ],
    weak: '1,0',
  },
  {
    name: 'IRIW',
    what: 'independent reads of independent writes',
    program: [[write(X, 1)], [write(Y, 1)], [read(X), read(Y)], [read(Y), read(X)]],
    weak: '1,0,1,0',
  },
  {
    name: 'CoRR',
    what: 'coherence of two reads',
    program: [[write(X, 1)], [read(X), read(X)]],
    weak: '1,0',
  },
  {
    name: 'CoRR2',
    what: 'coherence, two writers and two readers',
    program: [[write(X, 1)], [write(X, 2)], [read(X), read(X)], [read(X), read(X)]],
    weak: '1,2,2,1',
  },
  {
    name: '2+2W',
    what: 'two threads write two words',
    program: [
      [write(X, 1), write(Y, 2)],
      [write(Y, 1), write(X, 2)],
    ],
    withLast: true,
    weak: '1,1',
  },
  {
    name: 'WRC',
    what: 'write to read causality',
    program: [[write(X, 1)], [read(X), write(Y, 1)], [read(Y), read(X)]],
    weak: '1,1,0',
  },
  {
    name: 'R',
    what: 'a read after two writes',
    program: [
      [write(X, 1), write(Y, 1)],
      [write(Y, 2), read(X)],
    ],
    withLast: true,
    weak: '0,1,2',
  },
  {
    name: 'S',
    what: 'a write after a read',
    program: [
      [write(X, 2), write(Y, 1)],
      [read(Y), write(X, 1)],
    ],
    withLast: true,
    weak: '1,2,1',
  },
];

const grow: Access = { kind: 'cas', word: L, value: 1 };
const bound = read(L);

/** The same on memory that grows: a read of L is a bounds check, a load the length. */
export const growingTests: readonly Litmus[] = [
  {
    name: 'SB',
    what: 'a store, then a bounds check',
    program: [
      [grow, read(X)],
      [write(X, 1), bound],
    ],
    weak: '0,0,0',
  },
  {
    name: 'LB',
    what: 'grows after it has read',
    program: [
      [read(X), grow],
      [bound, write(X, 1)],
    ],
    weak: '1,0,1',
  },
  {
    name: 'MP',
    what: 'the length tells that there is a message',
    program: [
      [write(X, 1), grow],
      [bound, read(X)],
    ],
    weak: '0,1,0',
  },
  { name: 'CoRR', what: 'two bounds checks', program: [[grow], [bound, bound]], weak: '0,1,0' },
  {
    name: 'WRC',
    what: 'the second one is told that it has grown',
    program: [[grow], [bound, write(X, 1)], [read(X), bound]],
    weak: '0,1,1,0',
  },
];

/** The same program with `length` in place of bounds checks. */
export function byLength(program: Program): Program {
  return program.map((accesses) =>
    accesses.map((access) =>
      access.word === L && access.kind === 'read' ? { ...access, kind: 'load' } : access,
    ),
  );
}

/** What such a program may do on memory that grows from two words to three. */
export async function growingOutcomes(program: Program): Promise<Set<string>> {
  const outcomes = new Set<string>();
  const one = (words: Int32Array, access: Access): number | undefined => {
    if (access.word !== L) return perform(words, access);
    if (access.kind === 'read') return words[L] === undefined ? 0 : 1;
    if (access.kind === 'load') return words.length - 2;
    (words.buffer as SharedArrayBuffer).grow(12);
    return 0;
  };
  const scenario: Scenario<Int32Array> = {
    ...scenarioOf(program, outcomes),
    setup: () => new Int32Array(new SharedArrayBuffer(8, { maxByteLength: 12 })),
    threads: Object.fromEntries(
      program.map((accesses, i) => [
        `t${i}`,
        (words: Int32Array) => accesses.flatMap((access) => one(words, access) ?? []),
      ]),
    ),
  };
  expectPassed(await explore(scenario, { memory: 'es', spins: 10 }));
  return outcomes;
}

/** The same program with atomic accesses only. */
export function atomically(program: Program): Program {
  return program.map((accesses) =>
    accesses.map((access) => ({ ...access, kind: access.kind === 'read' ? 'load' : 'store' })),
  );
}

const KINDS = [
  'read',
  'write',
  'load',
  'store',
  'add',
  'exchange',
  'cas',
  'read',
  'write',
] as const;

/** Two or three threads, a few accesses each, on two words. */
export function randomProgram(random: Random): Program {
  const threads = random.between(2, 3);
  const most = threads === 2 ? 4 : 3;
  return Array.from({ length: threads }, () =>
    Array.from(
      { length: random.between(1, most) },
      (): Access => ({
        kind: KINDS[random.below(KINDS.length)],
        word: random.below(2),
        value: random.between(1, 3),
        expected: random.below(3),
      }),
    ),
  );
}

/** A program as one line. */
export function tell(program: Program): string {
  const access = ({ kind, word, value, expected }: Access): string => {
    const name = 'xy'[word];
    if (kind === 'read' || kind === 'load') return `${kind} ${name}`;
    return `${kind} ${name} ${kind === 'cas' ? `${expected} → ` : ''}${value}`;
  };
  return program.map((accesses) => accesses.map(access).join('; ')).join(' ‖ ');
}

/** The table of docs/verification.md; `count` says how many outcomes the specification allows. */
export function litmusTable(count: (program: Program, withLast?: boolean) => number): string {
  const growing = growingTests.map(({ name, what, program, weak }) => {
    const counts = `${count(program)} | ${count(byLength(program))}`;
    return `| ${name}: ${what} | \`${textOf(program)}\` | ${weak.slice(2)} | ${counts} |`;
  });
  const lines = litmusTests.map(({ name, what, program, withLast, weak }) => {
    const text = textOf(program);
    const outcome = withLast ? `${weak} (reads, then last x, y)` : weak;
    return `| ${name}: ${what} | \`${text}\` | ${outcome} | ${count(program, withLast)} | ${count(
      atomically(program),
      withLast,
    )} |`;
  });
  return [
    '| test | threads | not sequential | plain | atomic |',
    '|---|---|---|---|---|',
    ...lines,
    '',
    'Memory that grows: its length, 0 before and 1 after, as a bounds check reads it and as ' +
      '`length` does.',
    '',
    '| test | threads | not sequential | bounds checks | length |',
    '|---|---|---|---|---|',
    ...growing,
  ].join('\n');
}

function textOf(program: Program): string {
  const one = ({ kind, word, value }: Access): string => {
    if (kind === 'cas') return 'grow';
    if (word === L) return 'r = bound';
    return kind === 'read' ? `r = ${'xy'[word]}` : `${'xy'[word]} = ${value}`;
  };
  return program.map((accesses) => accesses.map(one).join('; ')).join(' ‖ ');
}
