// SPDX-License-Identifier: MIT
/** What peers tell each other of what they want, and what they make of it. */

import { expect, test } from 'vitest';
import { Random } from '../../../src/base/random.ts';
import { MatchSet } from '../../../src/bus/match-set.ts';
import { OwnInterest, weightOf } from '../../../src/bus/peer/own-interest.ts';
import { type Beyond as BeyondOf, RemoteInterest } from '../../../src/bus/peer/remote-interest.ts';
import type { Bytes } from '../../../src/bus/subject.ts';
import { SubscriptionIndex } from '../../../src/bus/subscription-index.ts';
import type { Indexed, TokenNode } from '../../../src/bus/token-tree.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? 9);
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

class Subscription implements Indexed {
  readonly subject: Bytes;
  readonly queue: string;
  readonly textBytes: number;
  isStalled: boolean = false;
  node: TokenNode<Subscription> | undefined = undefined;
  place: number = -1;

  constructor(subject: string, queue: string) {
    this.subject = bytesOf(subject);
    this.queue = queue;
    this.textBytes = subject.length + queue.length;
  }
}

/** Another executor. */
interface Elsewhere {
  readonly index: number;
}
type Beyond = BeyondOf<Subscription, Elsewhere>;
type LocalIndex = SubscriptionIndex<Subscription, Beyond>;
type Matches = MatchSet<Subscription, Beyond>;

function executor(index: number): Elsewhere {
  return { index };
}

test('others are told of the first and the last subscriber, and of each member of a group', () => {
  const own = new OwnInterest();
  const plain = new Subscription('a.b', '');
  const member = new Subscription('a.b', 'crew');
  const told = (interest: ReturnType<OwnInterest['add']>): number | undefined =>
    interest && weightOf(interest);
  expect([own.add(plain), own.add(plain)].map(told)).toEqual([1, undefined]);
  expect(told(own.add(member))).toBe(1);
  expect(told(own.add(member))).toBe(2);
  expect(told(own.remove(plain))).toBe(undefined);
  expect(told(own.remove(plain))).toBe(0);
  expect(told(own.remove(plain))).toBe(undefined);
  expect(told(own.remove(member))).toBe(1);
  expect([...own.all()].map(weightOf)).toEqual([1]);
});

test('an interest is stalled while one subscriber has no room, in a group while none has', () => {
  const own = new OwnInterest();
  const plain = [1, 2].map(() => new Subscription('a.b', ''));
  const members = [1, 2].map(() => new Subscription('a.b', 'crew'));
  for (const each of [...plain, ...members]) own.add(each);
  const told = (interest: ReturnType<OwnInterest['add']>): number | undefined =>
    interest && weightOf(interest);
  expect(told(own.setStalled(plain[0], true))).toBe(-1);
  expect(told(own.setStalled(plain[0], true))).toBe(undefined);
  expect(told(own.setStalled(plain[1], true))).toBe(undefined);
  expect(told(own.setStalled(plain[0], false))).toBe(undefined);
  // Whoever leaves stalls nobody.
  expect(told(own.remove(plain[1]))).toBe(1);
  expect(told(own.setStalled(members[0], true))).toBe(undefined);
  expect(told(own.setStalled(members[1], true))).toBe(-2);
  const third = new Subscription('a.b', 'crew');
  expect(told(own.add(third))).toBe(3);
  expect(told(own.remove(third))).toBe(-2);
  expect(told(own.setStalled(members[0], false))).toBe(2);
  expect(told(own.remove(members[0]))).toBe(-1);
  expect(told(own.remove(members[1]))).toBe(0);
});

test('publishers wait when somebody elsewhere is stalled, of a group when nobody has room', () => {
  const index: LocalIndex = new SubscriptionIndex();
  const remote = new RemoteInterest(index);
  const [first, second] = [executor(0), executor(1)];
  const found: Matches = new MatchSet();
  const isStalled = (subject: string): boolean | undefined => {
    index.match(bytesOf(subject), 0, subject.length, found);
    return found.beyond?.isStalled;
  };
  remote.set(first, bytesOf('a.*'), '', 1);
  expect(isStalled('a.b')).toBe(false);
  expect(remote.set(second, bytesOf('a.b'), '', -1)).toBe(false);
  expect([isStalled('a.b'), isStalled('a.c')]).toEqual([true, false]);
  expect(remote.set(second, bytesOf('a.b'), '', 1)).toBe(true);
  expect(isStalled('a.b')).toBe(false);

  remote.set(first, bytesOf('g'), 'crew', -3);
  remote.set(second, bytesOf('g'), 'crew', 2);
  expect(isStalled('g')).toBe(false);
  const [group] = [...(found.beyond?.groups.values() ?? [])];
  expect(group.remote).toEqual([{ peer: second, weight: 2 }]);
  remote.set(second, bytesOf('g'), 'crew', -2);
  expect(isStalled('g')).toBe(true);
  // A member here gets it.
  const here = new Subscription('g', 'crew');
  index.add(here);
  expect(isStalled('g')).toBe(false);
  index.remove(here);
  remote.forget(second);
  expect(isStalled('g')).toBe(true);
  expect(remote.set(first, bytesOf('g'), 'crew', 0)).toBe(true);
  expect(isStalled('g')).toBe(undefined);
});

/** What a match says of other executors, in an order that can be compared. */
function describeBeyond(found: Matches): string[] {
  const executors = found.beyond?.peers ?? [];
  const groups = found.beyond?.groups.values() ?? [];
  const lines = executors.map(({ index }) => `plain ${index}`);
  for (const { name, members, remote, remoteWeight } of groups) {
    const there = remote.map(({ peer, weight }) => `${peer.index}×${weight}`).sort();
    lines.push(`${name.text}: ${members.length} here, ${there.join(' ')}, ${remoteWeight} in all`);
  }
  return lines.sort();
}

test('who is interested elsewhere is known exactly, whatever comes and goes', () => {
  const random = new Random(SEED);
  const index: LocalIndex = new SubscriptionIndex();
  const remote = new RemoteInterest(index);
  const executors = [executor(0), executor(1), executor(2)];
  const patterns = ['a', '*', '>', 'a.b', 'b'];
  const reached: Record<string, string[]> = { a: ['a', '*', '>'], 'a.b': ['>', 'a.b'] };
  const known: Map<string, number> = new Map();
  const here: Subscription[] = [];
  for (let step = 0; step < 3000; step++) {
    const one = executors[random.below(3)];
    const pattern = patterns[random.below(patterns.length)];
    const queue = ['', 'q', 'r'][random.below(3)];
    if (random.chance(0.02)) {
      remote.forget(one);
      for (const key of known.keys()) if (key.startsWith(`${one.index} `)) known.delete(key);
    } else if (random.chance(0.2)) {
      const subscription = new Subscription(pattern, queue);
      index.add(subscription);
      here.push(subscription);
      if (here.length > 5) index.remove(here.shift() as Subscription);
    } else {
      const weight = queue === '' ? random.below(2) : random.below(4);
      remote.set(one, bytesOf(pattern), queue, weight);
      known.set(`${one.index} ${pattern} ${queue}`, weight);
    }
    const subject = random.chance(0.5) ? 'a' : 'a.b';
    const found: Matches = new MatchSet();
    index.match(bytesOf(subject), 0, subject.length, found);
    const expected: string[] = [];
    const weightAt = (place: number, name: string): number =>
      reached[subject].reduce((sum, each) => sum + (known.get(`${place} ${each} ${name}`) ?? 0), 0);
    for (const place of [0, 1, 2]) if (weightAt(place, '') > 0) expected.push(`plain ${place}`);
    for (const name of ['q', 'r']) {
      const there = [0, 1, 2].filter((place) => weightAt(place, name) > 0);
      if (there.length === 0) continue;
      const members = here.filter(
        (each) =>
          each.queue === name && reached[subject].includes(Buffer.from(each.subject).toString()),
      );
      const sum = there.reduce((total, place) => total + weightAt(place, name), 0);
      const list = there.map((place) => `${place}×${weightAt(place, name)}`).join(' ');
      expected.push(`${name}: ${members.length} here, ${list}, ${sum} in all`);
    }
    expect(describeBeyond(found), `seed ${SEED}, step ${step}`).toEqual(expected.sort());
  }
});
