// SPDX-License-Identifier: MIT
/** Example broker: the module of each executor, which is one broker of several. */

import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutorContext } from 'busbar/executor';
import { listenReusePort } from 'busbar/native';
import { Board } from './board.ts';
import { Broker, type ListenPlace } from './broker.ts';
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
  const { options, board, serverId, host, port, sharesPort } = context.data as ExecutorData;
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
    } else if (message.kind === 'stats') {
      say({ kind: 'stats', id: message.id, stats: { ...broker?.stats() } });
    } else if (message.kind === 'retire') {
      await broker?.retire();
      say({ kind: 'retired' });
    } else {
      await broker?.drain();
      say({ kind: 'drained' });
    }
  };

  const begin = async (): Promise<void> => {
    const path = sharesPort ? undefined : privatePath();
    const place = (): ListenPlace =>
      path === undefined ? { fd: listenReusePort({ host, port }).fd } : { path };
    try {
      broker = Broker.prepare(options, { pool, peers, serverId, port });
      await broker.listen(place);
      say({ kind: 'listening', path });
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

/** A path that only the host knows. */
function privatePath(): string {
  const name = `busbar-${process.pid}-${randomBytes(6).toString('hex')}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}
