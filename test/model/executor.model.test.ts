// SPDX-License-Identifier: MIT
/** The shared words of executors under the model checker. */

import { exploreAll } from './coverage.ts';
import { executorDeathParts } from './executor-deaths.ts';
import { executorExceptionParts, type GroupModule } from './executor-exceptions.ts';
import { type ExecutorModule, executorParts } from './executor-scenarios.ts';
import { mortal } from './mortal.ts';

const module: GroupModule = {
  ...(await mortal<Pick<ExecutorModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await mortal<Pick<ExecutorModule, 'Packet'>>('packet/index.ts')),
  ...(await mortal<Pick<ExecutorModule, 'PacketChannel'>>('channel/index.ts')),
  ...(await mortal<Pick<ExecutorModule, 'Mesh' | 'LaneEnds'>>('executor/mesh.ts')),
  ...(await mortal<Pick<ExecutorModule, 'TurnLoop'>>('executor/turn-loop.ts')),
  ...(await mortal<Pick<ExecutorModule, 'Gauges'>>('executor/gauges.ts')),
  ...(await mortal<Pick<GroupModule, 'ExecutorGroup'>>('executor/executor-group.ts')),
};

exploreAll('executor', [
  ...executorParts(module),
  ...executorDeathParts(module),
  ...executorExceptionParts(module),
]);
