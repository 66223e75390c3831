// SPDX-License-Identifier: MIT
/** Model checker: formats a history as a table with a column for each thread; time goes down. */

import { callText, type HistoryOperation, precedes } from './history.ts';

/** The rows of an operation, from its first to its last. */
interface Span {
  readonly operation: HistoryOperation;
  readonly begin: number;
  end: number;
}

/**
 * Operations in one row overlap; one that overlaps several of another thread is continued (│) until
 * its result (→).
 */
export function historyTable(
  operations: readonly HistoryOperation[],
  titles: readonly string[],
): string {
  const spans = layOut(operations);
  const height = Math.max(0, ...spans.map(({ end }) => end + 1));
  const columns = titles
    .map((title, thread) => ({ title, spans: spans.filter((s) => s.operation.thread === thread) }))
    .filter((column) => column.spans.length > 0);
  const rows: string[][] = [columns.map(({ title }) => title)];
  for (let row = 0; row < height; row++) {
    rows.push(columns.map((column) => cell(column.spans, row)));
  }
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows
    .map((row) => `  ${row.map((text, i) => text.padEnd(widths[i])).join('   ')}`.trimEnd())
    .join('\n');
}

function cell(spans: readonly Span[], row: number): string {
  const span = spans.find(({ begin, end }) => begin <= row && row <= end);
  if (span === undefined) return '';
  const { name, args, text, end } = span.operation;
  const outcome = end === 'done' ? `→ ${text}` : end === 'open' ? '† dies' : '… waits';
  if (row === span.begin) {
    const call = callText(name, args);
    return row === span.end ? `${call} ${outcome}` : call;
  }
  return row === span.end ? outcome : '│';
}

/** Assigns the earliest rows that keep the order of operations which did not overlap. */
function layOut(operations: readonly HistoryOperation[]): Span[] {
  const spans: Span[] = [];
  const left = new Set(operations);
  for (let row = 0; left.size > 0; row++) {
    const next = [...left].filter((one) => ![...left].some((other) => isBefore(other, one)));
    if (next.length === 0) break;
    for (const operation of next) {
      left.delete(operation);
      spans.push({ operation, begin: row, end: row });
    }
  }
  const last = Math.max(0, ...spans.map(({ begin }) => begin));
  for (const span of spans) {
    const later = spans.filter(({ operation }) => isBefore(span.operation, operation));
    const bound = Math.min(last + 1, ...later.map(({ begin }) => begin));
    span.end = span.operation.end === 'done' ? Math.max(span.begin, bound - 1) : last;
  }
  return spans;
}

function isBefore(first: HistoryOperation, second: HistoryOperation): boolean {
  return first !== second && precedes(first, second);
}
