// SPDX-License-Identifier: MIT
/**
 * What clients choose to subscribe to costs the others nothing beyond its bytes.
 * Work is counted in steps, not timed: twice as much of the worst takes twice as many.
 */

import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { ClientSubscriptions } from './clients/client-subscriptions.ts';
import { KeyedHash } from './keyed-hash.ts';
import { KeyedMap } from './keyed-map.ts';
import { MatchCache } from './match-cache.ts';
import { MatchSet } from './match-set.ts';
import { type Bytes, hashSubject } from './subject.ts';
import { SubscriptionIndex } from './subscription-index.ts';
import type { Indexed, TokenNode } from './token-tree.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
class Subscription implements Indexed {
  readonly subject: Bytes;
  readonly queue: string;
  readonly textBytes: number;
  node: TokenNode<Subscription> | undefined = undefined;
  place = -1;

  constructor(subject: string, queue: string) {
    this.subject = bytesOf(subject);
    this.queue = queue;
    this.textBytes = subject.length + queue.length + 2;
  }
}

type Matches = MatchSet<Subscription>;
type LocalIndex = SubscriptionIndex<Subscription>;
const SEED = Number(process.env.BUSBAR_SEED ?? 5);

function subscribe(index: LocalIndex, subject: string, queue: string = ''): Subscription {
  const subscription = new Subscription(subject, queue);
  index.add(subscription);
  return subscription;
}

function match(index: LocalIndex, subject: string): Matches {
  const found = new MatchSet<Subscription>();
  index.match(bytesOf(subject), 0, subject.length, found);
  return found;
}

/** FNV-1a, which the tree once used. */
function fnv(text: string, from: number): number {
  let hash = from;
  for (const character of text) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash;
}

/** `2 ** stages` texts with the same FNV-1a. */
function collidingTexts(stages: number): string[] {
  const random = new Random(SEED);
  let texts = [''];
  let hash = 0x811c9dc5 | 0;
  for (let stage = 0; stage < stages; stage++) {
    const seen: Map<number, string> = new Map();
    for (;;) {
      const block = random
        .below(36 ** 5)
        .toString(36)
        .padStart(5, '0');
      const next = fnv(block, hash);
      const other = seen.get(next);
      if (other !== undefined && other !== block) {
        texts = texts.flatMap((text) => [text + block, text + other]);
        hash = next;
        break;
      }
      seen.set(next, block);
    }
  }
  return texts;
}

test('the keyed hash is HalfSipHash-2-4', () => {
  // Vectors of its authors: key 00 … 07, input 00, 01, … of each length.
  const hash = new KeyedHash(0x03020100, 0x07060504);
  const input = Uint8Array.from({ length: 8 }, (_, i) => i);
  const wanted = [0x5b9f35a9, 0xb85a4727, 0x03a662fa, 0x04e7fe8a];
  expect(wanted.map((_, length) => hash.of(input, 0, length) >>> 0)).toEqual(wanted);
  const text = 'a text of more than a few bytes \xff';
  expect(hash.ofText(text)).toBe(hash.of(bytesOf(text), 0, text.length));
  expect(new KeyedHash(1, 2).ofText(text)).not.toBe(hash.ofText(text));
});

test('tokens that collide under a known hash take no more steps than others', () => {
  const texts = collidingTexts(10);
  expect(new Set(texts.map((text) => fnv(text, 0x811c9dc5 | 0))).size).toBe(1);
  expect(new Set(texts).size).toBe(1024);
  const index = new SubscriptionIndex<Subscription>();
  const subscriptions = texts.map((text) => subscribe(index, text));
  for (const text of texts) expect(match(index, text).plainCount).toBe(1);
  for (const subscription of subscriptions) index.remove(subscription);
  // Some steps for each of adding, matching and removing; with one chain it would be a million.
  expect(index.steps).toBeLessThan(20 * texts.length);
  expect(index.nodeCount).toBe(0);
});

test('a table finds keys that meet in one chain, and forgets each of them', () => {
  class Constant extends KeyedHash {
    override of(): number {
      return 7;
    }
  }
  const map = new KeyedMap<number>(new Constant(0, 0));
  for (let i = 0; i < 5; i++) map.set(`${i}`, i);
  map.set('3', 33);
  expect([map.size, map.get('0'), map.get('3'), map.get('9')]).toEqual([5, 0, 33, undefined]);
  expect([map.delete('2'), map.delete('2'), map.delete('4'), map.delete('0')]).toEqual([
    true,
    false,
    true,
    true,
  ]);
  expect([...map.values()].sort()).toEqual([1, 33]);
  // The tree, too, with one chain for all children.
  const index = new SubscriptionIndex<Subscription>(new Constant(0, 0));
  const all = ['a', 'b', 'c', 'a.b', 'a.c', 'b.*.c'].map((subject) => subscribe(index, subject));
  expect(match(index, 'a.c').plain[0]).toBe(all[4]);
  index.remove(all[1]);
  expect(match(index, 'b.x.c').plain[0]).toBe(all[5]);
  for (const one of all) index.remove(one);
  expect(index.nodeCount).toBe(0);
});

test('a subject of any number of tokens is two nodes at most, and nothing recurs', () => {
  const index = new SubscriptionIndex<Subscription>();
  const deep = `a${'.a'.repeat(30_000)}`;
  const one = subscribe(index, deep);
  expect(index.nodeCount).toBe(1);
  expect(match(index, deep).plainCount).toBe(1);
  const other = subscribe(index, `a${'.a'.repeat(29_999)}.b`);
  expect(index.nodeCount).toBe(3);
  const wild = subscribe(index, `${'*.'.repeat(30_000)}>`);
  expect(match(index, deep).plainCount).toBe(2);
  for (const subscription of [one, wild, other]) index.remove(subscription);
  expect(index.nodeCount).toBe(0);
});

test('the tree stays as small as its subscriptions, whatever comes and goes', () => {
  const random = new Random(SEED);
  const index = new SubscriptionIndex<Subscription>();
  const live: Subscription[] = [];
  for (let step = 0; step < 5000; step++) {
    if (live.length > 0 && random.chance(0.48)) {
      const at = random.below(live.length);
      index.remove(live[at]);
      live[at] = live[live.length - 1];
      live.pop();
    } else {
      const tokens = Array.from({ length: random.between(1, 8) }, () => 'ab*'[random.below(3)]);
      if (random.chance(0.2)) tokens.push('>');
      live.push(subscribe(index, tokens.join('.'), random.chance(0.3) ? 'q' : ''));
    }
    const subjects = new Set(live.map(({ subject }) => Buffer.from(subject).toString()));
    expect(index.nodeCount, `seed ${SEED}, step ${step}`).toBeLessThanOrEqual(2 * subjects.size);
  }
});

/** Steps and weight of a match with this many queue groups, each at `spread` nodes. */
function groupsCost(count: number, patterns: readonly string[]): { steps: number; weight: number } {
  const index = new SubscriptionIndex<Subscription>();
  for (const pattern of patterns) {
    for (let i = 0; i < count; i++) subscribe(index, pattern, `g${i}`);
  }
  const before = index.steps;
  const found = match(index, 'a.b');
  expect(found.groupCount).toBe(count);
  for (let i = 0; i < count; i++) expect(found.groups[i].length).toBe(patterns.length);
  return { steps: index.steps - before, weight: found.weight };
}

test('twice as many queue groups, or patterns of one group, weigh twice as much', () => {
  const patterns = ['a.b', 'a.*', '*.b', '*.*', 'a.>', '>'];
  const once = groupsCost(1000, patterns);
  const twice = groupsCost(2000, patterns);
  expect(twice.steps).toBe(once.steps);
  expect(twice.weight).toBe(2 * once.weight);
  // A group is looked up by name, and taken out, at once: 20 000 in no time that anyone notices.
  const index = new SubscriptionIndex<Subscription>();
  for (let i = 0; i < 20_000; i++) subscribe(index, 'a', `g${i}`);
  const found = match(index, 'a');
  for (let i = 0; i < 20_000; i++) {
    const name = index.queueNames.find(`g${i}`);
    expect(name && found.takeGroup(name)).toHaveLength(1);
  }
  expect(found.groupCount).toBe(0);
});

test('who subscribes to one subject leaves the answers for others as they are', () => {
  const memory = new Uint8Array(1024);
  const view = new DataView(memory.buffer);
  const index = new SubscriptionIndex<Subscription>();
  const cache = new MatchCache(index, memory, view);
  const lookup = (subject: string): Matches => {
    memory.fill(0);
    memory.set(bytesOf(subject));
    return cache.lookup(0, subject.length, hashSubject(view, 0, subject.length));
  };
  const long = 'z'.repeat(100);
  for (const subject of ['a', 'b.c', 'abcd', long]) subscribe(index, subject);
  const { stamp } = lookup('a');
  for (const subject of ['b.c', 'abcd', long]) {
    const before = lookup(subject).stamp;
    const another = subscribe(index, subject);
    expect(lookup(subject).plainCount, subject).toBe(2);
    expect(lookup(subject).stamp).not.toBe(before);
    index.remove(another);
    expect(lookup(subject).plainCount).toBe(1);
    expect(lookup('a').stamp).toBe(stamp);
  }
  subscribe(index, '*');
  expect(lookup('a').plainCount).toBe(2);
});

test('one client gets half of the memory for subscriptions, many leave some to others', () => {
  const index = new SubscriptionIndex<Subscription>();
  const limits = {
    maxSubscriptions: 1_000_000,
    maxSubscriptionTokens: 4,
    maxSubscriptionBytes: 4 << 20,
  };
  const fill = (): number => {
    const client = new ClientSubscriptions<Subscription>(index, limits);
    const subject = bytesOf('a.b');
    for (let i = 0; ; i++) {
      const refusal = client.refusal(subject, 0, subject.length);
      if (refusal !== '') {
        expect(refusal).toBe('memory');
        return i;
      }
      client.set(`${i}`, subscribe(index, 'a.b'));
    }
  };
  const counts = Array.from({ length: 20 }, fill);
  expect(index.bytes).toBeLessThan(limits.maxSubscriptionBytes);
  expect(counts[0]).toBeGreaterThan(1500);
  expect(counts[0]).toBeLessThan(1700);
  for (let i = 1; i < 8; i++) expect(counts[i]).toBeGreaterThan(0);
  const client = new ClientSubscriptions<Subscription>(new SubscriptionIndex(), limits);
  const refusalOf = (subject: string): string =>
    client.refusal(bytesOf(subject), 0, subject.length);
  expect(refusalOf('a.b.c.d')).toBe('');
  expect(refusalOf('a.b.c.d.e')).toBe('tokens');
  const full = new ClientSubscriptions<Subscription>(index, { ...limits, maxSubscriptions: 1 });
  full.set('1', new Subscription('a', ''));
  expect(full.refusal(bytesOf('a'), 0, 1)).toBe('count');
});
