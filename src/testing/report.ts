// SPDX-License-Identifier: MIT
/** Model checker: turns a failed schedule into lines that a person can follow. */

import {
  OP_BYTES_LOAD,
  OP_BYTES_STORE,
  OP_COMPARE_EXCHANGE,
  OP_EXCEPTION,
  OP_LOAD,
  OP_NAMES,
  OP_NOTIFY,
  OP_PLAIN_LOAD,
  OP_PLAIN_STORE,
  OP_STORE,
  OP_WAIT,
  OP_WAIT_ASYNC,
  OP_WAKE,
  RING_ENTRIES,
} from './machine-layout.ts';
import type { ModelMemory } from './memory.ts';
import type { ModelReport } from './scenario.ts';

/** One access that a recording run has made. */
export interface Step {
  readonly thread: number;
  readonly op: number;
  readonly cell: number;
  readonly a: number;
  readonly b: number;
  readonly value: number;
  readonly where: string;
  /** Part of the thread's preparations. */
  readonly prepares: boolean;
}

/** How a trace names a word, or undefined. */
export type WordNames = (block: number, word: number) => string | undefined;

/** Where in the program the access stands that is being made now: folder, file and line. */
export function whereNow(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(1);
  for (const line of lines) {
    const match = /(?:file:\/\/)?(\/[^():]+|\w:[^():]+):(\d+):\d+\)?$/.exec(line);
    if (match === null) continue;
    const path = match[1];
    if (ENGINE.some((folder) => path.startsWith(folder)) || ATOMICS.test(path)) continue;
    return `${path.split('/').slice(-2).join('/')}:${match[2]}`;
  }
  return '';
}

/**
 * The folder of the checker, whose files stand between the program and this function: as it is, and
 * as source maps show it.
 */
const ENGINE = ['src', 'dist'].map(
  (folder) => new URL(`../../${folder}/testing/`, import.meta.url).pathname,
);
/** The names that the house has for accesses: who called them is more telling. */
const ATOMICS = /\/base\/atomics\.[jt]s$/;

const WAIT_OUTCOMES: readonly string[] = ['ok', 'not-equal', 'timed-out', 'blocks'];

/** Longer traces are cut in the middle. */
const TRACE_LINES_MAX = 240;

/** One line per access; `marked` is the cell that the failure is about. */
export function formatTrace(
  steps: readonly Step[],
  threads: readonly string[],
  memory: ModelMemory,
  names: WordNames,
  marked: number | undefined,
): string {
  const width = Math.max(...threads.map((name) => name.length));
  const lines: string[] = [];
  let repeated = 0;
  steps.forEach((step, i) => {
    if (step.prepares && step.cell !== marked) return;
    if (tellsNothingNew(steps, i)) {
      repeated++;
      return;
    }
    if (repeated > 0) lines.push(`         … ${repeated} reads that told nothing new …`);
    repeated = 0;
    const mark = step.cell === marked ? '*' : ' ';
    const number = String(i + 1).padStart(4);
    const thread = threads[step.thread].padEnd(width);
    const what = describe(step, nameOf(step, memory, names));
    lines.push(`${mark}${number}  ${thread}  ${what.padEnd(58)} ${step.where}`.trimEnd());
  });
  if (lines.length <= TRACE_LINES_MAX) return lines.join('\n');
  const left = lines.length - TRACE_LINES_MAX;
  const begin = lines.slice(0, (TRACE_LINES_MAX * 3) / 4);
  const end = lines.slice(-TRACE_LINES_MAX / 4);
  return [...begin, `         … ${left} more …`, ...end].join('\n');
}

/**
 * True for a read that the same thread has made a moment ago, with the same answer and nothing but
 * such reads since.
 */
function tellsNothingNew(steps: readonly Step[], i: number): boolean {
  const step = steps[i];
  if (step.op !== OP_LOAD && step.op !== OP_PLAIN_LOAD) return false;
  for (let j = i - 1; j >= Math.max(0, i - RING_ENTRIES); j--) {
    const before = steps[j];
    if (before.thread !== step.thread || before.op !== step.op) return false;
    if (before.cell === step.cell) return before.value === step.value;
  }
  return false;
}

function nameOf(step: Step, memory: ModelMemory, names: WordNames): string {
  if (step.op === OP_EXCEPTION) return '';
  if (step.op === OP_BYTES_LOAD || step.op === OP_BYTES_STORE) {
    for (const region of memory.regions) {
      const bytes = region.byteLength * 2 * memory.threadCount;
      const at = step.cell - region.firstByteShadow;
      if (region.firstByteShadow >= 0 && at >= 0 && at < bytes) {
        return `block ${region.ordinal} byte ${step.a}`;
      }
    }
  }
  const place = memory.locate(step.cell);
  if (place === undefined) return '';
  return names(place.region.ordinal, place.word) ?? `block ${place.region.ordinal} [${place.word}]`;
}

function describe(step: Step, name: string): string {
  const op = OP_NAMES[step.op];
  switch (step.op) {
    case OP_LOAD:
    case OP_PLAIN_LOAD:
      return `${op} ${name} → ${step.value}`;
    case OP_STORE:
    case OP_PLAIN_STORE:
      return `${op} ${name} = ${step.a}`;
    case OP_COMPARE_EXCHANGE: {
      const done = step.value === step.a ? 'done' : `failed: ${step.value}`;
      return `${op} ${name} ${step.a} → ${step.b}, ${done}`;
    }
    case OP_WAIT:
    case OP_WAKE:
      return `${op} ${name} while ${step.a}: ${WAIT_OUTCOMES[step.value]}`;
    case OP_WAIT_ASYNC:
      return `${op} ${name} while ${step.a}: ${step.value === 0 ? 'hangs' : 'not-equal'}`;
    case OP_EXCEPTION:
      return 'the next call throws: the stack is full';
    case OP_NOTIFY:
      return `${op} ${name}: ${step.value} woken`;
    case OP_BYTES_LOAD:
    case OP_BYTES_STORE:
      return `${op} ${name}, ${step.b} from there: ${step.value}`;
    default:
      return `${op} ${name} by ${step.a}, was ${step.value}`;
  }
}

/** Everything there is to say about a failure, with the way to see it again. */
export function formatFailure(report: ModelReport): string {
  const failure = report.failure;
  if (failure === undefined) return '';
  return [
    `${report.scenario}: ${failure.kind}: ${failure.message}`,
    `replay with: ${failure.schedule}`,
    failure.trace,
  ].join('\n');
}
