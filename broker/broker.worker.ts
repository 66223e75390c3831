// SPDX-License-Identifier: MIT
/** Example broker: the module of each executor, which is one broker of several. */

import type { ExecutorContext } from 'busbar/executor';
import { SharedPort } from 'busbar/link';
import { Board } from './board.ts';
import { Broker } from './broker.ts';
import {
  type ExecutorData,
  type ExecutorMessage,
  type HostMessage,
  sendText,
} from './executor-messages.ts';
import { FIGURES_MS, writeFigures } from './figures.ts';
import { peersOf } from './peers.ts';

/** Starts the broker, and joins it to the others once they have started. */
export function run(context: ExecutorContext): void {
  const { options, board, serverId, port } = context.data as ExecutorData;
  const { pool } = context;
  let broker: Broker | undefined;
  const peers = peersOf(context, new Board(board), (text) => {
    void obey(JSON.parse(text) as HostMessage);
  });

  const say = (message: ExecutorMessage): void => {
    // Once the group is stopped, the host no longer receives.
    sendText(pool, (packet) => context.host.send(packet), message).catch(() => {});
  };

  const obey = async (message: HostMessage): Promise<void> => {
    if (message.kind === 'lost') {
      broker?.mesh.lost(message.index, message.epoch);
      return;
    }
    if (message.kind === 'retire') await broker?.retire();
    if (message.kind === 'drain') await broker?.drain();
    say({ kind: 'done', id: message.id, stats: { ...broker?.stats() } });
  };

  const begin = async (): Promise<void> => {
    try {
      broker = Broker.prepare(options, { pool, peers, serverId, port: port.port });
      const place = await broker.listen(() => SharedPort.placeOf(port));
      say({ kind: 'listening', place });
    } catch (error) {
      // The host waits for the first executor; a successor that cannot start crashes in turn.
      if (peers.epoch > 1) throw error;
      const { message, code } = error as NodeJS.ErrnoException;
      // The shim's message contains the system's error code.
      say({ kind: 'failed', reason: message, code: /: (E[A-Z]+)$/.exec(message)?.[1] ?? code });
    }
  };

  const figures = setInterval(() => {
    if (broker !== undefined) writeFigures(context.counters, broker.stats());
  }, FIGURES_MS);
  context.defer(() => clearInterval(figures));
  context.defer(() => broker?.destroy());
  void begin();
}
