// SPDX-License-Identifier: MIT
/** `busbar/executor`: a thread for each core, and the partitioners that choose among them. */
/// <reference types="node" preserve="true" />

export type { Pin } from './cores.ts';
export { customPartitioner } from './custom-partitioner.ts';
export { Executor, type ExecutorOptions } from './executor.ts';
export type { ExecutorContext, ExecutorMain } from './executor-context.ts';
export { type BroadcastReport, ExecutorGroup, type ExecutorStats } from './executor-group.ts';
export type { ExecutorState } from './executor-layout.ts';
export type { Reading } from './gauges.ts';
export type { ExecutorGroupOptions, RestartPolicy, StopOptions } from './group-options.ts';
export type { StopReport } from './group-state.ts';
export { type HashPartitionerOptions, hashPartitioner } from './hash-partitioner.ts';
export type { Idle } from './idle.ts';
export type { InHand } from './in-hand.ts';
export { jumpPartitioner } from './jump-partitioner.ts';
export type { Mailbox, RegionHandler } from './mailbox.ts';
export type { Key, Partitioner } from './partitioner.ts';
export { type RangeBounds, rangePartitioner } from './range-partitioner.ts';
export type { PacketHandler, ReplyHandler } from './replies.ts';
export {
  type RingPartitioner,
  type RingPartitionerOptions,
  ringPartitioner,
} from './ring-partitioner.ts';
export { roundRobinPartitioner } from './round-robin-partitioner.ts';
export type { Poll } from './turn-loop.ts';
