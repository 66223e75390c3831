// SPDX-License-Identifier: MIT
/** Model checker: the clock and the timers that production code finds while a scenario runs. */

import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Agent, ModelTimer } from './agent.ts';
import type { Machine } from './machine.ts';

const RealDate = Date;
const EPOCH_MS = 1_700_000_000_000;

/** `isGetter`: the value is read by a call. */
export type Replace = (target: object, key: string, value: unknown, isGetter?: boolean) => void;
type Callback = (...args: unknown[]) => void;

/** Whenever a thread looks, time may have passed. */
export function replaceClock(machine: Machine, replace: Replace): void {
  const now = (): number => machine.clock.look();
  replace(globalThis.performance, 'now', now);
  replace(RealDate, 'now', () => EPOCH_MS + now());
  const nanoseconds = (): bigint => BigInt(Math.round(now() * 1e6));
  const time = ([seconds, rest] = [0, 0]): [number, number] => {
    const passed = Number(nanoseconds()) - (seconds * 1e9 + rest);
    return [Math.floor(passed / 1e9), ((passed % 1e9) + 1e9) % 1e9];
  };
  replace(process, 'hrtime', Object.assign(time, { bigint: nanoseconds }));
  replace(process, 'uptime', () => now() / 1000);
  replace(
    globalThis,
    'Date',
    new Proxy(RealDate, {
      construct: (target, args, newTarget) =>
        Reflect.construct(target, args.length > 0 ? args : [RealDate.now()], newTarget) as object,
      apply: () => new RealDate(RealDate.now()).toString(),
    }),
  );
}

/** Timers belong to the thread that sets them, whichever way it came to the function. */
export function replaceTimers(machine: Machine, replace: Replace): void {
  const agent = (): Agent => machine.agent;
  const start =
    (repeats: boolean) =>
    (callback: Callback, delayMs?: unknown, ...args: unknown[]) =>
      agent().startTimer(() => callback(...args), Number(delayMs ?? 1), repeats);
  const stop = (timer: unknown): void => agent().stop(timer);
  const sleep = (delayMs?: number, value?: unknown, options?: SleepOptions): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const timer = agent().startTimer(() => resolve(value), Number(delayMs ?? 1), false);
      endEarly(timer, stop, reject, options);
    });
  const turn = (value?: unknown, options?: SleepOptions): Promise<unknown> =>
    new Promise((resolve, reject) => {
      endEarly(
        agent().startTurn(() => resolve(value)),
        stop,
        reject,
        options,
      );
    });
  const tick = async function* (delayMs?: number, value?: unknown, options?: SleepOptions) {
    for (;;) yield await sleep(delayMs, value, options);
  };
  const functions = {
    setTimeout: Object.assign(start(false), { [promisify.custom]: sleep }),
    setInterval: start(true),
    setImmediate: Object.assign(
      (callback: Callback, ...args: unknown[]) => agent().startTurn(() => callback(...args)),
      { [promisify.custom]: turn },
    ),
    clearTimeout: stop,
    clearInterval: stop,
    clearImmediate: stop,
  };
  for (const [name, value] of Object.entries(functions)) {
    replace(globalThis, name, value);
    replace(timers, name, value);
  }
  replace(timersPromises, 'setTimeout', sleep);
  replace(timersPromises, 'setImmediate', turn);
  replace(timersPromises, 'setInterval', tick);
  replace(timersPromises, 'scheduler', {
    wait: (delayMs: number, options?: SleepOptions) => sleep(delayMs, undefined, options),
    yield: () => turn(),
  });
  replace(AbortSignal, 'timeout', (delayMs: number) => {
    const controller = new AbortController();
    const abort = (): void =>
      controller.abort(
        new DOMException('The operation was aborted due to timeout', 'TimeoutError'),
      );
    agent().startTimer(abort, delayMs, false).unref();
    return controller.signal;
  });
}

interface SleepOptions {
  readonly signal?: AbortSignal;
  readonly ref?: boolean;
}

/** What the options of a promise of `node:timers/promises` ask for. */
function endEarly(
  timer: ModelTimer,
  stop: (timer: unknown) => void,
  reject: (reason: unknown) => void,
  { signal, ref }: SleepOptions = {},
): void {
  if (ref === false) timer.unref();
  const end = (): void => {
    stop(timer);
    const error = new Error('The operation was aborted', { cause: signal?.reason });
    reject(Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }));
  };
  if (signal?.aborted) end();
  else signal?.addEventListener('abort', end, { once: true });
}
