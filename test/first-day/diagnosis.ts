// SPDX-License-Identifier: MIT
/** What goes wrong in programs, and who says so: a leak, a double release, exhaustion, a hang. */
import { ExecutorGroup } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

export async function diagnose(): Promise<{
  released: unknown;
  exhausted: unknown;
  stopped: Awaited<ReturnType<ExecutorGroup['stop']>>;
  closed: ReturnType<BufferPool['close']>;
}> {
  const shape = { bufferSize: 256, bufferCount: 8, batchSize: 1, maxThreads: 4 };
  const pool = BufferPool.create({ ...shape, trackLeaks: true });
  const catching = (call: () => unknown): Promise<unknown> =>
    Promise.resolve()
      .then(call)
      .catch((error: unknown) => error);

  const once = await Packet.from(pool, 'released twice');
  once.release();
  const released = await catching(() => once.release());

  const all: Packet[] = [];
  for (let each = Packet.tryFrom(pool, 'held'); each; each = Packet.tryFrom(pool, 'held')) {
    all.push(each);
  }
  const exhausted = await catching(() => Packet.from(pool, 'one more', { timeoutMs: 1 }));
  for (const packet of all) packet.release();

  const handler = '(packet) => { host.trySend(packet); for (;;); }';
  const hanging = `export const run = ({ mailbox, host }) => mailbox.handle(${handler})`;
  const module = `data:text/javascript,${encodeURIComponent(hanging)}`;
  const group = await ExecutorGroup.start({ pool, module, count: 1 });
  await group.sendTo(0, await Packet.from(pool, 'sent back, and never done'));
  (await group.mailbox.receive())?.release();
  const stopped = await group.stop({ deadlineMs: 100 });

  (await Packet.from(pool, 'leaked')).clone();
  return { released, exhausted, stopped, closed: pool.close() };
}
