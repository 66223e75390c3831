// SPDX-License-Identifier: MIT
/**
 * Model checker: the globals that production code looks up while a scenario runs, and their
 * replacement.
 *
 * Production code is not changed and not aware. It must look `Atomics` up late, get its shared
 * memory from `new Int32Array(block)` and the like, and its time and timers from the globals.
 */

import { syncBuiltinESMExports } from 'node:module';
import type { SharedAccess } from './accesses.ts';
import { makeBuffer } from './buffer-view.ts';
import { makeDataView } from './data-view.ts';
import { noteReplacement } from './dispatch.ts';
import type { Machine } from './machine.ts';
import type { Region } from './memory.ts';
import { type MessagePorts, replaceMessages } from './message-ports.ts';
import { FOREIGN, modelAtomics } from './model-atomics.ts';
import { type Replace, replaceClock, replaceTimers } from './model-clock.ts';
import { replaceSharedBlocks } from './shared-blocks.ts';
import { structuredCopy } from './structured-copy.ts';
import { TYPED_ARRAYS } from './view-elements.ts';
import { isSharedView, makeArray } from './views.ts';

const RealSharedArrayBuffer = SharedArrayBuffer;
const RealDate = Date;
const RealDataView = DataView;
const nextTick = process.nextTick;
/** Objects whose functions programs may have kept, too. */
const OWNERS = new Map<object, string>([
  [globalThis, ''],
  [performance, 'performance.'],
  [RealDate, 'Date.'],
  [RealSharedArrayBuffer.prototype, 'SharedArrayBuffer.prototype.'],
]);
const privateBlocks = new WeakSet<object>();
type Restore = () => void;

/** Replaces the globals; returns what puts them back. */
export function installGlobals(
  machine: Machine,
  access: SharedAccess,
  ports: MessagePorts,
): Restore {
  const saved: Restore[] = [];
  const replace: Replace = (target, key, value, isGetter = false) => {
    const before = Object.getOwnPropertyDescriptor(target, key);
    const how = isGetter ? { get: value as () => unknown } : { value, writable: true };
    Object.defineProperty(target, key, { ...how, configurable: true });
    const owner = OWNERS.get(target);
    if (owner !== undefined) noteReplacement(owner + key, value);
    saved.push(() => {
      if (owner !== undefined) noteReplacement(owner + key, undefined);
      if (before === undefined) Reflect.deleteProperty(target, key);
      else Object.defineProperty(target, key, before);
    });
  };
  replace(globalThis, 'Atomics', modelAtomics(machine, access, privateBlocks));
  // Errors are made in every schedule and their stacks looked at in none, except when one is
  // recorded.
  if (machine.recorder === undefined) replace(Error, 'stackTraceLimit', 0);
  // Memory that the model cannot see; busbar's pools do without.
  replace(globalThis, 'WebAssembly', undefined);
  replaceViews(machine, access, replace);
  replaceClock(machine, replace);
  replaceTimers(machine, replace);
  replaceQueues(machine, replace);
  replaceMessages(ports, replace);
  // Modules that imported them by name see the replaced ones.
  syncBuiltinESMExports();
  return () => {
    for (const restore of saved.reverse()) restore();
    syncBuiltinESMExports();
  };
}

function replaceViews(machine: Machine, access: SharedAccess, replace: Replace): void {
  const memory = machine.memory;
  const regionOf = (block: unknown): Region | undefined => {
    if (!(block instanceof RealSharedArrayBuffer) || privateBlocks.has(block)) return undefined;
    const region = memory.regionOf(block);
    if (region === undefined) machine.complain(FOREIGN);
    return region;
  };
  const view = (
    name: string,
    Real: new (...args: never[]) => object,
    make: (region: Region, byteOffset?: number, length?: number) => object,
  ): void => {
    replace(
      globalThis,
      name,
      new Proxy(Real as new (...args: unknown[]) => object, {
        construct(target, args, newTarget) {
          const region = regionOf(args[0]);
          if (region === undefined) return Reflect.construct(target, args, newTarget) as object;
          access.call();
          return make(region, args[1] as number, args[2] as number);
        },
      }),
    );
  };
  for (const View of TYPED_ARRAYS) {
    view(View.name, View, (region, at, length) =>
      makeArray(View, access, memory, region, at, length),
    );
  }
  view('DataView', RealDataView, (region, at, length) => makeDataView(access, region, at, length));
  replaceSharedBlocks(machine, access, privateBlocks, replace);
  const isView = ArrayBuffer.isView;
  replace(ArrayBuffer, 'isView', (value: unknown) => isView(value) || isSharedView(value));
  const clone = structuredClone;
  replace(globalThis, 'structuredClone', (value: unknown, options?: { transfer?: [] }) =>
    options?.transfer === undefined
      ? structuredCopy(value, () => undefined)
      : clone(value, options),
  );
  const from = Buffer.from as (...args: unknown[]) => Buffer;
  replace(Buffer, 'from', (...args: unknown[]) => {
    const region = regionOf(args[0]);
    if (region !== undefined) {
      access.call();
      return makeBuffer(access, memory, region, args[1] as number, args[2] as number);
    }
    // The engine copies a typed array; one of ours is copied as any other list.
    return from.apply(Buffer, isSharedView(args[0]) ? [Array.from(args[0] as number[])] : args);
  });
}

/**
 * An error in a queued job belongs to the thread that queued it. What a pause throws belongs to no
 * thread.
 */
function replaceQueues(machine: Machine, replace: Replace): void {
  const guarded =
    (job: (...args: unknown[]) => void) =>
    (...args: unknown[]): void => {
      try {
        job(...args);
      } catch (error) {
        if (!machine.unwinding) machine.agent.fail(error);
      }
    };
  replace(globalThis, 'queueMicrotask', (job: () => void) => {
    Promise.resolve().then(guarded(job));
  });
  replace(process, 'nextTick', (job: (...args: unknown[]) => void, ...args: unknown[]) => {
    nextTick.call(process, guarded(job), ...args);
  });
  const emit = process.emit as (...args: unknown[]) => boolean;
  replace(process, 'emit', (event: string, ...args: unknown[]): boolean => {
    if (event !== 'unhandledRejection' && event !== 'rejectionHandled') {
      return emit.call(process, event, ...args);
    }
    if (event === 'unhandledRejection' && !machine.unwinding) machine.agent.fail(args[0]);
    return true;
  });
}
