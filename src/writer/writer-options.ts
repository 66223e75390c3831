// SPDX-License-Identifier: MIT
/** The writers' room: what a writer can be asked to be, checked and completed in one place. */

import { checkInteger, checkOptions, show } from '../base/check.ts';
import type { BufferPool } from '../pool/index.ts';

/**
 * When a writer flushes by itself: never ('manual'); when the callback, or the promise jobs, in
 * which something was committed have run ('turn'); or as soon as that many bytes or messages have
 * been committed since the last flush.
 */
export type FlushPolicy =
  | 'manual'
  | 'turn'
  | { readonly bytes: number }
  | { readonly messages: number };

/** How a writer lays out and flushes what it is given. */
export interface WriterOptions {
  /**
   * Bytes free before each region, for a header that is only known at flush time. The sink may
   * overwrite `[offset − headroom, offset)`. Default 0.
   */
  readonly headroom?: number;
  /** Bytes free after each region, likewise. Default 0. */
  readonly tailroom?: number;
  /**
   * Default 'manual': the caller knows best when a batch is complete. The writer that a link makes
   * for itself has 'turn'.
   */
  readonly flush?: FlushPolicy;
}

/**
 * Options with every default applied. A policy is a budget: so many messages or bytes until
 * `onBudgetSpent`.
 */
export interface ResolvedWriterOptions {
  readonly headroom: number;
  readonly tailroom: number;
  readonly policy: 'manual' | 'turn' | 'bytes' | 'messages';
  /** What may be committed before the policy acts, minus one. */
  readonly budget: number;
}

/** A budget that is renewed before it is spent. */
const BUDGET_ENDLESS = 0x3fff_ffff;

/** Checks the options and applies the defaults; this is the only place that does either. */
export function resolveWriterOptions(
  pool: BufferPool,
  options: WriterOptions,
): ResolvedWriterOptions {
  const own = checkOptions('options', options, ['headroom', 'tailroom', 'flush']);
  const headroom = checkInteger('headroom', own.headroom ?? 0, 0, pool.bufferSize - 1);
  const tailroomMax = pool.bufferSize - 1 - headroom;
  const tailroom = checkInteger('tailroom', own.tailroom ?? 0, 0, tailroomMax);
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
