// SPDX-License-Identifier: MIT
/**
 * What a stream says, with random changes, to a bus: it is followed, counted as stray or refused by
 * a code; no buffer is lost. `BUSBAR_SEED=n` begins with another seed.
 */
import { BusbarError } from 'busbar/errors';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { expect, test } from 'vitest';
import { Random } from '../../../src/base/random.ts';
import { Bus } from '../../../src/bus/bus.ts';
import { OWN_MIN } from '../../../src/bus/peer/peer-layout.ts';
import { type PeerStream, StreamGroup } from '../../../src/bus/peer/stream-group.ts';
import { FRAMES } from '../../../src/bus/peer/stream-layout.ts';
import { expectAllHome } from '../../pool-expectations.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? 11);
const ROUNDS = 200;

/** One end of a stream: a bus with a pool of its own, and the bytes that it has written. */
class End {
  readonly pool: BufferPool = BufferPool.create({ bufferSize: 1024, bufferCount: 32 });
  readonly bus: Bus;
  readonly stream: PeerStream;
  readonly wire: number[] = [];
  #writesToEnd = 0;
  #isTaken = true;

  constructor(index: number) {
    const group = new StreamGroup(this.pool, index, 1, 2);
    this.bus = Bus.over(this.pool, group, { onError: () => {} });
    this.stream = group.open({
      bytesMax: 1024,
      tryWrite: (bytes, begin, end) => {
        if (--this.#writesToEnd === 0) {
          this.stream.close();
          return this.#isTaken;
        }
        this.wire.push(...bytes.subarray(begin, end));
        return true;
      },
    });
  }

  read(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const next = this.stream.read(bytes, at, bytes.length);
      // No buffer is free: a link would wait.
      if (next === at) return;
      at = next;
    }
  }

  /** The stream ends within that write from now on, which returns `isTaken`. */
  endAt(write: number, isTaken: boolean): void {
    this.#writesToEnd = write;
    this.#isTaken = isTaken;
  }

  end(): void {
    this.stream.close();
    this.bus.destroy();
  }
}

/** Bytes of a bus that does everything. */
async function transcript(): Promise<number[]> {
  const ends = [new End(0), new End(1)] as const;
  const [speaker, listener] = ends;
  const all: number[] = [];
  const pump = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
      const said = speaker.wire.splice(0);
      all.push(...said);
      listener.read(Uint8Array.from(said));
      speaker.read(Uint8Array.from(listener.wire.splice(0)));
    }
  };
  listener.bus.subscribe('a.*', () => {});
  listener.bus.subscribe('a.*', { queue: 'q' }, (message) => {
    if (message.reply !== undefined) message.tryRespond('yes');
  });
  await pump();
  const own = speaker.bus.subscribe('b', () => {});
  speaker.bus.tryPublish('a.b', 'text', { headers: { A: 'b' }, reply: 'c.d' });
  speaker.bus.tryPublish('a.c', Packet.tryFrom(speaker.pool, 'packet') as Packet);
  const asked = speaker.bus.request('a.d', 'x'.repeat(1000));
  await pump();
  (await asked).release();
  own.close();
  const flushed = speaker.bus.flush();
  await pump();
  await flushed;
  speaker.bus.close();
  await pump();
  for (const each of ends) each.end();
  for (const { pool } of ends) expectAllHome(pool);
  return all;
}

test(`${ROUNDS} streams with random changes do no harm (from seed ${SEED})`, async () => {
  const honest = Uint8Array.from(await transcript());
  const ends = { whole: 0, refused: 0, stray: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const random = new Random(SEED * 1000 + round);
    const bytes = honest.slice();
    const words = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
    for (let i = random.below(4); i > 0; i--) {
      // After the greeting.
      const at = 3 + random.below(words.length - 3);
      const extreme = [0, -1, 1, 2 ** 31 - 1, -(2 ** 31), 1024, words[at] + 1, words[at] - 4];
      if (random.below(2) === 0) words[at] = extreme[random.below(extreme.length)] as number;
      else bytes[at * 4 + random.below(4)] = random.below(256);
    }
    const victim = new End(1);
    victim.bus.subscribe('a.>', () => {});
    victim.bus.subscribe('a.*', { queue: 'q' }, async () => {});
    let isRefused = false;
    try {
      victim.read(bytes);
    } catch (error) {
      isRefused = true;
      expect(error, `seed ${SEED}, round ${round}`).toBeInstanceOf(BusbarError);
      expect(error).toMatchObject({ code: 'ERR_BUSBAR_FRAME_MALFORMED' });
    }
    if (isRefused) ends.refused++;
    else if (victim.bus.stats().strays > 0) ends.stray++;
    else ends.whole++;
    for (let i = 0; i < 10; i++) await Promise.resolve();
    victim.bus.tryPublish('a.b', 'still here');
    for (let i = 0; i < 10; i++) await Promise.resolve();
    victim.end();
    for (let i = 0; i < 10; i++) await Promise.resolve();
    expectAllHome(victim.pool);
  }
  // Whatever the seed, a quarter of them is not changed.
  expect(ends.whole).toBeGreaterThan(0);
  expect(ends.whole + ends.refused + ends.stray).toBe(ROUNDS);
});

test('a stream that ends within any write gives back each buffer once', async () => {
  for (const isTaken of [true, false]) {
    for (let last = 1; last < 24; last++) {
      const ends = [new End(0), new End(1)] as const;
      const [speaker, listener] = ends;
      listener.bus.subscribe('a', () => {});
      for (let i = 0; i < 20; i++) {
        await Promise.resolve();
        listener.read(Uint8Array.from(speaker.wire.splice(0)));
        speaker.read(Uint8Array.from(listener.wire.splice(0)));
      }
      speaker.endAt(last, isTaken);
      for (let i = 0; i < 4; i++) {
        const packet = Packet.tryFrom(speaker.pool, 'x'.repeat(40)) as Packet;
        if (!speaker.bus.tryPublish('a', packet)) packet.release();
        speaker.bus.tryPublish('a', 'text');
        await Promise.resolve();
      }
      for (const each of ends) each.end();
      await new Promise(setImmediate);
      for (const { pool } of ends) expectAllHome(pool);
    }
  }
});

test('a region of own messages is a stray, and the stream goes on', async () => {
  const ends = [new End(0), new End(1)] as const;
  const [speaker, listener] = ends;
  const got: string[] = [];
  listener.bus.subscribe('a', (message) => void got.push(message.text()));
  const pump = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
      listener.read(Uint8Array.from(speaker.wire.splice(0)));
      speaker.read(Uint8Array.from(listener.wire.splice(0)));
    }
  };
  await pump();
  listener.read(Uint8Array.from([FRAMES, 0, 0, 0, 4, 0, 0, 0, OWN_MIN, 0, 0, 0]));
  expect(listener.bus.stats().strays).toBe(1);
  speaker.bus.tryPublish('a', 'still here');
  await pump();
  expect(got).toEqual(['still here']);
  for (const each of ends) each.end();
  for (const { pool } of ends) expectAllHome(pool);
});
