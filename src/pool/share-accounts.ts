// SPDX-License-Identifier: MIT
/**
 * A thread's account of shares of one buffer: opened by its first send, kept at a working stock.
 *
 * `account` is the index of the thread's SHARES word for the buffer, `buffer` that of the buffer's
 * record (pool-layout.ts).
 */

import { addThenStore, loadAcquire, type Words } from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import { type BufferId, OWNER, SHARED, TOTAL } from './pool-layout.ts';

/**
 * Shares that a thread takes at once when it first sends a buffer: it can send that many packets
 * before it touches the shared total again. Small enough that 2³¹ shares are out of reach.
 */
export const SHARES_GRANT = 64;
/** An account with more shares than this gives the excess back. */
export const SHARES_KEPT_MAX: number = 4 * SHARES_GRANT;
/** References of one thread on one buffer. */
export const REFERENCES_MAX = 0x7fff_ffff;
/** A total beyond this means that millions of packets of one buffer are in transit. */
const TOTAL_MAX = 0x7000_0000;

/** From here on a buffer of this thread alone is held by shares. Returns this thread's. */
export function openAccount(
  words: Words,
  account: number,
  buffer: number,
  total: number = SHARES_GRANT,
): number {
  const owner = buffer + OWNER;
  const shared = SHARED;
  words[buffer + TOTAL] = total;
  // No call from here on. Until the owner is written, the buffer is wholly this thread's.
  words[account] = total;
  words[owner] = shared;
  return total;
}

/**
 * Brings an account of `shares`, too few or too many, back to a working stock. Returns the new
 * number; the account has it.
 *
 * **Cost** one read-modify-write. **Throws** ERR_BUSBAR_REFERENCES; nothing has changed then.
 */
export function adjustShares(
  words: Words,
  account: number,
  buffer: number,
  id: BufferId,
  shares: number,
): number {
  const total = buffer + TOTAL;
  if (shares < SHARES_GRANT && loadAcquire(words, total) > TOTAL_MAX) {
    throw new BusbarError('ERR_BUSBAR_REFERENCES', `buffer ${id}`);
  }
  addThenStore(words, total, SHARES_GRANT - shares, account, SHARES_GRANT);
  return SHARES_GRANT;
}
