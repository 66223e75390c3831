// SPDX-License-Identifier: MIT
/** Test worker: an executor with a party of the conformance suite, told what to do off the bus. */
import { Bus } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';
import { BusParty } from './bus-party.ts';

/** What the host says. */
export interface Call {
  readonly to: number;
  readonly id: number;
  /** A method of `Party`, or 'die'. */
  readonly name: string;
  readonly args: readonly unknown[];
}

/** What an executor says; `id` 0: it is there. */
export interface Return {
  readonly from: number;
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export function run(context: ExecutorContext): void {
  const party = new BusParty(Bus.join(context));
  const channel = new BroadcastChannel(context.data as string);
  const from = context.index;
  const tell = (said: Return): void => channel.postMessage(said);
  channel.onmessage = (event: unknown): void => {
    const { to, id, name, args } = (event as { data: Call }).data;
    if (to !== from) return;
    if (name === 'die') process.exit(1);
    const method = (party as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[
      name
    ] as (...args: unknown[]) => Promise<unknown>;
    method.apply(party, [...args]).then(
      (result) => tell({ from, id, result }),
      (error: unknown) => tell({ from, id, error: String(error) }),
    );
  };
  context.defer(() => channel.close());
  tell({ from, id: 0 });
}
