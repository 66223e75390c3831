// SPDX-License-Identifier: MIT
/** The options of an executor group: checked and completed in one place. */

import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ResourceLimits } from 'node:worker_threads';
import {
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkTimeoutMs,
  show,
} from '../base/check.ts';
import type { BusbarError } from '../base/errors.ts';
import { BufferPool } from '../pool/index.ts';
import { type Pin, resolveCount, resolvePin } from './cores.ts';
import { hashPartitioner } from './hash-partitioner.ts';
import { IDLE_KINDS, type Idle } from './idle.ts';
import type { InHand, TakenRegion } from './in-hand.ts';
import type { Partitioner } from './partitioner.ts';

/**
 * Whether and when a crashed executor is restarted. Once the group stops, it is not: what is queued
 * for it then is dropped, as `stop()` reports.
 */
export interface RestartPolicy {
  /** Restarts allowed in any `withinMs`; one more ends the group. Default 3. */
  readonly maxRestarts?: number;
  /** Milliseconds; default 60 000. */
  readonly withinMs?: number;
  /** Milliseconds between the end of the old thread and the start of the new one; default 0. */
  readonly delayMs?: number;
}

/** Options of a group of executors. */
export interface ExecutorGroupOptions {
  /** The pool of its packets. Each executor takes one of its `maxThreads`. */
  readonly pool: BufferPool;
  /**
   * The module that each thread runs: a URL, or a path from the working directory. Its default
   * export, or its export `run`, is called with an `ExecutorContext`.
   */
  readonly module: string | URL;
  /**
   * How many executors: 1 … 256. Default 'per-core': as many as can be busy all the time
   * (`topology().usableCount`).
   */
  readonly count?: 'per-core' | number;
  /**
   * The cpus to which they are pinned. 'cores' (default): one cpu each, physical cores before their
   * second hardware threads; cpus are used again if there are more executors. An array: these cpus,
   * in turn. Where pinning is unavailable they run unpinned, and `stats()` gives the reason.
   */
  readonly pin?: Pin;
  /** What an executor does while it has nothing to do. Default 'adaptive'. */
  readonly idle?: Idle;
  /** Names the threads: `name-0`, `name-1` … Default 'executor'. Systems show 15 bytes. */
  readonly name?: string;
  /** Given to each executor as `context.data`, cloned as by `postMessage`. */
  readonly data?: unknown;
  /** Packets that fit one lane: a power of two, 1 … 32768. Default 1024; 20 bytes each. */
  readonly laneCapacity?: number;
  /** Which executor a key belongs to. Default `hashPartitioner()`: the same on every machine. */
  readonly partitioner?: Partitioner;
  /** Default: none, a crash ends the group. */
  readonly restart?: RestartPolicy;
  /**
   * Called when the thread of executor `index` has ended without detaching from the pool, before
   * its buffers are reclaimed. Call `writer.recover(threadSlot)` of shared writers and
   * `flusher.recover(threadSlot)` of flushers that it wrote to here: later the slot may be another
   * thread's. Not called for a thread that ended before it had attached to the pool.
   */
  readonly onDeath?: (index: number, threadSlot: number) => void;
  /**
   * Called when executor `index` has crashed and its buffers are reclaimed, before a new thread is
   * started in its place; also for the crash that ends the group. `inHand`: the packets that it had
   * taken out of its mailbox and not released, of each sender in order. What it had not taken waits
   * in its lanes for the new thread.
   *
   * **Ownership** they are released when this returns; `clone` one to keep it or to send it again.
   * Not among them: a packet taken out `laneCapacity` packets of the same sender ago.
   */
  readonly onCrash?: (index: number, crash: BusbarError, inHand: readonly InHand[]) => void;
  /** Called when the new thread of a crashed executor has started. */
  readonly onRestart?: (index: number) => void;
  /** Milliseconds within which all of them must start; default 30 000. */
  readonly startTimeoutMs?: number;
  /** The limits of each thread, as for `new Worker`. */
  readonly resourceLimits?: ResourceLimits;
}

export interface ResolvedRestart {
  readonly maxRestarts: number;
  readonly withinMs: number;
  readonly delayMs: number;
}

export interface ResolvedGroupOptions {
  readonly pool: BufferPool;
  readonly module: string;
  readonly cpus: readonly (number | undefined)[];
  readonly idle: Idle;
  readonly name: string;
  readonly data: unknown;
  readonly laneCapacity: number;
  readonly partitioner: Partitioner;
  readonly restart: ResolvedRestart;
  readonly onDeath: (index: number, threadSlot: number) => void;
  readonly onCrash: (
    index: number,
    crash: BusbarError,
    inHand: readonly InHand[],
    taken: readonly TakenRegion[],
  ) => void;
  readonly onRestart: (index: number) => void;
  readonly startTimeoutMs: number;
  readonly resourceLimits: ResourceLimits | undefined;
}

/** Options of a group of one, too. */
export const EXECUTOR_KEYS: readonly Exclude<
  keyof ExecutorGroupOptions,
  'count' | 'pin' | 'partitioner'
>[] = [
  'pool',
  'module',
  'idle',
  'name',
  'data',
  'laneCapacity',
  'restart',
  'onDeath',
  'onCrash',
  'onRestart',
  'startTimeoutMs',
  'resourceLimits',
];

const KNOWN: readonly (keyof ExecutorGroupOptions)[] = [
  ...EXECUTOR_KEYS,
  'count',
  'pin',
  'partitioner',
];

/** A burst fits, and a reader that has stopped is noticed soon. */
const LANE_CAPACITY_DEFAULT = 1024;
const LANE_CAPACITY_MAX = 32768;
/** A worker starts in some 40 ms; on a busy machine it may take a hundred times as long. */
const START_TIMEOUT_MS_DEFAULT = 30_000;

export function resolveGroupOptions(options: ExecutorGroupOptions): ResolvedGroupOptions {
  const own = checkOptions('options', options, KNOWN);
  const { pool } = own;
  if (!(pool instanceof BufferPool)) {
    throw new TypeError(`pool must be a BufferPool, got ${show(pool)}`);
  }
  const count = resolveCount(own.count ?? 'per-core');
  const laneCapacity = own.laneCapacity ?? LANE_CAPACITY_DEFAULT;
  checkInteger('laneCapacity', laneCapacity, 1, LANE_CAPACITY_MAX);
  if ((laneCapacity & (laneCapacity - 1)) !== 0) {
    throw new RangeError(`laneCapacity must be a power of two, got ${laneCapacity}`);
  }
  const name = own.name ?? 'executor';
  if (typeof name !== 'string' || name.includes('\0')) {
    throw new TypeError(`name must be a string without zero characters, got ${show(name)}`);
  }
  const partitioner = own.partitioner ?? hashPartitioner();
  checkFunction('partitioner.partition', partitioner?.partition);
  return {
    pool,
    module: resolveModule(own.module),
    cpus: resolvePin(own.pin ?? 'cores', count),
    idle: checkOneOf('idle', own.idle ?? 'adaptive', IDLE_KINDS),
    name,
    data: own.data,
    laneCapacity,
    partitioner,
    restart: resolveRestart(own.restart),
    onDeath: checkFunction('onDeath', own.onDeath ?? ignore),
    onCrash: checkFunction('onCrash', own.onCrash ?? ignore),
    onRestart: checkFunction('onRestart', own.onRestart ?? ignore),
    startTimeoutMs: checkTimeoutMs(
      'startTimeoutMs',
      own.startTimeoutMs ?? START_TIMEOUT_MS_DEFAULT,
    ),
    resourceLimits: own.resourceLimits,
  };
}

function ignore(): void {}

function resolveRestart(policy: RestartPolicy | undefined): ResolvedRestart {
  if (policy === undefined) return { maxRestarts: 0, withinMs: Infinity, delayMs: 0 };
  const own = checkOptions('restart', policy, ['maxRestarts', 'withinMs', 'delayMs']);
  return {
    maxRestarts: checkInteger('maxRestarts', own.maxRestarts ?? 3, 0, Number.MAX_SAFE_INTEGER),
    withinMs: checkTimeoutMs('withinMs', own.withinMs ?? 60_000),
    delayMs: checkTimeoutMs('delayMs', own.delayMs ?? 0),
  };
}

/** The URL to import, from a URL, a path, or the text of either. */
function resolveModule(module: unknown): string {
  if (module instanceof URL) return module.href;
  if (typeof module !== 'string' || module === '') {
    throw new TypeError(`module must be a URL or a path, got ${show(module)}`);
  }
  if (!isAbsolute(module) && URL.canParse(module)) return module;
  return pathToFileURL(resolve(module)).href;
}

/** How a group is stopped. */
export interface StopOptions {
  /**
   * 'drain' (default): queued packets are handled, and those that their handlers send; 'now':
   * queued packets are dropped.
   */
  readonly mode?: 'drain' | 'now';
  /**
   * 'drain': milliseconds until queued packets are dropped; half a second later, threads that have
   * not ended are terminated; default 10 000. 'now': milliseconds until that; default 500.
   */
  readonly deadlineMs?: number;
}

const DRAIN_DEADLINE_MS_DEFAULT = 10_000;
const NOW_DEADLINE_MS_DEFAULT = 500;

export function resolveStopOptions(options: StopOptions = {}): Required<StopOptions> {
  const own = checkOptions('options', options, ['mode', 'deadlineMs']);
  const mode = checkOneOf('mode', own.mode ?? 'drain', ['drain', 'now']);
  const usual = mode === 'drain' ? DRAIN_DEADLINE_MS_DEFAULT : NOW_DEADLINE_MS_DEFAULT;
  return { mode, deadlineMs: checkTimeoutMs('deadlineMs', own.deadlineMs ?? usual) };
}
