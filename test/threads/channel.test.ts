// SPDX-License-Identifier: MIT
import { BufferPool } from 'busbar/pool';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { scaled } from '../effort.ts';
import { auditPool } from '../pool-audit.ts';
import { turn } from '../turns.ts';
import { Course, type Done, Member, type Shape } from './channel-team.ts';
import { testSeed } from './worker-crew.ts';

const MEMBERS = 4;
const seed = testSeed();
const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
const random = new Random(seed);
const calls: Record<string, number> = {};

let pool: BufferPool;
let senders: Member[];
let receivers: Member[];

beforeAll(async () => {
  pool = BufferPool.create({
    bufferSize: 64,
    bufferCount: 48,
    batchSize: 2,
    maxThreads: 2 * MEMBERS + 1,
    trackLeaks: false,
  });
  senders = Array.from({ length: MEMBERS }, () => new Member(pool));
  receivers = Array.from({ length: MEMBERS }, () => new Member(pool));
  await Promise.all([...senders, ...receivers].map((member) => member.attached));
});

afterAll(async () => {
  await Promise.all([...senders, ...receivers].map((member) => member.terminate()));
  expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  if (process.env.BUSBAR_TEST_FACTOR !== undefined) console.log(replay, calls);
});

const COUNTS = [1, 2, 3, 4];
const CROWDS = {
  spsc: [[1, 1]],
  mpsc: COUNTS.map((count) => [count, 1]),
  mpmc: COUNTS.flatMap((from) => COUNTS.map((to) => [from, to])),
};

/** Sends and receives everything; or the channel is closed under them after a while. */
async function pass(shape: Shape, from: number, to: number, closes: boolean): Promise<void> {
  const course = new Course(pool, shape, from, random.next());
  const { channel } = course;
  const count = Math.min(scaled(shape.capacity === 1 ? 40 : 120), 60_000);
  // Nobody is the last one before all are there.
  const holds = shape.kind === 'mpmc' ? [channel.sender(), channel.receiver()] : [];
  if (shape.kind === 'mpsc') holds.push(channel.sender());
  const begun = [
    ...receivers.slice(0, to).map((member) => member.begin(course.task('receiver', 0, 0))),
    ...senders.slice(0, from).map((member, id) => member.begin(course.task('sender', id, count))),
  ];
  await Promise.all(begun.map(({ joined }) => joined));
  for (const end of holds) end.close();
  const all = Promise.all(begun.map(({ done }) => done));
  if (closes) {
    const enough = random.below(count * from);
    let isOver = false;
    all
      .catch(() => {})
      .finally(() => {
        isOver = true;
      });
    while (!isOver && course.received < enough) await turn();
    channel.close();
  }
  check(course, from, to, await all);
}

function check(course: Course, from: number, to: number, ends: Done[]): void {
  const text = `${replay}, ${JSON.stringify(course.shape)} ${from} to ${to}`;
  for (const end of ends) {
    for (const [name, count] of Object.entries(end.calls)) calls[name] = (calls[name] ?? 0) + count;
  }
  const wrong = COUNTS.slice(0, from).flatMap((_, id) => course.missing(id));
  expect(wrong, text).toEqual([]);
  const sent = ends.slice(to).reduce((sum, { done }) => sum + done, 0);
  expect(course.received, text).toBe(sent);
  expect(course.channel.stats(), text).toMatchObject({
    sent,
    received: sent,
    queued: 0,
    senders: 0,
    receivers: 0,
  });
  const { held, inTransit, waiting } = pool.who();
  expect({ held, inTransit, waiting }, text).toEqual({ held: 0, inTransit: 0, waiting: 0 });
  expect(auditPool(pool), text).toEqual([]);
}

describe.each(['spsc', 'mpsc', 'mpmc'] as const)('%s', (kind) => {
  describe.each([1, 2, 64])('with room for %i', (capacity) => {
    test.each(['packets', 'words'] as const)(
      '%s of 1 to 4 threads arrive once and in order, whoever waits, gives up or closes',
      { timeout: 600_000 },
      async (carries) => {
        for (const [from, to] of CROWDS[kind]) {
          await pass({ kind, capacity, carries }, from, to, random.below(3) === 0);
        }
      },
    );
  });
});
