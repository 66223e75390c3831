// SPDX-License-Identifier: MIT
/** Example broker: the module of each executor, which is one broker of several. */

import { BroadcastChannel } from 'node:worker_threads';
import { executorPeers } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';
import { type SharedPlace, SharedPort } from 'busbar/link';
import { Monitor } from 'busbar/metrics';
import { SeqLock } from 'busbar/sync';
import { Board } from './board.ts';
import { Broker } from './broker.ts';
import type { Done, ExecutorData, Message } from './executor-messages.ts';

/** How often it writes what it does, at most; and for each client, which costs half a µs. */
const FIGURES_MS = 500;
const CLIENT_FIGURES_MS = 0.5;

/** Starts the broker; resolves when it lets clients in. */
export async function run(context: ExecutorContext): Promise<void> {
  const { options, board, figures, serverId, port } = context.data as ExecutorData;
  const { pool, index } = context;
  const peers = executorPeers(context);
  const seat = { pool, peers, board: new Board(board), serverId, port: port.port };
  const broker = new Broker(options, seat);
  const channel = new BroadcastChannel(serverId);
  let place: SharedPlace | undefined;

  const obey = async (message: Message): Promise<void> => {
    if (message.kind === 'lost') broker.mesh.lost(message.index, message.epoch);
    // The host repeats its orders when an executor has started.
    if (message.kind === 'lost' || message.kind === 'done' || place === undefined) return;
    if (message.kind === 'retire') await broker.retire();
    if (message.kind === 'drain') await broker.drain();
    const done: Done = { kind: 'done', id: message.id, from: index, place, stats: broker.stats() };
    channel.postMessage(done);
  };
  channel.onmessage = (event) => void obey((event as { data: Message }).data);
  // Never closed: an order may be carried out after the group has stopped waiting for it.
  channel.unref();

  context.defer(() => broker.destroy());
  place = await broker.listen(() => SharedPort.placeOf(port));
  const monitor = new Monitor();
  broker.watch(monitor);
  const lock = SeqLock.attach(pool, figures[index]);
  let timer: NodeJS.Timeout | undefined;
  const write = (): void => {
    monitor.tryWrite(lock);
    const ms = Math.max(FIGURES_MS, broker.connections.size * CLIENT_FIGURES_MS);
    timer = setTimeout(write, ms);
  };
  write();
  context.defer(() => clearTimeout(timer));
}
