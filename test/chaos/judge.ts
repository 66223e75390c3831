// SPDX-License-Identifier: MIT
/**
 * Test tool: decides for each message that did not come back whether its loss was allowed, and why.
 */
import {
  COLLECTOR,
  EXECUTOR,
  FLUSHED,
  FRAMED,
  HOARDER,
  LEDGER_SLOTS,
  PASSED,
  pathOf,
  READ,
  SEATS,
  SENT,
  STAGES,
  stageOf,
  TO_HOST,
  TO_SEAT,
  TWIN,
  targetOf,
  WRITTEN,
} from './board.ts';
import { type Hub, SOURCES, UDP } from './hub.ts';

/** What happened since all messages were last accounted for. */
export interface Period {
  /** Threads that died, by seat. */
  readonly dead: Map<number, number>;
  /** Of these, how many had an exception before, which may take one message more. */
  readonly failed: Map<number, number>;
  /** Which thread each seat had when the period began. */
  readonly generations: readonly number[];
  /** Connections that ended, by source; their outlets have the same numbers. */
  readonly reset: Set<number>;
  /** UDP datagrams that found no room. */
  readonly dropped: number;
}

/** Why messages were lost, and how many. */
export interface Losses {
  /** The connection ended before the host had the message. */
  beforeHost: number;
  /** A thread that died had taken it. */
  withDead: number;
  /** A thread took it and died before it could record that. */
  untold: number;
  /** It was with a connection that ended. */
  withConnection: number;
  /** By UDP, which may. */
  byUdp: number;
}

export function noLosses(): Losses {
  return { beforeHost: 0, withDead: 0, untold: 0, withConnection: 0, byUdp: 0 };
}

/** A thread that dies has taken at most this many messages that it had no time to note. */
const UNTOLD_PER_DEATH = 1;

/** Everything that is still under way counts as lost, and must be allowed to be. */
export function judge(hub: Hub, period: Period): { losses: Losses; wrong: string[] } {
  const losses = noLosses();
  const wrong: string[] = [];
  const untold = new Map<number, number>();
  const { ledger } = hub;
  for (let source = 0; source < SOURCES; source++) {
    for (let i = 0; i < LEDGER_SLOTS; i++) {
      const mark = ledger.get(source * LEDGER_SLOTS + i);
      if (mark === 0) continue;
      const why = whyLost(hub, period, source, mark, untold);
      if (why === undefined) wrong.push(`message ${source}/…${i}: ${describeMark(hub, mark)}`);
      else losses[why]++;
      ledger.set(source * LEDGER_SLOTS + i, 0);
    }
  }
  for (const [target, count] of untold) {
    const allowed =
      UNTOLD_PER_DEATH * (deathsOf(period.dead, target) + deathsOf(period.failed, target));
    if (count > allowed) {
      wrong.push(`${count} messages to ${SEATS[target]} are lost, ${allowed} could be`);
    }
  }
  if (losses.byUdp > period.dropped) {
    wrong.push(`${losses.byUdp} messages were lost by UDP, which knows of ${period.dropped}`);
  }
  return { losses, wrong };
}

function whyLost(
  hub: Hub,
  period: Period,
  source: number,
  mark: number,
  untold: Map<number, number>,
): keyof Losses | undefined {
  const stage = stageOf(mark);
  const path = pathOf(mark);
  if (stage === SENT) {
    if (source === UDP) return 'byUdp';
    return period.reset.has(source) ? 'beforeHost' : undefined;
  }
  if (path !== 0 && stage !== FLUSHED && isDead(hub, period, path)) return 'withDead';
  if (stage === FRAMED || stage === PASSED) {
    const target = targetOf(mark);
    if (target === TO_HOST) return undefined;
    const seat = sideOf(target - TO_SEAT);
    if (deathsOf(period.dead, seat) === 0) return undefined;
    untold.set(seat, (untold.get(seat) ?? 0) + 1);
    return 'untold';
  }
  if (stage === READ || stage === WRITTEN) return undefined;
  const outlet = path === 0 ? targetOf(mark) : hub.outletOf(path, hub.board.holderOf(path).seat);
  if (outlet === UDP) return 'byUdp';
  return period.reset.has(outlet) ? 'withConnection' : undefined;
}

/** Twins share a channel. */
function sideOf(seat: number): number {
  return seat === TWIN + 1 ? TWIN : seat;
}

function deathsOf(dead: ReadonlyMap<number, number>, side: number): number {
  let deaths = 0;
  for (const [seat, count] of dead) if (sideOf(seat) === side) deaths += count;
  return deaths;
}

function isDead({ board }: Hub, { generations, dead }: Period, path: number): boolean {
  const { seat, generation } = board.holderOf(path);
  const first = generations[seat] ?? 0;
  return generation >= first && generation < first + (dead.get(seat) ?? 0);
}

export function describeMark(hub: Hub, mark: number): string {
  const path = pathOf(mark);
  const target = targetOf(mark) - TO_SEAT;
  const to = target >= 0 ? ` to ${SEATS[target]}` : '';
  if (path === 0) return `${STAGES[stageOf(mark)]}${to}`;
  const { seat, generation } = hub.board.holderOf(path);
  const outlet = hub.outletOf(path, seat);
  return `${STAGES[stageOf(mark)]}${to} by ${SEATS[seat]} #${generation}, outlet ${outlet}`;
}

/** Seats that take messages, those that share a channel together. */
export const SIDES: readonly (readonly number[])[] = [
  [0],
  [TWIN, TWIN + 1],
  [COLLECTOR],
  ...Array.from({ length: HOARDER - EXECUTOR }, (_, i) => [EXECUTOR + i]),
];
