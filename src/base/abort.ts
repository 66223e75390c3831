// SPDX-License-Identifier: MIT
/** One listener on an AbortSignal for everything that the signal ends. */

import { throwLater } from './throw-later.ts';

/** What one signal ends, and its listener. */
interface Ends {
  readonly callbacks: Set<() => void>;
  /** Not by `this`: a signal may be a proxy, and its event's target another object. */
  readonly listener: () => void;
}

/**
 * Node warns of a leak from the eleventh listener on; a server passes its signal to each of its
 * links.
 */
const endsOf = new WeakMap<AbortSignal, Ends>();

/** Calls back when the signal is aborted, in order; until {@link offAbort}. */
export function onAbort(signal: AbortSignal, callback: () => void): void {
  let ends = endsOf.get(signal);
  if (ends === undefined) {
    ends = { callbacks: new Set(), listener: () => runAll(signal) };
    endsOf.set(signal, ends);
  }
  const { callbacks, listener } = ends;
  if (callbacks.size === 0) signal.addEventListener('abort', listener, { once: true });
  callbacks.add(callback);
}

/** Undoes {@link onAbort}. A signal that throws keeps a listener that calls nothing. */
export function offAbort(signal: AbortSignal, callback: () => void): void {
  const ends = endsOf.get(signal);
  if (ends === undefined || !ends.callbacks.delete(callback) || ends.callbacks.size > 0) return;
  try {
    signal.removeEventListener('abort', ends.listener);
  } catch {}
}

function runAll(signal: AbortSignal): void {
  const callbacks = endsOf.get(signal)?.callbacks;
  endsOf.delete(signal);
  for (const callback of callbacks ?? []) {
    try {
      callback();
    } catch (error) {
      throwLater(error);
    }
  }
}
