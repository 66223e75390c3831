// SPDX-License-Identifier: MIT
import { PacketChannel, type PacketReceiver, type PacketSender } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { BufferPool, NO_BUFFER } from 'busbar/pool';
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { scaled } from '../effort.ts';
import { auditPool } from '../pool-audit.ts';
import { turn } from '../turns.ts';
import { STOP } from './channel-crew.ts';
import { Course, Member, type Shape } from './channel-team.ts';
import { testSeed } from './worker-crew.ts';

const seed = testSeed();
const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
const SENDERS_MAX = 100;
/** A thread may die after it has taken a message, before it could say so. */
const LOST_PER_RECEIVER = 3;
/** A thread may die after it has sent a batch, before it could say so. */
const UNTOLD_MAX = 8;

function createPool(): BufferPool {
  return BufferPool.create({
    bufferSize: 64,
    bufferCount: 40,
    batchSize: 2,
    maxThreads: 10,
    trackLeaks: false,
  });
}

type Role = 'sender' | 'receiver';

interface Mortal {
  readonly member: Member;
  readonly role: Role;
  readonly id: number;
  readonly joined: Promise<void>;
  readonly done: Promise<unknown>;
}

/** Threads around one channel that die and are replaced, and who cleans up behind them. */
class Mourners {
  readonly course: Course;
  readonly found = { kills: 0, receivers: 0, seats: 0, buffers: 0 };
  readonly #pool: BufferPool;
  readonly #random: Random;
  readonly #living: Mortal[] = [];
  readonly #killed = new Set<number>();
  #ids = 0;
  #failed: unknown;

  constructor(pool: BufferPool, shape: Shape, random: Random) {
    this.#pool = pool;
    this.#random = random;
    this.course = new Course(pool, shape, SENDERS_MAX, random.next());
  }

  async start(role: Role): Promise<void> {
    const member = new Member(this.#pool);
    await member.attached;
    const id = role === 'sender' ? this.#ids++ : 0;
    const { joined, done } = member.begin(this.course.task(role, id, 60_000));
    done.catch((error) => {
      this.#failed ??= error;
    });
    this.#living.push({ member, role, id, joined, done });
    await joined;
  }

  /** Kills somebody when some more messages have come, and puts another in the place. */
  async kill(mayHitReceivers: boolean): Promise<void> {
    const { course, found } = this;
    const enough = course.received + this.#random.below(200);
    while (course.received < enough) {
      if (this.#failed !== undefined) throw this.#failed;
      await turn();
    }
    const mortals = this.#living.filter(({ role }) => mayHitReceivers || role === 'sender');
    const victim = mortals[this.#random.below(mortals.length)];
    this.#living.splice(this.#living.indexOf(victim), 1);
    await victim.member.terminate();
    found.kills++;
    if (victim.role === 'receiver') found.receivers++;
    else this.#killed.add(victim.id);
    const reclaimsFirst = this.#random.below(2) === 0;
    if (reclaimsFirst) found.buffers += this.#pool.reclaim(victim.member.slot);
    found.seats += course.channel.recover();
    if (!reclaimsFirst) found.buffers += this.#pool.reclaim(victim.member.slot);
    await this.start(victim.role);
  }

  /** Lets everyone come to an end, and says what is wrong. */
  async finish(): Promise<string[]> {
    const { course } = this;
    Atomics.store(course.board, STOP, 1);
    await Promise.all(this.#living.map(({ done }) => done));
    await Promise.all(this.#living.map(({ member }) => member.terminate()));
    this.#pool.reclaimDead();
    for (const { member } of this.#living) this.#pool.reclaim(member.slot);
    const wrong: string[] = [];
    let lost = 0;
    for (let id = 0; id < this.#ids; id++) {
      const numbers = course.receivedOf(id);
      const end = (numbers.at(-1) ?? -1) + 1;
      const sent = course.sent(id);
      lost += Math.max(end, sent) - numbers.length;
      const untold = this.#killed.has(id) ? UNTOLD_MAX : 0;
      if (end > sent + untold) wrong.push(`sender ${id} sent ${sent}, of which ${end} came`);
    }
    const mayLose = this.found.receivers * LOST_PER_RECEIVER;
    if (lost > mayLose) wrong.push(`${lost} messages are lost`);
    return wrong;
  }
}

describe.each(['spsc', 'mpsc', 'mpmc'] as const)('%s', (kind) => {
  const shapes = [
    { capacity: 1, mayHitReceivers: false },
    { capacity: 2, mayHitReceivers: true },
    { capacity: 1, mayHitReceivers: true },
    { capacity: 64, mayHitReceivers: false },
    { capacity: 64, mayHitReceivers: true },
  ].slice(0, scaled(2));
  test.each(shapes)(
    'room for $capacity: threads die, receivers too: $mayHitReceivers; the others go on',
    { timeout: 600_000 },
    async ({ capacity, mayHitReceivers }) => {
      const random = new Random(seed + capacity);
      const pool = createPool();
      const mourners = new Mourners(pool, { kind, capacity, carries: 'packets' }, random);
      const { channel } = mourners.course;
      for (let i = 0; i < (kind === 'mpmc' ? 2 : 1); i++) await mourners.start('receiver');
      for (let i = 0; i < (kind === 'spsc' ? 1 : 2); i++) await mourners.start('sender');
      const kills = Math.min(scaled(3), SENDERS_MAX - 5);
      for (let i = 0; i < kills; i++) await mourners.kill(mayHitReceivers);
      expect(await mourners.finish(), replay).toEqual([]);
      const { queued, senders, receivers } = channel.stats();
      expect({ queued, senders, receivers }, replay).toEqual({
        queued: 0,
        senders: 0,
        receivers: 0,
      });
      expect(auditPool(pool), replay).toEqual([]);
      expect(pool.close(), replay).toMatchObject({ heldByThreads: 0, inTransit: 0 });
      if (process.env.BUSBAR_TEST_FACTOR !== undefined) console.log(replay, mourners.found);
    },
  );

  test.each(['send', 'sendSync'] as const)('%s learns that the receiver died', async (how) => {
    const { pool, course, member } = await withOne(kind, 'receiver');
    const sender = course.channel.sender() as PacketSender;
    await sender.send(packetOf(pool));
    await member.terminate();
    const kept: Packet[] = [];
    const sending = async () => {
      for (;;) {
        const packet = packetOf(pool);
        kept.push(packet);
        await (how === 'send' ? sender.send(packet) : sender.sendSync(packet));
        kept.pop();
      }
    };
    await expect(sending()).rejects.toMatchObject({ code: 'ERR_BUSBAR_CHANNEL_PEER_DIED' });
    expect(kept.map((packet) => packet.released)).toEqual([false]);
    kept[0].release();
    bury(pool, member, course);
    sender.close();
    course.channel.destroy();
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  });

  test.each(['receive', 'receiveSync'] as const)('%s learns that all senders died', async (how) => {
    const { pool, course, member } = await withOne(kind, 'sender');
    const receiver = course.channel.receiver() as PacketReceiver;
    (await receiver.receive())?.release();
    await member.terminate();
    const receiving = async () => {
      for (;;) (how === 'receive' ? await receiver.receive() : receiver.receiveSync())?.release();
    };
    await expect(receiving()).rejects.toMatchObject({ code: 'ERR_BUSBAR_CHANNEL_PEER_DIED' });
    // Whoever comes next is heard as if nothing had happened.
    const heir = course.channel.sender() as PacketSender;
    await heir.send(packetOf(pool));
    const received = await receiver.receive();
    expect(received?.length).toBeGreaterThan(3);
    received?.release();
    heir.close();
    expect(await receiver.receive()).toBeUndefined();
    bury(pool, member, course);
    expect(pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  });
});

/** A worker on the other side of a channel that this thread has the rest of. */
async function withOne(kind: Shape['kind'], role: Role) {
  const pool = createPool();
  const course = new Course(pool, { kind, capacity: 2, carries: 'packets' }, 1, seed);
  expect(course.channel).toBeInstanceOf(PacketChannel);
  const member = new Member(pool);
  await member.attached;
  await member.begin(course.task(role, 0, 60_000)).joined;
  return { pool, course, member };
}

function bury(pool: BufferPool, member: Member, course: Course): void {
  course.channel.recover();
  pool.reclaim(member.slot);
  expect(auditPool(pool)).toEqual([]);
}

/** Message 0 of sender 0, and each time the next one. */
let number = 0;
function packetOf(pool: BufferPool): Packet {
  const id = pool.tryAcquire();
  if (id === NO_BUFFER) throw new Error('no buffer');
  const offset = pool.offsetOf(id);
  const word = number++;
  pool.view.setUint32(offset, word);
  const length = 4 + (word % 20);
  pool.bytes.fill(word & 255, offset + 4, offset + length);
  return Packet.wrap(pool, id, offset, length);
}
