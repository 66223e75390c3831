// SPDX-License-Identifier: MIT
/** Synchronization primitives under the model checker. */

import { countedParts } from './counted-scenarios.ts';
import { exploreAll, isWhole, type Part } from './coverage.ts';
import { type DeadlockModule, deadlockParts } from './deadlock-scenarios.ts';
import { eventParts } from './event-scenarios.ts';
import { gateParts } from './gate-scenarios.ts';
import { mortal } from './mortal.ts';
import { mutexParts } from './mutex-scenarios.ts';
import { onceParts } from './once-scenarios.ts';
import { rwLockParts } from './rw-lock-scenarios.ts';
import { semaphoreParts } from './semaphore-scenarios.ts';
import { seqLockParts } from './seq-lock-scenarios.ts';
import { signalParts } from './signal-scenarios.ts';
import type { SyncShared } from './sync-words.ts';

const module: DeadlockModule = {
  ...(await mortal<Pick<DeadlockModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await mortal<Omit<DeadlockModule, 'BufferPool' | 'NO_BUFFER' | 'Packet'>>('sync/index.ts')),
  ...(await mortal<Pick<DeadlockModule, 'Packet'>>('packet/index.ts')),
  ...(await mortal<Pick<DeadlockModule, 'Deadlocks'>>('sync/deadlocks.ts')),
};

const parts = [
  ...mutexParts(module),
  ...semaphoreParts(module),
  ...eventParts(module),
  ...deadlockParts(module),
  ...seqLockParts(module),
  ...signalParts(module),
  ...rwLockParts(module),
  ...countedParts(module),
  ...onceParts(module),
  ...gateParts(module),
] as Part<SyncShared>[];

/** States of each scenario in `npm test`, before coverage.ts cuts it; `npm run model` goes on. */
const STATES_MAX = isWhole ? Infinity : 3_000;

exploreAll(
  'sync',
  parts.map((part) => ({
    ...part,
    cases: part.cases.map((each) => ({
      ...each,
      quick: { ...each.quick, states: Math.min(STATES_MAX, each.quick.states ?? STATES_MAX) },
    })),
  })),
);
