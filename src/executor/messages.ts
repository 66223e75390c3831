// SPDX-License-Identifier: MIT
/**
 * The messages of the control lane between a group and each of its threads.
 *
 * The lane is the MessagePort that every worker has. It keeps order, wakes the thread and keeps it
 * alive, and the thread's end ('error', 'exit') arrives the same way. Control is rare; a second
 * mechanism in shared memory would save nothing and could not report a death.
 */

import type { CarrierTicket } from '../pool/carriers.ts';
import type { BufferPoolHandle } from '../pool/index.ts';
import type { Idle } from './idle.ts';
import type { MeshPlan } from './mesh.ts';

/** Everything that a thread needs to start. */
export interface Assignment {
  readonly kind: 'busbar/executor';
  /** The file that runs as the thread's program, if that is a bundle; else ''. */
  readonly program: string;
  readonly index: number;
  readonly count: number;
  readonly name: string;
  /** Threads that ran in the slot before. */
  readonly restarts: number;
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

/** The form of our messages. All others on the port are the user's. */
export interface Envelope<T> {
  readonly busbar: T;
}

/** Orders that the thread replies to. */
export type Question = 'ping' | 'pause' | 'resume' | 'look';

/** What the group sends to a thread. */
export type Order =
  /** Asks for a reply when it is done; 'look' asks for the amount of work only. */
  | { readonly kind: Question; readonly id: number }
  /** Work until 'finish' comes; drop what is left after this many milliseconds. */
  | { readonly kind: 'drain'; readonly dropAfterMs: number }
  /** Nothing new will come: empty the mailbox and end. */
  | { readonly kind: 'finish' }
  /** Drop what is queued and end. */
  | { readonly kind: 'destroy' };

/** What a thread sends to its group. */
export type Report =
  | { readonly kind: 'started'; readonly cpu: number | undefined; readonly unpinned: string }
  /** `work` counts what was done so far; −1 means that there is work now. */
  | { readonly kind: 'reply'; readonly id: number; readonly work: number }
  /** While draining: the thread is idle. */
  | { readonly kind: 'quiet' }
  /** The thread's last message: it ends as ordered. */
  | { readonly kind: 'ended' };
