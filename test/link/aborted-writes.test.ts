// SPDX-License-Identifier: MIT
/** Writes that wait for room and are aborted at any moment, that in which room comes included. */
import { LengthPrefixCodec } from 'busbar/framer';
import { LoopbackNetwork, TcpLink, TcpServer } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { until } from '../turns.ts';

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u32');
const COUNT = 1500;

function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

/** Waits for up to `steps` microtasks, or turns of the event loop. */
async function wait(steps: number, inTurns: boolean): Promise<void> {
  for (let i = 0; i < steps; i++) await (inTurns ? new Promise(setImmediate) : undefined);
}

test.each(['TCP', 'loopback'])(
  '%s: what was aborted never leaves, and all else does',
  async (how) => {
    for (const seed of [1, 2, 3]) {
      const random = randomFrom(seed);
      const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 48, maxThreads: 1 });
      const got: number[] = [];
      const options = {
        codec,
        handler: () => ({
          onFrame(offset: number) {
            got.push(pool.view.getUint32(offset));
          },
        }),
      };
      const network = new LoopbackNetwork({ seed, delayMs: [0, 1] });
      const far =
        how === 'TCP' ? await TcpServer.listen(pool, options) : await network.listen(pool, options);
      const mine = { codec, port: far.port, highWaterBytes: 2048 };
      const near =
        how === 'TCP' ? await TcpLink.connect(pool, mine) : await network.connect(pool, mine);
      await until(() => far.links.size > 0);
      const [accepted] = far.links;
      const written: number[] = [];
      const aborted: number[] = [];
      const all: Promise<void>[] = [];
      for (let n = 0; n < COUNT; n++) {
        if (random(40) === 0) accepted?.pause();
        if (random(10) === 0) accepted?.resume();
        const payload = new Uint8Array(4 + random(900));
        new DataView(payload.buffer).setUint32(0, n);
        const ending = new AbortController();
        const steps = random(12);
        const inTurns = random(3) === 0;
        const writing = near
          .write(payload, random(4) === 0 ? {} : { signal: ending.signal })
          .then(() => void written.push(n))
          .catch((error: unknown) => {
            expect(error).toBe(ending.signal.reason);
            aborted.push(n);
          });
        all.push(writing);
        void wait(steps, inTurns).then(() => ending.abort(new Error('enough')));
        if (random(3) === 0) await wait(random(5), random(2) === 0);
      }
      accepted?.resume();
      await Promise.all(all);
      await near.close();
      await until(() => far.links.size === 0);
      expect(written.length + aborted.length, `seed ${seed}`).toBe(COUNT);
      expect(Math.min(written.length, aborted.length), `seed ${seed}`).toBeGreaterThan(50);
      expect(got, `seed ${seed}`).toEqual(written.toSorted((one, other) => one - other));
      await far.close();
      expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
    }
  },
);
