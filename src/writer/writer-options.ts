// SPDX-License-Identifier: MIT
/** A writer's options: checks them and applies the defaults. */

import { checkInteger, checkOptions, show } from '../base/check.ts';
import type { BufferPool } from '../pool/index.ts';

/**
 * When a writer flushes by itself: never ('manual'); after the callback or the promise jobs that
 * committed a message ('turn'); or once that many bytes or messages were committed since the last
 * flush.
 */
export type FlushPolicy =
  | 'manual'
  | 'turn'
  | { readonly bytes: number }
  | { readonly messages: number };

/** How a writer lays out messages and when it flushes them. */
export interface WriterOptions {
  /**
   * Bytes free before each region, for a header that is only known at flush time. The sink may
   * overwrite `[offset − headroom, offset)`. Default 0. With headroom or tailroom the pool needs
   * two buffers, for a `SharedWriter` three.
   */
  readonly headroom?: number;
  /** Bytes free after each region, for a trailer. Default 0. */
  readonly tailroom?: number;
  /**
   * Default 'manual': the caller knows best when a batch is complete. The writer that a link
   * creates for itself uses 'turn'.
   */
  readonly flush?: FlushPolicy;
}

/**
 * Options with every default applied. A policy becomes a budget: the messages or bytes that may be
 * committed until `PolicyFlush.spend`.
 */
export interface ResolvedWriterOptions {
  readonly headroom: number;
  readonly tailroom: number;
  readonly policy: 'manual' | 'turn' | 'bytes' | 'messages';
  /** Messages or bytes that may be committed before the policy acts, minus one. */
  readonly budget: number;
}

/** A budget that the next flush renews before it is spent. */
export const BUDGET_ENDLESS = 0x3fff_ffff;

/**
 * Checks the options and applies the defaults. A writer with headroom or tailroom copies messages
 * that an aborted reservation parts, into another buffer: its own must not be all that there are.
 */
export function resolveWriterOptions(
  pool: BufferPool,
  options: WriterOptions,
  buffersMin: number = 2,
): ResolvedWriterOptions {
  const own = checkOptions('options', options, ['headroom', 'tailroom', 'flush']);
  const headroom = checkInteger('headroom', own.headroom ?? 0, 0, pool.bufferSize - 1);
  const tailroomMax = pool.bufferSize - 1 - headroom;
  const tailroom = checkInteger('tailroom', own.tailroom ?? 0, 0, tailroomMax);
  if (headroom + tailroom > 0 && pool.bufferCount < buffersMin) {
    const has = `the pool has ${pool.bufferCount}`;
    throw new RangeError(`headroom and tailroom need ${buffersMin} buffers, ${has}`);
  }
  const flush = own.flush ?? 'manual';
  if (flush === 'manual') return { headroom, tailroom, policy: flush, budget: BUDGET_ENDLESS };
  if (flush === 'turn') return { headroom, tailroom, policy: flush, budget: 0 };
  if (typeof flush === 'object' && flush !== null) {
    const budgets = checkOptions('flush', flush, ['bytes', 'messages']);
    const { bytes, messages } = budgets as { bytes?: unknown; messages?: unknown };
    if (messages === undefined && bytes !== undefined) {
      const budget = checkInteger('flush.bytes', bytes, 1, BUDGET_ENDLESS) - 1;
      return { headroom, tailroom, policy: 'bytes', budget };
    }
    if (bytes === undefined && messages !== undefined) {
      const budget = checkInteger('flush.messages', messages, 1, BUDGET_ENDLESS) - 1;
      return { headroom, tailroom, policy: 'messages', budget };
    }
  }
  throw new TypeError(
    `flush must be 'manual', 'turn', { bytes } or { messages }, got ${show(flush)}`,
  );
}
