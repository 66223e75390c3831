// SPDX-License-Identifier: MIT
/** Model checker: structured cloning of posted values. */

import { tracksLength } from './views.ts';

const clone = structuredClone;

/** Converts one kind of object for the receiver; undefined for any other. */
export type HandOver = (value: object) => object | undefined;

/**
 * Clones a value as structured cloning does: plain objects, arrays, maps, sets, errors, dates and
 * private memory are copied; shared memory stays the same memory.
 *
 * **Throws** DataCloneError (a DOMException) for functions and symbols.
 */
export function structuredCopy(value: unknown, handOver: HandOver): unknown {
  return new Copier(handOver).copy(value);
}

class Copier {
  readonly #handOver: HandOver;
  readonly #copies = new Map<object, object>();

  constructor(handOver: HandOver) {
    this.#handOver = handOver;
  }

  copy(value: unknown): unknown {
    if (typeof value === 'function' || typeof value === 'symbol') {
      throw new DOMException(`a ${typeof value} could not be cloned`, 'DataCloneError');
    }
    if (typeof value !== 'object' || value === null) return value;
    const known = this.#copies.get(value);
    if (known !== undefined) return known;
    const special = this.#handOver(value) ?? this.#memory(value);
    if (special !== undefined) return this.#note(value, special);
    if (Array.isArray(value)) return this.#fill(value, this.#note(value, new Array(value.length)));
    if (value instanceof Map) {
      const map = this.#note(value, new Map()) as Map<unknown, unknown>;
      for (const [key, item] of value) map.set(this.copy(key), this.copy(item));
      return map;
    }
    if (value instanceof Set) {
      const set = this.#note(value, new Set()) as Set<unknown>;
      for (const item of value) set.add(this.copy(item));
      return set;
    }
    const isPlain = Object.prototype.toString.call(value) === '[object Object]';
    if (!isPlain) return this.#note(value, clone(value));
    return this.#fill(value, this.#note(value, {}));
  }

  #note(value: object, copy: object): object {
    this.#copies.set(value, copy);
    return copy;
  }

  #fill(value: object, copy: object): object {
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key];
      (copy as Record<string, unknown>)[key] = this.copy(item);
    }
    return copy;
  }

  /** Shared memory and views of it; the classes are those of the model while a scenario runs. */
  #memory(value: object): object | undefined {
    if (value instanceof SharedArrayBuffer) return value;
    const { buffer, byteOffset } = value as Int32Array;
    if (!(buffer instanceof SharedArrayBuffer)) return undefined;
    const name = value.constructor.name as 'Int32Array';
    const View = globalThis[name] as unknown as new (...args: unknown[]) => object;
    if (tracksLength(value)) return new View(buffer, byteOffset);
    const { length, byteLength } = value as Int32Array;
    return new View(buffer, byteOffset, length ?? byteLength);
  }
}
