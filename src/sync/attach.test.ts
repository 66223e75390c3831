// SPDX-License-Identifier: MIT
/**
 * What a thread attaches to: any block that a primitive can have, and no other. Each refusal is of
 * a copy of a good block in which one word was changed.
 */
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { badgeOf, movedIn, movingIn } from '../pool/pool-layout.ts';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  Mutex,
  Once,
  ReadLock,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from './index.ts';
import {
  CLOSING,
  COUNT_MAX,
  DIED,
  DONE,
  ENTRIES_MAX,
  EPOCH_BITS,
  EPOCH_ONE,
  FAILED,
  OPEN,
  RUNNING,
} from './phase-layout.ts';
import { SNAPSHOT_WORDS_MAX } from './seq-lock-layout.ts';
import { SIGNALS_MAX } from './signal-tree-layout.ts';
import {
  DISABLED,
  HEADER_CHOICES,
  HEADER_KIND,
  HEADER_MAGIC,
  HEADER_POOL,
  HEADER_THREADS,
  HEADER_VERSION,
  HOLDER_MASK,
  ORPHANED,
  PERMITS_MASK,
  POISONED,
  STATE,
  WAITED,
} from './sync-layout.ts';

const THREADS = 4;
const shape = { bufferSize: 64, bufferCount: 2, maxThreads: THREADS };
const pool = BufferPool.create(shape);
const other = BufferPool.attach(pool.handle);

interface Handle {
  readonly control: SharedArrayBuffer;
}

interface Kind {
  readonly type: { attach(pool: BufferPool, handle: never): unknown };
  readonly create: () => { readonly handle: Handle };
  /** What each of the three words of options may be. */
  readonly choices: readonly ((value: number) => boolean)[];
  /** States that it can have, and cannot have. */
  readonly states: readonly number[];
  readonly others: readonly number[];
}

const isEither = (value: number) => value === 0 || value === 1;
const isNone = (value: number) => value === 0;
const within = (least: number, most: number) => (value: number) => value >= least && value <= most;
/** Of a thread in that slot. */
const badge = (slot: number) => badgeOf(slot, movedIn(movingIn(7)));

const HOLDERS = {
  states: [0, WAITED, badge(0), badge(THREADS - 1), badge(0) | WAITED, ORPHANED, POISONED, -1],
  // Of no slot, or greater than every badge.
  others: [badge(THREADS), badge(1023) | WAITED, 0x4000_0001, POISONED - 1, POISONED - 1023],
};

const KINDS: Readonly<Record<string, Kind>> = {
  Mutex: {
    type: Mutex,
    create: () => Mutex.create(pool, { order: 'fair' }),
    choices: [within(0, 2), isEither, isNone],
    ...HOLDERS,
  },
  RwLock: {
    type: RwLock,
    create: () => RwLock.create(pool),
    choices: [isEither, isNone, isNone],
    ...HOLDERS,
  },
  ReadLock: {
    type: ReadLock,
    create: () => RwLock.create(pool).readOnly,
    choices: [isEither, isNone, isNone],
    ...HOLDERS,
  },
  Semaphore: {
    type: Semaphore,
    create: () => Semaphore.create(pool, { permits: 3, max: 5, owned: true }),
    // With 3 permits.
    choices: [within(3, PERMITS_MASK), isEither, isNone],
    states: [0, 5, 5 | WAITED, 5 | DISABLED, WAITED | DISABLED],
    others: [6, 6 | WAITED, 6 | DISABLED, PERMITS_MASK, -1],
  },
  Event: {
    type: Event,
    create: () => Event.create(pool, { reset: 'auto' }),
    choices: [isEither, isNone, isNone],
    states: [0, 1, -1, WAITED, HOLDER_MASK],
    others: [],
  },
  WaitGroup: {
    type: WaitGroup,
    create: () => WaitGroup.create(pool),
    choices: [isNone, isNone, isNone],
    states: [OPEN, COUNT_MAX, EPOCH_BITS | COUNT_MAX, WAITED | DIED | EPOCH_ONE],
    others: [RUNNING, DONE, FAILED | 1, WAITED | DONE],
  },
  Countdown: {
    type: Countdown,
    create: () => Countdown.create(pool, 2),
    choices: [isNone, isNone, isNone],
    states: [1, COUNT_MAX | WAITED | DIED, RUNNING, RUNNING | WAITED, DONE, FAILED | DIED],
    others: [OPEN, WAITED, RUNNING | 1, DONE | 1, FAILED | COUNT_MAX, EPOCH_ONE | 1],
  },
  Barrier: {
    type: Barrier,
    create: () => Barrier.create(pool),
    choices: [isNone, isNone, isNone],
    states: [1, COUNT_MAX | WAITED | DIED, DONE, FAILED | DIED],
    others: [OPEN, WAITED, RUNNING, RUNNING | WAITED, DONE | 1, FAILED | 1, EPOCH_ONE | 1],
  },
  Gate: {
    type: Gate,
    create: () => Gate.create(pool, { batch: 9 }),
    choices: [within(1, ENTRIES_MAX + 1), isNone, isNone],
    states: [OPEN, ENTRIES_MAX, RUNNING | CLOSING | 3, RUNNING | 1, DONE | 9 | WAITED, DONE | DIED],
    others: [CLOSING, CLOSING | WAITED | 1, DONE | CLOSING, FAILED, FAILED | 1],
  },
  Once: {
    type: Once,
    create: () => Once.create(pool),
    choices: [isEither, isNone, isNone],
    states: [OPEN, RUNNING | WAITED, DONE, FAILED, OPEN | DIED | WAITED],
    others: [1, RUNNING | COUNT_MAX, DONE | EPOCH_ONE, FAILED | EPOCH_BITS],
  },
  SignalTree: {
    type: SignalTree,
    create: () => SignalTree.create(pool, { signals: 40 }),
    // Of one size.
    choices: [within(33, 1024), isNone, isNone],
    states: [0, WAITED],
    others: [1, WAITED | 1, HOLDER_MASK, -1],
  },
};

const bad = expect.objectContaining({ code: 'ERR_BUSBAR_BAD_HANDLE' });

/** The handle with a copy of its block in which one word has that value. */
function changed(handle: Handle, word: number, value: number): Handle {
  const control = handle.control.slice(0);
  new Int32Array(control)[word] = value;
  return { ...handle, control };
}

/** Whether a thread attaches; throws if that fails in any way but one. */
function isTaken(kind: Kind, handle: Handle): boolean {
  try {
    kind.type.attach(pool, handle as never);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_BUSBAR_BAD_HANDLE' });
    return false;
  }
}

const each = test.each(Object.entries(KINDS));

each('%s: a copy is taken; one with another header is not', (_, kind) => {
  const { handle } = kind.create();
  const words = new Int32Array(handle.control);
  expect(isTaken(kind, changed(handle, HEADER_MAGIC, words[HEADER_MAGIC]))).toBe(true);
  const header = [HEADER_MAGIC, HEADER_VERSION, HEADER_KIND, HEADER_THREADS];
  for (const word of [...header, HEADER_POOL, HEADER_POOL + 1]) {
    for (const value of [0, -1, words[word] + 1, words[word] - 1, 2 ** 31 - 1, WAITED]) {
      if (value === words[word]) continue;
      expect([word, value, isTaken(kind, changed(handle, word, value))]).toEqual([
        word,
        value,
        false,
      ]);
    }
  }
});

each('%s: options that no create() has written are refused', (_, kind) => {
  const { handle } = kind.create();
  const values = [-1, 0, 1, 2, 3, 4, 5, 33, 64, 65, COUNT_MAX, ENTRIES_MAX, SIGNALS_MAX];
  values.push(ENTRIES_MAX + 1, ENTRIES_MAX + 2, PERMITS_MASK, PERMITS_MASK + 1, WAITED);
  for (const [at, isPossible] of kind.choices.entries()) {
    for (const value of values) {
      const taken = isTaken(kind, changed(handle, HEADER_CHOICES + at, value));
      expect([at, value, taken]).toEqual([at, value, isPossible(value)]);
    }
  }
});

each('%s: a state that no thread can have left is refused, every other is taken', (_, kind) => {
  const { handle } = kind.create();
  const taken = (value: number) => isTaken(kind, changed(handle, STATE, value));
  expect(kind.states.filter((value) => !taken(value))).toEqual([]);
  expect(kind.others.filter(taken)).toEqual([]);
});

each('%s: a block that is too short or too long is refused', (_, kind) => {
  const { handle } = kind.create();
  for (const change of [-4, 4, -128, 128, -handle.control.byteLength]) {
    const control = new SharedArrayBuffer(handle.control.byteLength + change);
    const words = new Int32Array(control);
    words.set(new Int32Array(handle.control).subarray(0, words.length));
    expect([change, isTaken(kind, { ...handle, control })]).toEqual([change, false]);
  }
});

each('%s: a thread that has left its pool attaches to nothing', (_, kind) => {
  const { handle } = kind.create();
  const gone = BufferPool.attach(pool.handle);
  gone.detach();
  const detached = expect.objectContaining({ code: 'ERR_BUSBAR_DETACHED' });
  expect(() => kind.type.attach(gone, handle as never)).toThrow(detached);
});

test('what is refused is as it was: no seat is taken', () => {
  const { handle } = Mutex.create(pool);
  const forged = changed(handle, STATE, badge(THREADS));
  const before = new Int32Array(forged.control).slice();
  expect(() => Mutex.attach(pool, forged as never)).toThrow(bad);
  expect(new Int32Array(forged.control)).toEqual(before);
});

test('each option that can be given is taken by the next thread', () => {
  for (const order of ['barging', 'lifo', 'fair'] as const) {
    for (const onOwnerDeath of ['handOver', 'poison'] as const) {
      Mutex.attach(other, Mutex.create(pool, { order, onOwnerDeath }).handle);
      RwLock.attach(other, RwLock.create(pool, { onOwnerDeath }).handle);
    }
  }
  for (const [permits, max] of [
    [0, 1],
    [1, 1],
    [0, PERMITS_MASK],
    [PERMITS_MASK, PERMITS_MASK],
  ]) {
    const made = Semaphore.create(pool, { permits, max, owned: permits === 0 });
    expect(Semaphore.attach(other, made.handle).max).toBe(max);
  }
  for (const reset of ['manual', 'auto'] as const) {
    expect(Event.attach(other, Event.create(pool, { reset }).handle).resets).toBe(reset);
  }
  for (const options of [{}, { batch: 1 }, { batch: ENTRIES_MAX }]) {
    Gate.attach(other, Gate.create(pool, options).handle);
  }
  for (const onError of ['retry', 'poison'] as const) {
    Once.attach(other, Once.create(pool, { onError }).handle);
  }
  for (const signals of [1, 32, 33, 1024, 1025, SIGNALS_MAX]) {
    const { handle } = SignalTree.create(pool, { signals });
    expect(SignalTree.attach(other, handle).length).toBe(signals);
  }
  for (const count of [1, COUNT_MAX]) Countdown.attach(other, Countdown.create(pool, count).handle);
  for (const words of [1, 33, SNAPSHOT_WORDS_MAX]) {
    expect(SeqLock.attach(other, SeqLock.create(pool, { words }).handle).length).toBe(words);
  }
});

test('a seqlock: words of another size, another lock’s words or writers are refused', () => {
  const attach = (handle: object) => SeqLock.attach(other, handle as never);
  const { handle } = SeqLock.create(pool, { words: 4 });
  const twin = SeqLock.create(pool, { words: 4 });
  const data = (at: number, value: number): object => {
    const copy = handle.data.slice(0);
    new Int32Array(copy)[at] = value;
    return { ...handle, data: copy };
  };
  attach(data(2, 4));
  for (const [at, value] of [
    [0, 0],
    [1, 0],
    [1, 99],
    [2, 0],
    [2, -1],
    [2, 65],
    [2, 2 ** 30],
    [3, 0],
  ]) {
    expect(() => attach(data(at, value)), `${at}, ${value}`).toThrow(bad);
  }
  expect(() => attach({ ...handle, data: twin.handle.data })).toThrow(bad);
  expect(() => attach({ ...handle, writers: twin.handle.writers })).toThrow(bad);
  // A mutex that is of no seqlock, and words that claim to have none.
  const plain = Mutex.create(pool).handle;
  expect(() => attach({ ...data(3, 0), writers: plain })).toThrow(bad);
  const wrong = changed(handle.writers, STATE, badge(THREADS));
  expect(() => attach({ ...handle, writers: wrong })).toThrow(bad);
});

test('a signal tree: the bits of another are refused, of whatever size', () => {
  const { handle } = SignalTree.create(pool, { signals: 40 });
  for (const signals of [40, 41, 1, 2000]) {
    const { bits } = SignalTree.create(pool, { signals }).handle;
    expect(() => SignalTree.attach(other, { ...handle, bits }), `${signals}`).toThrow(bad);
  }
  const bits = new SharedArrayBuffer(handle.bits.byteLength);
  expect(() => SignalTree.attach(other, { ...handle, bits })).toThrow(bad);
  SignalTree.attach(other, handle).set(39);
});
