// SPDX-License-Identifier: MIT
/**
 * Model checker: what executors share: the lanes of their mesh, read by turn loops that park, and
 * the words that show their state. Worker threads and their ports are not modelled; each scenario
 * states what the host sends and which thread sits in which slot.
 */

import type { ModelOptions, ModelThread, Outcome, Scenario, ThreadBody } from 'busbar/testing';
import { hintsOf } from 'busbar/testing';
import type { PacketChannel } from '../../src/channel/index.ts';
import {
  BADGE,
  blockWords,
  DRAINING,
  HANDLED,
  RECORD_WORDS,
  RUNNING,
  STATE,
} from '../../src/executor/executor-layout.ts';
import type { Gauges } from '../../src/executor/gauges.ts';
import type { LaneEnds, Mesh, MeshPlan } from '../../src/executor/mesh.ts';
import type { TurnLoop } from '../../src/executor/turn-loop.ts';
import type { Packet } from '../../src/packet/index.ts';
import type { BufferPool } from '../../src/pool/index.ts';
import { PoolLayout } from '../../src/pool/pool-layout.ts';
import type { Run } from './channel-scenarios.ts';
import { checkMessages, type Told } from './channel-words.ts';
import type { Case, Part } from './coverage.ts';
import { allowing } from './pool-scenarios.ts';
import { checkAllFree, type PoolModule, type PoolShared, poolWordName } from './pool-words.ts';

/** The modules, or copies of them. */
export interface ExecutorModule extends PoolModule {
  readonly PacketChannel: typeof PacketChannel;
  readonly Packet: typeof Packet;
  readonly Mesh: typeof Mesh;
  readonly LaneEnds: typeof LaneEnds;
  readonly TurnLoop: typeof TurnLoop;
  readonly Gauges: typeof Gauges;
}

export interface ExecutorShared extends PoolShared {
  /** By party: executors, then their host. */
  readonly plans: readonly MeshPlan[];
  readonly gauges: SharedArrayBuffer;
}

/** What a thread with a handler says. */
export interface Counted extends Told {
  readonly isCounted?: boolean;
}

type Body = ThreadBody<ExecutorShared>;

const CLOSED = 'ERR_BUSBAR_CHANNEL_CLOSED';
/** While the clock stands still: a sleeping thread is woken, or sleeps for ever. */
const NO_TICKS: ModelOptions = { timeouts: 0, polls: 0 };

export function executorParts(module: ExecutorModule): Part<ExecutorShared>[] {
  return [
    {
      name: 'executors: mailbox and parking',
      operations: 'TurnLoop: pump, receive, arm, park; sends over lanes; close',
      cases: livingCases(module),
    },
    {
      name: 'executors: deaths',
      operations: 'the same, reclaim by BADGE, recover, the next on the seat',
      cases: [deathCase(module)],
    },
  ];
}

/** A thread at one seat of the group, or its host, with all that it has there. */
export class Party {
  readonly pool: BufferPool;
  readonly gauges: Gauges;
  readonly ends: LaneEnds;
  readonly #module: ExecutorModule;

  constructor(module: ExecutorModule, shared: ExecutorShared, index: number, pool: BufferPool) {
    this.#module = module;
    this.pool = pool;
    this.gauges = new module.Gauges(shared.gauges, index, 0);
    this.ends = new module.LaneEnds(pool, shared.plans[index]);
  }

  loop(forgives: (error: unknown) => boolean = () => false): TurnLoop {
    const { pool, ends, gauges } = this;
    return new this.#module.TurnLoop(pool, ends.receivers, gauges, 'park', forgives);
  }

  /** A packet with one message. */
  packet(message: number): Packet {
    const { pool } = this;
    const id = pool.acquireSync();
    pool.bytes[pool.offsetOf(id)] = message;
    return this.#module.Packet.wrap(pool, id, pool.offsetOf(id), 1);
  }

  /** Sends a message to an executor or the host; waits for room. False: closed. */
  send(to: number, message: number, run: Run = (call) => call()): boolean {
    const packet = this.packet(message);
    const sent = allowing([CLOSED], () => {
      run(() => this.ends.sender(to).sendSync(packet));
      return true;
    });
    if (sent !== true) packet.release();
    return sent === true;
  }

  /** Sends messages, then asks for as many. */
  async sendsAndAsks(to: number, messages: readonly number[]): Promise<Told> {
    const loop = this.loop();
    const received: number[] = [];
    const sent = messages.filter((message) => this.send(to, message));
    while (received.length < messages.length) {
      const packet = await loop.mailbox.receive();
      if (packet === undefined) break;
      received.push(this.read(packet));
    }
    loop.stop();
    return { sent, received };
  }

  /** What a packet says; it is released. */
  read(packet: Packet, run: Run = (call) => call()): number {
    const message = this.pool.bytes[packet.offset];
    run(() => packet.release());
    return message;
  }
}

export class Bodies {
  readonly #module: ExecutorModule;

  constructor(module: ExecutorModule) {
    this.#module = module;
  }

  /** A thread that sits down, without interruption, and then does something. */
  at(
    index: number,
    body: (party: Party, shared: ExecutorShared, self: ModelThread) => unknown,
  ): Body {
    return (shared, self) => {
      const pool = this.#module.BufferPool.attach(shared.handle);
      const party = new Party(this.#module, shared, index, pool);
      self.begin();
      party.gauges.badge = pool.badge;
      return body(party, shared, self);
    };
  }

  /** Sends messages and leaves; `then` runs last. */
  sends(
    index: number,
    to: number,
    messages: readonly number[],
    then: (party: Party, shared: ExecutorShared) => void = () => undefined,
  ): Body {
    return this.at(index, (party, shared) => {
      const sent = messages.filter((message) => party.send(to, message));
      then(party, shared);
      return { sent };
    });
  }

  /** As group-state.ts ends a group: DRAINING first, then it closes every lane to an executor. */
  closes(party: Party, shared: ExecutorShared, to: number, run: Run = (call) => call()): void {
    run(() => party.gauges.become(DRAINING));
    for (const handle of shared.plans[to].inbound) {
      if (handle === undefined) continue;
      run(() => this.#module.PacketChannel.attach(party.pool, handle).close());
    }
  }

  /** Turns until it has handled this many messages. */
  handles(index: number, count: number): Body {
    return this.at(index, (party) => handled(party, (received) => received.length === count));
  }

  /** Turns until nothing can come any more, and nothing is left. */
  handlesAll(index: number): Body {
    return this.at(index, (party) => handledAll(party));
  }

  /** The same, where executors have nothing to tell each other. */
  handlesAllOf(index: number, host: number): Body {
    return this.at(index, (party, shared) => {
      for (const [from, handle] of shared.plans[index].inbound.entries()) {
        if (handle === undefined || from === host) continue;
        this.#module.PacketChannel.attach(party.pool, handle).close();
      }
      return handledAll(party);
    });
  }

  /** Asks for each message. */
  asks(index: number, count: number): Body {
    return this.at(index, async (party) => {
      const loop = party.loop();
      const received: number[] = [];
      while (received.length < count) {
        const packet = await loop.mailbox.receive();
        if (packet === undefined) break;
        received.push(party.read(packet));
      }
      loop.stop();
      return { received };
    });
  }
}

export function handled(
  party: Party,
  isDone: (received: readonly number[]) => boolean,
): Promise<Counted> {
  return new Promise((resolve) => {
    const loop = party.loop();
    const received: number[] = [];
    loop.mailbox.handle((packet) => {
      received.push(party.read(packet));
      if (!isDone(received)) return;
      loop.stop();
      resolve({ received, isCounted: true });
    });
    party.gauges.become(RUNNING);
    loop.wake();
  });
}

export function handledAll(party: Party): Promise<Counted> {
  return new Promise((resolve) => {
    const loop = party.loop();
    const received: number[] = [];
    loop.mailbox.handle((packet) => {
      received.push(party.read(packet));
    });
    // As executor-life.ts ends: told to finish, it works on until the mailbox has ended.
    loop.drain(DRAINING, (foundWork) => {
      if (foundWork || !loop.mailbox.ended) return;
      loop.stop();
      resolve({ received, isCounted: true });
    });
  });
}

function livingCases(module: ExecutorModule): Case<ExecutorShared>[] {
  const bodies = new Bodies(module);
  const host = 1;
  const two = [16, 17];
  return [
    executors(module, 'handle, 1 slot', 1, 1, {
      host: bodies.sends(host, 0, two),
      executor: bodies.handles(0, 2),
    }),
    executors(module, 'handle, 2 slots', 1, 2, {
      host: bodies.sends(host, 0, [16, 17, 18]),
      executor: bodies.handles(0, 3),
    }),
    executors(module, 'receive, 1 slot', 1, 1, {
      host: bodies.sends(host, 0, two),
      executor: bodies.asks(0, 2),
    }),
    executors(module, 'to itself and from the host', 1, 1, {
      host: bodies.sends(host, 0, [16]),
      executor: bodies.at(0, (party) => {
        const sent = [32].filter((message) => party.send(0, message));
        return handled(party, ({ length }) => length === 2).then((told) => ({ ...told, sent }));
      }),
    }),
    executors(module, 'closed, told first', 1, 2, {
      host: bodies.sends(host, 0, [16], (party, shared) => bodies.closes(party, shared, 0)),
      executor: bodies.handlesAll(0),
    }),
    whoeverFindsItClosed(module),
    executors(
      module,
      'two lanes',
      2,
      1,
      {
        host: bodies.sends(2, 0, [16]),
        other: bodies.sends(1, 0, [32]),
        executor: bodies.handles(0, 2),
      },
      { preemptions: 0 },
    ),
    executors(
      module,
      'two lanes that end',
      2,
      1,
      {
        host: bodies.sends(2, 0, [16], ({ ends }) => ends.closeSenders()),
        other: bodies.sends(1, 0, [32], ({ ends }) => ends.closeSenders()),
        executor: bodies.at(0, (party) => {
          party.ends.sender(0).close();
          return handledAll(party);
        }),
      },
      { preemptions: 0 },
    ),
  ];
}

/** A lane is closed under a sender: by then it knows that the host is to stop. */
function whoeverFindsItClosed(module: ExecutorModule): Case<ExecutorShared> {
  const bodies = new Bodies(module);
  return executors(module, 'whoever finds it closed knows why', 1, 2, {
    host: bodies.at(1, (party, shared) => {
      bodies.closes(party, shared, 1);
      party.ends.receivers[0]?.close();
    }),
    executor: bodies.at(0, (party, shared) => {
      const theHost = new module.Gauges(shared.gauges, 1, 0);
      if (!party.send(1, 32) && theHost.state < DRAINING) {
        throw new Error('closed, and the host says nothing of it');
      }
    }),
  });
}

/** As executor-slot.ts recovers: by the BADGE that the dead had shown. */
function deathCase(module: ExecutorModule): Case<ExecutorShared> {
  const bodies = new Bodies(module);
  const item = executors(
    module,
    'death: an executor, and the next on its seat',
    1,
    2,
    {
      host: bodies.sends(1, 0, [16, 17], (party, shared) => bodies.closes(party, shared, 0)),
      executor: bodies.handlesAll(0),
    },
    { kills: 1, deaths: 'calls', preemptions: 0 },
    {
      killable: ['executor'],
      prepares: ['host', 'executor', 'supervisor'],
      supervisor: (shared, _dead, self: ModelThread) => {
        const pool = module.BufferPool.attach(shared.handle);
        const gauges = new module.Gauges(shared.gauges, 0, 0);
        self.begin();
        const { badge } = gauges;
        if (badge !== 0 && pool.declareBadgeExited(badge)) pool.reclaimBadge(badge);
        for (const handle of [...shared.plans[0].inbound, ...shared.plans[0].outbound]) {
          if (handle !== undefined) module.PacketChannel.attach(pool, handle).recover();
        }
        const heir = new Party(module, shared, 0, pool);
        heir.gauges.badge = pool.badge;
        return handledAll(heir);
      },
    },
  );
  return { ...item, quick: { ...item.quick, states: 20_000 } };
}

export function executors(
  module: ExecutorModule,
  name: string,
  count: number,
  capacity: number,
  threads: Scenario<ExecutorShared>['threads'],
  options: ModelOptions = { preemptions: 1 },
  rest: Partial<Scenario<ExecutorShared>> = {},
): Case<ExecutorShared> {
  const shape = { bufferCount: 3, batchSize: 1, maxThreads: count + 2 };
  return {
    scenario: {
      name,
      setup: () => {
        const pool = module.BufferPool.create({ ...shape, bufferSize: 16, trackLeaks: false });
        const mesh = new module.Mesh(pool, count, capacity);
        const plans = Array.from({ length: count + 1 }, (_, party) => mesh.plan(party));
        pool.detach();
        return {
          handle: pool.handle,
          words: new Int32Array(new SharedArrayBuffer(4)),
          layout: new PoolLayout(shape.bufferCount, shape.maxThreads, shape.batchSize),
          plans,
          gauges: module.Gauges.createBlock(count),
        };
      },
      threads,
      prepares: Object.keys(threads),
      racy: (shared) => {
        const lanes = shared.plans.flatMap(({ inbound }) => inbound);
        return hintsOf(shared.handle, ...lanes.filter((lane) => lane !== undefined));
      },
      nameWord: (shared) => (block, word) => nameOf(shared, count, block, word),
      check: (shared, outcome) => {
        checkMessages(outcome, outcome.killed.length > 0);
        checkHandled(shared, outcome);
        checkAllFree(shared);
      },
      ...rest,
    },
    quick: { ...NO_TICKS, ...options },
    long: { ...NO_TICKS, ...options, preemptions: (options.preemptions ?? 0) + 1 },
  };
}

/** Lanes are blocks 2 to the one before the words; the gauges come last. */
function nameOf(
  shared: ExecutorShared,
  count: number,
  block: number,
  word: number,
): string | undefined {
  if (block < 2) return poolWordName(shared, block, word);
  const lanes = (count + 1) ** 2 - 1;
  if (block < 2 + lanes) return `lane ${block - 2} [${word}]`;
  if (word >= blockWords(count)) return undefined;
  const record = Math.floor(word / RECORD_WORDS);
  const field = new Map([
    [STATE, 'STATE'],
    [BADGE, 'BADGE'],
  ]).get(word % RECORD_WORDS);
  return field === undefined ? undefined : `executor ${record} ${field}`;
}

/** A thread's record shows every reader what its handler received. */
function checkHandled(shared: ExecutorShared, outcome: Outcome): void {
  const { isCounted = false, received = [] } = (outcome.results.executor ?? {}) as Counted;
  if (!isCounted || outcome.killed.length > 0) return;
  const shown = new Int32Array(shared.gauges)[HANDLED];
  if (shown !== received.length) throw new Error(`${received.length} handled, ${shown} shown`);
}
