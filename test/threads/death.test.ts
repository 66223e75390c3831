// SPDX-License-Identifier: MIT
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { scaled } from '../effort.ts';
import { auditPool } from '../pool-audit.ts';
import { turn } from '../turns.ts';
import * as crew from './crew.ts';
import { Traveller } from './traveller.ts';
import { type End, testSeed, WorkerCrew } from './worker-crew.ts';

/** The main thread travels in this lane and is the supervisor of the others. */
const OWN_LANE = 0;

const shapes = [
  { lanes: 3, bufferCount: 7, batchSize: 1, perPair: 2, kills: 15 },
  { lanes: 5, bufferCount: 32, batchSize: 4, perPair: 1, kills: 25 },
  { lanes: 4, bufferCount: 64, batchSize: 16, perPair: 3, kills: 15 },
];

/** How many deeds a worker lives to do, at most. */
const DEEDS_MAX = 4000;

/** A worker on its way to its death. */
interface Mortal {
  readonly end: Promise<End>;
  /** It is killed when it has done so many deeds; at 0 it may not even have attached. */
  readonly deeds: number;
  killed: boolean;
  ended: End | undefined;
}

/** Travels while workers die around it, and cleans up behind them. */
class Supervisor {
  readonly #pool: BufferPool;
  readonly #lanes: WorkerCrew;
  readonly #random: Random;
  readonly #traveller: Traveller;
  readonly #mortals = new Map<number, Mortal>();
  /** How often it came upon what; tells whether the test had power. */
  readonly found = { kills: 0, freed: 0, mended: 0, waiting: 0, unattached: 0 };

  constructor(pool: BufferPool, lanes: WorkerCrew, random: Random) {
    this.#pool = pool;
    this.#lanes = lanes;
    this.#random = random;
    this.#traveller = new Traveller(pool, lanes.boxes, OWN_LANE, random, false);
  }

  start(lane: number): void {
    const deeds = this.#random.chance(0.1) ? 0 : this.#random.below(DEEDS_MAX);
    const end = this.#lanes.start(lane);
    const mortal: Mortal = { end, deeds, killed: false, ended: undefined };
    this.#mortals.set(lane, mortal);
    void end.then((how) => {
      mortal.ended = how;
    });
  }

  /** Kills so many workers, each at a random moment and in a random way, and replaces them. */
  async kill(count: number): Promise<void> {
    while (this.found.kills < count) {
      for (let i = 0; i < 50; i++) this.#traveller.step();
      await turn();
      for (const [lane, mortal] of this.#mortals) {
        if (!mortal.killed && this.#lanes.deeds(lane) >= mortal.deeds) this.#strike(lane, mortal);
        if (mortal.ended === undefined) continue;
        const { error } = mortal.ended;
        if (error?.message !== crew.TOLD_TO_THROW) expect(error).toBe(undefined);
        this.#bury(lane);
        this.start(lane);
      }
    }
  }

  #strike(lane: number, mortal: Mortal): void {
    mortal.killed = true;
    const way = this.#random.below(6);
    if (way === 0) this.#lanes.order(lane, crew.EXIT);
    else if (way === 1) this.#lanes.order(lane, crew.THROW);
    else this.#lanes.terminate(lane);
  }

  #bury(lane: number): void {
    const slot = this.#lanes.slot(lane);
    this.found.kills++;
    if (this.#pool.stats().threads.find((thread) => thread.slot === slot)?.waiting) {
      this.found.waiting++;
    }
    // It may have died before it could say which slot it took,
    if (slot < 0) this.found.unattached++;
    else this.#reclaim(slot);
    for (const { freed } of this.#pool.reclaimDead()) this.found.freed += freed;
    this.found.mended += this.#lanes.boxes.mend(lane);
  }

  #reclaim(slot: number): void {
    try {
      this.found.freed += this.#pool.reclaim(slot);
    } catch (error) {
      // or behind leaving one that has a new owner by now. At the end nobody may be left over.
      expect(error).toMatchObject({ code: 'ERR_BUSBAR_THREAD_ALIVE' });
    }
  }

  /** Tells all living workers to stop, waits for their end and clears what is left. */
  async finish(): Promise<End[]> {
    let finished = 1;
    for (const [lane, mortal] of this.#mortals) {
      if (!mortal.killed) continue;
      await this.#untilEnded([mortal]);
      this.#bury(lane);
      this.#mortals.delete(lane);
      finished++;
    }
    const mortals = [...this.#mortals.values()];
    for (const lane of this.#mortals.keys()) this.#lanes.order(lane, crew.STOP);
    this.#traveller.releaseAll();
    Atomics.add(this.#lanes.board, crew.FINISHED, finished);
    await this.#untilEnded(mortals);
    this.#clearDeadLanes();
    return Promise.all(mortals.map(({ end }) => end));
  }

  /** Nobody is left to read what was sent to those who died last. */
  #clearDeadLanes(): void {
    const { boxes } = this.#lanes;
    for (let from = 0; from < boxes.lanes; from++) {
      for (let to = 0; to < boxes.lanes; to++) {
        for (;;) {
          const letter = boxes.receive(this.#pool, from, to);
          if (letter === undefined) break;
          this.#traveller.keep(letter);
        }
      }
    }
    this.#traveller.releaseAll();
  }

  async #untilEnded(mortals: readonly Mortal[]): Promise<void> {
    while (mortals.some(({ ended }) => ended === undefined)) {
      this.#traveller.clear();
      await turn();
    }
    this.#traveller.clear();
  }
}

test.each(shapes)(
  '$kills of $lanes threads with $bufferCount buffers are killed, and every buffer comes back',
  async ({ lanes, bufferCount, batchSize, perPair, kills }) => {
    const seed = testSeed();
    const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
    const random = new Random(seed);
    const pool = BufferPool.create({
      bufferSize: 64,
      bufferCount,
      batchSize,
      maxThreads: lanes + 2,
      trackLeaks: false,
    });
    const workers = new WorkerCrew(pool, { lanes, perPair, deeds: 2 ** 31, post: false, seed });
    const supervisor = new Supervisor(pool, workers, random);
    for (let lane = 1; lane < lanes; lane++) supervisor.start(lane);
    await supervisor.kill(scaled(kills));
    const ends = await supervisor.finish();
    const failed = ends.filter(({ code, error }) => code !== 0 || error !== undefined);
    expect(failed, replay).toEqual([]);
    const stats = pool.who();
    expect(stats.threads.map(({ slot }) => slot)).toEqual([pool.threadSlot]);
    expect({ ...stats, free: stats.freeShared + stats.freeCached }, replay).toMatchObject({
      free: bufferCount,
      held: 0,
      inTransit: 0,
      waiting: 0,
    });
    expect(auditPool(pool), replay).toEqual([]);
    if (process.env.BUSBAR_TEST_FACTOR !== undefined) console.log(replay, supervisor.found);
    pool.close();
  },
);
