// SPDX-License-Identifier: MIT
/** Example broker: the module of each executor, which is one broker of several. */

import { BroadcastChannel } from 'node:worker_threads';
import { executorPeers } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';
import { type SharedPlace, SharedPort } from 'busbar/link';
import { Board } from './board.ts';
import { Broker } from './broker.ts';
import type { Done, ExecutorData, Message } from './executor-messages.ts';
import { FIGURES_MS, writeFigures } from './figures.ts';

/** Starts the broker; resolves when it lets clients in. */
export async function run(context: ExecutorContext): Promise<void> {
  const { options, board, serverId, port } = context.data as ExecutorData;
  const { pool, index } = context;
  const peers = executorPeers(context);
  const seat = { pool, peers, board: new Board(board), serverId, port: port.port };
  const broker = Broker.prepare(options, seat);
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

  const figures = setInterval(() => writeFigures(context.counters, broker.stats()), FIGURES_MS);
  context.defer(() => clearInterval(figures));
  context.defer(() => broker.destroy());
  place = await broker.listen(() => SharedPort.placeOf(port));
}
