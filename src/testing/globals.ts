// SPDX-License-Identifier: MIT
/**
 * Model checker: the globals that production code looks up while a scenario runs, and their
 * replacement.
 *
 * Production code is not changed and not aware. It must look `Atomics` up late, get its shared
 * memory from `new Int32Array(block)` and the like, and its time and timers from the globals.
 */

import { syncBuiltinESMExports } from 'node:module';
import type { SharedAccess, WaitOutcome } from './accesses.ts';
import type { Agent } from './agent.ts';
import { noteReplacement, originalOf } from './dispatch.ts';
import type { Machine } from './machine.ts';
import {
  OP_ADD,
  OP_AND,
  OP_COMPARE_EXCHANGE,
  OP_EXCHANGE,
  OP_LOAD,
  OP_OR,
  OP_STORE,
  OP_SUB,
  OP_XOR,
} from './machine-layout.ts';
import type { Region } from './memory.ts';
import { type MessagePorts, replaceMessages } from './message-ports.ts';
import { isSharedView, makeBytes, makeDataView, makeWords, wordViewOf } from './views.ts';

const realAtomics = globalThis.Atomics;
const RealSharedArrayBuffer = SharedArrayBuffer;
const EPOCH_MS = 1_700_000_000_000;
const privateBlocks = new WeakSet<object>();
type Restore = () => void;

/** Replaces the globals; returns what puts them back. */
export function installGlobals(
  machine: Machine,
  access: SharedAccess,
  ports: MessagePorts,
): Restore {
  const saved: Restore[] = [];
  const replace = (target: object, key: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(target, key);
    Object.defineProperty(target, key, { value, writable: true, configurable: true });
    if (target === globalThis) noteReplacement(key, value);
    saved.push(() => {
      if (target === globalThis) noteReplacement(key, undefined);
      if (before === undefined) Reflect.deleteProperty(target, key);
      else Object.defineProperty(target, key, before);
    });
  };
  replace(globalThis, 'Atomics', modelAtomics(machine, access));
  // Errors are made in every schedule and their stacks looked at in none, except when one is
  // recorded.
  if (machine.recorder === undefined) replace(Error, 'stackTraceLimit', 0);
  replaceViews(machine, access, replace);
  replaceClock(machine, replace);
  replaceQueues(machine, replace);
  replaceMessages(ports, replace);
  // Modules that imported them by name see the replaced ones.
  syncBuiltinESMExports();
  return () => {
    for (const restore of saved.reverse()) restore();
    syncBuiltinESMExports();
  };
}

type Replace = (target: object, key: string, value: unknown) => void;

function modelAtomics(machine: Machine, access: SharedAccess): object {
  /** Words that nobody else has. */
  const ownWords = (words: Int32Array): Int32Array => {
    if (isSharedView(words)) {
      machine.complain('the model checker has Atomics on a shared Int32Array only');
    }
    const block: unknown = (words as Int32Array | undefined)?.buffer;
    if (block instanceof RealSharedArrayBuffer && !privateBlocks.has(block)) {
      machine.complain(FOREIGN);
    }
    return words;
  };
  const sharedCell = (words: Int32Array, index: number): number => {
    const view = wordViewOf(words);
    if (view !== undefined) return view.cell(index);
    ownWords(words);
    return machine.complain('the model checker has Atomics.wait on memory of setup only');
  };
  const operation =
    (op: number, real: (words: Int32Array, index: number, a: number, b: number) => number) =>
    (words: Int32Array, index: number, a: number, b: number): number => {
      const view = wordViewOf(words);
      if (view === undefined) return real(ownWords(words), index, a, b);
      return access.atomic(op, view.cell(index), a, b);
    };
  const store = operation(OP_STORE, realAtomics.store);
  return {
    load: operation(OP_LOAD, realAtomics.load),
    store: (words: Int32Array, index: number, value: number): number => {
      // What it returns is the integer, not what fits into the word.
      const integer = Math.trunc(Number(value)) || 0;
      store(words, index, integer, 0);
      return integer;
    },
    add: operation(OP_ADD, realAtomics.add),
    sub: operation(OP_SUB, realAtomics.sub),
    and: operation(OP_AND, realAtomics.and),
    or: operation(OP_OR, realAtomics.or),
    xor: operation(OP_XOR, realAtomics.xor),
    exchange: operation(OP_EXCHANGE, realAtomics.exchange),
    compareExchange: operation(OP_COMPARE_EXCHANGE, realAtomics.compareExchange),
    isLockFree: realAtomics.isLockFree,
    pause: () => undefined,
    wait: (
      words: Int32Array,
      index: number,
      expected: number,
      timeoutMs = Number.POSITIVE_INFINITY,
    ): WaitOutcome => access.wait(sharedCell(words, index), expected | 0, timeoutMs),
    waitAsync: (words: Int32Array, index: number, expected: number, timeoutMs?: number) => {
      if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
        machine.complain('the model checker has no waitAsync with a timeout');
      }
      return access.waitAsync(sharedCell(words, index), expected | 0);
    },
    notify: (words: Int32Array, index: number, count = Number.POSITIVE_INFINITY): number => {
      const view = wordViewOf(words);
      if (view === undefined) return realAtomics.notify(ownWords(words), index, count);
      return access.notify(view.cell(index), count);
    },
  };
}

export const FOREIGN: string =
  'memory is shared that setup did not make with `new SharedArrayBuffer`: nobody sees who ' +
  'touches it (that of a WebAssembly.Memory, a copy by slice(), or of a constructor that was kept)';

/** Views on shared memory whose accesses nothing here would see. */
const REFUSED = [
  'Int8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
] as const;

function replaceViews(machine: Machine, access: SharedAccess, replace: Replace): void {
  const memory = machine.memory;
  const regionOf = (block: unknown): Region | undefined => {
    if (!(block instanceof RealSharedArrayBuffer) || privateBlocks.has(block)) return undefined;
    const region = memory.regionOf(block);
    if (region === undefined) machine.complain(FOREIGN);
    return region;
  };
  const view = (
    name: 'Int32Array' | 'Uint8Array' | 'DataView' | (typeof REFUSED)[number],
    make?: (region: Region, byteOffset?: number, length?: number) => object,
  ): void => {
    replace(
      globalThis,
      name,
      new Proxy(originalOf(globalThis[name]) as unknown as new (...args: unknown[]) => object, {
        construct(target, args, newTarget) {
          const region = regionOf(args[0]);
          if (region === undefined) return Reflect.construct(target, args, newTarget) as object;
          if (make === undefined) {
            return machine.complain(`the model checker has no shared ${name}`);
          }
          access.call();
          return make(region, args[1] as number, args[2] as number);
        },
      }),
    );
  };
  view('Int32Array', (region, at, length) => makeWords(access, memory, region, at, length));
  view('Uint8Array', (region, at, length) => makeBytes(access, memory, region, at, length));
  view('DataView', (region, at, length) => makeDataView(access, region, at, length));
  for (const name of REFUSED) view(name);
  replace(
    globalThis,
    'SharedArrayBuffer',
    new Proxy(RealSharedArrayBuffer, {
      construct(target, args, newTarget) {
        const block = Reflect.construct(target, args, newTarget) as SharedArrayBuffer;
        // Memory cannot be handed to others on the heap: what a thread makes itself stays its own.
        if (machine.direct && machine.threads.length === 0) memory.addRegion(block);
        else privateBlocks.add(block);
        Object.defineProperty(block, 'slice', {
          value: () => machine.complain('the model checker has no SharedArrayBuffer.slice'),
          configurable: true,
        });
        return block;
      },
    }),
  );
  const isView = ArrayBuffer.isView;
  replace(ArrayBuffer, 'isView', (value: unknown) => isView(value) || isSharedView(value));
  const from = Buffer.from as (...args: unknown[]) => Buffer;
  replace(Buffer, 'from', (...args: unknown[]) => {
    if (args[0] instanceof RealSharedArrayBuffer || isSharedView(args[0])) {
      machine.complain('the model checker has no Buffer on shared memory');
    }
    return from.apply(Buffer, args);
  });
}

function replaceClock(machine: Machine, replace: Replace): void {
  const agent = (): Agent => machine.agent;
  replace(globalThis.performance, 'now', () => agent().nowMs);
  replace(Date, 'now', () => EPOCH_MS + agent().nowMs);
  const nanoseconds = (): bigint => BigInt(Math.round(agent().nowMs * 1e6));
  const time = ([seconds, rest] = [0, 0]): [number, number] => {
    const now = Number(nanoseconds()) - (seconds * 1e9 + rest);
    return [Math.floor(now / 1e9), ((now % 1e9) + 1e9) % 1e9];
  };
  replace(process, 'hrtime', Object.assign(time, { bigint: nanoseconds }));
  replace(
    globalThis,
    'Date',
    new Proxy(Date, {
      construct: (target, args, newTarget) =>
        Reflect.construct(target, args.length > 0 ? args : [Date.now()], newTarget) as object,
    }),
  );
  type Callback = (...args: unknown[]) => void;
  replace(globalThis, 'setTimeout', (callback: Callback, delayMs = 1, ...args: unknown[]) =>
    agent().startTimer(() => callback(...args), delayMs, false),
  );
  replace(globalThis, 'setInterval', (callback: Callback, delayMs = 1, ...args: unknown[]) =>
    agent().startTimer(() => callback(...args), delayMs, true),
  );
  replace(globalThis, 'setImmediate', (callback: Callback, ...args: unknown[]) =>
    agent().startTurn(() => callback(...args)),
  );
  for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) {
    replace(globalThis, name, (timer: unknown) => agent().stop(timer));
  }
}

/**
 * Errors in queued jobs belong to the thread that queued them; what a pause throws belongs to
 * nobody.
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
  const nextTick = process.nextTick;
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
