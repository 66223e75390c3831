// SPDX-License-Identifier: MIT
/** Model checker: channels between living threads, and between threads that die. */

import type { ModelOptions, ModelThread, Outcome, Scenario, ThreadBody } from 'busbar/testing';
import { CHANNEL_KINDS, type ChannelKind } from '../../src/channel/channel-layout.ts';
import type {
  PacketChannel,
  PacketReceiver,
  PacketSender,
  WordChannel,
  WordReceiver,
  WordSender,
} from '../../src/channel/index.ts';
import type { BufferPool } from '../../src/pool/index.ts';
import {
  type ChannelModule,
  type ChannelShape,
  type ChannelShared,
  channelWordName,
  checkMessages,
  checkSurvival,
  isChannelHint,
  makeChannel,
  type Told,
} from './channel-words.ts';
import type { Case, Part } from './coverage.ts';
import { allowing } from './pool-scenarios.ts';
import { checkAllFree } from './pool-words.ts';

export type ChannelCase = Case<ChannelShared>;

const OPERATIONS = 'trySend, sendSync, send, tryReceive, receiveSync, receive, arm, close, destroy';

export function channelParts(module: ChannelModule): Part<ChannelShared>[] {
  const part = (kind: ChannelKind, name: string, operations: string, cases: ChannelCase[]) => ({
    name: `${kind} channels${name}`,
    operations,
    cases: cases.filter(({ scenario }) => scenario.name.startsWith(kind)),
  });
  const living = channelCases(module);
  const dying = channelDeathCases(module);
  return CHANNEL_KINDS.flatMap((kind) => [
    part(kind, '', OPERATIONS, living),
    part(kind, ': deaths', 'the same, recover, reclaim', dying),
  ]);
}

type Body = ThreadBody<ChannelShared>;
type Threads = Scenario<ChannelShared>['threads'];

const CLOSED = 'ERR_BUSBAR_CHANNEL_CLOSED';
const PEER_DIED = 'ERR_BUSBAR_CHANNEL_PEER_DIED';

/** One end of a channel, whatever it carries: packets are made and read on the way. */
export interface Giver {
  trySend(message: number): boolean;
  sendSync(message: number): void;
  send(message: number): Promise<void>;
  /** Sends as many as there is room for; returns their number. */
  trySendBatch(messages: readonly number[]): number;
  close(): void;
}

/** How a thread makes a call of the library: as it is, or deeply and until it has not thrown. */
export type Run = <Result>(call: () => Result) => Result;

const once = (): Run => (call) => call();

export interface Taker {
  readonly end: PacketReceiver | WordReceiver;
  tryReceive(): number | undefined;
  receiveSync(): number | undefined;
  receive(): Promise<number | undefined>;
  /** Takes what is there, at most `max`: words as a batch, packets by `drain`. */
  takeSome(max: number): number[];
  close(): void;
}

/** Makes bodies of threads; each first attaches and takes its place, without interruption. */
export class ChannelBodies {
  readonly #module: ChannelModule;

  constructor(module: ChannelModule) {
    this.#module = module;
  }

  gives(
    body: (giver: Giver, sent: number[], self: ModelThread) => unknown,
    runOf: (self: ModelThread) => Run = once,
  ): Body {
    return this.#body((pool, shared, self) => {
      const channel = this.open(pool, shared);
      const giver = this.giver(pool, channel.sender(), runOf(self), ending(channel, shared));
      self.begin();
      const sent: number[] = [];
      return told({ sent }, body(giver, sent, self));
    });
  }

  takes(
    body: (taker: Taker, received: number[], self: ModelThread) => unknown,
    runOf: (self: ModelThread) => Run = once,
  ): Body {
    return this.#body((pool, shared, self) => {
      const taker = this.taker(pool, this.open(pool, shared).receiver(), runOf(self));
      self.begin();
      const received: number[] = [];
      return told({ received }, body(taker, received, self));
    });
  }

  /** Sends two messages, each through an end of its own, as a stage that restarts; then closes. */
  sendsAnew(): Body {
    return this.#body((pool, shared, self) => {
      const channel = this.open(pool, shared);
      let giver = this.giver(pool, channel.sender());
      self.begin();
      giver.sendSync(16);
      giver.close();
      giver = this.giver(pool, channel.sender(), once(), () => channel.close());
      giver.sendSync(17);
      giver.close();
      return { sent: [16, 17] };
    });
  }

  /** What a supervisor does: frees what the dead had, takes its place, empties the channel. */
  takesOver(): NonNullable<Scenario<ChannelShared>['supervisor']> {
    return (shared, { name, published }, self) => {
      const pool = this.#module.BufferPool.attach(shared.handle);
      const channel = this.open(pool, shared);
      self.begin();
      channel.recover();
      pool.reclaim(published[0] as number);
      channel.recover();
      const sent: number[] = [];
      const received: number[] = [];
      if (name === 'a' || name === 'b') {
        const giver = this.giver(pool, channel.sender(), once(), ending(channel, shared));
        allowing([CLOSED, PEER_DIED], () => {
          giver.sendSync(160);
          sent.push(160);
        });
        giver.close();
      } else {
        const taker = this.taker(pool, channel.receiver());
        receivesAll(taker, received);
        taker.close();
      }
      return { sent, received };
    };
  }

  /** Receives two messages, each through an end of its own. */
  takesAnew(): Body {
    return this.#body((pool, shared, self) => {
      const channel = this.open(pool, shared);
      let taker = this.taker(pool, channel.receiver());
      self.begin();
      const received: number[] = [];
      receives(1)(taker, received);
      taker.close();
      taker = this.taker(pool, channel.receiver());
      receives(1)(taker, received);
      taker.close();
      return { received };
    });
  }

  /** Neither sends nor receives. */
  watches(body: (channel: PacketChannel | WordChannel) => unknown): Body {
    return this.#body((pool, shared, self) => {
      const channel = this.open(pool, shared);
      self.begin();
      body(channel);
    });
  }

  open(pool: BufferPool, shared: ChannelShared): PacketChannel | WordChannel {
    const { carries } = shared.shape;
    const Channel = carries === 'packets' ? this.#module.PacketChannel : this.#module.WordChannel;
    return Channel.attach(pool, shared.channel);
  }

  /** `after`: what follows when the end is closed. */
  giver(
    pool: BufferPool,
    end: PacketSender | WordSender,
    run: Run = once(),
    after: () => void = () => {},
  ): Giver {
    const close = (): void => {
      run(() => end.close());
      after();
    };
    if (!('trySendRegion' in end)) {
      return {
        trySend: (message) => run(() => end.trySend(message)),
        sendSync: (message) => run(() => end.sendSync(message)),
        send: (message) => run(() => end.send(message)),
        trySendBatch: (messages) => run(() => end.trySendBatch(Int32Array.from(messages))),
        close,
      };
    }
    const packet = (message: number) => {
      const id = pool.tryAcquire();
      if (id < 0) throw new Error('no buffer');
      pool.bytes[pool.offsetOf(id)] = message;
      const made = this.#module.Packet.wrap(pool, id, pool.offsetOf(id), 1);
      made.tag = message;
      return made;
    };
    const sending = <Result>(message: number, send: (p: ReturnType<typeof packet>) => Result) => {
      const made = packet(message);
      try {
        return send(made);
      } finally {
        if (!made.released) made.release();
      }
    };
    return {
      trySend: (message) => sending(message, (made) => run(() => end.trySend(made))),
      sendSync: (message) => sending(message, (made) => run(() => end.sendSync(made))),
      send: (message) => {
        const made = packet(message);
        return run(() => end.send(made));
      },
      trySendBatch: (messages) => {
        const made = messages.map(packet);
        try {
          return run(() => end.trySendBatch(made));
        } finally {
          for (const one of made) if (!one.released) one.release();
        }
      },
      close,
    };
  }

  taker(pool: BufferPool, end: PacketReceiver | WordReceiver, run: Run = once()): Taker {
    if (!('tryReceiveRegion' in end)) {
      return {
        end,
        tryReceive: () => run(() => end.tryReceive()),
        receiveSync: () => run(() => end.receiveSync()),
        receive: () => run(() => end.receive()),
        takeSome: (max) => {
          const target = new Int32Array(max);
          return [
            ...target.subarray(
              0,
              run(() => end.tryReceiveBatch(target)),
            ),
          ];
        },
        close: () => run(() => end.close()),
      };
    }
    type Received = ReturnType<PacketReceiver['tryReceive']>;
    const read = (packet: Received): number | undefined => {
      if (packet === undefined) return undefined;
      const message = pool.bytes[packet.offset];
      if (packet.tag !== message) throw new Error(`${message} came with the tag ${packet.tag}`);
      run(() => packet.release());
      return message;
    };
    return {
      end,
      tryReceive: () => read(run(() => end.tryReceive())),
      receiveSync: () => read(run(() => end.receiveSync())),
      receive: async () => read(await run(() => end.receive())),
      takeSome: (max) => {
        const taken: number[] = [];
        run(() => end.drain((packet) => taken.push(read(packet) as number), max - taken.length));
        return taken;
      },
      close: () => run(() => end.close()),
    };
  }

  #body(body: (pool: BufferPool, shared: ChannelShared, self: ModelThread) => unknown): Body {
    return (shared, self) => {
      const pool = this.#module.BufferPool.attach(shared.handle);
      self.publish(pool.threadSlot);
      return body(pool, shared, self);
    };
  }
}

/** A channel that survives is ended by its last sender. */
function ending(channel: PacketChannel | WordChannel, { shape }: ChannelShared): () => void {
  return () => {
    if (shape.survives) channel.close();
  };
}

function told(result: Told, after: unknown): Told | Promise<Told> {
  return after instanceof Promise ? after.then(() => result) : result;
}

/** Sends `count` messages and waits for room; ends early if the channel is closed. */
function sends(from: number, count: number, closes = false) {
  return (giver: Giver, sent: number[]): void => {
    for (let i = 0; i < count; i++) {
      const message = 16 * from + i;
      const ok = allowing([CLOSED], () => {
        giver.sendSync(message);
        return true;
      });
      if (ok === undefined) break;
      sent.push(message);
    }
    if (closes) giver.close();
  };
}

/** Tries to send `count` messages, once each. */
function tries(from: number, count: number, closes = false) {
  return (giver: Giver, sent: number[]): void => {
    for (let i = 0; i < count; i++) {
      const message = 16 * from + i;
      if (allowing([CLOSED], () => giver.trySend(message)) === true) sent.push(message);
    }
    if (closes) giver.close();
  };
}

function sendsAwaiting(from: number, count: number) {
  return async (giver: Giver, sent: number[]): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await giver.send(16 * from + i);
      sent.push(16 * from + i);
    }
  };
}

/** Receives `count` messages, blocking. */
function receives(count: number) {
  return (taker: Taker, received: number[]): void => {
    for (let i = 0; i < count; i++) received.push(taker.receiveSync() as number);
  };
}

/** Receives, blocking, until the channel has ended, or everyone who sent has died. */
function receivesAll(taker: Taker, received: number[]): void {
  allowing([PEER_DIED], () => {
    for (let next = taker.receiveSync(); next !== undefined; next = taker.receiveSync()) {
      received.push(next);
    }
  });
}

/** As `receivesAll`, but does not give up when a thread dies. */
function receivesToTheEnd(taker: Taker, received: number[]): void {
  for (let next = taker.receiveSync(); next !== undefined; next = taker.receiveSync()) {
    received.push(next);
  }
}

/** Receives `count` messages, or all, whenever it is told that there are some. */
function isReady(count: number) {
  return (taker: Taker, received: number[]): Promise<void> =>
    new Promise((resolve) => {
      const work = (): void => {
        for (;;) {
          for (let next = taker.tryReceive(); next !== undefined; next = taker.tryReceive()) {
            received.push(next);
          }
          if (taker.end.ended || received.length === count) break;
          if (taker.end.arm()) return;
        }
        resolve();
      };
      taker.end.setReadyCallback(work);
      work();
    });
}

function awaits(count: number) {
  return async (taker: Taker, received: number[]): Promise<void> => {
    for (let i = 0; i < count; i++) received.push((await taker.receive()) as number);
  };
}

/** While the clock stands still: a sleeping thread is woken, or sleeps for ever. */
export const NO_TICKS: ModelOptions = { timeouts: 0, polls: 0 };

export function channelScenario(
  module: ChannelModule,
  name: string,
  shape: ChannelShape,
  threads: Threads,
  rest: Partial<Scenario<ChannelShared>> & { begin?: number; leavesSome?: boolean } = {},
): Scenario<ChannelShared> {
  const { begin, leavesSome = false, ...overrides } = rest;
  const bufferCount = shape.carries === 'packets' ? 4 : 1;
  const maxThreads = Object.keys(threads).length + 2;
  return {
    name: `${shape.kind} ${shape.capacity}: ${name}`,
    setup: () => makeChannel(module, { bufferCount, batchSize: 1, maxThreads }, shape, begin),
    threads,
    prepares: [...Object.keys(threads), 'supervisor'],
    racy: (shared) => (block, word) => isChannelHint(shared, block, word),
    nameWord: (shared) => (block, word) => channelWordName(shared, block, word),
    check: (shared: ChannelShared, outcome: Outcome) => {
      checkMessages(outcome, leavesSome || outcome.killed.length > 0);
      if (shape.survives) checkSurvival(outcome);
      checkAllFree(shared);
    },
    ...overrides,
  };
}

const words = (kind: ChannelShape['kind'], capacity: number): ChannelShape => ({
  kind,
  capacity,
  carries: 'words',
});
const packets = (kind: ChannelShape['kind'], capacity: number): ChannelShape => ({
  kind,
  capacity,
  carries: 'packets',
});

export function channelCases(module: ChannelModule): ChannelCase[] {
  return [...passingCases(module), ...wrappingCases(module), ...closingCases(module)];
}

function caseOf(
  module: ChannelModule,
  name: string,
  shape: ChannelShape,
  threads: Threads,
  preemptionsLong: number,
  rest: Parameters<typeof channelScenario>[4] = {},
): ChannelCase {
  return {
    scenario: channelScenario(module, name, shape, threads, rest),
    quick: { ...NO_TICKS, preemptions: Object.keys(threads).length > 2 || shape.survives ? 0 : 1 },
    long: { ...NO_TICKS, preemptions: preemptionsLong },
  };
}

/** No close and no death: every message that was sent arrives, and sleepers are woken. */
function passingCases(module: ChannelModule): ChannelCase[] {
  const { gives, takes } = bound(module);
  const cases: ChannelCase[] = [];
  const add = (...args: Tail<Parameters<typeof caseOf>>) => cases.push(caseOf(module, ...args));
  for (const kind of ['spsc', 'mpsc', 'mpmc'] as const) {
    const shape = words(kind, 1);
    add('sendSync, receiveSync', shape, { a: gives(sends(1, 3)), r: takes(receives(3)) }, 6);
    add('the same', words(kind, 2), { a: gives(sends(1, 3)), r: takes(receives(3)) }, 6);
    add('sendSync, arm', shape, { a: gives(sends(1, 3)), r: takes(isReady(3)) }, 5);
    add('send, receive', shape, { a: gives(sendsAwaiting(1, 2)), r: takes(awaits(2)) }, 4);
    add('send, arm', words(kind, 2), { a: gives(sendsAwaiting(1, 3)), r: takes(isReady(3)) }, 4);
    add('packets', packets(kind, 1), { a: gives(sends(1, 2)), r: takes(receives(2)) }, 3);
  }
  const two = { a: gives(sends(1, 2)), b: gives(sends(2, 1)) };
  add('2 senders', words('mpsc', 1), { ...two, r: takes(receives(3)) }, 2);
  add('2 senders', words('mpsc', 2), { ...two, r: takes(receives(3)) }, 2);
  add('2 senders, arm', words('mpsc', 2), { ...two, r: takes(isReady(3)) }, 2);
  const takers = { r: takes(receives(1)), s: takes(receives(1)) };
  add('2 receivers', words('mpmc', 1), { a: gives(sends(1, 2)), ...takers }, 2);
  add('2 receivers', words('mpmc', 2), { a: gives(sends(1, 2)), ...takers }, 2);
  add('2 senders', words('mpmc', 1), { ...two, r: takes(receives(3)) }, 2);
  const four = { a: gives(sends(1, 1)), b: gives(sends(2, 1)), ...takers };
  add('2 senders, 2 receivers', words('mpmc', 1), four, 1);
  return cases;
}

/** The same where positions and laps run over. */
function wrappingCases(module: ChannelModule): ChannelCase[] {
  const { gives, takes } = bound(module);
  const threads = { a: gives(sends(1, 3)), r: takes(receives(3)) };
  const at = (shape: ChannelShape, begin: number): ChannelCase =>
    caseOf(module, `from position ${begin}`, shape, threads, 3, { begin });
  return [
    at(words('spsc', 2), 2 ** 30 - 1),
    at(words('spsc', 2), 2 ** 29 - 1),
    at(words('mpsc', 1), 2 ** 17 - 1),
    at(words('mpsc', 2), 2 ** 32 - 1),
    at(words('mpmc', 1), 2 ** 16 - 1),
    at(words('mpmc', 2), 2 ** 31 - 1),
    at(words('mpmc', 2), 2 ** 32 - 1),
  ];
}

/** A message arrives if and only if its send returned true. */
function closingCases(module: ChannelModule): ChannelCase[] {
  const { gives, takes, watches } = bound(module);
  const bodies = new ChannelBodies(module);
  const closer = watches((channel) => channel.close());
  const cases: ChannelCase[] = [];
  const add = (...args: Tail<Parameters<typeof caseOf>>) => cases.push(caseOf(module, ...args));
  const r = takes(receivesAll);
  const leavesSome = { leavesSome: true };
  for (const kind of ['spsc', 'mpsc', 'mpmc'] as const) {
    add('close, trySend', words(kind, 2), { a: gives(tries(1, 2)), closer, r }, 3);
    add('close, sendSync', words(kind, 1), { a: gives(sends(1, 2)), closer, r }, 3);
    const closes = takes((taker, received) => {
      const message = taker.tryReceive();
      if (message !== undefined) received.push(message);
      taker.close();
    });
    const a = gives(tries(1, 2, true));
    add('receiver leaves', packets(kind, 2), { a, r: closes }, 4, leavesSome);
    const waiting = gives(sends(1, 2, true));
    add('receiver leaves, sendSync', packets(kind, 1), { a: waiting, r: closes }, 4, leavesSome);
    const lasting: ChannelShape = { ...packets(kind, 1), survives: true };
    add('survives, the sender anew', lasting, { a: bodies.sendsAnew(), r }, 2);
    const two = gives(sends(1, 2));
    add('survives, the receiver anew', lasting, { a: two, r: bodies.takesAnew() }, 2);
    const d = watches((channel) => channel.destroy());
    add('destroy', packets(kind, 1), { a, d }, 4, leavesSome);
    add('2 destroys', packets(kind, 2), { a: gives(tries(1, 1)), d, e: d }, 2, leavesSome);
  }
  const two = { a: gives(sends(1, 1, true)), b: gives(sends(2, 1, true)) };
  add('the last sender leaves', words('mpsc', 1), { ...two, r }, 2);
  add('the last sender leaves, arm', words('mpmc', 2), { ...two, r: takes(isReady(9)) }, 2);
  const some = { a: gives(tries(1, 1)), b: gives(tries(2, 1)) };
  add('close, 2 senders', words('mpsc', 1), { ...some, closer, r }, 1);
  const leaves = takes((taker) => taker.close());
  const leaving = { a: gives(tries(1, 2, true)), r: leaves, s: leaves };
  add('2 receivers leave', packets('mpmc', 2), leaving, 2, leavesSome);
  add('2 receivers, end', words('mpmc', 1), { a: gives(sends(1, 2, true)), r, s: r }, 2);
  return cases;
}

/** Threads die, others clean up behind them and take their places. */
export function channelDeathCases(module: ChannelModule): ChannelCase[] {
  const { gives, takes, watches, takesOver } = bound(module);
  const cases: ChannelCase[] = [];
  const add = (name: string, shape: ChannelShape, threads: Threads, more: ModelOptions = {}) => {
    const { states = 6_000, ...rest } = more;
    const options: ModelOptions = { kills: 1, deaths: 'calls', polls: 6, timeouts: 0, ...rest };
    const killable = Object.keys(threads).filter((thread) => thread !== 'living');
    const scenario = channelScenario(module, `death: ${name}`, shape, threads, {
      leavesSome: name === 'destroy',
      killable,
      supervisor: takesOver(),
    });
    cases.push({
      scenario,
      quick: { ...options, preemptions: 0, states },
      long: { ...options, preemptions: 1 },
    });
  };
  for (const kind of ['spsc', 'mpsc', 'mpmc'] as const) {
    const r = takes(receivesAll);
    const a = gives(sends(1, 2, true));
    add('1 slot', packets(kind, 1), { a: gives(sendsUntilDead(1, 2)), r });
    add('2 slots', packets(kind, 2), { a: gives(sendsUntilDead(1, 2)), r });
    add('destroy', packets(kind, 2), { a, living: watches((channel) => channel.destroy()) });
  }
  const b = gives(sendsUntilDead(2, 1));
  const r = takes(receivesAll);
  add('2 senders', packets('mpsc', 1), { a: gives(sendsUntilDead(1, 1)), b, r });
  add('2 receivers', packets('mpmc', 1), { a: gives(sendsUntilDead(1, 2)), r, s: r });
  for (const kind of ['spsc', 'mpsc', 'mpmc'] as const) {
    const shape: ChannelShape = { ...packets(kind, 1), survives: true };
    const a = gives(sends(1, 2, true));
    add('survives', shape, { a, r: takes(receivesToTheEnd) }, { states: 1_500 });
  }
  const living = watches((channel) => channel.recover());
  add('recovered by 2', packets('mpmc', 1), { a: gives(sendsUntilDead(1, 1)), living, r });
  return cases;
}

/** As `sends`; it may learn that no receiver is left. */
function sendsUntilDead(from: number, count: number) {
  return (giver: Giver, sent: number[]): void => {
    allowing([PEER_DIED], () => sends(from, count)(giver, sent));
    giver.close();
  };
}

type Tail<List extends readonly unknown[]> = List extends readonly [unknown, ...infer Rest]
  ? Rest
  : never;

function bound(module: ChannelModule) {
  const bodies = new ChannelBodies(module);
  return {
    gives: bodies.gives.bind(bodies),
    takes: bodies.takes.bind(bodies),
    watches: bodies.watches.bind(bodies),
    takesOver: bodies.takesOver.bind(bodies),
  };
}
