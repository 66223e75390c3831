// SPDX-License-Identifier: MIT
/**
 * Model checker: batches on channels of many senders, in modules where a group of slots has two:
 * groups that are claimed, published and freed by one word, beside single slots.
 */

import type { ModelOptions, ModelThread, Scenario } from 'busbar/testing';
import {
  ChannelBodies,
  type ChannelCase,
  channelScenario,
  type Giver,
  NO_TICKS,
  type Run,
  type Taker,
} from './channel-scenarios.ts';
import type { ChannelModule, ChannelShape, ChannelShared } from './channel-words.ts';
import type { Part } from './coverage.ts';
import { deeply } from './exception-scenarios.ts';
import { allowing } from './pool-scenarios.ts';

type Threads = Scenario<ChannelShared>['threads'];

const CLOSED = 'ERR_BUSBAR_CHANNEL_CLOSED';
const PEER_DIED = 'ERR_BUSBAR_CHANNEL_PEER_DIED';

export function batchParts(module: ChannelModule): Part<ChannelShared>[] {
  const operations = 'trySendBatch, sendSync, tryReceiveBatch, drain, receiveSync, close, recover';
  return [
    { name: 'mpsc, mpmc channels: batches', operations, cases: batchCases(module) },
    { name: 'mpsc, mpmc channels: batches, deaths', operations, cases: dyingCases(module) },
    { name: 'mpsc, mpmc channels: batches, exceptions', operations, cases: throwingCases(module) },
  ];
}

/** Sends `count` messages, two at a time; where there is no room, it waits with one. */
function sends(from: number, count: number, closes = false) {
  return (giver: Giver, sent: number[]): void => {
    allowing([CLOSED, PEER_DIED], () => {
      for (let i = 0; i < count; ) {
        const batch = [i, i + 1].filter((one) => one < count).map((one) => 16 * from + one);
        const fits = giver.trySendBatch(batch);
        if (fits === 0) giver.sendSync(batch[0]);
        sent.push(...batch.slice(0, Math.max(fits, 1)));
        i += Math.max(fits, 1);
      }
    });
    if (closes) giver.close();
  };
}

/** Receives what is there, or waits for one message, until there were `count` or no more come. */
function receives(count: number) {
  return (taker: Taker, received: number[]): void => {
    allowing([PEER_DIED], () => {
      while (received.length < count) {
        const some = taker.takeSome(Math.min(2, count - received.length));
        received.push(...some);
        if (some.length > 0) continue;
        const message = taker.receiveSync();
        if (message === undefined) break;
        received.push(message);
      }
    });
  };
}

function tries(from: number) {
  return (giver: Giver, sent: number[]): void => {
    const batch = [16 * from, 16 * from + 1];
    const fits = allowing([CLOSED], () => giver.trySendBatch(batch)) ?? 0;
    sent.push(...batch.slice(0, fits));
  };
}

const shapeOf = (
  kind: ChannelShape['kind'],
  capacity: number,
  carries: ChannelShape['carries'] = 'words',
): ChannelShape => ({ kind, capacity, carries });

function batchCases(module: ChannelModule): ChannelCase[] {
  const bodies = new ChannelBodies(module);
  const cases: ChannelCase[] = [];
  const add = (name: string, shape: ChannelShape, threads: Threads, begin = 0): void => {
    const few = Object.keys(threads).length === 2;
    cases.push({
      scenario: channelScenario(module, `batch: ${name}`, shape, threads, { begin }),
      quick: { ...NO_TICKS, preemptions: few ? 1 : 0, states: 1_500 },
      long: { ...NO_TICKS, preemptions: few ? 3 : 2 },
    });
  };
  const gives = (from: number, count: number) => bodies.gives(sends(from, count));
  const takes = (count: number) => bodies.takes(receives(count));
  const single = bodies.gives((giver, sent) => {
    giver.sendSync(32);
    sent.push(32);
  });
  const one = bodies.takes((taker, received) => {
    received.push(taker.receiveSync() as number);
  });
  for (const kind of ['mpsc', 'mpmc'] as const) {
    add('around', shapeOf(kind, 2), { a: gives(1, 4), r: takes(4) });
    add('packets', shapeOf(kind, 2, 'packets'), { a: gives(1, 4), r: takes(4) });
    add('at the edge of the numbers', shapeOf(kind, 2), { a: gives(1, 4), r: takes(4) }, -2);
    add('beside single ones', shapeOf(kind, 4), { a: gives(1, 4), b: single, r: takes(5) });
    add('2 senders', shapeOf(kind, 2), { a: gives(1, 2), b: gives(2, 2), r: takes(4) });
    const closer = bodies.watches((channel) => channel.close());
    add('close', shapeOf(kind, 2), { a: bodies.gives(tries(1)), closer, r: takes(9) });
  }
  const twice = (from: number) =>
    bodies.gives((giver, sent) => {
      for (const message of [16 * from, 16 * from + 1]) {
        giver.sendSync(message);
        sent.push(message);
      }
    });
  for (const kind of ['mpsc', 'mpmc'] as const) {
    add('singles, received together', shapeOf(kind, 2), { a: twice(1), b: twice(2), r: takes(4) });
  }
  add('2 receivers', shapeOf('mpmc', 4), { a: gives(1, 4), r: takes(2), s: takes(2) });
  add('1 of 2 takes 1', shapeOf('mpmc', 2), { a: gives(1, 3), r: one, s: takes(2) });
  return cases;
}

/** Threads die within a batch. */
function dyingCases(module: ChannelModule): ChannelCase[] {
  const bodies = new ChannelBodies(module);
  const cases: ChannelCase[] = [];
  const add = (name: string, shape: ChannelShape, threads: Threads): void => {
    const options: ModelOptions = { kills: 1, deaths: 'calls', polls: 6, timeouts: 0 };
    const scenario = channelScenario(module, `batch, death: ${name}`, shape, threads, {
      supervisor: bodies.takesOver(),
    });
    cases.push({
      scenario,
      quick: { ...options, preemptions: 0, states: 700 },
      long: { ...options, preemptions: 1 },
    });
  };
  for (const kind of ['mpsc', 'mpmc'] as const) {
    for (const carries of ['words', 'packets'] as const) {
      const threads = { a: bodies.gives(sends(1, 2, true)), r: bodies.takes(receives(9)) };
      add(carries, shapeOf(kind, 2, carries), threads);
    }
  }
  return cases;
}

/** The calls of one thread throw, and are made again. */
function throwingCases(module: ChannelModule): ChannelCase[] {
  const bodies = new ChannelBodies(module);
  const cases: ChannelCase[] = [];
  for (const kind of ['mpsc', 'mpmc'] as const) {
    for (const carries of ['words', 'packets'] as const) {
      for (const throwing of ['sender', 'receiver']) {
        const runOf = (side: string): ((self: ModelThread) => Run) | undefined =>
          side === throwing ? deeply : undefined;
        const scenario = channelScenario(
          module,
          `batch, exception: ${throwing}, ${carries}`,
          shapeOf(kind, 2, carries),
          {
            a: bodies.gives(sends(1, 3, true), runOf('sender')),
            r: bodies.takes(receives(9), runOf('receiver')),
          },
        );
        const once: ModelOptions = { exceptions: 1, preemptions: 0, timeouts: 0, polls: 0 };
        const quick = { ...once, states: 500 };
        cases.push({ scenario, quick, long: { ...once, preemptions: 1 } });
      }
    }
  }
  return cases;
}
