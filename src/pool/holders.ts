// SPDX-License-Identifier: MIT
/** Opening, closing and naming holders: holder-layout.ts. */

import { compareExchange, loadAcquire, storeRelease, type Words } from '../base/atomics.ts';
import { show } from '../base/check.ts';
import { readText, textBytes, writeText } from '../base/text.ts';
import {
  HOLDER_NAME,
  HOLDER_OWNER,
  HOLDER_WORDS,
  holderCount,
  NAME_BYTES_MAX,
  NAME_WORDS,
} from './holder-layout.ts';
import { OWN_HOLDER, type PoolLayout } from './pool-layout.ts';

/** A name of the user's, for errors and reports: a string of up to 31 bytes. */
export function checkName(name: unknown): string {
  if (name === undefined) return '';
  if (typeof name !== 'string' || name.includes('\0') || textBytes(name) > NAME_BYTES_MAX) {
    throw new TypeError(
      `name must be a string of up to ${NAME_BYTES_MAX} bytes without zeros, got ${show(name)}`,
    );
  }
  return name;
}

/** Writes a name, as far as it fits, at NAME word `at`. */
export function writeName(words: Words, at: number, name: string): void {
  let text = name;
  while (textBytes(text) > NAME_BYTES_MAX) text = Array.from(text).slice(0, -1).join('');
  const bytes = new Uint8Array(4 * NAME_WORDS);
  bytes[0] = textBytes(text);
  writeText(bytes, 1, text, bytes[0]);
  const source = new Int32Array(bytes.buffer);
  for (let i = NAME_WORDS - 1; i >= 0; i--) words[at + i] = source[i];
}

export function readName(words: Words, at: number): string {
  const bytes = new Uint8Array(Int32Array.from(words.subarray(at, at + NAME_WORDS)).buffer);
  return readText(bytes, 1, 1 + Math.min(bytes[0], NAME_BYTES_MAX));
}

/** A holder of the table with that name; the thread's own if none is free. **Cost** O(holders). */
export function openHolder(words: Words, layout: PoolLayout, slot: number, name: string): number {
  const count = holderCount(layout.bufferCount);
  for (let i = 0; i < count; i++) {
    const at = layout.holder(i);
    if (loadAcquire(words, at + HOLDER_OWNER) !== 0) continue;
    // SYNC(holder): sees it as it was left.
    if (compareExchange(words, at + HOLDER_OWNER, 0, slot + 1) !== 0) continue;
    writeName(words, at + HOLDER_NAME, name);
    return at;
  }
  return layout.thread(slot) + OWN_HOLDER;
}

/** Gives a holder back; nothing for a thread's own. Its thread, or who reclaims it. */
export function closeHolder(words: Words, layout: PoolLayout, at: number): void {
  if (at < layout.holder(0)) return;
  words.fill(0, at + HOLDER_OWNER + 1, at + HOLDER_WORDS);
  // SYNC(holder): publishes that it is empty.
  storeRelease(words, at + HOLDER_OWNER, 0);
}

/** The holders of a thread: its own, and those of the table. */
export function holdersOf(words: Words, layout: PoolLayout, slot: number): number[] {
  const found = [layout.thread(slot) + OWN_HOLDER];
  for (let i = 0; i < holderCount(layout.bufferCount); i++) {
    const at = layout.holder(i);
    if (loadAcquire(words, at + HOLDER_OWNER) === slot + 1) found.push(at);
  }
  return found;
}

/** The thread at the slot leaves the pool, or is being reclaimed. */
export function closeHoldersOf(words: Words, layout: PoolLayout, slot: number): void {
  for (const at of holdersOf(words, layout, slot)) closeHolder(words, layout, at);
  const own = layout.thread(slot) + OWN_HOLDER;
  words.fill(0, own, own + HOLDER_WORDS);
}
