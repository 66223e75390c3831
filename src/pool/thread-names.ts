// SPDX-License-Identifier: MIT
/** The names of a pool and of its threads. */

import { HOLDER_NAME } from './holder-layout.ts';
import { readName } from './holders.ts';
import { HEADER_NAME, OWN_HOLDER } from './pool-layout.ts';
import type { PoolThread } from './pool-thread.ts';

/** The thread's name, or its slot. */
export function nameOfThread({ words, layout }: PoolThread, slot: number): string {
  return readName(words, layout.thread(slot) + OWN_HOLDER + HOLDER_NAME) || `thread ${slot}`;
}

/** The pool's name, '' without one. */
export function nameOfPool({ words }: Pick<PoolThread, 'words'>): string {
  return readName(words, HEADER_NAME);
}
