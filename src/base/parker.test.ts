// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Parker, unpark } from './parker.ts';

/** A word, a parker on it, and a promise for its n-th ring. */
class Bell {
  readonly words: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(8));
  rings = 0;
  readonly #waiting: { count: number; resolve: () => void }[] = [];
  readonly parker: Parker = new Parker(this.words, 0, () => {
    this.rings++;
    for (const { count, resolve } of this.#waiting) if (this.rings >= count) resolve();
  });

  ring(): void {
    unpark(this.words, 0);
  }

  rung(count: number): Promise<void> {
    if (this.rings >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }
}

/** Lets every microtask and every message that is already under way arrive. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('every ring reaches a listener, and none comes unasked', async () => {
  const bell = new Bell();
  bell.parker.listen();
  await settle();
  expect(bell.rings).toBe(0);
  for (let i = 1; i <= 20; i++) {
    bell.ring();
    await bell.rung(i);
  }
  await settle();
  expect(bell.rings).toBe(20);
  bell.parker.close();
});

test('rings between two turns are one ring', async () => {
  const bell = new Bell();
  bell.parker.listen();
  bell.ring();
  bell.ring();
  bell.ring();
  await bell.rung(1);
  await settle();
  expect(bell.rings).toBe(1);
  bell.parker.close();
});

test('a ring that came before anybody listened is not lost', async () => {
  const bell = new Bell();
  bell.ring();
  bell.parker.listen();
  await bell.rung(1);
  bell.parker.close();
});

test('a ring from inside the callback is heard after it', async () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  let rings = 0;
  let done = (): void => {};
  const third = new Promise<void>((resolve) => {
    done = resolve;
  });
  const parker = new Parker(words, 0, () => {
    if (++rings < 3) unpark(words, 0);
    else done();
  });
  parker.listen();
  unpark(words, 0);
  await third;
  parker.close();
});

test('a blocking park returns at once when a ring came before, and only once', () => {
  const bell = new Bell();
  bell.ring();
  bell.parker.parkSync(Infinity);
  bell.parker.parkSync(0);
  expect(bell.words[0]).toBe(0);
  expect(bell.rings).toBe(0);
});

test('a listener still hears rings after its thread has blocked and timed out', async () => {
  const bell = new Bell();
  bell.parker.listen();
  bell.parker.parkSync(0);
  bell.ring();
  await bell.rung(1);
  bell.parker.parkSync(0);
  bell.ring();
  await bell.rung(2);
  bell.parker.close();
});

test('a ring in the midst of a park is not lost to the listener', async () => {
  // parkSync() takes the ring down with one access and begins to listen again with the next. The
  // stand-in rings between the two, as another thread may.
  const bell = new Bell();
  bell.parker.listen();
  const real = globalThis.Atomics;
  const stand = Object.create(real) as typeof Atomics;
  stand.exchange = (array, index, value) => {
    const before = real.exchange(array as Int32Array, index, value as number) as never;
    globalThis.Atomics = real;
    bell.ring();
    return before;
  };
  globalThis.Atomics = stand;
  bell.parker.parkSync(0);
  expect(globalThis.Atomics).toBe(real);
  await settle();
  expect(bell.rings).toBe(1);
  bell.ring();
  await settle();
  expect(bell.rings).toBe(2);
  bell.parker.close();
});

test('a closed parker hears nothing and leaves the word empty for the next', async () => {
  const bell = new Bell();
  bell.parker.listen();
  bell.ring();
  bell.parker.close();
  bell.parker.close();
  await settle();
  expect(bell.rings).toBe(0);
  expect(bell.words[0]).toBe(0);
  let heard = 0;
  const next = new Parker(bell.words, 0, () => heard++);
  next.listen();
  unpark(bell.words, 0);
  await settle();
  expect([heard, bell.rings]).toEqual([1, 0]);
  next.close();
});

test('listening twice does not ring twice', async () => {
  const bell = new Bell();
  bell.parker.listen();
  bell.parker.listen();
  bell.ring();
  await bell.rung(1);
  await settle();
  expect(bell.rings).toBe(1);
  bell.parker.close();
});

test('a ring that a listener swallows by blocking is heard all the same', async () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  let rings = 0;
  const parker: Parker = new Parker(words, 0, () => {
    rings++;
    if (rings > 1) return;
    unpark(words, 0); // for somebody else on this thread, while this listener blocks
    parker.parkSync(1000);
  });
  parker.listen();
  unpark(words, 0);
  await settle();
  expect(rings).toBe(2);
  parker.close();
});
