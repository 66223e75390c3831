// SPDX-License-Identifier: MIT
/** Model checker: senders of a group that die: an executor that sends, a host in a broadcast. */

import type { ModelOptions, ModelThread, Outcome, Scenario } from 'busbar/testing';
import type { ExecutorGroup } from '../../src/executor/executor-group.ts';
import type { BufferId } from '../../src/pool/index.ts';
import { checkMessages, type Told } from './channel-words.ts';
import type { Case, Part } from './coverage.ts';
import type { GroupModule } from './executor-exceptions.ts';
import { Bodies, type Counted, type ExecutorShared, executors } from './executor-scenarios.ts';
import { checkAllFree } from './pool-words.ts';

type Supervisor = NonNullable<Scenario<ExecutorShared>['supervisor']>;

const ONE: ModelOptions = { kills: 1, deaths: 'calls', preemptions: 0, states: 20_000 };

export function executorDeathParts(module: GroupModule): Part<ExecutorShared>[] {
  return [
    {
      name: 'executors: deaths of senders',
      operations: 'sends over lanes, tryBroadcast, reclaim by BADGE, recover, close',
      cases: [sendingCase(module), broadcastCase(module)],
    },
  ];
}

/** What it was told is sent arrives; the host learns that no more can come. */
function sendingCase(module: GroupModule): Case<ExecutorShared> {
  const bodies = new Bodies(module);
  return executors(
    module,
    'death: an executor that sends',
    1,
    1,
    {
      host: bodies.at(1, async (party) => {
        const loop = party.loop();
        const received: number[] = [];
        for (;;) {
          const packet = await loop.mailbox.receive();
          if (packet === undefined) break;
          received.push(party.read(packet));
        }
        loop.stop();
        return { received };
      }),
      executor: bodies.at(0, (party, _, self) => {
        const sent = [16, 17].filter((message) => {
          const isSent = party.send(1, message);
          if (isSent) self.publish(message);
          return isSent;
        });
        party.ends.closeSenders();
        return { sent };
      }),
    },
    ONE,
    {
      killable: ['executor'],
      prepares: ['host', 'executor', 'supervisor'],
      supervisor: (shared, { published }, self): Told => {
        buries(module, shared, 0, 1, self);
        return { sent: published as number[] };
      },
      check: (shared, outcome: Outcome) => {
        checkMessages(outcome, false);
        checkAllFree(shared);
      },
    },
  );
}

/** Each executor gets the packet once, or not at all. */
function broadcastCase(module: GroupModule): Case<ExecutorShared> {
  const bodies = new Bodies(module);
  const { tryBroadcast } = module.ExecutorGroup.prototype;
  const supervisor: Supervisor = (shared, _dead, self) => buries(module, shared, 2, 2, self);
  return executors(
    module,
    'death: a host in a broadcast',
    2,
    1,
    {
      host: bodies.at(2, (party) => {
        const senders = [0, 1].map((executor) => party.ends.sender(executor));
        const packet = party.packet(16);
        tryBroadcast.call({ pool: party.pool, senders } as unknown as ExecutorGroup, packet);
        packet.release();
        for (const sender of senders) sender.close();
      }),
      executor: bodies.handlesAllOf(0, 2),
      other: bodies.handlesAllOf(1, 2),
    },
    ONE,
    {
      killable: ['host'],
      prepares: ['host', 'executor', 'other', 'supervisor'],
      supervisor,
      check: (shared, { results, killed }) => {
        for (const name of ['executor', 'other']) {
          const { received = [] } = results[name] as Counted;
          const isRight = String(received) === '16' || (killed.length > 0 && received.length === 0);
          if (!isRight) throw new Error(`${name} received ${received}`);
        }
        checkAllFree(shared);
      },
    },
  );
}

/** Reclaims the thread at a place, recovers its lanes, and closes those on which it sent. */
function buries(
  module: GroupModule,
  shared: ExecutorShared,
  place: number,
  host: number,
  self: ModelThread,
): void {
  const pool = module.BufferPool.attach(shared.handle);
  const { badge } = new module.Gauges(shared.gauges, place, 0);
  self.begin();
  let taken = new Int32Array(0);
  if (badge !== 0 && pool.declareBadgeExited(badge)) {
    pool.reclaimBadge(badge, (held) => {
      const ids = Array.from({ length: pool.bufferCount }, (_, id) => id);
      taken = Int32Array.from(ids.filter((id) => held(id) > 0));
      return taken;
    });
  }
  for (const id of taken) if (id >= 0) pool.release(id as BufferId);
  const { inbound, outbound } = shared.plans[place];
  for (const handle of [...inbound, ...outbound]) {
    if (handle !== undefined) module.PacketChannel.attach(pool, handle).recover();
  }
  for (const [to, handle] of outbound.entries()) {
    if (handle === undefined || (place !== host && to !== host)) continue;
    module.PacketChannel.attach(pool, handle).close();
  }
}
