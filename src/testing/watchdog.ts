// SPDX-License-Identifier: MIT
/** Model checker: stops a body that computes for ever without an access. */

import { url as inspectorUrl } from 'node:inspector';
import { Script } from 'node:vm';

/** Time limit of a piece of a run: a thousand times its usual duration. */
const PATIENCE_MS = 60_000;
const HOOK = '__busbarTestingPiece';

export class Watchdog {
  readonly #script = new Script(`${HOOK}()`);

  /** Runs a piece of work; false if it was stopped because it took too long. */
  watch(work: () => void): boolean {
    if (inspectorUrl() !== undefined) {
      work();
      return true;
    }
    Object.defineProperty(globalThis, HOOK, { value: work, configurable: true });
    try {
      this.#script.runInThisContext({ timeout: PATIENCE_MS });
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      return false;
    } finally {
      Reflect.deleteProperty(globalThis, HOOK);
    }
  }
}
