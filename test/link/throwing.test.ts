// SPDX-License-Identifier: MIT
/**
 * A handler throws, in each of its functions, at each of its first calls, with other links of the
 * same pools beside it, one made before and one after. The link that threw ends, the others lose
 * nothing, and no buffer is left.
 */
import type { Link } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { LocalWriter } from 'busbar/writer';
import { describe, expect, test } from 'vitest';
import { framed, numberOf, upTo } from '../numbered.ts';
import { auditPool } from '../pool-audit.ts';
import { turn, until } from '../turns.ts';
import { uncaughtDuring } from '../uncaught.ts';
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

/** A pair of links that nothing must happen to. */
interface Other {
  readonly pair: Pair;
  /** What came. */
  readonly got: number[];
  sent: number;
}

/** Three pairs of links over the same two pools; one of the handlers of `victim` throws. */
class Stage {
  readonly nearPool = makePool();
  readonly farPool = makePool();
  /** Calls of the function that throws. */
  calls = 0;
  /** Whether it has thrown. */
  thrown = false;
  readonly others: Other[] = [];
  readonly closings = new Map<Link, number>();
  victim: Pair | undefined;
  readonly #kind: LinkKind;
  readonly #case: Case;
  readonly #call: number;

  constructor(kind: LinkKind, which: Case, call: number) {
    this.#kind = kind;
    this.#case = which;
    this.#call = call;
  }

  async open(): Promise<void> {
    await this.#openOther();
    this.victim = await this.#pair({ onMessage() {} }, this.#case.side);
    await this.#openOther();
  }

  async #openOther(): Promise<void> {
    const got: number[] = [];
    const onMessage: Events['onMessage'] = (offset, length, link) => {
      got.push(numberOf(link.pool.bytes, offset, length));
    };
    this.others.push({ pair: await this.#pair({ onMessage }), got, sent: 0 });
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
      this.writeOthers();
      if (this.calls % 2 === 0) for (const { pair } of this.others) pair.near.flush();
      if (this.calls < this.#call) return;
      this.thrown = true;
      throw new Error(PLANTED);
    };
    return { ...events, [this.#case.name]: throwing };
  }

  writeOthers(): void {
    for (const other of this.others) {
      if (other.pair.near.writer.tryWrite(framed(other.sent, LENGTH))) other.sent++;
    }
  }

  get hasAllArrived(): boolean {
    return this.others.every(({ got, sent }) => got.length === sent);
  }

  /** All links write in one turn: so much that they send within the drain, or at its end. */
  writeRound(round: number): void {
    const { near } = this.victim as Pair;
    for (let i = 0; i < [1, 6, 2][round % 3]; i++) {
      if (!near.closed && !near.writer.closed) near.writer.tryWrite(framed(i, LENGTH));
      this.writeOthers();
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

/** Returns whether the call that throws came. */
async function run(kind: LinkKind, which: Case, call: number): Promise<boolean> {
  const stage = new Stage(kind, which, call);
  const uncaught = await uncaughtDuring(async () => {
    await stage.open();
    const victim = stage.victim as Pair;
    for (let round = 0; round < ROUNDS; round++) {
      stage.writeRound(round);
      await turn();
    }
    const closesLate = which.name === 'onClose' || which.name === 'onEnd';
    if (stage.thrown && !closesLate) await until(() => victim[which.side].closed);
    // The others go on.
    await until(() => stage.hasAllArrived);
    stage.writeOthers();
    await until(() => stage.hasAllArrived);
    // A new link and a new writer of the same pool find nothing that was left behind.
    const writer = new LocalWriter((victim.near.writer as LocalWriter).flusher);
    writer.close();
    await Promise.all([victim.near.close(), victim.far.close()]);
    await until(() => stage.hasAllArrived);
    await victim.close();
    for (const { pair } of stage.others) {
      await Promise.all([pair.near.close(), pair.far.close()]);
      await pair.close();
    }
  });
  for (const { got, sent } of stage.others) expect(got).toEqual(upTo(sent));
  expect(uncaught).toEqual(stage.thrown ? [PLANTED] : []);
  expect([...stage.closings.values()]).toEqual([1, 1, 1, 1, 1, 1]);
  for (const pool of [stage.nearPool, stage.farPool]) {
    expect(pool.stats().held).toBe(0);
    expect(auditPool(pool)).toEqual([]);
    expect(pool.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
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
