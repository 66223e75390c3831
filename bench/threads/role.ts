// SPDX-License-Identifier: MIT
/** What a thread of a case does: the shape that the roles fill and `member.worker.ts` drives. */

import type { Outcome } from './control.ts';

export interface Role {
  /** Plays one turn of `ops` operations. */
  run(ops: number): Outcome | Promise<Outcome>;
  /** Releases what the role holds; the thread ends after it. */
  close(): void | Promise<void>;
}

/** Makes a role from the data that the case gave. */
export type RoleMaker = (data: never) => Role | Promise<Role>;
