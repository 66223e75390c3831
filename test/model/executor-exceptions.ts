// SPDX-License-Identifier: MIT
/**
 * Model checker: executors and their host whose calls throw because the stack is full, in threads
 * that catch it, do it again and go on.
 */

import type { ModelOptions, Scenario } from 'busbar/testing';
import type { ExecutorGroup } from '../../src/executor/executor-group.ts';
import { DRAINING, RUNNING } from '../../src/executor/executor-layout.ts';
import type { Packet } from '../../src/packet/index.ts';
import type { Case, Part } from './coverage.ts';
import { deeply, isStackFull } from './exception-scenarios.ts';
import {
  Bodies,
  type Counted,
  type ExecutorModule,
  type ExecutorShared,
  executors,
} from './executor-scenarios.ts';
import type { Load } from './planted.ts';
import { checkAllFree } from './pool-words.ts';

/** The modules, or copies of them. */
export interface GroupModule extends ExecutorModule {
  readonly ExecutorGroup: typeof ExecutorGroup;
}

type Body = Scenario<ExecutorShared>['threads'][string];

const ONCE: ModelOptions = { exceptions: 1, preemptions: 0 };

/** Loads them by a function that loads one file under `src/`. */
export async function loadExecutors(load: Load): Promise<GroupModule> {
  return {
    ...(await load<Pick<ExecutorModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
    ...(await load<Pick<ExecutorModule, 'Packet'>>('packet/index.ts')),
    ...(await load<Pick<ExecutorModule, 'PacketChannel'>>('channel/index.ts')),
    ...(await load<Pick<ExecutorModule, 'Mesh' | 'LaneEnds'>>('executor/mesh.ts')),
    ...(await load<Pick<ExecutorModule, 'TurnLoop'>>('executor/turn-loop.ts')),
    ...(await load<Pick<ExecutorModule, 'Gauges'>>('executor/gauges.ts')),
    ...(await load<Pick<GroupModule, 'ExecutorGroup'>>('executor/executor-group.ts')),
  };
}

export function executorExceptionParts(module: GroupModule): Part<ExecutorShared>[] {
  return [
    {
      name: 'executors: exceptions',
      operations:
        'sends, handle, wake, poll, receive, tryReceive, tryBroadcast, close, reclaim, recover',
      cases: [...cases(module), recovering(module)],
    },
  ];
}

function cases(module: GroupModule): Case<ExecutorShared>[] {
  const bodies = new Bodies(module);
  const throwing = new ThrowingBodies(module, bodies);
  const host = 1;
  const two = [16, 17];
  const add = (
    name: string,
    threads: Scenario<ExecutorShared>['threads'],
    count = 1,
    rest: Partial<Scenario<ExecutorShared>> = {},
  ) => executors(module, `exception: ${name}`, count, 1, threads, ONCE, rest);
  return [
    add('sends', { host: throwing.sends(host, 0, two), executor: bodies.handles(0, 2) }),
    add('handle, wake, poll', {
      host: bodies.sends(host, 0, two),
      executor: throwing.handles(0, 2),
    }),
    add('a handler that sends on', {
      host: bodies.at(host, (party) => party.sendsAndAsks(0, two)),
      executor: throwing.echoes(0, host, 2),
    }),
    add('receive', { host: bodies.sends(host, 0, two), executor: throwing.asks(0, 2) }),
    add('receive until the end', {
      host: bodies.sends(host, 0, [16], (party, shared) => bodies.closes(party, shared, 0)),
      executor: throwing.asksToTheEnd(0),
    }),
    add('tryReceive until the end', {
      host: bodies.sends(host, 0, [16], (party, shared) => bodies.closes(party, shared, 0)),
      executor: throwing.triesToTheEnd(0),
    }),
    add('close', {
      host: bodies.at(host, (party, shared, self) => {
        const sent = [16].filter((message) => party.send(0, message));
        bodies.closes(party, shared, 0, deeply(self));
        return { sent };
      }),
      executor: bodies.handlesAll(0),
    }),
    add(
      'tryBroadcast',
      {
        host: throwing.broadcasts(2, [0, 1], 16),
        executor: bodies.handles(0, 1),
        other: bodies.handles(1, 1),
      },
      2,
      {
        check: (shared, { results }) => {
          for (const name of ['executor', 'other']) {
            const { received } = results[name] as Counted;
            if (String(received) !== '16') throw new Error(`${name} received ${received}`);
          }
          checkAllFree(shared);
        },
      },
    ),
  ];
}

/** What a thread does deeply in its recursion, again and again until it has not thrown. */
class ThrowingBodies {
  readonly #module: GroupModule;
  readonly #bodies: Bodies;

  constructor(module: GroupModule, bodies: Bodies) {
    this.#module = module;
    this.#bodies = bodies;
  }

  sends(index: number, to: number, messages: readonly number[]): Body {
    return this.#bodies.at(index, (party, _, self) => ({
      sent: messages.filter((message) => party.send(to, message, deeply(self))),
    }));
  }

  /** Sets up its loop so. */
  handles(index: number, count: number): Body {
    return this.#bodies.at(index, (party, _, self) => {
      const run = deeply(self);
      return new Promise<Counted>((resolve) => {
        const loop = party.loop();
        const received: number[] = [];
        run(() => loop.poll(() => 0));
        run(() =>
          loop.mailbox.handle((packet) => {
            received.push(party.read(packet, run));
            if (received.length < count) return;
            loop.stop();
            resolve({ received, isCounted: true });
          }),
        );
        run(() => party.gauges.become(RUNNING));
        run(() => loop.wake());
      });
    });
  }

  /** Its handler sends each packet on. */
  echoes(index: number, to: number, count: number): Body {
    return this.#bodies.at(index, (party, _, self) => {
      const run = deeply(self);
      return new Promise<void>((resolve) => {
        const loop = party.loop();
        let handled = 0;
        loop.mailbox.handle((packet) => {
          run(() => party.ends.sender(to).sendSync(packet));
          if (++handled < count) return;
          loop.stop();
          resolve();
        });
        party.gauges.become(RUNNING);
      });
    });
  }

  asks(index: number, count: number): Body {
    return this.#bodies.at(index, async (party, _, self) => {
      const loop = party.loop();
      const received: number[] = [];
      while (received.length < count) {
        const packet = await insistently(() => self.deeply(() => loop.mailbox.receive()));
        if (packet === undefined) break;
        received.push(party.read(packet, deeply(self)));
      }
      loop.stop();
      return { received };
    });
  }

  asksToTheEnd(index: number): Body {
    return this.#bodies.at(index, async (party, _, self) => {
      const loop = party.loop();
      const received: number[] = [];
      loop.drain(DRAINING, () => undefined);
      for (;;) {
        const packet = await insistently(() => self.deeply(() => loop.mailbox.receive()));
        if (packet === undefined) break;
        received.push(party.read(packet));
      }
      loop.stop();
      return { received };
    });
  }

  triesToTheEnd(index: number): Body {
    return this.#bodies.at(index, async (party, _, self) => {
      const loop = party.loop();
      const received: number[] = [];
      const run = deeply(self);
      await new Promise<void>((resolve) => {
        loop.drain(DRAINING, () => {
          const packet = run(() => loop.mailbox.tryReceive());
          if (packet !== undefined) received.push(party.read(packet));
          else if (loop.mailbox.ended) resolve();
        });
      });
      loop.stop();
      return { received };
    });
  }

  /** Sends one packet to each executor, again to those in `full`; to none if it throws. */
  broadcasts(index: number, to: readonly number[], message: number): Body {
    const { tryBroadcast } = this.#module.ExecutorGroup.prototype;
    return this.#bodies.at(index, (party, _, self) => {
      let senders = to.map((executor) => party.ends.sender(executor));
      const packet = party.packet(message);
      while (senders.length > 0) {
        const group = { pool: party.pool, senders } as unknown as ExecutorGroup;
        const { sent, full } = deeply(self)(() => tryBroadcast.call(group, packet));
        if (sent.length === 0) throw new Error('it reached none, and did not throw');
        senders = full.map((index) => senders[index]);
      }
      packet.release();
      return undefined;
    });
  }
}

/** Awaits a call until it has neither thrown nor rejected because the stack was full. */
async function insistently(call: () => Promise<Packet | undefined>): Promise<Packet | undefined> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isStackFull(error)) throw error;
    }
  }
}

/** As executor-slot.ts recovers, each call deeply: what throws is done again. */
function recovering(module: GroupModule): Case<ExecutorShared> {
  const bodies = new Bodies(module);
  const item = executors(
    module,
    'exception: recovering an executor that died',
    1,
    1,
    {
      executor: bodies.at(0, (party) => {
        party.send(1, 32);
      }),
    },
    { ...ONCE, kills: 1, deaths: 'calls' },
    {
      killable: ['executor'],
      prepares: ['executor', 'supervisor'],
      supervisor: (shared, _dead, self) => {
        const pool = module.BufferPool.attach(shared.handle);
        const gauges = new module.Gauges(shared.gauges, 0, 0);
        self.begin();
        const run = deeply(self);
        const { badge } = gauges;
        if (badge !== 0 && run(() => pool.declareBadgeExited(badge))) {
          run(() => pool.reclaimBadge(badge));
        }
        const { inbound, outbound } = shared.plans[0];
        for (const handle of [...inbound, ...outbound]) {
          if (handle === undefined) continue;
          const lane = module.PacketChannel.attach(pool, handle);
          run(() => lane.recover());
          run(() => lane.destroy());
        }
      },
      check: (shared, { killed }) => {
        if (killed.length > 0) checkAllFree(shared);
      },
    },
  );
  return { ...item, quick: { ...item.quick, states: 40_000 } };
}
