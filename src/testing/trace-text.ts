// SPDX-License-Identifier: MIT
/** Model checker: formats a trace as text with a column for each thread, or as an HTML page. */

import { placeText } from './places.ts';
import type { Failure, ModelReport, TraceStep } from './scenario.ts';

/** Longer traces are cut in the middle. */
const TRACE_STEPS_MAX = 240;
/** Wider columns are not padded. */
const COLUMN_MAX = 46;

/** Threads that have steps, in the order of their first ones. */
function threadsOf(steps: readonly TraceStep[]): string[] {
  return [...new Set(steps.map(({ thread }) => thread))].sort();
}

/** One line per step: number, a column for each thread, the place and its source line. */
export function traceText(steps: readonly TraceStep[]): string {
  if (steps.length === 0) return '';
  const threads = threadsOf(steps);
  const widths = threads.map((thread) => {
    const own = steps.filter((step) => step.thread === thread).map(({ action }) => action.length);
    return Math.min(COLUMN_MAX, Math.max(thread.length, ...own));
  });
  const row = (thread: string, text: string): string =>
    threads.map((name, i) => (name === thread ? text : '').padEnd(widths[i])).join('  ');
  const title = `       ${threads.map((name, i) => name.padEnd(widths[i])).join('  ')}`.trimEnd();
  const line = (step: TraceStep): string[] => {
    const mark = step.marked ? '*' : ' ';
    const number = step.isAccess ? String(step.number) : '';
    const head = `${mark}${number.padStart(4)}  ${row(step.thread, step.action)}`;
    const own = `${head}  ${whereText(step)}`.trimEnd();
    if (step.skipped === 0) return [own];
    return [`       ${row(step.thread, `… ${step.skipped} more of it …`)}`.trimEnd(), own];
  };
  if (steps.length <= TRACE_STEPS_MAX) return [title, ...steps.flatMap(line)].join('\n');
  const left = steps.length - TRACE_STEPS_MAX;
  const begin = steps.slice(0, (TRACE_STEPS_MAX * 3) / 4).flatMap(line);
  const end = steps.slice(-TRACE_STEPS_MAX / 4).flatMap(line);
  return [title, ...begin, `       … ${left} more …`, ...end].join('\n');
}

/** The innermost place with its source line, and its callers. */
function whereText(step: TraceStep): string {
  const [first, ...callers] = step.places;
  if (first === undefined) return '';
  const from = callers.map((place) => ` ← ${placeText(place)}`).join('');
  return `${placeText(first)}  ${first.source}${from}`;
}

export function failureJson(report: ModelReport, failure: Failure): string {
  const { kind, message, schedule, replay, options, steps } = failure;
  const told = { scenario: report.scenario, kind, message, schedule, replay, options, steps };
  return JSON.stringify(
    told,
    (_, value: unknown) => (value === Number.POSITIVE_INFINITY ? 'Infinity' : value),
    2,
  );
}

/** A self-contained HTML page: a table with a column for each thread. */
export function failurePage(report: ModelReport, failure: Failure): string {
  const steps = failure.steps ?? [];
  const threads = threadsOf(steps);
  const cells = (step: TraceStep): string =>
    threads
      .map((name) => `<td>${name === step.thread ? escapeText(step.action) : ''}</td>`)
      .join('');
  const rows = steps.map((step) => {
    const [first, ...callers] = step.places;
    const stack = callers.map((place) => `${placeText(place)} ${place.within}`).join('\n');
    const source = escapeText(first?.source ?? '');
    return (
      `<tr${step.marked ? ' class="marked"' : ''}><td>${step.number}</td>${cells(step)}` +
      `<td title="${escapeText(stack)}">${escapeText(placeText(first))}</td>` +
      `<td><code>${source}</code></td></tr>`
    );
  });
  const title = escapeText(`${report.scenario}: ${failure.kind}`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title><style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #8884; padding: 2px 12px; text-align: left; white-space: pre; }
tr.marked td { background: #f804; }
</style></head><body>
<h1>${title}</h1>
<pre>${escapeText(failure.message)}</pre>
<p>Replay: <code>${escapeText(failure.replay ?? failure.schedule)}</code></p>
<table><thead><tr><th></th>${threads.map((name) => `<th>${escapeText(name)}</th>`).join('')}
<th>where</th><th></th></tr></thead><tbody>
${rows.join('\n')}
</tbody></table></body></html>
`;
}

function escapeText(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
