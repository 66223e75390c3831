// SPDX-License-Identifier: MIT
/**
 * `node --import busbar/testing/register`: from now on, modules that keep `Atomics.load`, a typed
 * array's class or a timer when they are loaded are seen by the model checker, too.
 *
 * Import it before any module that is to be checked. Outside of a scenario, all does what it did,
 * at the cost of one more call.
 */

import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
// The checker keeps what it needs of the globals before they are replaced.
import './index.ts';
import { dispatchClass, dispatchFunction, dispatchObject } from './dispatch.ts';
import { TYPED_ARRAY_NAMES } from './view-elements.ts';

const CLASSES = ['SharedArrayBuffer', 'DataView', ...TYPED_ARRAY_NAMES, 'MessageChannel'] as const;
const TIMERS = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
] as const;

const globals = globalThis as unknown as Record<string, unknown>;

function put(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, configurable: true });
}

put(globals, 'Atomics', dispatchObject('Atomics', globals.Atomics as object));
for (const name of CLASSES)
  if (name in globals) put(globals, name, dispatchClass(name, globals[name]));
for (const name of TIMERS) {
  const dispatcher = dispatchFunction(name, globals[name]);
  put(globals, name, dispatcher);
  put(timers, name, dispatcher);
}
for (const [name, owner] of [
  ['performance', performance],
  ['Date', Date],
] as const) {
  put(owner, 'now', dispatchFunction(`${name}.now`, owner.now.bind(owner)));
}
const { prototype } = SharedArrayBuffer;
for (const key of ['grow', 'slice'] as const) {
  put(prototype, key, dispatchFunction(`SharedArrayBuffer.prototype.${key}`, prototype[key]));
}
const size = Object.getOwnPropertyDescriptor(prototype, 'byteLength') as PropertyDescriptor;
const get = dispatchFunction('SharedArrayBuffer.prototype.byteLength', size.get);
Object.defineProperty(prototype, 'byteLength', { ...size, get: get as () => number });
put(globals, 'queueMicrotask', dispatchFunction('queueMicrotask', globals.queueMicrotask));
syncBuiltinESMExports();
