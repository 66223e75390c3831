// SPDX-License-Identifier: MIT
/** A message for many clients, some of which have no room. */

import { expect, test } from 'vitest';
import { type Bytes, hashSubject } from '../subject.ts';
import type { TokenNode } from '../token-tree.ts';
import { FairShare, QUANTUM_UNITS } from './fair-share.ts';
import {
  DECLINED,
  FanOut,
  type FanOutClient,
  type FanOutMessage,
  type FanOutSubscription,
  NO_ROOM,
  TAKEN,
} from './fan-out.ts';
import { Publisher } from './publisher.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

class Listener implements FanOutClient<FanOutMessage, Subscription> {
  heard = 0;
  answer: number = TAKEN;
  isHeldBack = false;

  offer(): number {
    if (this.answer === TAKEN) this.heard++;
    return this.answer;
  }
}

class Subscription implements FanOutSubscription<FanOutMessage, Subscription> {
  readonly owner: Listener;
  readonly subject: Bytes;
  readonly queue: string;
  readonly textBytes = 0;
  node: TokenNode<Subscription> | undefined = undefined;
  place = -1;

  constructor(owner: Listener, subject: string, queue: string) {
    this.owner = owner;
    this.subject = bytesOf(subject);
    this.queue = queue;
  }
}

/** A fan-out whose turns run when the test says so; subjects lie in `memory`. */
class Turns {
  readonly due: (() => void)[] = [];
  readonly share: FairShare = new FairShare((run) => this.due.push(run));
  readonly memory: Uint8Array = new Uint8Array(256);
  readonly fanOut: FanOut<FanOutMessage, Subscription>;

  constructor() {
    const { memory, share } = this;
    this.fanOut = new FanOut(share, memory, new DataView(memory.buffer), 1);
  }

  add(owner: Listener, subject: string, queue: string = ''): Subscription {
    const subscription = new Subscription(owner, subject, queue);
    this.fanOut.index.add(subscription);
    return subscription;
  }

  /** Runs one turn; false: there is none. */
  run(): boolean {
    const run = this.due.shift();
    run?.();
    return run !== undefined;
  }
}

const MESSAGE: FanOutMessage = { begin: 0, end: 12 };

test.each(['', 'in groups'])('a message for 100 000 goes out over several turns %s', (kind) => {
  const turns = new Turns();
  const { memory, fanOut } = turns;
  memory.set(bytesOf('a'));
  const listener = new Listener();
  const other = new Listener();
  const count = 100_000;
  const all = Array.from({ length: count }, (_, i) => {
    const queue = kind === '' ? '' : `g${i}`;
    return turns.add(listener, 'a', queue);
  });
  turns.share.begin();
  const found = fanOut.find(0, 1, 1);
  turns.share.begin();
  expect(fanOut.route(MESSAGE, listener, found)).toBe(NO_ROOM);
  const { rest } = fanOut;
  if (rest === undefined) throw new Error('nothing is left');
  expect(turns.share.isSpent).toBe(true);
  // One that leaves meanwhile hears nothing, whatever has become of the answer meanwhile.
  fanOut.index.remove(all[count - 1]);
  memory.set(bytesOf('b'), 100);
  for (let i = 0; i < count; i++) {
    const queue = kind === '' ? '' : `g${i}`;
    turns.add(other, 'b', queue);
  }
  // Another subject takes its place in the cache.
  fanOut.find(100, 101, 1);
  const heardInTurns = [listener.heard];
  let taken = NO_ROOM;
  const waiter = {
    proceed: () => {
      const before = listener.heard;
      taken = fanOut.resume(MESSAGE, listener, rest);
      heardInTurns.push(listener.heard - before);
      if (taken === NO_ROOM) turns.share.queue(waiter);
    },
  };
  turns.share.queue(waiter);
  while (taken === NO_ROOM) expect(turns.run()).toBe(true);
  expect([listener.heard, other.heard]).toEqual([count - 1, 0]);
  expect(Math.max(...heardInTurns)).toBeLessThanOrEqual(QUANTUM_UNITS);
  expect(heardInTurns.length).toBe(kind === '' ? 4 : heardInTurns.length);
  while (turns.run());
  expect(fanOut.isCrowded).toBe(false);
});

test('a client without room stops its message; those before it hear it once', () => {
  const turns = new Turns();
  const { memory, fanOut, share } = turns;
  memory.set(bytesOf('a'));
  const [first, slow, last, publisher] = Array.from({ length: 4 }, () => new Listener());
  for (const each of [first, slow, last]) turns.add(each, 'a');
  slow.answer = NO_ROOM;
  share.begin();
  expect(fanOut.route(MESSAGE, publisher, fanOut.find(0, 1, 1))).toBe(NO_ROOM);
  const { rest } = fanOut;
  if (rest === undefined) throw new Error('nothing is left');
  expect(fanOut.resume(MESSAGE, publisher, rest)).toBe(NO_ROOM);
  expect([first.heard, slow.heard, last.heard]).toEqual([1, 0, 0]);
  slow.answer = DECLINED;
  expect(fanOut.resume(MESSAGE, publisher, rest)).toBe(2);
  expect([first.heard, slow.heard, last.heard]).toEqual([1, 0, 1]);
});

test('a group gives a message to one with room; one from a peer waits for no member', () => {
  const turns = new Turns();
  const { memory, fanOut, share } = turns;
  memory.set(bytesOf('a'));
  const members = Array.from({ length: 3 }, () => new Listener());
  for (const each of members) turns.add(each, 'a', 'g');
  const [full, held, ready] = members;
  full.answer = NO_ROOM;
  held.isHeldBack = true;
  share.begin();
  const found = fanOut.find(0, 1, 1);
  for (let i = 0; i < 20; i++) expect(fanOut.routeHere(MESSAGE, found, false, ['g'])).toBe(1);
  expect(ready.heard).toBe(20);
  // All are held back: their publishers are told to wait, and one of them takes it nevertheless.
  for (const each of members) {
    each.answer = TAKEN;
    each.isHeldBack = true;
  }
  const stalled: Listener[] = [];
  const { lanes } = fanOut;
  fanOut.lanes = { ...lanes, stall: ({ owner }) => void stalled.push(owner) };
  expect(fanOut.routeHere(MESSAGE, found, false, ['g'])).toBe(1);
  expect(stalled).toEqual(members);
  expect(members.reduce((sum, { heard }) => sum + heard, 0)).toBe(21);
  expect(fanOut.subscriptionOf(ready, 0, 1)).toBe(undefined);
  const own = turns.add(ready, 'a');
  expect(fanOut.subscriptionOf(ready, 0, 1)).toBe(own);
});

test('a message that found no turn is not sent to those who wanted the one before', () => {
  const turns = new Turns();
  const { memory, fanOut, share } = turns;
  const listeners = { a: new Listener(), b: new Listener() };
  memory.set(bytesOf('a'), 0);
  memory.set(bytesOf('b'), 8);
  turns.add(listeners.a, 'a');
  turns.add(listeners.b, 'b');
  const publisher = new Publisher(fanOut, new Listener());
  const view = new DataView(memory.buffer);
  const tryFind = (at: number, isRepeated: boolean): boolean =>
    publisher.tryFind(at, at + 1, hashSubject(view, at, at + 1), isRepeated);
  expect(tryFind(0, false)).toBe(true);
  publisher.route(MESSAGE);
  share.units = 0;
  expect([share.isSpent, tryFind(8, false)]).toEqual([true, false]);
  share.units = QUANTUM_UNITS;
  // Its reader has seen this subject before: in this very message.
  expect(tryFind(8, true)).toBe(true);
  publisher.route(MESSAGE);
  expect([listeners.a.heard, listeners.b.heard]).toEqual([1, 1]);
});
