// SPDX-License-Identifier: MIT
/** Writers and their flusher under the model checker. */

import { exploreAll } from './coverage.ts';
import { mortal } from './mortal.ts';
import { type RoundModule, roundParts } from './segment-scenario.ts';
import { writerExceptionParts } from './writer-exceptions.ts';
import { owedParts } from './writer-owed.ts';
import { runParts } from './writer-runs.ts';
import { type WriterModule, writerParts } from './writer-scenarios.ts';

const module: WriterModule = {
  ...(await mortal<Pick<WriterModule, 'BufferPool'>>('pool/index.ts')),
  ...(await mortal<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')),
};

const segments: RoundModule = {
  ...(await mortal<Pick<RoundModule, 'SegmentRing'>>('writer/segment-ring.ts')),
  ...(await mortal<Pick<RoundModule, 'SharedWriterLayout'>>('writer/shared-writer-layout.ts')),
};

exploreAll('segments', roundParts(segments));
exploreAll('writer', [
  ...writerParts(module),
  ...writerExceptionParts(module),
  ...owedParts(module),
  ...runParts(module),
]);
