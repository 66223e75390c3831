// SPDX-License-Identifier: MIT
/** Synchronization primitives under the model checker. */

import { exploreAll } from './coverage.ts';
import { eventParts } from './event-scenarios.ts';
import { mortal } from './mortal.ts';
import { mutexParts } from './mutex-scenarios.ts';
import { semaphoreParts } from './semaphore-scenarios.ts';
import type { SyncModule } from './sync-words.ts';

const module: SyncModule = {
  ...(await mortal<Pick<SyncModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await mortal<Omit<SyncModule, 'BufferPool' | 'NO_BUFFER'>>('sync/index.ts')),
};

exploreAll('sync', [...mutexParts(module), ...semaphoreParts(module), ...eventParts(module)]);
