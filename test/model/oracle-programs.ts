// SPDX-License-Identifier: MIT
/**
 * Model checker against brute force: small random programs, and the bodies that run them on real
 * shared views.
 */

import type { Random } from '../../src/base/random.ts';

/** What one step of a program does. `at` counts words; for halves and bytes, bytes. */
export interface Instruction {
  readonly op: Op;
  readonly at: number;
  readonly value: number;
  /** `poll`: rounds; `unless`: instructions to skip. */
  readonly count: number;
}

export type Op =
  | 'load'
  | 'store'
  | 'add'
  | 'compareExchange'
  | 'exchange'
  /** Spins until the word has the value. */
  | 'until'
  /** Spins with a compare-exchange from 0 to the value. */
  | 'lock'
  /** Spins as `until`, no more than `count` rounds; learns whether it saw the value. */
  | 'poll'
  /** Loads the word; skips `count` instructions unless it has the value. */
  | 'unless'
  | 'wait'
  | 'notify'
  | 'getWord'
  | 'setWord'
  | 'getHalf'
  | 'setHalf'
  | 'getByte'
  | 'setByte'
  /** Atomic accesses of one byte, two, and all eight. */
  | 'loadByte'
  | 'addByte'
  | 'storeHalf'
  | 'exchangeHalf'
  | 'loadLong'
  | 'addLong'
  | 'getLong'
  | 'setLong';

export type Thread = readonly Instruction[];

export interface Program {
  readonly threads: readonly Thread[];
  /** Runs after the death of a thread. */
  readonly supervisor: Thread;
  readonly kills: number;
}

/** Words that a program has. */
export const WORDS = 2;
/** What is added to eight bytes for each 1: to both words. */
export const LONG = 0x1_0000_0001n;

export const FAMILIES = ['atomics', 'waits', 'deaths', 'words', 'orders', 'views'] as const;
export type Family = (typeof FAMILIES)[number];

/** Operations of each family; what stands twice comes up twice as often. */
const OPS: Readonly<Record<Exclude<Family, 'orders'>, readonly Op[]>> = {
  atomics: ['load', 'store', 'add', 'compareExchange', 'exchange', 'until', 'lock', 'poll'],
  waits: ['load', 'store', 'add', 'compareExchange', 'wait', 'wait', 'notify', 'notify', 'poll'],
  /** What is read decides what races: plain and atomic accesses of words. */
  words: [
    'load',
    'store',
    'add',
    'compareExchange',
    'compareExchange',
    'unless',
    'unless',
    'getWord',
    'getWord',
    'setWord',
  ],
  deaths: ['load', 'store', 'add', 'compareExchange', 'until', 'wait', 'notify', 'exchange'],
  views: [
    'load',
    'store',
    'store',
    'add',
    'unless',
    'unless',
    'getWord',
    'setWord',
    'getHalf',
    'setHalf',
    'getByte',
    'setByte',
    'loadByte',
    'addByte',
    'storeHalf',
    'exchangeHalf',
    'loadLong',
    'addLong',
    'getLong',
    'setLong',
  ],
};

const HALVES: readonly Op[] = ['getHalf', 'setHalf', 'storeHalf', 'exchangeHalf'];
const BYTES: readonly Op[] = ['getByte', 'setByte', 'loadByte', 'addByte'];

/** True if brute force looks for data races in programs of the family. */
export function looksForRaces(family: Family): boolean {
  return family === 'views' || family === 'words' || family === 'orders';
}

export function randomProgram(random: Random, family: Family): Program {
  if (family === 'orders') return { threads: threadsByOrder(random), kills: 0, supervisor: [] };
  const count = random.chance(1 / 2) ? 2 : 3;
  const most = { atomics: 5, waits: 4, deaths: 4, words: 5, views: 5 }[family] - (count - 2);
  const thread = (length: number): Thread => {
    let polls = 0;
    return Array.from({ length }, () => {
      const instruction = randomInstruction(random, OPS[family]);
      // Of several long loops at one word, the checker knows the first rounds and the last.
      const isLong = instruction.op === 'poll' && instruction.count > 2 && polls++ > 0;
      return isLong ? { ...instruction, count: 1 } : instruction;
    });
  };
  const threads = Array.from({ length: count }, () => thread(random.between(1, most)));
  const kills = family === 'deaths' ? random.between(1, 2) : 0;
  return { threads, kills, supervisor: kills > 0 ? thread(random.between(0, 2)) : [] };
}

/**
 * Three threads that publish word 1 by word 0, pass that on or break it, and use word 1 when they
 * have seen it published. Several states are equal but for what happens before what.
 */
function threadsByOrder(random: Random): Thread[] {
  const instruction = (op: Op, at: number, value: number, count = 1): Instruction => ({
    op,
    at,
    value,
    count,
  });
  const step = (): Thread => {
    const value = random.chance(3 / 4) ? 1 : 2;
    const data = instruction(random.chance(1 / 3) ? 'setWord' : 'getWord', 1, 1);
    const store = instruction(random.chance(3 / 4) ? 'store' : 'exchange', 0, value);
    const look = (count: number): Instruction => instruction('unless', 0, value, count);
    switch (random.below(6)) {
      case 0:
        return [instruction('setWord', 1, 1), store];
      case 1:
        return [store];
      case 2:
        return [look(1), store];
      case 3:
        return [look(2), data, store];
      case 4:
        return [instruction(random.chance(1 / 2) ? 'load' : 'add', 0, 0)];
      default:
        return [look(1), data];
    }
  };
  return Array.from({ length: 3 }, () => (random.chance(1 / 3) ? step() : [...step(), ...step()]));
}

function randomInstruction(random: Random, ops: readonly Op[]): Instruction {
  const op = ops[random.below(ops.length)];
  const value = random.between(0, 2);
  let at = random.below(WORDS);
  if (HALVES.includes(op)) at = 2 * random.below(2 * WORDS);
  if (BYTES.includes(op)) at = random.below(4 * WORDS);
  const isPositive = op === 'notify' || op === 'lock' || op === 'unless' || op === 'until';
  let count = random.between(1, 2);
  if (op === 'poll' && random.chance(1 / 3)) count = random.between(3, 30);
  return { op, at, value: isPositive && value === 0 ? 1 : value, count };
}

/** One line for each thread. */
export function describeProgram(program: Program): string {
  const line = (thread: Thread): string =>
    thread.map(({ op, at, value, count }) => `${op}(${at}, ${value}, ${count})`).join('; ');
  const lines = program.threads.map((thread, i) => `t${i}: ${line(thread)}`);
  if (program.kills > 0)
    lines.push(`kills ${program.kills}, supervisor: ${line(program.supervisor)}`);
  return lines.join('\n');
}

/** The views that a program's threads share. */
export interface Views {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly halves: Int16Array;
  readonly longs: BigInt64Array;
}

export function makeViews(): Views {
  const block = new SharedArrayBuffer(4 * WORDS);
  return {
    words: new Int32Array(block),
    bytes: new Uint8Array(block),
    view: new DataView(block),
    halves: new Int16Array(block),
    longs: new BigInt64Array(block),
  };
}

/** Runs a thread; returns what it learned. */
export function perform(
  thread: Thread,
  { words, bytes, view, halves, longs }: Views,
): (number | string)[] {
  const learned: (number | string)[] = [];
  for (let i = 0; i < thread.length; i++) {
    const { op, at, value, count } = thread[i];
    switch (op) {
      case 'load':
        learned.push(Atomics.load(words, at));
        break;
      case 'store':
        Atomics.store(words, at, value);
        break;
      case 'add':
        learned.push(Atomics.add(words, at, value));
        break;
      case 'compareExchange':
        learned.push(Atomics.compareExchange(words, at, value, value + 1));
        break;
      case 'exchange':
        learned.push(Atomics.exchange(words, at, value));
        break;
      case 'until':
        while (Atomics.load(words, at) !== value) {}
        break;
      case 'lock':
        while (Atomics.compareExchange(words, at, 0, value) !== 0) {}
        break;
      case 'poll': {
        let rounds = 0;
        while (rounds < count && Atomics.load(words, at) !== value) rounds++;
        learned.push(rounds < count ? 'saw it' : 'gave up');
        break;
      }
      case 'unless':
        if (Atomics.load(words, at) !== value) i += count;
        learned.push(i);
        break;
      case 'wait':
        learned.push(Atomics.wait(words, at, value));
        break;
      case 'notify':
        learned.push(Atomics.notify(words, at, value));
        break;
      case 'getWord':
        learned.push(words[at]);
        break;
      case 'setWord':
        words[at] = value;
        break;
      case 'getHalf':
        learned.push(view.getInt16(at, true));
        break;
      case 'setHalf':
        view.setInt16(at, value, true);
        break;
      case 'getByte':
        learned.push(bytes[at]);
        break;
      case 'loadByte':
        learned.push(Atomics.load(bytes, at));
        break;
      case 'addByte':
        learned.push(Atomics.add(bytes, at, value));
        break;
      case 'storeHalf':
        Atomics.store(halves, at / 2, value);
        break;
      case 'exchangeHalf':
        learned.push(Atomics.exchange(halves, at / 2, value));
        break;
      case 'loadLong':
        learned.push(String(Atomics.load(longs, 0)));
        break;
      case 'addLong':
        learned.push(String(Atomics.add(longs, 0, LONG * BigInt(value))));
        break;
      case 'getLong':
        learned.push(String(longs[0]));
        break;
      case 'setLong':
        longs[0] = LONG * BigInt(value);
        break;
      default:
        bytes[at] = value;
    }
  }
  return learned;
}
