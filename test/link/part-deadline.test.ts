// SPDX-License-Identifier: MIT
/** A file of its own: the timer of all waits must begin with the virtual clock. */
import { LengthPrefixCodec } from 'busbar/framer';
import { LoopbackNetwork } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { expect, test, vi } from 'vitest';

const LARGE = { codec: () => new LengthPrefixCodec('u32'), maxFrameBytes: 2 ** 31 };

test('the deadline of a frame in parts is that of each part', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'clearTimeout'] });
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 32, maxThreads: 1 });
  const network = new LoopbackNetwork({ seed: 1, automatic: false });
  const seen: string[] = [];
  const server = await network.listen(pool, {
    ...LARGE,
    frameTimeoutMs: 1000,
    handler: () => ({
      onFramePart: (_offset, length) => void seen.push(`${length}`),
      onClose: (_link, error) => void seen.push(`${error?.code}`),
    }),
  });
  const peer = await network.connect(pool, {
    ...LARGE,
    port: server.port,
    handler: () => ({ onFrames() {} }),
  });
  peer.writer.tryWrite(Uint8Array.of(0, 0, 8, 0));
  await network.run();
  for (let i = 0; i < 10; i++) {
    peer.writer.tryWrite(new Uint8Array(10));
    await network.run();
    vi.advanceTimersByTime(800);
    await network.run();
  }
  expect(seen).toEqual(Array(10).fill('10'));
  vi.advanceTimersByTime(1000);
  await network.run();
  expect(seen.at(-1)).toBe('ERR_BUSBAR_TIMEOUT');
  vi.useRealTimers();
  peer.destroy();
  await server.close();
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
});
