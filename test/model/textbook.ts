// SPDX-License-Identifier: MIT
/**
 * Model checker: small well-known algorithms, each correct and with planted bugs, that show what
 * the checker finds.
 *
 * A planted bug is a string that the code asks for where it goes wrong: `bug === 'x' ? wrong :
 * right`.
 */

import type { Scenario } from 'busbar/testing';

/** Shared words of a textbook scenario. */
export interface Words {
  readonly words: Int32Array;
}

export interface TextbookCase {
  readonly name: string;
  /** Planted bugs and the kinds of failure that each may show as. */
  readonly bugs: Readonly<Record<string, readonly string[]>>;
  readonly kills?: number;
  scenario(bug: string): Scenario<Words>;
}

function makeWords(count: number): Words {
  return { words: new Int32Array(new SharedArrayBuffer(count * 4)) };
}

function expect(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/** Peterson's lock around a plain counter. Words: FLAG 0, FLAG 1, TURN, COUNTER. */
const peterson: TextbookCase = {
  name: "Peterson's lock",
  bugs: {
    'raises its flag after looking at the other': ['data race', 'assertion'],
    'forgets the turn': ['livelock'],
    'raises its flag with a plain store': ['data race'],
  },
  scenario(bug) {
    const enter = (words: Int32Array, me: number): void => {
      const other = 1 - me;
      const late = bug === 'raises its flag after looking at the other';
      if (bug === 'raises its flag with a plain store') words[me] = 1;
      else if (!late) Atomics.store(words, me, 1);
      if (bug !== 'forgets the turn') Atomics.store(words, 2, other);
      while (
        Atomics.load(words, other) === 1 &&
        (bug === 'forgets the turn' || Atomics.load(words, 2) === other)
      ) {}
      if (late) Atomics.store(words, me, 1);
    };
    const body = (me: number) => (shared: Words) => {
      const { words } = shared;
      for (let round = 0; round < 2; round++) {
        enter(words, me);
        words[3]++;
        Atomics.store(words, me, 0);
      }
    };
    return {
      name: this.name,
      setup: () => makeWords(4),
      threads: { a: body(0), b: body(1) },
      check: ({ words }) => expect(words[3] === 4, `the counter says ${words[3]}`),
    };
  },
};

/** A stack of three nodes. Words: HEAD (tag · 16 + node + 1), then NEXT and TAKEN of each node. */
const treiber: TextbookCase = {
  name: 'Treiber stack',
  bugs: {
    'has no tag (ABA)': ['assertion'],
    'pushes before it links': ['data race', 'assertion'],
    'pops with a store': ['data race', 'assertion'],
  },
  scenario(bug) {
    const tagged = bug !== 'has no tag (ABA)';
    const pop = (words: Int32Array): number => {
      for (;;) {
        const head = Atomics.load(words, 0);
        const node = (head & 15) - 1;
        if (node < 0) return -1;
        const next = Atomics.load(words, 1 + node);
        const tag = tagged ? (head >> 4) + 1 : 0;
        if (bug === 'pops with a store') {
          Atomics.store(words, 0, tag * 16 + next);
          return node;
        }
        if (Atomics.compareExchange(words, 0, head, tag * 16 + next) === head) return node;
      }
    };
    const push = (words: Int32Array, node: number): void => {
      for (;;) {
        const head = Atomics.load(words, 0);
        const tag = tagged ? (head >> 4) + 1 : 0;
        if (bug !== 'pushes before it links') Atomics.store(words, 1 + node, head & 15);
        const replaced = Atomics.compareExchange(words, 0, head, tag * 16 + node + 1);
        if (bug === 'pushes before it links') Atomics.store(words, 1 + node, head & 15);
        if (replaced === head) return;
      }
    };
    const hold = (words: Int32Array, node: number): number => {
      if (node >= 0) words[4 + node]++;
      return node;
    };
    const drop = (words: Int32Array, node: number): void => {
      if (node < 0) return;
      words[4 + node]--;
      push(words, node);
    };
    return {
      name: this.name,
      setup: () => {
        const shared = makeWords(7);
        shared.words.set([1, 2, 3, 0]);
        return shared;
      },
      threads: {
        a: ({ words }) => drop(words, hold(words, pop(words))),
        b: ({ words }) => {
          const first = hold(words, pop(words));
          const second = hold(words, pop(words));
          drop(words, first);
          drop(words, second);
        },
      },
      check: ({ words }) => {
        const seen = new Set<number>();
        for (let node = pop(words); node >= 0; node = pop(words)) {
          expect(!seen.has(node), `node ${node} is in the stack twice`);
          seen.add(node);
        }
        expect(seen.size === 3, `${seen.size} of 3 nodes are in the stack`);
        for (let node = 0; node < 3; node++) expect(words[4 + node] === 0, 'a node is held twice');
      },
    };
  },
};

/** One thread parks until the other has set a condition. Words: CONDITION, EPOCH. */
const eventCount: TextbookCase = {
  name: 'event count',
  bugs: {
    'reads the epoch after the condition': ['lost wake-up', 'deadlock'],
    'rings before it sets the condition': ['lost wake-up', 'deadlock'],
    'does not advance the epoch': ['lost wake-up', 'deadlock'],
    'does not notify': ['lost wake-up', 'deadlock'],
    'drops the store': ['deadlock'],
  },
  scenario(bug) {
    const ring = (words: Int32Array): void => {
      if (bug !== 'does not advance the epoch') Atomics.add(words, 1, 1);
      if (bug !== 'does not notify') Atomics.notify(words, 1);
    };
    return {
      name: this.name,
      setup: () => makeWords(2),
      threads: {
        sleeper: ({ words }) => {
          for (;;) {
            let epoch = Atomics.load(words, 1);
            if (Atomics.load(words, 0) === 1) return;
            if (bug === 'reads the epoch after the condition') epoch = Atomics.load(words, 1);
            Atomics.wait(words, 1, epoch);
          }
        },
        waker: ({ words }) => {
          if (bug === 'rings before it sets the condition') ring(words);
          if (bug !== 'drops the store') Atomics.store(words, 0, 1);
          if (bug !== 'rings before it sets the condition') ring(words);
        },
      },
    };
  },
};

/** A ring of two slots. Words: HEAD, TAIL, SLOT 0, SLOT 1. */
const spscRing: TextbookCase = {
  name: 'SPSC ring',
  bugs: {
    'publishes before it writes the slot': ['data race'],
    'frees before it reads the slot': ['data race'],
    'counts one slot too many': ['data race', 'assertion'],
    'publishes with a plain store': ['data race'],
  },
  scenario(bug) {
    const capacity = bug === 'counts one slot too many' ? 3 : 2;
    const trySend = (words: Int32Array, tail: number, value: number): boolean => {
      if (tail - Atomics.load(words, 0) === capacity) return false;
      const publish = (): void => {
        if (bug === 'publishes with a plain store') words[1] = tail + 1;
        else Atomics.store(words, 1, tail + 1);
      };
      if (bug === 'publishes before it writes the slot') publish();
      words[2 + (tail & 1)] = value;
      if (bug !== 'publishes before it writes the slot') publish();
      return true;
    };
    const tryReceive = (words: Int32Array, head: number): number => {
      if (Atomics.load(words, 1) === head) return -1;
      if (bug === 'frees before it reads the slot') Atomics.store(words, 0, head + 1);
      const value = words[2 + (head & 1)];
      Atomics.store(words, 0, head + 1);
      return value;
    };
    return {
      name: this.name,
      setup: () => makeWords(4),
      threads: {
        producer: ({ words }) => {
          for (let i = 0; i < 3; ) if (trySend(words, i, 100 + i)) i++;
        },
        consumer: ({ words }) => {
          for (let i = 0; i < 3; ) {
            const value = tryReceive(words, i);
            if (value < 0) continue;
            expect(value === 100 + i, `message ${i} is ${value}`);
            i++;
          }
        },
      },
    };
  },
};

/** Three owners read one object; the last to let go clears it. Words: COUNT, CONTENT, CLEARED. */
const refCount: TextbookCase = {
  name: 'reference count',
  bugs: {
    'decrements with a load and a store': ['assertion', 'data race'],
    'looks again whether it was the last': ['assertion', 'data race'],
    'clears at one': ['assertion', 'data race'],
  },
  scenario(bug) {
    const body = ({ words }: Words): void => {
      expect(words[1] === 9, 'the content is gone');
      let left: number;
      if (bug === 'decrements with a load and a store') {
        left = Atomics.load(words, 0) - 1;
        Atomics.store(words, 0, left);
      } else {
        left = Atomics.sub(words, 0, 1) - 1;
      }
      if (bug === 'looks again whether it was the last') left = Atomics.load(words, 0);
      if (left !== (bug === 'clears at one' ? 1 : 0)) return;
      words[1] = 0;
      words[2]++;
    };
    return {
      name: this.name,
      setup: () => {
        const shared = makeWords(3);
        shared.words.set([3, 9, 0]);
        return shared;
      },
      threads: { a: body, b: body, c: body },
      check: ({ words }) => expect(words[2] === 1, `cleared ${words[2]} times`),
    };
  },
};

/** The three-state futex mutex. Words: LOCK (0 free, 1 taken, 2 taken and awaited), COUNTER. */
const futex: TextbookCase = {
  name: 'futex mutex',
  bugs: {
    'unlocks without a notify': ['deadlock', 'lost wake-up'],
    'takes the lock as not awaited after a wait': ['deadlock', 'lost wake-up'],
    'takes the lock with a load and a store': ['data race', 'deadlock', 'assertion'],
  },
  scenario(bug) {
    const lock = (words: Int32Array): void => {
      if (bug === 'takes the lock with a load and a store') {
        if (Atomics.load(words, 0) === 0) {
          Atomics.store(words, 0, 1);
          return;
        }
      } else if (Atomics.compareExchange(words, 0, 0, 1) === 0) {
        return;
      }
      const mark = bug === 'takes the lock as not awaited after a wait' ? 1 : 2;
      if (Atomics.exchange(words, 0, 2) === 0) return;
      do Atomics.wait(words, 0, 2);
      while (Atomics.exchange(words, 0, mark) !== 0);
    };
    const unlock = (words: Int32Array): void => {
      if (Atomics.exchange(words, 0, 0) === 2 && bug !== 'unlocks without a notify') {
        Atomics.notify(words, 0, 1);
      }
    };
    const body = ({ words }: Words): void => {
      lock(words);
      words[1]++;
      unlock(words);
    };
    return {
      name: this.name,
      setup: () => makeWords(2),
      threads: { a: body, b: body, c: body },
      check: ({ words }) => expect(words[1] === 3, `the counter says ${words[1]}`),
    };
  },
};

/** A pair of words that readers must see together. Words: SEQUENCE, X, Y. */
const seqlock: TextbookCase = {
  name: 'seqlock',
  bugs: {
    'does not look again at the sequence': ['assertion'],
    'reads while a write is on': ['assertion'],
    'counts after the write only': ['assertion'],
  },
  scenario(bug) {
    return {
      name: this.name,
      setup: () => makeWords(3),
      threads: {
        writer: ({ words }) => {
          for (let i = 1; i <= 2; i++) {
            if (bug !== 'counts after the write only') Atomics.add(words, 0, 1);
            Atomics.store(words, 1, i);
            Atomics.store(words, 2, i);
            Atomics.add(words, 0, bug === 'counts after the write only' ? 2 : 1);
          }
        },
        reader: ({ words }) => {
          for (;;) {
            const before = Atomics.load(words, 0);
            if ((before & 1) === 1 && bug !== 'reads while a write is on') continue;
            const x = Atomics.load(words, 1);
            const y = Atomics.load(words, 2);
            const after = Atomics.load(words, 0);
            if (after !== before && bug !== 'does not look again at the sequence') continue;
            expect(x === y, `saw ${x} with ${y}`);
            return;
          }
        },
      },
    };
  },
};

/**
 * A bounded queue with a sequence number per cell. Words: HEAD, TAIL, then SEQUENCE and VALUE of
 * two cells.
 */
const mpmcQueue: TextbookCase = {
  name: 'MPMC queue',
  bugs: {
    'publishes before it writes the value': ['data race'],
    'claims a cell with a store': ['data race', 'assertion', 'livelock'],
    'hands the cell on one lap early': ['data race', 'assertion', 'livelock'],
  },
  scenario(bug) {
    const tryPush = (words: Int32Array, value: number): boolean => {
      for (;;) {
        const tail = Atomics.load(words, 1);
        const cell = 2 + 2 * (tail & 1);
        const lap = Atomics.load(words, cell) - tail;
        if (lap < 0) return false;
        if (lap > 0) continue;
        if (bug === 'claims a cell with a store') Atomics.store(words, 1, tail + 1);
        else if (Atomics.compareExchange(words, 1, tail, tail + 1) !== tail) continue;
        const early = bug === 'publishes before it writes the value';
        if (early) Atomics.store(words, cell, tail + 1);
        words[cell + 1] = value;
        if (!early) Atomics.store(words, cell, tail + 1);
        return true;
      }
    };
    const tryPop = (words: Int32Array): number => {
      for (;;) {
        const head = Atomics.load(words, 0);
        const cell = 2 + 2 * (head & 1);
        const lap = Atomics.load(words, cell) - (head + 1);
        if (lap < 0) return -1;
        if (lap > 0) continue;
        if (Atomics.compareExchange(words, 0, head, head + 1) !== head) continue;
        const early = bug === 'hands the cell on one lap early';
        if (early) Atomics.store(words, cell, head + 2);
        const value = words[cell + 1];
        if (!early) Atomics.store(words, cell, head + 2);
        return value;
      }
    };
    const push = (value: number) => (shared: Words) => {
      while (!tryPush(shared.words, value)) {}
      return 0;
    };
    return {
      name: this.name,
      setup: () => {
        const shared = makeWords(6);
        shared.words.set([0, 0, 0, 0, 1, 0]);
        return shared;
      },
      threads: {
        p: ({ words }) => {
          while (!tryPush(words, 1)) {}
          while (!tryPush(words, 2)) {}
        },
        q: push(4),
        c: ({ words }) => {
          let sum = 0;
          for (let count = 0; count < 3; ) {
            const value = tryPop(words);
            if (value < 0) continue;
            sum += value;
            count++;
          }
          return sum;
        },
      },
      check: (_, { results }) => expect(results.c === 7, `received ${String(results.c)}`),
    };
  },
};

/**
 * Threads may die while they hold a slot; its supervisor frees it. Words: OWNER of two slots, NOTE
 * of two slots.
 */
const slotOwner: TextbookCase = {
  name: 'slot with a mortal owner',
  kills: 1,
  bugs: {
    'notes the owner after the claim': ['assertion'],
    'is not supervised': ['assertion'],
    'frees by the name of the first slot only': ['assertion'],
  },
  scenario(bug) {
    const late = bug === 'notes the owner after the claim';
    const owner = (words: Int32Array, slot: number): number =>
      late ? Atomics.load(words, 2 + slot) : Atomics.load(words, slot);
    const claim = (words: Int32Array, me: number): number => {
      for (let slot = 0; slot < 2; slot++) {
        if (Atomics.compareExchange(words, slot, 0, me) !== 0) continue;
        if (late) Atomics.store(words, 2 + slot, me);
        return slot;
      }
      return -1;
    };
    const body = (me: number) => (shared: Words) => {
      const { words } = shared;
      const slot = claim(words, me);
      expect(slot >= 0, 'no slot is free');
      if (late) Atomics.store(words, 2 + slot, 0);
      Atomics.store(words, slot, 0);
    };
    return {
      name: this.name,
      setup: () => makeWords(4),
      threads: { a: body(1), b: body(2) },
      supervisor: ({ words }, dead) => {
        if (bug === 'is not supervised') return;
        const me = dead.name === 'a' ? 1 : 2;
        for (let slot = 0; slot < (bug.startsWith('frees by') ? 1 : 2); slot++) {
          if (owner(words, slot) === me) Atomics.store(words, slot, 0);
        }
      },
      check: ({ words }) => {
        for (let slot = 0; slot < 2; slot++) expect(words[slot] === 0, `slot ${slot} is lost`);
      },
    };
  },
};

/** One thread awaits what the other sets, without blocking. Words: CONDITION. */
const asyncWait: TextbookCase = {
  name: 'awaited condition',
  bugs: {
    'does not notify': ['lost wake-up', 'deadlock'],
    'notifies before it stores': ['lost wake-up', 'deadlock'],
    'awaits a second ring that does not come': ['deadlock', 'lost wake-up'],
  },
  scenario(bug) {
    return {
      name: this.name,
      setup: () => makeWords(2),
      threads: {
        waiter: async ({ words }) => {
          while (Atomics.load(words, 0) === 0) {
            const wait = Atomics.waitAsync(words, 0, 0);
            if (wait.async) await wait.value;
          }
          if (bug.startsWith('awaits')) await Atomics.waitAsync(words, 0, 1).value;
          return words[1];
        },
        setter: ({ words }) => {
          words[1] = 7;
          if (bug === 'notifies before it stores') Atomics.notify(words, 0);
          Atomics.store(words, 0, 1);
          if (!bug.includes('notif')) Atomics.notify(words, 0);
        },
      },
      check: (_, { results }) => expect(results.waiter === 7, 'the message did not arrive'),
    };
  },
};

export const textbook: readonly TextbookCase[] = [
  peterson,
  treiber,
  eventCount,
  spscRing,
  refCount,
  futex,
  seqlock,
  mpmcQueue,
  slotOwner,
  asyncWait,
];
