// SPDX-License-Identifier: MIT
/** Example broker: who has a lot to do does it in parts, and others come in between. */

import { expect, test } from 'vitest';
import type { Waiter } from './backpressure.ts';
import { Departure } from './departure.ts';
import { CHANGE_UNITS, FairShare, QUANTUM_UNITS } from './fair-share.ts';
import { Message } from './message.ts';
import { NOT_NOW, Router, type Subscriber, TAKEN } from './router.ts';
import { Subscription } from './subscription.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** Turns that run when the test says so. */
class Turns {
  readonly due: (() => void)[] = [];
  readonly share: FairShare = new FairShare((run) => this.due.push(run));

  /** Runs one turn; false: there is none. */
  run(): boolean {
    const run = this.due.shift();
    run?.();
    return run !== undefined;
  }
}

class Listener implements Subscriber {
  readonly heard: number[] = [];
  hasRoom: boolean = true;
  readonly isHeldBack: boolean = false;
  stall(): void {}
  offer(message: Message): number {
    if (!this.hasRoom) return NOT_NOW;
    this.heard.push(message.begin);
    return TAKEN;
  }
}

function messageAt(begin: number, view: DataView, bytes: Uint8Array): Message {
  const message = new Message(view, bytes, {
    copy: (to, from, length) => bytes.copyWithin(to, from, from + length),
  });
  const line = {
    subjectBegin: 4,
    subjectEnd: 5,
    replyBegin: 0,
    replyEnd: 0,
    headerLength: 0,
    payloadBegin: 9,
    payloadLength: 1,
  };
  message.set(line, false, begin, begin + 12);
  return message;
}

test.each(['', 'in groups'])('a message for 100 000 goes out over several turns %s', (kind) => {
  const memory = new Uint8Array(256);
  memory.set(bytesOf('PUB a 1\r\nx\r\n'), 0);
  const view = new DataView(memory.buffer);
  const turns = new Turns();
  const router = new Router<Listener>(memory, view, 1, turns.share);
  const listener = new Listener();
  const other = new Listener();
  const count = 100_000;
  const all = Array.from({ length: count }, (_, i) => {
    const queue = kind === '' ? '' : `g${i}`;
    const one = new Subscription(listener, bytesOf('a'), queue, bytesOf(`${i}`));
    router.index.add(one);
    return one;
  });
  turns.share.begin();
  const found = router.find(4, 5, 1);
  const message = messageAt(0, view, memory);
  turns.share.begin();
  expect(router.route(message, listener, found)).toBe(NOT_NOW);
  const remainder = router.remainder;
  if (remainder === undefined) throw new Error('nothing is left');
  expect(turns.share.isSpent).toBe(true);
  // One that leaves meanwhile hears nothing, whatever has become of the answer meanwhile.
  router.index.remove(all[count - 1]);
  memory.set(bytesOf('b'), 100);
  for (let i = 0; i < count; i++) {
    const queue = kind === '' ? '' : `g${i}`;
    router.index.add(new Subscription(other, bytesOf('b'), queue, bytesOf(`${i}`)));
  }
  // Another subject takes its place in the cache.
  router.find(100, 101, 1);
  const heardInTurns = [listener.heard.length];
  let taken = NOT_NOW;
  const waiter = {
    proceed: () => {
      const before = listener.heard.length;
      taken = router.resume(message, listener, remainder);
      heardInTurns.push(listener.heard.length - before);
      if (taken === NOT_NOW) turns.share.queue(waiter);
    },
  };
  turns.share.queue(waiter);
  while (taken === NOT_NOW) expect(turns.run()).toBe(true);
  expect([listener.heard.length, other.heard.length]).toEqual([count - 1, 0]);
  expect(Math.max(...heardInTurns)).toBeLessThanOrEqual(QUANTUM_UNITS);
  expect(heardInTurns.length).toBe(kind === '' ? 4 : heardInTurns.length);
  while (turns.run());
  expect(router.isCrowded).toBe(false);
});

test('those who queue share a turn, first come, first served, and nobody is left out', () => {
  const turns = new Turns();
  const served: string[] = [];
  const worker = (name: string, quanta: number) => {
    let left = quanta;
    const waiter = {
      proceed: () => {
        served.push(name);
        turns.share.units -= QUANTUM_UNITS;
        if (--left > 0) turns.share.queue(waiter);
      },
    };
    return waiter;
  };
  for (const name of ['greedy', 'busy']) turns.share.queue(worker(name, 10));
  expect(turns.run()).toBe(true);
  expect(served).toEqual(['greedy', 'busy']);
  // Two quanta in a turn: who comes now waits for one turn, not for twenty.
  turns.share.queue(worker('innocent', 1));
  turns.run();
  turns.run();
  expect(served).toContain('innocent');
  expect(served.length).toBe(6);
  const cancelled = worker('gone', 1);
  turns.share.queue(cancelled);
  turns.share.cancel(cancelled);
  while (turns.run());
  expect(served.filter((name) => name === 'greedy').length).toBe(10);
  expect(served).not.toContain('gone');
});

test('what a client leaves is removed over several turns', () => {
  const turns = new Turns();
  const left = Array.from(
    { length: 5000 },
    (_, i) => new Subscription('x', bytesOf('a'), '', bytesOf(`${i}`)),
  );
  const removed: number[] = [];
  let inTurn = 0;
  let count = 0;
  const from = {
    mayChange: true,
    remove: () => {
      inTurn++;
      if (++count === 500) from.mayChange = false;
      turns.share.units -= CHANGE_UNITS;
    },
    flush: () => {
      removed.push(inTurn);
      inTurn = 0;
    },
  };
  const blocked: Waiter[] = [];
  const block = (waiter: Waiter): void => {
    if (turns.share.isSpent) turns.share.queue(waiter);
    else blocked.push(waiter);
  };
  new Departure(left.values(), from, turns.share, { block }).proceed();
  while (turns.run());
  expect(removed.reduce((sum, count) => sum + count, 0)).toBeLessThan(1000);
  // Other executors have heard of these.
  from.mayChange = true;
  expect(blocked.length).toBe(1);
  turns.share.queue(blocked[0]);
  while (turns.run());
  expect(removed.reduce((sum, count) => sum + count, 0)).toBe(5000);
  expect(Math.max(...removed)).toBeLessThan(1000);
});

test('a turn is bounded, however many have much to do, and who has little is served in it', () => {
  const turns = new Turns();
  const { share } = turns;
  let worked = 0;
  for (let i = 0; i < 100; i++) {
    share.begin();
    worked += share.units;
    share.units = 0;
    expect(share.isSpent).toBe(true);
    share.queue({ proceed: () => {} });
  }
  expect(worked).toBeLessThan(5 * QUANTUM_UNITS);
  // The one that comes last has room for hundreds of small messages.
  share.begin();
  expect(share.units).toBeGreaterThan(100);
  expect(share.isLight).toBe(true);
  share.units -= 100;
  expect(share.isLight).toBe(false);
  // In the next turn everybody may do more again.
  turns.run();
  share.begin();
  expect(share.units).toBe(QUANTUM_UNITS);
});

test('a lane has a quantum in each turn, whoever queues before it', () => {
  const turns = new Turns();
  const served: string[] = [];
  const worker = (name: string, carriesMany: boolean) => {
    const waiter = {
      carriesMany,
      proceed: () => {
        served.push(name);
        turns.share.units -= QUANTUM_UNITS;
        turns.share.queue(waiter);
      },
    };
    return waiter;
  };
  for (let i = 0; i < 10; i++) turns.share.queue(worker(`client ${i}`, false));
  turns.share.queue(worker('lane', true));
  for (let turn = 0; turn < 3; turn++) turns.run();
  expect(served.filter((name) => name === 'lane').length).toBe(3);
  expect(served.length).toBe(9);
});

test('who has queued works with an equal part, also if its reading begins a share', () => {
  const turns = new Turns();
  const parts: number[] = [];
  const queued = 8;
  for (let i = 0; i < queued; i++) {
    const waiter = {
      proceed: () => {
        turns.share.begin();
        parts.push(turns.share.units);
        turns.share.units = 0;
      },
    } as unknown as Waiter;
    turns.share.queue(waiter);
  }
  while (parts.length < queued && turns.run());
  expect(parts).toEqual(Array(queued).fill((2 * QUANTUM_UNITS) / queued));
});
