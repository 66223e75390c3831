// SPDX-License-Identifier: MIT
/** One listener on an AbortSignal for everything that the signal ends. */

import { throwLater } from './throw-later.ts';

/**
 * Node warns of a leak from the eleventh listener on; a server passes its signal to each of its
 * links.
 */
const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls back when the signal is aborted, in order; until {@link offAbort}. */
export function onAbort(signal: AbortSignal, callback: () => void): void {
  let callbacks = callbacksOf.get(signal);
  if (callbacks === undefined) {
    callbacks = new Set();
    callbacksOf.set(signal, callbacks);
  }
  if (callbacks.size === 0) signal.addEventListener('abort', runAll, { once: true });
  callbacks.add(callback);
}

/** Undoes {@link onAbort}. */
export function offAbort(signal: AbortSignal, callback: () => void): void {
  const callbacks = callbacksOf.get(signal);
  if (callbacks?.delete(callback) && callbacks.size === 0) {
    signal.removeEventListener('abort', runAll);
  }
}

function runAll(this: unknown): void {
  const signal = this as AbortSignal;
  const callbacks = callbacksOf.get(signal);
  callbacksOf.delete(signal);
  for (const callback of callbacks ?? []) {
    try {
      callback();
    } catch (error) {
      throwLater(error);
    }
  }
}
