// SPDX-License-Identifier: MIT
/** Model checker: the `self` that a thread's body receives. */

import type { BareThread, MachineThread } from './machine-contract.ts';
import type { ThreadLog } from './thread-log.ts';

interface ThreadMachine {
  room: number;
  preparing: boolean;
  readonly unwinding: boolean;
  readonly threads: readonly MachineThread[];
  readonly log: ThreadLog;
  changed(): void;
}

/** The `self` of a thread; `published` receives what it publishes. */
export function bareThread(
  machine: ThreadMachine,
  thread: number,
  published: unknown[],
): BareThread {
  return {
    name: machine.threads[thread].name,
    begin: () => {
      machine.preparing = false;
    },
    deeply: (step) => {
      const before = machine.room;
      machine.room = 0;
      try {
        return step();
      } finally {
        machine.room = before;
      }
    },
    publish: (value) => {
      const count = published.push(value);
      if (!machine.unwinding && machine.log.publish(thread, count)) machine.changed();
    },
  };
}
