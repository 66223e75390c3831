// SPDX-License-Identifier: MIT
/**
 * The control lane between a group and each of its threads: what the two tell each other.
 *
 * It is the MessagePort that every worker has: ordered, it wakes the thread, it keeps the thread
 * alive, and how the thread ended ('error', 'exit') comes the same way. Control is rare; a second
 * mechanism in shared memory would save nothing and could not tell of a death.
 */

import type { CarrierTicket } from '../pool/carriers.ts';
import type { BufferPoolHandle } from '../pool/index.ts';
import type { Idle } from './idle.ts';
import type { MeshPlan } from './mesh.ts';

/** What a thread is given when it starts. */
export interface Assignment {
  readonly kind: 'busbar/executor';
  readonly index: number;
  readonly count: number;
  readonly name: string;
  /** Where to pin it; undefined: nowhere. */
  readonly cpu: number | undefined;
  readonly idle: Idle;
  readonly module: string;
  readonly data: unknown;
  readonly pool: BufferPoolHandle;
  readonly mesh: MeshPlan;
  readonly ticket: CarrierTicket | undefined;
  readonly gauges: SharedArrayBuffer;
  readonly epochMs: number;
}

/** What goes through the port; whatever else does is the user's, who may use it, too. */
export interface Envelope<T> {
  readonly busbar: T;
}

/** What can be asked of a thread. */
export type Question = 'ping' | 'pause' | 'resume' | 'look';

/** What the group says. */
export type Order =
  /** Asks for a reply as soon as it was done; 'look': how much work there was. */
  | { readonly kind: Question; readonly id: number }
  /** Work on until told to finish, drop what is left after so many milliseconds. */
  | { readonly kind: 'drain'; readonly dropAfterMs: number }
  /** Nothing new will come: empty the mailbox and end. */
  | { readonly kind: 'finish' }
  /** Drop what is queued and end. */
  | { readonly kind: 'abandon' };

/** What a thread says. */
export type Answer =
  | { readonly kind: 'started'; readonly cpu: number | undefined; readonly unpinned: string }
  /** `work` counts what was done so far; −1: there is something to do now. */
  | { readonly kind: 'reply'; readonly id: number; readonly work: number }
  /** While draining: there is nothing to do now. */
  | { readonly kind: 'quiet' }
  /** The thread's last word: it ends as it was told to. */
  | { readonly kind: 'ended' };
