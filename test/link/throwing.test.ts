// SPDX-License-Identifier: MIT
/**
 * A handler throws, in each of its functions, at each of its first calls, with another link of the
 * same pools beside it. The link that threw ends, the other one loses nothing, and no buffer is
 * left.
 */
import type { Link } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { LocalWriter } from 'busbar/writer';
import { describe, expect, test } from 'vitest';
import { framed, numberOf, upTo } from '../numbered.ts';
import { auditPool } from '../pool-audit.ts';
import { turn, until } from '../turns.ts';
import { type Events, type LinkKind, linkKinds, type Pair } from './kinds.ts';

const ROUNDS = 12;
const LENGTH = 1000;
/** Which call throws. A call that does not come throws nothing. */
const CALLS = [1, 2, 3, 5, 8];

type Name = 'onMessage' | 'onEnd' | 'onDrained' | 'onError' | 'onClose';
type Side = 'near' | 'far';

interface Case {
  readonly side: Side;
  readonly name: Name;
}

function casesOf({ isStream }: LinkKind): Case[] {
  const all: Case[] = [
    { side: 'far', name: 'onMessage' },
    { side: 'near', name: 'onDrained' },
    { side: 'near', name: 'onClose' },
    { side: 'far', name: 'onClose' },
  ];
  if (isStream) all.push({ side: 'near', name: 'onEnd' }, { side: 'far', name: 'onEnd' });
  else all.push({ side: 'near', name: 'onError' });
  return all;
}

const PLANTED = 'planted';

/** Two pairs of links over the same two pools; one of the handlers of `victim` throws. */
class Stage {
  readonly nearPool = makePool();
  readonly farPool = makePool();
  /** Calls of the function that throws. */
  calls = 0;
  /** Whether it has thrown. */
  thrown = false;
  /** What came by the other link. */
  readonly got: number[] = [];
  sent = 0;
  readonly closings = new Map<Link, number>();
  victim: Pair | undefined;
  other: Pair | undefined;
  readonly #kind: LinkKind;
  readonly #case: Case;
  readonly #call: number;

  constructor(kind: LinkKind, which: Case, call: number) {
    this.#kind = kind;
    this.#case = which;
    this.#call = call;
  }

  async open(): Promise<void> {
    this.other = await this.#pair({
      onMessage: (offset, length, link) => {
        this.got.push(numberOf(link.pool.bytes, offset, length));
      },
    });
    this.victim = await this.#pair({ onMessage() {} }, this.#case.side);
  }

  #pair(far: Events, thrower?: Side): Promise<Pair> {
    const counted = (events: Events): Events => ({
      ...events,
      onClose: (link) => void this.closings.set(link, (this.closings.get(link) ?? 0) + 1),
    });
    const near: Events = { onMessage() {} };
    return this.#kind.open(
      {
        pool: this.nearPool,
        highWaterBytes: 4096,
        events: this.#planted(counted(near), thrower === 'near'),
      },
      { pool: this.farPool, events: this.#planted(counted(far), thrower === 'far') },
    );
  }

  /** Writes by the other link before it throws: what it began must go on without it. */
  #planted(events: Events, isThrower: boolean): Events {
    if (!isThrower) return events;
    const before = events[this.#case.name] as ((...args: unknown[]) => void) | undefined;
    const throwing = (...args: unknown[]): void => {
      before?.(...args);
      this.calls++;
      if (this.calls > this.#call) return;
      this.writeOther();
      this.other?.near.flush();
      if (this.calls < this.#call) return;
      this.thrown = true;
      throw new Error(PLANTED);
    };
    return { ...events, [this.#case.name]: throwing };
  }

  writeOther(): void {
    if (this.other?.near.writer.tryWrite(framed(this.sent, LENGTH)) === true) this.sent++;
  }

  /** Both links write in one turn; they leave together. */
  writeRound(): void {
    const { near } = this.victim as Pair;
    for (let i = 0; i < 6; i++) {
      if (!near.closed && !near.writer.closed) near.writer.tryWrite(framed(i, LENGTH));
      this.writeOther();
    }
    if (!this.#kind.isStream && !near.closed && !near.writer.closed) {
      // No message: it ends beyond what was written.
      near.writer.tryWrite(Uint8Array.of(255, 255, 1));
    }
  }
}

function makePool(): BufferPool {
  return BufferPool.create({ bufferSize: 8192, bufferCount: 96, maxThreads: 2 });
}

/** Runs, and returns what was thrown where nobody caught it. */
async function uncaughtDuring(what: () => Promise<void>): Promise<string[]> {
  const messages: string[] = [];
  const listeners = process.listeners('uncaughtException');
  const note = (error: Error): void => void messages.push(error.message);
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', note);
  try {
    await what();
    await turn();
    await turn();
  } finally {
    process.off('uncaughtException', note);
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
  return messages;
}

/** Returns whether the call that throws came. */
async function run(kind: LinkKind, which: Case, call: number): Promise<boolean> {
  const stage = new Stage(kind, which, call);
  const uncaught = await uncaughtDuring(async () => {
    await stage.open();
    const victim = stage.victim as Pair;
    const other = stage.other as Pair;
    for (let round = 0; round < ROUNDS; round++) {
      stage.writeRound();
      await turn();
    }
    const closesLate = which.name === 'onClose' || which.name === 'onEnd';
    if (stage.thrown && !closesLate) await until(() => victim[which.side].closed);
    // The other link goes on.
    await until(() => stage.got.length === stage.sent);
    for (let i = 0; i < 8; i++) stage.writeOther();
    expect(other.near.writer.flush()).toBe(true);
    await until(() => stage.got.length === stage.sent);
    // A new link and a new writer of the same pool find nothing that was left behind.
    const writer = new LocalWriter((other.near.writer as LocalWriter).flusher);
    writer.close();
    await Promise.all([victim.near.close(), victim.far.close()]);
    await until(() => stage.got.length === stage.sent);
    await Promise.all([other.near.close(), other.far.close()]);
    await victim.close();
    await other.close();
  });
  expect(stage.got).toEqual(upTo(stage.sent));
  expect(uncaught).toEqual(stage.thrown ? [PLANTED] : []);
  expect([...stage.closings.values()]).toEqual([1, 1, 1, 1]);
  for (const pool of [stage.nearPool, stage.farPool]) {
    expect(pool.stats().held).toBe(0);
    expect(auditPool(pool)).toEqual([]);
    expect(pool.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: [] });
  }
  return stage.thrown;
}

describe.each(linkKinds)('$name', (kind) => {
  test.each(casesOf(kind))('what $name of the $side link throws stops nobody', async (which) => {
    let thrown = 0;
    for (const call of CALLS) {
      if (!(await run(kind, which, call))) break;
      thrown++;
    }
    // Where the system takes everything at once nothing is ever drained.
    if (which.name !== 'onDrained') expect(thrown).toBeGreaterThan(0);
  });
});
