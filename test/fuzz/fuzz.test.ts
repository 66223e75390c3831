// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import * as root from 'busbar';
import * as metrics from 'busbar/metrics';
import { expect, test } from 'vitest';
import { CALLS, EXEMPT, isExempt, nameOf } from './hostile-arguments.ts';
import { publicSurface } from './public-surface.ts';
import { byteTarget, runSeeds } from './target.ts';
import { TARGETS } from './targets.ts';

const busbar = { ...root, ...metrics };
const seed = Number(process.env.BUSBAR_TEST_SEED ?? 1);

interface Found {
  readonly target: string;
  readonly hex: string;
  readonly found: string;
}

const corpus: readonly Found[] = JSON.parse(
  readFileSync(new URL('corpus/found.json', import.meta.url), 'utf8'),
);

test.each(corpus)('what was found stays mended: $found', async ({ target, hex }) => {
  const found = TARGETS.find(({ name }) => name === target);
  if (found === undefined || !('check' in found)) throw new Error(`no target ${target}`);
  await found.check(new Uint8Array(Buffer.from(hex, 'hex')));
});

test.each(TARGETS)('a short pass of $name: $execution', async (target) => {
  try {
    await runSeeds(target, seed, target.executionsInTests);
  } finally {
    await target.end?.();
  }
});

test('a failure is told with its seed, and with an input that is made smaller', async () => {
  const target = byteTarget({
    name: 'planted',
    execution: 'a test',
    executionsInTests: 1,
    generate: (random) => Uint8Array.from({ length: 40 }, () => random.below(4)),
    check: (input) => {
      if (input.includes(3)) throw new Error('there is a 3');
    },
  });
  await expect(runSeeds(target, 1, 100)).rejects.toThrow(/there is a 3\n.* --seed 1 .*\n.* 03$/);
});

test('whatever busbar exports is tried with hostile arguments, or exempt for a reason', () => {
  const surface = publicSurface();
  const names = surface.map(({ name }) => name);
  expect(names).toEqual(Object.keys(busbar).sort());
  const tried = new Set(CALLS.map(nameOf));
  const offered = surface.flatMap((owner) =>
    owner.offers.map((offer) => ({ owner: owner.name, name: nameOf({ owner, offer }) })),
  );
  const forgotten = offered.filter(
    ({ owner, name }) => !tried.has(name) && !(owner in EXEMPT) && !isExempt(name),
  );
  expect(forgotten).toEqual([]);
  const idle = Object.keys(EXEMPT).filter(
    (exempt) => !offered.some(({ owner, name }) => owner === exempt || name === exempt),
  );
  expect(idle, 'exempt, and not there').toEqual([]);
  const classes = surface.filter(({ kind }) => kind === 'class').map(({ name }) => name);
  for (const name of classes) {
    const methods = Object.getOwnPropertyNames(
      (busbar as unknown as Record<string, { prototype: object }>)[name].prototype,
    );
    const offers = surface.find((each) => each.name === name)?.offers ?? [];
    // What the sources offer is there: the reading of the sources has not gone astray.
    for (const offer of offers.filter(({ kind }) => kind === 'method' && methods.length > 1)) {
      if (offer.name.startsWith('[')) continue;
      const { prototype } = (busbar as unknown as Record<string, { prototype: object }>)[name];
      expect(offer.name in prototype, `${name}.${offer.name}`).toBe(true);
    }
  }
});
