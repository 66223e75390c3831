// SPDX-License-Identifier: MIT
/** Example broker: what each executor runs: one broker of several, with clients of its own. */

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
import { ExecutorPeers } from './executor-peers.ts';

/** Begins; goes on when the others have begun, too. */
export function run(context: ExecutorContext): void {
  const { options, board, laneCapacity, serverId, host, port, sharesPort } =
    context.data as ExecutorData;
  const { pool } = context;
  let broker: Broker | undefined;
  const peers = new ExecutorPeers(context, new Board(board), laneCapacity, (text) => {
    void obey(JSON.parse(text) as HostMessage);
  });

  const say = (message: ExecutorMessage): void => {
    // The host does not listen any more when the group has been stopped.
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
      // Somebody waits for the first one; a successor that cannot take the place crashes in turn.
      if (peers.epoch > 1) throw error;
      const { message, code } = error as NodeJS.ErrnoException;
      // The shim says in its message what the system said.
      say({ kind: 'failed', reason: message, code: /: (E[A-Z]+)$/.exec(message)?.[1] ?? code });
    }
  };

  context.defer(() => broker?.destroy());
  void begin();
}

/** Where only the host knows to find it. */
function privatePath(): string {
  const name = `busbar-${process.pid}-${randomBytes(6).toString('hex')}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}
