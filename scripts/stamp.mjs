// SPDX-License-Identifier: MIT
/** Remembers from which inputs a part was built, so that it is built again only if they change. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fingerprint, ROOT } from './files.mjs';

/** One part's memory; inputs and outputs are paths relative to the repository. */
export class Stamp {
  #path;
  #inputs;
  #outputs;

  constructor(name, inputs, outputs) {
    this.#path = `${ROOT}build/.${name}`;
    this.#inputs = fingerprint(inputs);
    this.#outputs = outputs;
  }

  isFresh() {
    if (!existsSync(this.#path)) return false;
    if (readFileSync(this.#path, 'utf8') !== this.#inputs) return false;
    return this.#outputs.every((path) => existsSync(ROOT + path));
  }

  forget() {
    rmSync(this.#path, { force: true });
  }

  write() {
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(this.#path, this.#inputs);
  }
}
