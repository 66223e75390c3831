// SPDX-License-Identifier: MIT
/**
 * Subjects, subscriptions and the cache of matches, checked against the obvious way.
 */

import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { MatchCache } from './match-cache.ts';
import { MatchSet } from './match-set.ts';
import {
  classifySubject,
  hashSubject,
  SUBJECT_INVALID,
  SUBJECT_LITERAL,
  SUBJECT_WILDCARD,
} from './subject.ts';
import { SubscriptionIndex } from './subscription-index.ts';
import type { Indexed, TokenNode } from './token-tree.ts';

class Named implements Indexed {
  readonly owner: string;
  readonly subject: Uint8Array;
  readonly queue: string;
  readonly textBytes: number = 0;
  node: TokenNode<Named> | undefined = undefined;
  place: number = -1;

  constructor(owner: string, subject: Uint8Array, queue: string) {
    this.owner = owner;
    this.subject = subject;
    this.queue = queue;
  }
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function classify(text: string): number {
  const bytes = bytesOf(`xx${text}yy`);
  return classifySubject(bytes, 2, bytes.length - 2);
}

/** The oracle: both sides as strings, token by token. */
function reaches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const given = subject.split('.');
  if (given.includes('')) return false;
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '>') return given.length > i;
    if (i >= given.length) return false;
    if (wanted[i] !== '*' && wanted[i] !== given[i]) return false;
  }
  return wanted.length === given.length;
}

/** What a match set holds, in an order that can be compared. */
function describe(found: MatchSet<Named>): string[] {
  const lines: string[] = [];
  for (let i = 0; i < found.plainCount; i++) lines.push(found.plain[i].owner);
  for (let i = 0; i < found.groupCount; i++) {
    const members = found.groups[i].map((member) => member.owner);
    lines.push(`${found.groups[i][0].queue}: ${members.sort().join(' ')}`);
  }
  return lines.sort();
}

function expected(subscriptions: readonly Named[], subject: string): string[] {
  const lines: string[] = [];
  const groups = new Map<string, string[]>();
  for (const subscription of subscriptions) {
    if (!reaches(new TextDecoder().decode(subscription.subject), subject)) continue;
    if (subscription.queue === '') lines.push(subscription.owner);
    else
      groups.set(subscription.queue, [
        ...(groups.get(subscription.queue) ?? []),
        subscription.owner,
      ]);
  }
  for (const [name, members] of groups) lines.push(`${name}: ${members.sort().join(' ')}`);
  return lines.sort();
}

test('subjects are classified as a NATS server does', () => {
  for (const literal of ['a', 'a.b', 'a*b', 'a>', '>a.b', '$SYS.x', 'a.b*.c']) {
    expect(classify(literal), literal).toBe(SUBJECT_LITERAL);
  }
  for (const wildcard of ['*', '>', 'a.*', '*.a', 'a.>', '*.*.>', 'a.*.b']) {
    expect(classify(wildcard), wildcard).toBe(SUBJECT_WILDCARD);
  }
  for (const invalid of ['', '.', 'a.', '.a', 'a..b', '>.a', 'a.>.b', '*.', '..']) {
    expect(classify(invalid), invalid).toBe(SUBJECT_INVALID);
  }
});

const WORDS = ['a', 'b', 'c', 'orders', 'x1', 'a-rather-long-token-for-a-subject'];

function randomSubject(random: Random, wildcards: boolean): string {
  const tokens: string[] = [];
  const count = random.between(1, 4);
  for (let i = 0; i < count; i++) {
    const draw = random.below(10);
    if (wildcards && draw < 2) tokens.push('*');
    else if (wildcards && draw < 3 && i === count - 1) tokens.push('>');
    else tokens.push(WORDS[random.below(WORDS.length)]);
  }
  if (!wildcards && random.chance(0.02)) tokens.push('');
  return tokens.join('.');
}

test('index and cache answer as the oracle does while subscriptions come and go', () => {
  const seed = Number(process.env.BUSBAR_SEED ?? 20_261);
  const random = new Random(seed);
  const arena = new Uint8Array(4096);
  const view = new DataView(arena.buffer);
  const index = new SubscriptionIndex<Named>();
  const cache = new MatchCache(index, arena, view);
  const scratch = new MatchSet<Named>();
  let live: Named[] = [];
  for (let step = 0; step < 8_000; step++) {
    if (random.chance(0.06)) {
      const pattern = bytesOf(randomSubject(random, true));
      const queue = random.chance(0.4) ? `q${random.below(3)}` : '';
      const subscription = new Named(`s${step}`, pattern, queue);
      index.add(subscription);
      live.push(subscription);
    }
    if (live.length > 0 && random.chance(0.055)) {
      const gone = live[random.below(live.length)];
      index.remove(gone);
      index.remove(gone);
      live = live.filter((subscription) => subscription !== gone);
    }
    if (random.chance(0.001)) cache.dropVoid();
    const subject = randomSubject(random, false);
    const at = random.below(100);
    arena.set(bytesOf(subject), at);
    const message = `seed ${seed}, step ${step}: ${subject}`;
    index.match(arena, at, at + subject.length, scratch);
    const wanted = expected(live, subject);
    expect(describe(scratch), message).toEqual(wanted);
    expect(
      describe(cache.lookup(at, at + subject.length, hashSubject(view, at, at + subject.length))),
      message,
    ).toEqual(wanted);
  }
  expect(index.count).toBe(live.length);
  for (const subscription of live) index.remove(subscription);
  expect(index.count).toBe(0);
});

test('subjects of every length up to and beyond what the cache keeps are told apart', () => {
  const arena = new Uint8Array(4096);
  const view = new DataView(arena.buffer);
  const index = new SubscriptionIndex<Named>();
  const cache = new MatchCache(index, arena, view);
  for (let length = 1; length < 80; length++) {
    index.add(new Named(`n${length}`, bytesOf('z'.repeat(length)), ''));
  }
  for (let round = 0; round < 2; round++) {
    for (let length = 1; length < 80; length++) {
      arena.fill(0x7a, 0, length);
      arena[length] = 0x20;
      const found = cache.lookup(0, length, hashSubject(view, 0, length));
      expect(describe(found)).toEqual([`n${length}`]);
    }
  }
});
