// SPDX-License-Identifier: MIT
/**
 * Two words that tell a pool from every other, also in other threads: 64 random bits. The blocks
 * of channels, flushers and shared writers carry them, so that none is attached to another pool.
 *
 * The tag in packets in transit has 15 bits only: it finds mistakes, as a rule.
 */

import type { Words } from '../base/atomics.ts';
import { arbitrarySeed } from '../base/random.ts';
import { HEADER_IDENTITY } from './pool-layout.ts';
import type { BufferPoolHandle } from './pool-options.ts';

/** What is asked of a pool here. */
interface Pool {
  readonly handle: BufferPoolHandle;
}

/** Words that {@link noteIdentity} writes. */
export const POOL_IDENTITY_WORDS = 2;

/** Draws the identity of a new pool into its header. */
export function drawIdentity(header: Words): void {
  for (let i = 0; i < POOL_IDENTITY_WORDS; i++) header[HEADER_IDENTITY + i] = arbitrarySeed();
}

/** Writes the pool's identity into a block of something that belongs to the pool. */
export function noteIdentity(pool: Pool, words: Words, at: number): void {
  words.set(identityOf(pool), at);
}

/** True if {@link noteIdentity} of the same pool, in any thread, wrote the words. */
export function hasIdentity(pool: Pool, words: Words, at: number): boolean {
  const identity = identityOf(pool);
  for (let i = 0; i < POOL_IDENTITY_WORDS; i++) if (words[at + i] !== identity[i]) return false;
  return true;
}

function identityOf(pool: Pool): Words {
  const begin = HEADER_IDENTITY * Int32Array.BYTES_PER_ELEMENT;
  return new Int32Array(pool.handle.control, begin, POOL_IDENTITY_WORDS);
}
