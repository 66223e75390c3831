// SPDX-License-Identifier: MIT
import { test } from 'vitest';
import { scaled } from '../../test/effort.ts';
import { framing } from '../../test/fuzz/framing.ts';
import { runSeeds } from '../../test/fuzz/target.ts';

const RUNS = Number(process.env.BUSBAR_FUZZ_RUNS ?? scaled(250_000));

test(`${RUNS} random chunkings, codec by codec, give what the whole stream gives`, async () => {
  await runSeeds(framing, 1, RUNS);
});
