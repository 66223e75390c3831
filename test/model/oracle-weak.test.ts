// SPDX-License-Identifier: MIT
/**
 * Random programs of plain and atomic accesses to racy words against the memory model of ECMA-262:
 * the checker misses no outcome and invents none.
 *
 * `npm run model -- --oracle --seed S` compares 10 000 of them; the test run a few.
 */

import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { outcomesOf, randomProgram, tell } from './litmus.ts';
import { allowedOutcomes } from './memory-model.ts';

const SEED = Number(process.env.BUSBAR_MODEL_ORACLE ?? 20_263);
const PROGRAMS = Number(process.env.BUSBAR_MODEL_ORACLE_PROGRAMS ?? 80);

test('weak memory: as the specification says', { timeout: 3_600_000 }, async () => {
  const random = new Random(SEED);
  for (let i = 0; i < PROGRAMS; i++) {
    const program = randomProgram(random);
    const withLast = program.flat().length <= 6 && random.chance(1 / 2);
    const expected = [...allowedOutcomes(program, withLast)].sort();
    const explored = [...(await outcomesOf(program, {}, withLast))].sort();
    expect(explored, `program ${i} of seed ${SEED}: ${tell(program)}`).toEqual(expected);
  }
  console.log(`weak memory: ${PROGRAMS} programs of seed ${SEED}, no difference`);
});
