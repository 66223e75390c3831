// SPDX-License-Identifier: MIT
/** Soak: the interface of a part, and the messages between it and the run. */

import type { BufferPool } from 'busbar/pool';
import type { Reading } from './reading.ts';
import type { LoadMinute, Tally } from './tally.ts';

/** Those that serve come first: they are there when the loads begin. */
export const SERVING = ['broker', 'tcp-server', 'udp-receiver'] as const;
export const LOADING = ['broker-flows', 'broker-guests', 'tcp-clients', 'udp-sender'] as const;
export type PartName = (typeof SERVING)[number] | (typeof LOADING)[number];

/** Longer than anything takes on a machine that is loaded as it should be: something hangs. */
export const HANG_MS = 60_000;

/** What is kept on purpose at each sample, to show that it is found. */
export const PLANTS = ['buffer', 'array', 'descriptor'] as const;
export type Plant = (typeof PLANTS)[number];

/** What a part is made with. */
export interface PartOptions {
  readonly seed: number;
  /** Where the part that it loads can be reached. */
  readonly ports: readonly number[];
  readonly plants: readonly Plant[];
}

/** One part, made and waiting. */
export interface Part {
  /** Where it can be reached. */
  readonly ports: readonly number[];
  readonly pool?: BufferPool;
  readonly tallies: readonly Tally[];
  /** Readings of its other threads. */
  readThreads?(): Promise<Reading>;
  /** Begins its load. */
  go?(): Promise<void>;
  /** Ends its load: all that was sent has arrived, all connections are closed. */
  stop?(): Promise<void>;
  /** Closes everything that it has opened, except the pool. */
  close(): Promise<void>;
}

export type PartMaker = (options: PartOptions) => Promise<Part>;

/** From the run. `id` comes back with the answer. */
export type Order = { readonly id: number } & (
  | { readonly kind: 'make'; readonly options: PartOptions }
  /** With `isMinute`: after a collection, with heaps and loads; else only what is cheap. */
  | { readonly kind: 'sample'; readonly isMinute: boolean }
  | { readonly kind: 'go' | 'stop' | 'close' | 'exit' }
);

export type Answer = { readonly id: number } & (
  | { readonly kind: 'made'; readonly ports: readonly number[] }
  | {
      readonly kind: 'sample';
      readonly reading: Reading;
      /** Processor time that its process has used so far. */
      readonly cpuMs: number;
      readonly loads: Readonly<Record<string, LoadMinute>>;
    }
  | { readonly kind: 'done'; readonly complaints: readonly string[] }
  | { readonly kind: 'failed'; readonly reason: string }
);
