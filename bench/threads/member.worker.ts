// SPDX-License-Identifier: MIT
/** A thread of a case: plays its role once for each turn that it is told to. */

import { parentPort, workerData } from 'node:worker_threads';
import { awaitTurn, finishTurn, reportFailure } from './control.ts';
import type { MemberData } from './crew.ts';
import { createRole } from './roles.ts';

const { role: name, data, control, member, looksMax } = workerData as MemberData;

try {
  const role = await createRole(name, data);
  parentPort?.postMessage('ready');
  for (let turn = 1; ; turn++) {
    const ops = awaitTurn(control, turn - 1, looksMax);
    if (ops < 0) break;
    const outcome = role.run(ops);
    finishTurn(control, member, turn, outcome instanceof Promise ? await outcome : outcome);
  }
  await role.close();
} catch (error) {
  reportFailure(control, member);
  throw error;
}
