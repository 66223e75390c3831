// SPDX-License-Identifier: MIT
/** Example statsd: the module of each executor. Its own socket receives on the shared port. */

import type { ExecutorContext } from 'busbar/executor';
import { type UdpHandler, UdpLink, type UdpLinkOptions } from 'busbar/link';
import { Monitor } from 'busbar/metrics';
import { Packet } from 'busbar/packet';
import { SeqLock } from 'busbar/sync';
import type { ExecutorData } from './collector.ts';
import { Gatherer } from './gatherer.ts';
import { LineStreams } from './line-streams.ts';
import { readOrder, writeEnd, writeRecords } from './snapshot.ts';

/** Turns of the event loop, at most, to read what has arrived when the last interval ends. */
const LAST_TURNS_MAX = 10_000;
/** How often it writes for the host what its links do, in milliseconds. */
const FIGURES_MS = 500;

export async function run(context: ExecutorContext): Promise<void> {
  const { pool, mailbox, signal } = context;
  const data = context.data as ExecutorData;
  const { host, port, reusePort, datagramPath, receiveBytes, capacity, seed, places, figures } =
    data;
  const { bytes, view } = pool;
  const clock = (): number => performance.timeOrigin + performance.now();
  const gatherer = new Gatherer(capacity, seed, clock);
  const links: UdpLink[] = [];
  const monitor = new Monitor();
  const receive = async (name: string, options: UdpLinkOptions): Promise<void> => {
    const onMessage = (offset: number, length: number): void =>
      gatherer.take(bytes, offset, offset + length);
    const handler = (): UdpHandler => ({ onMessage });
    const link = await UdpLink.open(pool, { ...options, receiveBytes, handler });
    links.push(link);
    monitor.watch(name, link);
  };
  const close = async (): Promise<void> => {
    await Promise.all(links.map((link) => link.close()));
  };
  context.defer(close);
  await receive('udp', { host, port, reusePort });
  if (context.index === 0 && datagramPath !== undefined)
    await receive('datagrams', { path: datagramPath });
  const complain = (what: string): void => console.error(what);
  // One thread is enough for streams: a read of one returns many lines.
  const streams =
    context.index === 0 ? await LineStreams.open(places, gatherer, complain) : undefined;
  context.defer(() => streams?.destroy());
  streams?.watch(monitor);
  const lock = SeqLock.attach(pool, figures[context.index]);
  const timer = setInterval(() => monitor.tryWrite(lock), FIGURES_MS);
  context.defer(() => clearInterval(timer));
  let droppedBefore = 0;
  let flushed = Promise.resolve();

  /** Sends to the host what `fill` writes into a buffer; `fill` returns the end of it. */
  const tell = async (fill: (begin: number, end: number) => number): Promise<void> => {
    const bufferId = await pool.acquire({ signal });
    const begin = pool.offsetOf(bufferId);
    const length = fill(begin, begin + pool.bufferSize) - begin;
    const packet = Packet.wrap(pool, bufferId, begin, length);
    try {
      await context.host.send(packet);
    } catch (error) {
      packet.release();
      throw error;
    }
  };

  const flush = async (round: number, isLast: boolean): Promise<void> => {
    if (isLast) {
      await untilQuiet(links, gatherer);
      streams?.destroy();
      await close();
    }
    streams?.nextInterval();
    const { table, tally } = gatherer.next();
    const dropped = links.reduce((sum, link) => sum + link.stats().dropped, 0);
    tally.dropped = dropped - droppedBefore;
    droppedBefore = dropped;
    for (let slot = 0; slot < table.count; ) {
      await tell((begin, end) => {
        const written = writeRecords(view, bytes, begin, end, round, table, slot);
        slot = written.next;
        return written.end;
      });
    }
    table.clear();
    await tell((begin) => writeEnd(view, begin, round, tally));
  };

  mailbox.handleRegions((bufferId, offset) => {
    const { round, isLast } = readOrder(view, offset);
    pool.release(bufferId);
    flushed = flushed
      .then(() => flush(round, isLast))
      .catch((error) => {
        // Stopped during the flush: the host no longer receives.
        if (!signal.aborted) throw error;
      });
  });
}

/** Waits until everything that has arrived in the sockets is read. */
async function untilQuiet(links: readonly UdpLink[], { tally }: Gatherer): Promise<void> {
  const read = (): number =>
    links.reduce((sum, link) => sum + link.stats().datagramsRead, tally.lines + tally.streams);
  for (let turns = 0, quiet = 0; quiet < 3 && turns < LAST_TURNS_MAX; turns++) {
    const before = read();
    await new Promise(setImmediate);
    quiet = read() === before ? quiet + 1 : 0;
  }
}
