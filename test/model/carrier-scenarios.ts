// SPDX-License-Identifier: MIT
/**
 * Model checker: a pool's carriers, and threads that attach and detach, when threads die: the next
 * reclaim frees all that they had, wherever they were.
 */

import type { ModelOptions, Scenario } from 'busbar/testing';
import * as carriers from '../../src/pool/carrier-layout.ts';
import type { BufferId } from '../../src/pool/index.ts';
import type { PoolLayout } from '../../src/pool/pool-layout.ts';
import { TRANSIT_MARK } from '../../src/pool/transit-layout.ts';
import type { Part } from './coverage.ts';
import { allowing, type PoolBody, type PoolCase, poolScenario } from './pool-scenarios.ts';
import {
  checkAllFree,
  isHint,
  isOwnerWord,
  type PoolModule,
  type PoolShared,
} from './pool-words.ts';

/** The pool's module with few entries and small pages, and its layout. */
export interface CarrierModule extends PoolModule {
  readonly PoolLayout: typeof PoolLayout;
  readonly ENTRY_COUNT: number;
}

/** One lane of one packet. */
const CARRIER = {
  partyCount: 1,
  laneCount: 1,
  laneWords: 32,
  slotsBegin: 0,
  slotWords: 4,
  slotCount: 1,
};
const SHAPE = { bufferCount: 1, batchSize: 1, maxThreads: 3 };
const OPTIONS: ModelOptions = { kills: 1, deaths: 'calls', timeouts: 0, polls: 0 };

// Spare words: the ticket, the lane, and how far both are.
const ENTRY = 0;
const OWNER = 1;
const PARTY = 2;
const LANE = 3;
const OFFERED = 4;
const DONE = 5;

function set(words: Int32Array, index: number): void {
  Atomics.store(words, index, 1);
  Atomics.notify(words, index);
}

export function carrierParts(module: CarrierModule): Part<PoolShared>[] {
  return [
    {
      name: 'carriers: deaths',
      operations: 'claim, join, moveInto, moveFrom, release, sweep; attach, detach',
      cases: [...comingAndGoing(module), ...inACarrier(module)],
    },
  ];
}

function dying(
  module: CarrierModule,
  name: string,
  threads: Scenario<PoolShared>['threads'],
  rest: Partial<Scenario<PoolShared>> = {},
): PoolCase {
  const scenario = poolScenario(module, `death: ${name}`, SHAPE, threads, {
    prepares: ['supervisor'],
    racy: (shared) => (block, word) =>
      isHint(shared, block, word) || isOwnerWord(shared, block, word),
    supervisor: (shared, _dead, self) => {
      const pool = module.BufferPool.attach(shared.handle);
      self.begin();
      pool.reclaimDead();
      pool.detach();
      // No thread waits for the dead.
      set(shared.words, OFFERED);
      set(shared.words, DONE);
    },
    check: (shared) => checkNothingLeft(module, shared),
    ...rest,
  });
  return {
    scenario,
    quick: { ...OPTIONS, preemptions: 0 },
    long: { ...OPTIONS, kills: 2, preemptions: 1 },
  };
}

function cutShort({ scenario, quick, long }: PoolCase): PoolCase {
  return { scenario, quick: { ...quick, states: 3_000 }, long };
}

/** A thread dies while it takes a slot, or leaves it; another has the same slot before or after. */
function comingAndGoing(module: CarrierModule): PoolCase[] {
  const body: PoolBody = ({ handle }) => {
    const pool = module.BufferPool.attach(handle);
    const id = pool.tryAcquire();
    if (id >= 0) pool.release(id);
    pool.detach();
  };
  return [
    dying(module, 'attach, detach', { a: body }),
    cutShort(dying(module, 'attach, detach by 2 threads', { a: body, b: body })),
  ];
}

/** A packet goes through a lane in the pool's block, from its owner to a thread that joins. */
function inACarrier(module: CarrierModule): PoolCase[] {
  const owning =
    (awaits: boolean): PoolBody =>
    (shared) => {
      const { words, handle } = shared;
      const control = new Int32Array(handle.control);
      const pool = module.BufferPool.attach(handle);
      const carrier = pool.claimCarrier(CARRIER);
      if (carrier === undefined) throw new Error('no room for a carrier');
      const { entry, owner: badge, party } = carrier.ticket(0);
      words.set([entry, badge, party, carrier.lane(0)], ENTRY);
      const id = pool.tryAcquire();
      if (id >= 0) pool.moveInto(id, pool.offsetOf(id), 4, control, carrier.lane(0));
      set(words, OFFERED);
      if (awaits) Atomics.wait(words, DONE, 0);
      if (control[carrier.lane(0) + TRANSIT_MARK] !== 0) {
        pool.release(pool.moveFrom(control, carrier.lane(0)));
      }
      carrier.release();
      pool.detach();
    };
  const party: PoolBody = (shared) => {
    const { words, handle } = shared;
    Atomics.wait(words, OFFERED, 0);
    // Its owner died first.
    if (words[OWNER] === 0) return;
    const ticket = { entry: words[ENTRY], owner: words[OWNER], party: words[PARTY] };
    const pool = allowing(['ERR_BUSBAR_EXECUTOR_STOPPED'], () =>
      module.BufferPool.attachAnnounced(handle, undefined, ticket),
    );
    if (pool !== undefined) {
      const control = new Int32Array(handle.control);
      if (control[words[LANE] + TRANSIT_MARK] !== 0) {
        pool.release(pool.moveFrom(control, words[LANE]));
      }
      pool.detach();
    }
    set(words, DONE);
  };
  return [
    dying(module, 'carrier of one thread', { owner: owning(false) }),
    cutShort(dying(module, 'carrier', { owner: owning(true), party })),
  ];
}

/** After one more look at what the dead have left. */
function checkNothingLeft(module: CarrierModule, shared: PoolShared): void {
  const pool = module.BufferPool.attach(shared.handle);
  pool.reclaimDead();
  const id: BufferId = pool.tryAcquire();
  if (id < 0) throw new Error('the buffer is lost');
  pool.release(id);
  pool.detach();
  checkAllFree(shared);
  const words = new Int32Array(shared.handle.control);
  const layout = new module.PoolLayout(SHAPE.bufferCount, SHAPE.maxThreads, SHAPE.batchSize);
  for (let entry = 0; entry < module.ENTRY_COUNT; entry++) {
    const at = layout.carrierEntry(entry);
    const [owner, ready] = [words[at + carriers.OWNER], words[at + carriers.READY]];
    if (owner !== 0 || ready !== 0) throw new Error(`entry ${entry}: ${owner}, ${ready}`);
  }
  for (let page = 0; page < layout.carrierPageCount; page++) {
    const entry = words[layout.carrierMap + page];
    if (entry !== 0) throw new Error(`page ${page} is still that of entry ${entry - 1}`);
  }
}
