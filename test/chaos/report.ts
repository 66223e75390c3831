// SPDX-License-Identifier: MIT
/** Test tool: the result of a chaos run, as text and as JSON. */
import { SEATS, WAYS } from './board.ts';
import type { Losses } from './judge.ts';
import type { ChaosResult } from './run.ts';
import type { Death } from './workforce.ts';

/** What `--json` writes. */
export interface ChaosReport {
  readonly seed: number;
  readonly commit: string;
  readonly node: string;
  readonly date: string;
  readonly seconds: number;
  readonly events: number;
  readonly kills: number;
  readonly killsByWay: Record<string, number>;
  readonly killsBySeat: Record<string, number>;
  readonly killsByDoing: Record<string, number>;
  readonly resets: Record<string, number>;
  readonly dries: number;
  readonly stalls: number;
  readonly messages: { readonly sent: number; readonly received: number };
  readonly losses: Losses;
  readonly recovered: {
    readonly channelSeats: number;
    /** Of threads that were no executors; those of executors the group counts for itself. */
    readonly buffers: number;
    readonly executorRestarts: number;
  };
  readonly audits: number;
}

export function reportOf(
  result: ChaosResult,
  run: { readonly seed: number; readonly seconds: number; readonly commit: string },
): ChaosReport {
  const { deaths, sent, received } = result;
  const count = (key: (death: Death) => string): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const death of deaths) counts[key(death)] = (counts[key(death)] ?? 0) + 1;
    return counts;
  };
  const sum = (what: (death: Death) => number): number =>
    deaths.reduce((total, death) => total + what(death), 0);
  return {
    seed: run.seed,
    commit: run.commit,
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
    seconds: Math.round(run.seconds),
    events: result.events,
    kills: deaths.length,
    killsByWay: count(({ way }) => WAYS[way] as string),
    killsBySeat: count(({ seat }) => SEATS[seat] as string),
    killsByDoing: count(({ doing }) => doing),
    resets: result.resets,
    dries: result.dries,
    stalls: result.stalls,
    messages: { sent, received },
    losses: result.losses,
    recovered: {
      channelSeats: sum(({ channelSeats }) => channelSeats),
      buffers: sum(({ buffers }) => buffers),
      executorRestarts: result.executorRestarts,
    },
    audits: result.audits,
  };
}

export function describeReport(report: ChaosReport): string {
  const list = (counts: object): string =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
  const { messages, recovered } = report;
  return [
    `seed ${report.seed}: ${report.kills} kills in ${report.events} events, ${report.seconds} s`,
    `  ways       ${list(report.killsByWay)}`,
    `  seats      ${list(report.killsBySeat)}`,
    `  while      ${list(report.killsByDoing)}`,
    `  besides    ${report.dries} times no buffer, ${report.stalls} readers stopped`,
    `  ended      ${list(report.resets)}`,
    `  messages   ${messages.sent} sent, ${messages.received} came back; all contents right`,
    `  lost       ${list(report.losses)}`,
    `  recovered  ${list(recovered)}`,
    `  accounts   every buffer had its owner, ${report.audits} times`,
  ].join('\n');
}
