// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { die } from '../../test/simulated-death.ts';
import { turn } from '../../test/turns.ts';
import type { BusbarError } from '../base/errors.ts';
import { WordChannel } from '../channel/index.ts';
import { BufferPool } from './index.ts';
import { WaitLine } from './wait-line.ts';

const shape = { bufferSize: 64, bufferCount: 1, maxThreads: 4 };

test.each(['by one signal', 'last first', 'first first'])(
  '10 000 receives are given up %s, and the next message goes to who asks next',
  async (order) => {
    const pool = BufferPool.create(shape);
    const channel = WordChannel.create(pool, { kind: 'mpmc', capacity: 2 });
    const receiver = channel.receiver();
    const one = new AbortController();
    const aborters = Array.from({ length: 10_000 }, () =>
      order === 'by one signal' ? one : new AbortController(),
    );
    let refused = 0;
    const waits = aborters.map(({ signal }) =>
      receiver.receive({ signal }).catch((error) => {
        // Not by expect, which takes longer than the wait.
        if (error === signal.reason) refused++;
      }),
    );
    if (order === 'last first') aborters.reverse();
    for (const aborter of aborters) aborter.abort();
    await Promise.all(waits);
    expect(refused).toBe(aborters.length);
    expect(channel.sender().trySend(7)).toBe(true);
    expect(await receiver.receive()).toBe(7);
    pool.close();
  },
);

test.each(['receiveSync', 'receive', 'receive, aborted'] as const)(
  '%s: waits that are over before a tick learn that the last sender has died',
  async (way) => {
    const pool = BufferPool.create(shape);
    const other = BufferPool.attach(pool.handle);
    const channel = WordChannel.create(pool, { kind: 'spsc', capacity: 2 });
    const receiver = channel.receiver();
    WordChannel.attach(other, channel.handle).sender().trySend(7);
    expect(receiver.tryReceive()).toBe(7);
    const receiveAborted = async (): Promise<void> => {
      const aborter = new AbortController();
      const receiving = receiver.receive({ signal: aborter.signal });
      aborter.abort('given up');
      await receiving.catch((error) => {
        if (error !== 'given up') throw error;
      });
      await turn();
    };
    // While it lives, a wait that is aborted says just that.
    await receiveAborted();
    die(other);
    const wait = async (): Promise<void> => {
      // An aborted wait takes next to no time, and a look at the clock comes before a proof.
      const rounds = way === 'receive, aborted' ? 100_000 : 1000;
      for (let i = 0; i < rounds; i++) {
        if (way === 'receiveSync') {
          try {
            receiver.receiveSync(1);
          } catch (error) {
            ignoreTimeout(error);
          }
        } else if (way === 'receive, aborted') await receiveAborted();
        else await receiver.receive({ timeoutMs: 1 }).catch(ignoreTimeout);
      }
    };
    await expect(wait()).rejects.toMatchObject({ code: 'ERR_BUSBAR_CHANNEL_PEER_DIED' });
    // So do all later ones.
    await expect(receiver.receive()).rejects.toMatchObject({
      code: 'ERR_BUSBAR_CHANNEL_PEER_DIED',
    });
  },
);

function ignoreTimeout(error: unknown): void {
  if ((error as BusbarError).code !== 'ERR_BUSBAR_TIMEOUT') throw error;
}

test('a caller whose wait cannot be ended keeps its success, and the line goes on', async () => {
  const pool = BufferPool.create(shape);
  let rings = 0;
  const line = new WaitLine({
    pool,
    mayOvertake: false,
    setWaiting: () => {},
    armRing: () => {
      rings++;
      return true;
    },
    checkPeers: () => {},
  });
  const broken = new AbortController();
  broken.signal.removeEventListener = () => {
    throw new Error('no more stack');
  };
  let open = false;
  const first = line.until(() => open, { signal: broken.signal }, 'first');
  let served = 0;
  const second = line.until(() => open && served++ === 0, undefined, 'second');
  expect(rings).toBe(2);
  open = true;
  line.pump();
  await first;
  await second;
  expect(line.isEmpty).toBe(true);
  pool.close();
});
