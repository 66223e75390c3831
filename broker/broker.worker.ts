// SPDX-License-Identifier: MIT
/**
 * Example broker: the module of each executor, which is one broker of several. Messages between
 * them and the host are rare, and on a BroadcastChannel, so that they arrive however full the pool
 * is.
 */

import { BroadcastChannel } from 'node:worker_threads';
import { executorPeers } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';
import { type SharedPlace, SharedPort, type SharedPortHandle } from 'busbar/link';
import { Monitor } from 'busbar/metrics';
import { SeqLock, type SeqLockHandle } from 'busbar/sync';
import { Board } from './board.ts';
import { Broker, type BrokerStats } from './broker.ts';
import type { ResolvedBrokerOptions } from './broker-options.ts';

/** How often it writes what it does, at most; and for each client, which costs half a µs. */
const FIGURES_MS = 500;
const CLIENT_FIGURES_MS = 0.5;

/** Start data of every executor. */
export interface ExecutorData {
  readonly options: ResolvedBrokerOptions;
  /** Memory of the board. */
  readonly board: SharedArrayBuffer;
  /** By executor, where it writes what it does. */
  readonly figures: readonly SeqLockHandle[];
  /** Also the name of the channel. */
  readonly serverId: string;
  readonly port: SharedPortHandle;
}

/** What an executor is asked to do before it replies. */
export interface Order {
  /** Nothing; to take no more clients and to close those it has; to stop in good order. */
  readonly kind: 'report' | 'retire' | 'drain';
  /** The reply has the same. */
  readonly id: number;
}

/** Executor `from` has carried out an order. */
export interface Done {
  readonly kind: 'done';
  readonly id: number;
  readonly from: number;
  /** Where it listens. */
  readonly place: SharedPlace;
  readonly stats: BrokerStats;
}

/** An executor has ended. */
export interface Lost {
  readonly kind: 'lost';
  readonly index: number;
  readonly epoch: number;
}

export type Message = Order | Done | Lost;

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
