// SPDX-License-Identifier: MIT
/** `busbar/sync`: locks, semaphores and events between threads. */
/// <reference types="node" preserve="true" />

export type { WaitOptions } from '../base/wait-guard.ts';
export { Barrier, type BarrierHandle } from './barrier.ts';
export { Countdown, type CountdownHandle } from './countdown.ts';
export type { Counted } from './counted.ts';
export { Event, type EventHandle, type EventOptions, type EventReset } from './event.ts';
export { Gate, type GateHandle, type GateOptions } from './gate.ts';
export { Guard } from './guard.ts';
export {
  type LockOrder,
  Mutex,
  type MutexHandle,
  type MutexOptions,
  type OwnerDeath,
} from './mutex.ts';
export {
  Once,
  type OnceError,
  type OnceHandle,
  type OnceOptions,
  type OnceResult,
} from './once.ts';
export type { Phased } from './phased.ts';
export type { Primitive } from './primitive.ts';
export { ReadLock, type ReadLockHandle } from './read-lock.ts';
export { RwLock, type RwLockHandle, type RwLockOptions } from './rw-lock.ts';
export { Semaphore, type SemaphoreHandle, type SemaphoreOptions } from './semaphore.ts';
export { SeqLock, type SeqLockHandle, type SeqLockOptions } from './seq-lock.ts';
export {
  NO_SIGNAL,
  Signal,
  SignalTree,
  type SignalTreeHandle,
  type SignalTreeOptions,
} from './signal-tree.ts';
export type { SyncHandle } from './sync-block.ts';
export { WaitGroup, type WaitGroupHandle } from './wait-group.ts';
