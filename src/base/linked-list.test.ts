// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { type Linked, LinkedList } from './linked-list.ts';
import { Random } from './random.ts';

/** An entry that counts how often its links are read or written. */
class Entry implements Linked<Entry> {
  static touches = 0;
  readonly number: number;
  #list: object | undefined;
  #previous: Entry | undefined;
  #next: Entry | undefined;

  constructor(number: number) {
    this.number = number;
  }

  get list(): object | undefined {
    Entry.touches++;
    return this.#list;
  }
  set list(list: object | undefined) {
    Entry.touches++;
    this.#list = list;
  }
  get previous(): Entry | undefined {
    Entry.touches++;
    return this.#previous;
  }
  set previous(entry: Entry | undefined) {
    Entry.touches++;
    this.#previous = entry;
  }
  get next(): Entry | undefined {
    Entry.touches++;
    return this.#next;
  }
  set next(entry: Entry | undefined) {
    Entry.touches++;
    this.#next = entry;
  }
}

function numbersIn(list: LinkedList<Entry>): number[] {
  const numbers: number[] = [];
  let previous: Entry | undefined;
  for (let entry = list.first; entry !== undefined; entry = entry.next) {
    expect(entry.list).toBe(list);
    expect(entry.previous).toBe(previous);
    numbers.push(entry.number);
    previous = entry;
  }
  return numbers;
}

test('a list of linked entries is an array from which entries are taken at random', () => {
  const seed = 41;
  const random = new Random(seed);
  const list = new LinkedList<Entry>();
  const entries: Entry[] = [];
  for (let step = 0; step < 3000; step++) {
    if (random.chance(0.5) || entries.length === 0) {
      const entry = new Entry(step);
      list.push(entry);
      entries.push(entry);
    } else {
      const [entry] = entries.splice(random.below(entries.length), 1);
      expect(list.remove(entry)).toBe(true);
      expect(list.remove(entry)).toBe(false);
      // It may come again.
      if (random.chance(0.2)) {
        list.push(entry);
        entries.push(entry);
      }
    }
    expect(list.isEmpty).toBe(entries.length === 0);
    if (step % 50 === 0) {
      const expected = entries.map((entry) => entry.number);
      expect(numbersIn(list), `seed ${seed}, step ${step}`).toEqual(expected);
    }
  }
});

test('an entry of another list is not taken out', () => {
  const list = new LinkedList<Entry>();
  const other = new LinkedList<Entry>();
  const mine = new Entry(1);
  const foreign = new Entry(2);
  list.push(mine);
  other.push(foreign);
  expect(list.remove(foreign)).toBe(false);
  expect(numbersIn(list)).toEqual([1]);
  expect(numbersIn(other)).toEqual([2]);
});

test.each([10, 10_000])('taking one of %i entries out touches as many links', (count) => {
  for (const order of ['first to last', 'last to first', 'from the middle']) {
    const list = new LinkedList<Entry>();
    const entries = Array.from({ length: count }, (_, number) => new Entry(number));
    for (const entry of entries) list.push(entry);
    if (order === 'last to first') entries.reverse();
    if (order === 'from the middle') entries.unshift(...entries.splice(count / 2));
    for (const entry of entries) {
      Entry.touches = 0;
      expect(list.remove(entry)).toBe(true);
      expect(Entry.touches, order).toBeLessThanOrEqual(8);
    }
    expect(list.isEmpty).toBe(true);
  }
});
