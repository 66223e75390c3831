// SPDX-License-Identifier: MIT
/** What `busbar top` and the page show of two snapshots: a table for each kind. */

import type { Metric } from './metric-table.ts';
import type { HolderSnapshot, ObjectSnapshot, Snapshot } from './snapshot.ts';

/** A table of text; what needs attention comes first. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

interface Row {
  readonly cells: readonly string[];
  readonly isAlarm: boolean;
}

/** All that is shown of one process. */
export interface View {
  readonly title: string;
  readonly reasons: readonly string[];
  readonly tables: readonly Table[];
}

const UNITS = ['', 'k', 'M', 'G', 'T'];
/** An executor that has not returned for so long is shown as an alarm. */
const LATE_MS = 1000;
/** Of the names, however narrow the terminal is. */
const NAME_WIDTH_MIN = 8;

/** Rates are those between the two; without `before` there are none. */
export function viewOf(before: Snapshot | undefined, after: Snapshot): View {
  const { program, pid, threadId, node, uptimeMs, health } = after;
  const thread = threadId === 0 ? '' : ` thread ${threadId}`;
  const state = health.ready ? 'ready' : health.live ? 'NOT READY' : 'STUCK';
  const of = `${program} pid ${pid}${thread} Node ${node}`;
  const seconds = (after.timeMs - (before?.timeMs ?? after.timeMs)) / 1000;
  const earlier = new Map(before?.objects.map((each) => [keyOf(each), each.stats]));
  return {
    title: `${of} up ${Math.round(uptimeMs / 1000)} s ${state}`,
    reasons: health.reasons,
    tables: [
      ...Object.entries(after.metrics).map(([kind, metrics]) => ({
        columns: [kind, ...metrics.map(columnOf)],
        rows: sorted(
          after.objects
            .filter((each) => each.kind === kind)
            .map((each) => ({
              cells: [
                titleOf(each),
                ...metrics.map((metric) => {
                  return cellOf(metric, each.stats, earlier.get(keyOf(each)), seconds);
                }),
              ],
              isAlarm: isAlarm(each),
            })),
        ),
      })),
      ...holdersOf(after.objects),
    ],
  };
}

/** Alarms first, the others in their order. */
function sorted(rows: readonly Row[]): Row[] {
  return [...rows].sort((one, other) => Number(other.isAlarm) - Number(one.isAlarm));
}

/** 'messages', 'messages/2', or 'messages/2 worker-1' for a thread that has a name. */
function titleOf({ name, part, stats }: ObjectSnapshot): string {
  if (part === undefined) return name;
  const own = stats.name;
  const more = typeof own === 'string' && own !== `thread ${part}` && own !== '' ? ` ${own}` : '';
  return `${name}/${part}${more}`;
}

/** No table where nothing is held. */
function holdersOf(objects: readonly ObjectSnapshot[]): Table[] {
  const rows = objects.flatMap(({ name, holders = [] }) =>
    holders.map((each) => ({
      cells: [holderOf(each), short(each.count), name],
      isAlarm: false,
    })),
  );
  return rows.length === 0
    ? []
    : [{ columns: ['who holds buffers', 'references', 'of pool'], rows }];
}

function holderOf({ thread, kind, name }: HolderSnapshot): string {
  if (kind === 'others') return kind;
  return `${thread === '' ? 'in transit' : thread}, ${kind}${name === '' ? '' : ` of ${name}`}`;
}

/** The lines of a terminal of that width. An alarm begins with '!'. */
export function linesOf({ title, reasons, tables }: View, width: number): string[] {
  const lines = [title, ...reasons.map((reason) => `! ${reason}`)];
  for (const { columns, rows } of tables) {
    const widths = columns.map((column, at) =>
      rows.reduce((most, { cells }) => Math.max(most, (cells[at] as string).length), column.length),
    );
    // A long name leaves room for its figures; a lane's name fits 80 columns.
    widths[0] = Math.min(widths[0] as number, Math.max(NAME_WIDTH_MIN, Math.floor(width / 2) + 4));
    // What is too wide goes on below, with the names again.
    let end = 1;
    do {
      const begin = end;
      let rest = width - 2 - (widths[0] as number);
      do rest -= 2 + (widths[end++] ?? 0);
      while (end < widths.length && rest >= 2 + (widths[end] as number));
      const line = (cells: readonly string[], mark: string): string => {
        const parts = cells.slice(begin, end);
        const padded = parts.map((cell, at) => cell.padStart(widths[begin + at] as number));
        const name = cut(cells[0] as string, widths[0] as number);
        return `${mark} ${[name.padEnd(widths[0] as number), ...padded].join('  ')}`;
      };
      lines.push('', line(columns, ' '));
      for (const { cells, isAlarm } of rows) lines.push(line(cells, isAlarm ? '!' : ' '));
    } while (end < widths.length);
  }
  return lines.map((line) => plain(line).slice(0, width).trimEnd());
}

/** One line that a terminal does not obey: a name or a reason may have any characters. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

function keyOf({ kind, name, part }: ObjectSnapshot): string {
  return JSON.stringify([kind, name, part]);
}

function columnOf({ field, type }: Metric): string {
  return type === 'counter' ? `${field}/s` : field;
}

function cellOf(
  { field, type }: Metric,
  stats: ObjectSnapshot['stats'],
  earlier: ObjectSnapshot['stats'] | undefined,
  seconds: number,
): string {
  const value = stats[field];
  if (typeof value === 'string') return value;
  if (typeof value !== 'number') return '-';
  if (type !== 'counter') return short(value);
  const growth = value - Number(earlier?.[field]);
  // Less than before: its thread has begun anew.
  return growth >= 0 && seconds > 0 ? short(growth / seconds) : '-';
}

/** At most four characters and a unit. */
function short(value: number): string {
  let [rest, unit] = [value, 0];
  while (rest >= 10_000 && unit < UNITS.length - 1) [rest, unit] = [rest / 1000, unit + 1];
  return `${Number(rest.toFixed(rest < 10 ? 1 : 0))}${UNITS[unit]}`;
}

function isAlarm({ stats, error }: ObjectSnapshot): boolean {
  if (error !== undefined || stats.closed === true) return true;
  if (stats.state === 'running' && Number(stats.sinceTurnMs) > LATE_MS) return true;
  if (stats.state === 'ended' || Number(stats.waiting) > 0) return true;
  return Number(stats.capacity) > 0 && Number(stats.queued) >= Number(stats.capacity);
}
