// SPDX-License-Identifier: MIT
/** Every channel, the pool and the writers are linearizable. */

import { expectPassed, type LeftOut, linearizable } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import { sampled, scaled } from '../effort.ts';
import type { ChannelModule } from './channel-words.ts';
import { loadPlanted, removeCopy, sources } from './copies.ts';
import { isLong, isWhole, Notes, type Planted } from './coverage.ts';
import { channelStructures, poolStructure, writerStructures } from './linearizable-structures.ts';
import { MORTAL, mortal } from './mortal.ts';
import type { Load } from './planted.ts';
import type { WriterModule } from './writer-scenarios.ts';

async function load(from: Load): Promise<ChannelModule & WriterModule> {
  return {
    ...(await from<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
    ...(await from<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
    ...(await from<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
    ...(await from<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')),
  };
}

/** All that is checked, on these modules. */
function structures(module: ChannelModule & WriterModule) {
  const pool = poolStructure(module);
  const deaths = { kills: 1, deaths: 'calls', operations: 2, before: 1 };
  return [
    ...channelStructures(module),
    pool,
    {
      structure: { ...pool.structure, name: 'pool, whose threads die' },
      options: { ...pool.options, ...deaths },
    },
    ...writerStructures(module),
  ];
}

const seed = Number(process.env.BUSBAR_MODEL_SEED ?? 1);
/** A seed that comes to each planted bug within a few scenarios. */
const bugSeed = Number(process.env.BUSBAR_MODEL_SEED ?? 3);
const all = structures(await load(mortal));
/** By the bounds below; 'stale reads' of hints are tried in scenarios of their own. */
const LEFT_OUT: readonly LeftOut[] = [
  'preemptions',
  'timeouts',
  'polls',
  'rounds',
  'unfair schedules',
  'states',
  'stale reads',
];
const table: string[] = [];

afterAll(() => {
  console.log(table.join('\n'));
});

for (const { structure, options } of all) {
  test(structure.name, { timeout: isLong ? 3_600_000 : 300_000 }, async () => {
    const report = await linearizable(structure as never, {
      ...(options as object),
      seed,
      ...(isLong ? { scenarios: 400 } : { scenarios: 4, states: isWhole ? 2_000 : scaled(200) }),
    });
    const { scenarios, schedules, histories, elapsedMs } = report;
    table.push(
      `${structure.name.padEnd(26)}seed ${seed}: ${scenarios} scenarios, ${schedules} schedules, ` +
        `${histories} histories, ${Math.round(elapsedMs)} ms`,
    );
    expectPassed(report, { leftOut: LEFT_OUT });
    expect(histories).toBeGreaterThan(10);
  });
}

/** One bug for each structure, each in a copy of the modules. */
const BUGS = [
  {
    structure: 'spsc, words',
    bug: 'the receiver is not rung',
    entry: 'channel/spsc-ring.ts',
    from: 'this.receivers.ring();',
    to: ';',
  },
  {
    structure: 'spsc, packets',
    bug: 'the sender is not rung',
    entry: 'channel/spsc-ring.ts',
    from: 'this.senders.ring();',
    to: ';',
  },
  {
    structure: 'mpsc, words',
    bug: 'the lap is not looked at',
    entry: 'channel/slot-ring.ts',
    from: 'if (laps > 0 || (turn & PHASE_MASK) !== FREE) {',
    to: 'if ((turn & PHASE_MASK) !== FREE) {',
  },
  {
    structure: 'mpsc, packets',
    bug: 'a mark is taken off, and nobody rung',
    entry: 'channel/slot-ring.ts',
    from: 'if ((turn & RECEIVERS_WAIT) !== 0) shape.receivers.ring();',
    to: '',
  },
  {
    structure: 'mpmc, words',
    bug: 'a message is claimed without a compare',
    entry: 'channel/slot-ring.ts',
    from: 'if (compareExchange(words, at, turn, reading) !== turn) return false;',
    to: 'compareExchange(words, at, loadAcquire(words, at), reading);',
  },
  {
    structure: 'mpmc, packets',
    bug: 'a mark of senders is taken off, and nobody rung',
    entry: 'channel/slot-ring.ts',
    from: 'if ((turn & SENDERS_WAIT & ~kept) !== 0) shape.senders.ring();',
    to: '',
  },
  {
    structure: 'pool',
    bug: 'a chain is claimed without a compare',
    entry: 'pool/free-list.ts',
    from: 'compareExchange(words, at, chain, claim)',
    to: '(Atomics.store(words, at, claim), chain)',
  },
  {
    structure: 'pool, whose threads die',
    bug: 'what the dead held is not given back',
    entry: 'pool/reclaim.ts',
    from: 'freed += freeOwned(self, slot);',
    to: '',
  },
  {
    structure: 'shared writer',
    bug: 'space is taken without a compare',
    entry: 'writer/shared-writer.ts',
    from: 'compareExchange(words, segment, fill, next) !== fill',
    to: 'Atomics.store(words, segment, next) !== next',
  },
  {
    structure: 'local writers',
    bug: 'the receiver is not rung',
    entry: 'writer/receiver-bell.ts',
    from: 'this.#pool.doorbell.ringBadge(loadAcquire(words, RECEIVER));',
    to: ';',
  },
] as const;

const notes = new Notes<Planted>('linearizable', 'planted');

test('each structure has its bug, and each can be planted', () => {
  expect(BUGS.map(({ structure }) => structure).sort()).toEqual(
    all.map(({ structure }) => structure.name).sort(),
  );
  for (const { entry, from } of BUGS) expect(sources().get(entry)).toContain(from);
});

const planted = isWhole ? BUGS : sampled<(typeof BUGS)[number]>(BUGS);
planted.forEach((bug, i) => {
  test(`${bug.structure}: ${bug.bug}`, { timeout: 300_000 }, async () => {
    const text = sources().get(bug.entry) as string;
    const broken = text.replace(bug.from, bug.to);
    expect(broken).not.toBe(text);
    const variant = `linearizable-mutant-${process.pid}-${i}`;
    const planted = { variant, entry: bug.entry, plant: () => broken };
    const module = await load((path) => loadPlanted(MORTAL, planted, path)).finally(() =>
      removeCopy(variant),
    );
    for (const { structure, options } of structures(module)) {
      if (structure.name !== bug.structure) continue;
      const { failure, scenarios, elapsedMs } = await linearizable(structure as never, {
        ...(options as object),
        seed: bugSeed,
        states: 2_000,
      });
      const found = failure && `linearizable: ${structure.name}: ${failure.kind}`;
      notes.add({ bug: `${bug.structure}: ${bug.bug}`, foundBy: found });
      const after = `${failure?.kind}, scenario ${scenarios}, ${Math.round(elapsedMs)} ms`;
      table.push(`${bug.structure.padEnd(26)}${bug.bug.padEnd(50)}${after}`);
      expect(failure).toBeDefined();
    }
  });
});
