// SPDX-License-Identifier: MIT
/** `busbar/pool`: shared buffers. */
/// <reference types="node" preserve="true" />

export type { WaitOptions } from '../base/wait-guard.ts';
export { BufferPool } from './buffer-pool.ts';
export type { LeakReport } from './leak-tracker.ts';
export { type BufferId, NO_BUFFER, type PoolBytes, type ThreadSlot } from './pool-layout.ts';
export type { BufferPoolHandle, BufferPoolOptions } from './pool-options.ts';
export type { PoolPlan, PoolPlanPart, PoolUse } from './pool-plan.ts';
export type { PoolReport, PoolStats, PoolThreadStats } from './pool-stats.ts';
export type { PoolHolder, PoolWho } from './who.ts';
