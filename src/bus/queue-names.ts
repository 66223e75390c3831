// SPDX-License-Identifier: MIT
/** Interned names of queue groups, which are compared by identity. */

import type { KeyedHash } from './keyed-hash.ts';
import { KeyedMap } from './keyed-map.ts';

/** The name of a queue group. */
export class QueueName {
  /** One character per byte. */
  readonly text: string;
  /** @internal Number of subscriptions that use it. */
  useCount: number = 0;

  /** @internal */
  constructor(text: string) {
    this.text = text;
  }
}

/** All names of queue groups in use. */
export class QueueNames {
  readonly #names: KeyedMap<QueueName>;

  /** @internal */
  constructor(hash?: KeyedHash) {
    this.#names = new KeyedMap(hash);
  }

  /** Returns the name; undefined if no subscription uses it. */
  find(text: string): QueueName | undefined {
    return this.#names.get(text);
  }

  /** @internal Adds a use of the name. */
  use(text: string): QueueName {
    let name = this.#names.get(text);
    if (name === undefined) {
      name = new QueueName(text);
      this.#names.set(text, name);
    }
    name.useCount++;
    return name;
  }

  /** @internal Removes a use of the name. */
  drop(name: QueueName): void {
    if (--name.useCount === 0) this.#names.delete(name.text);
  }
}
