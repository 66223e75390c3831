// SPDX-License-Identifier: MIT
/** Model checker: turns a failed schedule into lines that a person can follow. */

import { checkOneOf, checkOptions } from '../base/check.ts';
import {
  LEAPS_MS,
  OP_BYTES_LOAD,
  OP_BYTES_STORE,
  OP_CLOCK,
  OP_COMPARE_EXCHANGE,
  OP_EVENT,
  OP_EXCEPTION,
  OP_GROW,
  OP_LOAD,
  OP_NAMES,
  OP_NOTIFY,
  OP_PLAIN_LOAD,
  OP_PLAIN_STORE,
  OP_STORE,
  OP_TIMER,
  OP_TURN,
  OP_WAIT,
  OP_WAIT_ASYNC,
  OP_WAKE,
} from './machine-layout.ts';
import { LENGTH_WORD, type ModelMemory } from './memory.ts';
import type { ModelReport } from './scenario.ts';
import { failureJson, failurePage } from './trace-text.ts';
import type { WeakSource } from './weak-memory.ts';

/** One access, as the machine reports it. */
export interface Access {
  readonly thread: number;
  readonly op: number;
  readonly cell: number;
  readonly a: number;
  readonly b: number;
  readonly value: number;
  /** For a read of a racy word that did not return the last write. */
  readonly source?: WeakSource | undefined;
  /** A race is met here, and it is not known yet whether the schedule can happen: not shown. */
  readonly races?: boolean;
  /** A race is met here, before the access: operands and value are not known. */
  readonly isRace?: boolean;
}

/** How a trace names a word, or undefined. */
export type WordNames = (block: number, word: number) => string | undefined;

const WAIT_OUTCOMES: readonly string[] = ['ok', 'not-equal', 'timed-out', 'blocks'];

/** What the scenario, or block and number, call the word or byte of an access. */
export function nameOf(step: Access, memory: ModelMemory, names: WordNames): string {
  if (step.cell < 0) return '';
  if (step.op === OP_BYTES_LOAD || step.op === OP_BYTES_STORE) {
    const block = memory.locate(step.cell)?.region.ordinal;
    return `block ${block ?? '?'} byte ${step.a}`;
  }
  const place = memory.locate(step.cell);
  if (place === undefined) return '';
  const block = place.region.ordinal;
  if (place.word === LENGTH_WORD) return `the length of block ${block}`;
  return names(block, place.word) ?? `block ${block} [${place.word}]`;
}

/** A line for a racy word that `check` reads when all has ended. */
export function formatEnd(
  { cell, value }: { readonly cell: number; readonly value: number },
  memory: ModelMemory,
  names: WordNames,
): string {
  const step = { thread: 0, op: OP_PLAIN_LOAD, cell, a: 0, b: 0, value };
  return `       check reads ${nameOf(step, memory, names)} → ${value}, not the last write`;
}

/** Which write a read has returned, if it was not the last one. */
export function describeSource({ source }: Access, threads: readonly string[]): string {
  if (source === undefined) return '';
  if (source.isLater) return ', which is written later';
  return source.writer < 0 ? ', as setup left it' : `, an older write by ${threads[source.writer]}`;
}

/** An access in words. */
export function describeAccess(step: Access, name: string): string {
  const op = OP_NAMES[step.op];
  if (step.isRace) return `${op} ${name}`;
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
    case OP_GROW:
      return `${op} ${name} to ${step.a}, was ${step.value}`;
    case OP_WAIT:
    case OP_WAKE:
      return `${op} ${name} while ${step.a}: ${WAIT_OUTCOMES[step.value]}`;
    case OP_WAIT_ASYNC:
      return `${op} ${name} while ${step.a}: ${step.value === 0 ? 'hangs' : 'not-equal'}`;
    case OP_EVENT:
      return '(its waitAsync was notified)';
    case OP_TIMER:
      return '(a timer fires)';
    case OP_TURN:
      return '(next turn of its event loop)';
    case OP_CLOCK:
      return `(looks at the clock: ${LEAPS_MS[step.value]} ms have passed)`;
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

/** How {@link formatFailure} writes. */
export interface FormatOptions {
  /**
   * 'text', for a terminal; 'json', with the same fields as the failure; 'html', a page that needs
   * nothing else. Default 'text'.
   */
  readonly as?: 'text' | 'json' | 'html';
}

/**
 * The description of a failure, with the call that replays it; empty if there is none.
 */
export function formatFailure(report: ModelReport, options: FormatOptions = {}): string {
  checkOptions('options', options, ['as']);
  const as = checkOneOf('options.as', options.as ?? 'text', ['text', 'json', 'html']);
  const { failure } = report;
  if (failure === undefined) return '';
  if (as === 'json') return failureJson(report, failure);
  if (as === 'html') return failurePage(report, failure);
  return [
    `${report.scenario}: ${failure.kind}: ${failure.message}`,
    `replay with: ${failure.replay ?? failure.schedule}`,
    failure.trace,
  ].join('\n');
}

/** A call of replay that can be pasted. Options are those that the caller gave. */
export function replayCall(schedule: string, options: object): string {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  const text = entries.map(([key, value]) => {
    const shown = typeof value === 'string' ? `'${value}'` : String(value);
    return `${key}: ${shown}`;
  });
  const third = text.length === 0 ? '' : `, { ${text.join(', ')} }`;
  return `replay(scenario, '${schedule.replaceAll("'", "\\'")}'${third})`;
}
