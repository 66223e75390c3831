// SPDX-License-Identifier: MIT
/** Makes the block of a primitive, and opens it in other threads by its handle. */

import type { Words } from '../base/atomics.ts';
import { show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { arbitrarySeed } from '../base/random.ts';
import { wordsOf } from '../base/views.ts';
import { checkPool } from '../pool/check-pool.ts';
import type { BufferPool } from '../pool/index.ts';
import { hasIdentity, noteIdentity } from '../pool/pool-identity.ts';
import { Deadlocks } from './deadlocks.ts';
import {
  CHOICE_COUNT,
  HEADER_CHOICES,
  HEADER_KIND,
  HEADER_MAGIC,
  HEADER_NUMBER,
  HEADER_PAIR,
  HEADER_POOL,
  HEADER_THREADS,
  HEADER_VERSION,
  SYNC_KINDS,
  SYNC_MAGIC,
  SYNC_VERSION,
  type SyncKind,
  syncWords,
} from './sync-layout.ts';
import { type BlockKind, isPossible } from './sync-states.ts';

/** What another thread needs to join a primitive. Structured-cloneable. */
export interface SyncHandle<Kind extends SyncKind = SyncKind> {
  /** 'busbar/' and the kind of primitive. */
  readonly kind: `busbar/${Kind}`;
  readonly version: number;
  readonly control: SharedArrayBuffer;
}

/** Makes the block of a primitive. No other thread knows it yet, so plain stores suffice. */
export function createSyncBlock(
  pool: BufferPool,
  kind: BlockKind,
  choices: readonly number[],
): Words {
  checkPool(pool).checkAttached();
  const { maxThreads } = pool;
  const words = new Int32Array(new SharedArrayBuffer(syncWords(maxThreads) * 4));
  words[HEADER_MAGIC] = SYNC_MAGIC;
  words[HEADER_VERSION] = SYNC_VERSION;
  words[HEADER_KIND] = kindNumber(kind);
  words[HEADER_THREADS] = maxThreads;
  words[HEADER_NUMBER] = Deadlocks.of(pool)?.number() ?? 0;
  noteIdentity(pool, words, HEADER_POOL);
  for (let i = 0; i < CHOICE_COUNT; i++) words[HEADER_CHOICES + i] = choices[i] ?? 0;
  return words;
}

/**
 * Checks a handle, which may come from anywhere, and opens its block; `view` is another kind of
 * handle that will do.
 */
export function openSyncBlock(
  pool: BufferPool,
  expected: BlockKind,
  handle: SyncHandle<SyncKind>,
  view: SyncKind = expected,
): Words {
  checkPool(pool).checkAttached();
  const { kind, version, control } = (handle ?? {}) as Partial<SyncHandle>;
  if (kind !== `busbar/${expected}` && kind !== `busbar/${view}`) {
    throw badHandle(`expected the handle of a ${expected}, got ${show(kind ?? handle)}`);
  }
  if (version !== SYNC_VERSION) {
    throw badHandle(`layout version ${show(version)}, this busbar knows ${SYNC_VERSION}`);
  }
  const words = wordsOf(control);
  if (words === undefined) throw badHandle('its block is not a SharedArrayBuffer of words');
  const isOne =
    words[HEADER_MAGIC] === SYNC_MAGIC &&
    words[HEADER_VERSION] === SYNC_VERSION &&
    words[HEADER_KIND] === kindNumber(expected) &&
    words[HEADER_THREADS] > 0 &&
    words.length === syncWords(words[HEADER_THREADS]);
  if (!isOne) throw badHandle(`its block is not that of a ${expected}`);
  if (!hasIdentity(pool, words, HEADER_POOL) || words[HEADER_THREADS] !== pool.maxThreads) {
    throw badHandle(`the ${expected} belongs to another pool`);
  }
  if (!isPossible(expected, words)) {
    throw badHandle(`its block has options, or a state, that no ${expected} has`);
  }
  return words;
}

/** Notes in two new blocks that they belong to one primitive. */
export function pairBlocks(words: Words, others: Words, at: number): void {
  words[HEADER_PAIR] = arbitrarySeed() | 1;
  others[at] = words[HEADER_PAIR];
}

/** **Throws** unless {@link pairBlocks} has paired them, in whatever thread. */
export function checkPair(words: Words, others: Words, at: number): void {
  const isPair = words[HEADER_PAIR] !== 0 && words[HEADER_PAIR] === others[at];
  if (!isPair) throw badHandle('its two blocks do not belong together');
}

/** The handle of a block. */
export function handleOf<Kind extends SyncKind>(kind: Kind, words: Words): SyncHandle<Kind> {
  return { kind: `busbar/${kind}`, version: SYNC_VERSION, control: words.buffer as never };
}

function kindNumber(kind: SyncKind): number {
  return SYNC_KINDS.indexOf(kind) + 1;
}

function badHandle(detail: string): BusbarError {
  return new BusbarError('ERR_BUSBAR_BAD_HANDLE', detail);
}
