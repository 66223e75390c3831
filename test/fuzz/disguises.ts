// SPDX-License-Identifier: MIT
/**
 * Fuzz tool: arguments that are right at the first read and then change, throw, or call the library
 * before they return a value. Each may be accepted with one value or rejected, but never with two
 * different values.
 */
import { types } from 'node:util';
import type { Random } from '../../src/base/random.ts';
import { FROM_GETTER, hostileValue } from './hostile-values.ts';

/** What may happen at a look. */
export interface Surprises {
  readonly random: Random;
  /** Calls the library; what it was called on may be closed, or used up, afterwards. */
  readonly reenter: () => void;
}

/** Whether it can be disguised: options, handles, what is in transit, arrays, bytes, words. */
export function canBeDisguised(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  const plain: readonly unknown[] = [Object.prototype, Array.prototype, null];
  return plain.includes(prototype) || types.isUint8Array(value) || types.isInt32Array(value);
}

export function disguise(value: object, surprises: Surprises): unknown {
  const { random } = surprises;
  if (types.isUint8Array(value) || types.isInt32Array(value)) {
    return random.chance(0.7) ? lying(value, surprises) : proxyOf(value, surprises);
  }
  return random.chance(0.6) ? accessorsOf(value, surprises) : proxyOf(value, surprises);
}

/** At the n-th look something happens; before it, and behind it unless that threw, the truth. */
function surprise(surprises: Surprises): (truth: unknown) => unknown {
  const { random, reenter } = surprises;
  let looks = 1 + random.below(random.chance(0.7) ? 3 : 20);
  const kind = random.below(3);
  const lie = hostileValue(random);
  return (truth) => {
    if (--looks !== 0) return looks < 0 && kind === 0 ? lie : truth;
    if (kind === 1) throw FROM_GETTER;
    if (kind === 2) reenter();
    return kind === 0 ? lie : truth;
  };
}

/** A copy with one property, or element, that is asked for by a getter. */
function accessorsOf(value: object, surprises: Surprises): object {
  const { random } = surprises;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  const keys = Object.keys(copy);
  const key = keys[random.below(keys.length || 1)] ?? 'unknown';
  const truth = (copy as Record<string, unknown>)[key];
  const look = surprise(surprises);
  Object.defineProperty(copy, key, { get: () => look(truth), enumerable: true });
  if (Array.isArray(copy) && random.chance(0.3)) {
    copy[Symbol.iterator] = () => {
      throw FROM_GETTER;
    };
  }
  return copy;
}

function proxyOf(value: object, surprises: Surprises): object {
  if (surprises.random.chance(0.1)) {
    const { proxy, revoke } = Proxy.revocable(value, {});
    revoke();
    return proxy;
  }
  const look = surprise(surprises);
  return new Proxy(value, {
    get: (target, key) => look(Reflect.get(target, key)),
    set: (target, key, to) => {
      look(to);
      return Reflect.set(target, key, to);
    },
  });
}

/** Of a class of its own, which says of itself what is not so. */
function lying(value: Uint8Array | Int32Array, surprises: Surprises): unknown {
  const { random } = surprises;
  const look = surprise(surprises);
  const Base = value instanceof Int32Array ? Int32Array : Uint8Array;
  class Lying extends (Base as Uint8ArrayConstructor) {
    static get [Symbol.species](): never {
      throw FROM_GETTER;
    }
    override subarray(): never {
      return look(super.subarray(0, 1)) as never;
    }
    override slice(): never {
      return look(super.slice(0, 1)) as never;
    }
    override set(): void {
      look(0);
    }
    override [Symbol.iterator](): never {
      throw FROM_GETTER;
    }
  }
  const liar = new Lying(value.length);
  // Not from one whose block has been detached: that has no bytes.
  if (value.length > 0) Base.prototype.set.call(liar, value);
  const length = random.chance(0.5) ? 1_000 : 0;
  Object.defineProperty(liar, 'length', { get: () => look(length) });
  return liar;
}
