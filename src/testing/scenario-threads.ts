// SPDX-License-Identifier: MIT
/** Model checker: the threads of a scenario as the machine runs them, and how they have ended. */

import type { Machine } from './machine.ts';
import type { MachineThread } from './machine-contract.ts';
import { ABSENT, DEAD, T_FINISHED, T_PUBLISHED, T_STATUS } from './machine-layout.ts';
import { type MessagePorts, withPorts } from './message-ports.ts';
import type { Outcome, Scenario } from './scenario.ts';

/** What threads find when they run. */
export interface ThreadWorld<Shared> {
  shared(): Shared;
  readonly machine: Machine;
  readonly ports: MessagePorts;
}

/** Threads of `threads`, then those of `spawned`, then supervisors of all that may be killed. */
export function threadsOf<Shared>(
  scenario: Scenario<Shared>,
  kills: number,
  world: () => ThreadWorld<Shared>,
): MachineThread[] {
  const bodies = { ...scenario.threads, ...scenario.spawned };
  const names = Object.keys(bodies);
  const first = Object.keys(scenario.threads).length;
  const spawned = new Map(names.map((name, i) => [name, i] as const).slice(first));
  const killable = kills > 0 ? (scenario.killable ?? names) : [];
  const threads: MachineThread[] = names.map((name, i) => ({
    name,
    killable: killable.includes(name),
    prepares: scenario.prepares?.includes(name) ?? false,
    mayWait: scenario.mayWait?.includes(name) ?? false,
    isSpawned: i >= first,
    supervises: -1,
    run: (self) => {
      const { shared, ports } = world();
      return bodies[name](shared(), withPorts(self, ports, i, spawned));
    },
  }));
  if (scenario.supervisor === undefined) return threads;
  for (const name of killable) {
    const supervises = names.indexOf(name);
    threads.push({
      name: `${name}'s-supervisor`,
      killable: false,
      prepares: scenario.prepares?.includes('supervisor') ?? false,
      mayWait: false,
      isSpawned: false,
      supervises,
      run: (self) => {
        const { shared, machine, ports } = world();
        const count = machine.state[machine.layout.thread(supervises) + T_PUBLISHED];
        const published = machine.published[supervises].slice(0, count);
        const thread = withPorts(self, ports, supervises, new Map());
        return scenario.supervisor?.(shared(), { name, published }, thread);
      },
    });
  }
  return threads;
}

/** How the present schedule has ended. To look at results makes them a part of the state. */
export function outcomeOf(machine: Machine): Outcome {
  const results: Record<string, unknown> = {};
  const killed: string[] = [];
  const waiting: string[] = [];
  machine.threads.forEach((thread, i) => {
    const base = machine.layout.thread(i);
    const status = machine.state[base + T_STATUS];
    if (status === DEAD) killed.push(thread.name);
    else if (machine.state[base + T_FINISHED] === 1) results[thread.name] = machine.results[i];
    else if (status !== ABSENT) waiting.push(thread.name);
  });
  return {
    killed,
    waiting,
    get results() {
      machine.key.resultsMatter = true;
      return results;
    },
  };
}
