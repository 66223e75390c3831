// SPDX-License-Identifier: MIT
/** Writers and their flusher under the model checker. */

import { exploreAll } from './coverage.ts';
import { mortal } from './mortal.ts';
import { writerExceptionParts } from './writer-exceptions.ts';
import { owedParts } from './writer-owed.ts';
import { type WriterModule, writerParts } from './writer-scenarios.ts';

const module: WriterModule = {
  ...(await mortal<Pick<WriterModule, 'BufferPool'>>('pool/index.ts')),
  ...(await mortal<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')),
};

exploreAll('writer', [
  ...writerParts(module),
  ...writerExceptionParts(module),
  ...owedParts(module),
]);
