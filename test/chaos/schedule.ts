// SPDX-License-Identifier: MIT
/**
 * Test tool: the sequence of events of a chaos run. It depends only on the seed, never on the
 * course of the run.
 */
import type { Random } from '../../src/base/random.ts';
import {
  type Aim,
  COLLECTOR,
  COMMITTING,
  EXECUTOR,
  EXECUTORS,
  EXIT,
  FAIL,
  FLUSHING,
  FREEZE,
  FRENZY,
  HOARDER,
  HOARDING,
  OPENING,
  PASSING,
  READING,
  RECEIVING,
  RELEASING,
  RESERVING,
  SINGLE,
  STAND,
  TERMINATE,
  THROW,
  TWIN,
  WAITING,
  WRITING,
} from './board.ts';
import { TCP_SOURCES } from './hub.ts';
import type { Killing } from './workforce.ts';

/** How a connection is ended, by either side. */
export const RESETS = [
  'reset by client',
  'destroyed by client',
  'ended by client',
  'destroyed by host',
  'closed by host',
] as const;

/** One thing after the other; what is undefined does not happen. */
export interface ChaosEvent {
  /** Messages that go through before anything happens. */
  readonly warmUp: number;
  /** The hoarder takes all buffers. */
  readonly isDry: boolean;
  /** A client that does not read until its link stalls. */
  readonly mutedSource: number | undefined;
  readonly reset: { readonly source: number; readonly how: number } | undefined;
  readonly killings: readonly Killing[];
  /** Messages each survivor must take afterwards. */
  readonly progress: number;
  /** Nothing is sent while the seats are filled again. */
  readonly isQuietStart: boolean;
  /** How many turns after its start the first victim's successor dies as well. */
  readonly birthTurns: number | undefined;
}

/** Where a thread can be told to die, by its seat. */
function actsOf(seat: number): readonly number[] {
  if (seat === HOARDER) return [HOARDING];
  const all = [READING, RESERVING, WRITING, COMMITTING, FLUSHING, RELEASING];
  if (seat >= EXECUTOR && seat < EXECUTOR + EXECUTORS) return [...all, PASSING, WAITING];
  return [...all, RECEIVING, WAITING, OPENING];
}

/** What a run must aim at for a way to be drawn. */
const AIM_OF: Readonly<Record<number, Aim>> = { [STAND]: 'stop', [FAIL]: 'throw' };

const VICTIMS = [
  SINGLE,
  TWIN,
  TWIN + 1,
  COLLECTOR,
  ...Array.from({ length: EXECUTORS }, (_, i) => EXECUTOR + i),
];

export class Schedule {
  readonly #random: Random;
  readonly #aims: readonly Aim[];

  constructor(random: Random, aims: readonly Aim[]) {
    this.#random = random;
    this.#aims = aims;
  }

  next(killsLeft: number): ChaosEvent {
    const random = this.#random;
    const isDry = random.chance(0.15);
    const isMuted = random.chance(0.08);
    const isReset = random.chance(0.2);
    const source = random.below(TCP_SOURCES);
    const how = random.below(RESETS.length);
    const muted = random.below(TCP_SOURCES);
    const warmUp = 20 + random.below(400);
    const progress = 1 + random.below(20);
    const birth = random.chance(0.1);
    const birthTurns = random.below(60);
    // Threads start much faster so, which leaves time for more kills.
    const isQuietStart = random.chance(0.9);
    // Who waits for buffers or for a reader would never come to where it is told to die.
    const victims = this.#victims(isDry, isDry || isMuted);
    return {
      warmUp,
      isDry,
      mutedSource: isMuted && !isDry ? muted : undefined,
      reset: isReset ? { source, how } : undefined,
      killings: victims.slice(0, Math.max(1, killsLeft)),
      progress,
      isQuietStart,
      birthTurns: birth && killsLeft > victims.length ? birthTurns : undefined,
    };
  }

  #victims(isDry: boolean, isStuck: boolean): Killing[] {
    const random = this.#random;
    const most = random.chance(0.5) ? 2 : 1;
    const others = [...VICTIMS];
    const killings: Killing[] = [];
    for (let i = 0; i < most; i++) {
      const [seat] = others.splice(random.below(others.length), 1) as [number];
      // Only who holds everything can die of it.
      const isHoarder = random.chance(0.3) && isDry && i === 0;
      killings.push(this.#killing(isHoarder ? HOARDER : seat, isStuck));
    }
    return killings;
  }

  #killing(seat: number, isStuck: boolean): Killing {
    const random = this.#random;
    const acts = actsOf(seat);
    const act = acts[random.below(acts.length)] as number;
    const draw = random.below(20);
    const times = 1 + random.below(30);
    const channelsFirst = random.chance(0.5);
    // Mostly within the first operation behind the act, at times far beyond.
    const access = 1 + random.below(random.chance(0.8) ? 30 : 300);
    const isAimed = random.chance(0.6);
    const shares: readonly (readonly [number, number])[] = [
      [FREEZE, 3],
      [EXIT, 5],
      [THROW, 7],
      [FRENZY, 14],
      [TERMINATE, 20],
    ];
    const [usual] = shares.find(([, below]) => draw < below) as [number, number];
    const aimed = [STAND, STAND, FAIL].filter((each) => this.#aims.includes(AIM_OF[each] as Aim));
    const aim = aimed[random.below(3) % aimed.length];
    const ordered = isAimed && aim !== undefined ? aim : usual;
    const way = isStuck ? TERMINATE : ordered;
    return { seat, way, act, times: act === OPENING ? 1 : times, access, channelsFirst };
  }
}
