// SPDX-License-Identifier: MIT
import { ExecutorGroup } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { moduleUrl } from './company.ts';

const module = moduleUrl('async-handler');

function setUp() {
  return BufferPool.create({ bufferSize: 64, bufferCount: 256, maxThreads: 4 });
}

test('an async handler: in order, or many at once if asked; a stop waits for it', async () => {
  for (const concurrency of [1, 4]) {
    const pool = setUp();
    const group = await ExecutorGroup.start({ pool, module, count: 1, data: { concurrency } });
    for (let i = 0; i < 50; i++) {
      await group.sendTo(0, Packet.tryFrom(pool, `${i}`) as Packet);
    }
    expect(await group.stop()).toMatchObject({ handled: 50, dropped: 0 });
    const got: string[] = [];
    for await (const packet of group.mailbox) {
      got.push(packet.toString());
      packet.release();
    }
    const most = Math.max(...got.map((text) => Number(text.split(' ')[1])));
    expect([got.length, most]).toEqual([50, concurrency]);
    if (concurrency === 1) expect(got).toEqual(Array.from({ length: 50 }, (_, i) => `${i} 1`));
    pool.detach();
  }
});

test('an async handler that rejects ends its thread, as one that throws', async () => {
  const pool = setUp();
  const group = await ExecutorGroup.start({ pool, module, count: 1, data: { concurrency: 1 } });
  const closed = expect(group.closed).rejects.toMatchObject({
    code: 'ERR_BUSBAR_EXECUTOR_CRASHED',
    cause: expect.objectContaining({ message: 'bad' }),
  });
  await group.sendTo(0, Packet.tryFrom(pool, 'throw') as Packet);
  await closed;
  await group.stop();
  pool.detach();
});
