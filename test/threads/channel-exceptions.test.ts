// SPDX-License-Identifier: MIT
/** Channels whose calls throw before each of their atomic accesses in turn, and are repeated. */
import { describe, expect, test } from 'vitest';
import { CHANNEL_KINDS, type ChannelKind } from '../../src/channel/channel-layout.ts';
import { PacketChannel, WordChannel } from '../../src/channel/index.ts';
import { Packet } from '../../src/packet/index.ts';
import { BufferPool } from '../../src/pool/index.ts';
import { throwAt } from '../accesses.ts';
import { auditPool } from '../pool-audit.ts';

const ACCESSES_MAX = 500;
const CAPACITY = 4;
const MESSAGES = 5;
const RETRIES_MAX = 10;

/** Both ends of a channel, each in a thread of its own as far as the pool knows. */
class Stage {
  readonly pool = BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 4 });
  readonly other = BufferPool.attach(this.pool.handle);
  readonly blocks: ArrayBufferLike[];
  readonly channel: PacketChannel | WordChannel;
  /** Packets to send, by message; and those received, which are released at the end. */
  readonly made: Packet[] = [];
  readonly packets: Packet[] = [];
  /** Settled when the receiver that was armed is rung. */
  rung: Promise<void> | undefined;
  /** Settled when the message that waits for room is sent. */
  waiting: Promise<void> | undefined;
  readonly sent: number[] = [];
  readonly received: number[] = [];
  readonly trySend: (message: number) => boolean;
  readonly trySendBatch: (messages: readonly number[]) => number;
  readonly send: (message: number) => Promise<void>;
  readonly tryReceive: () => boolean;
  readonly receive: () => Promise<void>;
  readonly drain: () => void;
  readonly sender: { close(): void };
  readonly receiver: {
    arm(): boolean;
    close(): void;
    setReadyCallback(callback: () => void): void;
  };

  constructor(kind: ChannelKind, carries: 'words' | 'packets') {
    const { pool, other, received } = this;
    if (carries === 'words') {
      const channel = WordChannel.create(pool, { kind, capacity: CAPACITY });
      const sender = channel.sender();
      const receiver = WordChannel.attach(other, channel.handle).receiver();
      const take = (word: number | undefined) => {
        if (word !== undefined) received.push(word);
        return word !== undefined;
      };
      this.channel = channel;
      this.sender = sender;
      this.receiver = receiver;
      this.trySend = (message) => sender.trySend(message);
      this.trySendBatch = (messages) => sender.trySendBatch(Int32Array.from(messages));
      this.send = (message) => sender.send(message);
      this.tryReceive = () => take(receiver.tryReceive());
      this.receive = async () => void take(await receiver.receive());
      this.drain = () => void receiver.drain((word) => void received.push(word));
    } else {
      const channel = PacketChannel.create(pool, { kind, capacity: CAPACITY });
      const sender = channel.sender();
      const receiver = PacketChannel.attach(other, channel.handle).receiver();
      const make = (message: number) => Packet.tryFrom(pool, Uint8Array.of(message)) as Packet;
      const take = (packet: Packet | undefined) => {
        if (packet === undefined) return false;
        received.push(packet.getUint8(0));
        others.push(packet);
        return true;
      };
      /** Released outside of what throws: that is not what is tested. */
      const others = this.packets;
      // Made before: what a pool does is tested elsewhere.
      for (let message = 0; message < MESSAGES; message++) this.made.push(make(message));
      this.channel = channel;
      this.sender = sender;
      this.receiver = receiver;
      this.trySend = (message) => sender.trySend(this.made[message]);
      this.trySendBatch = (messages) => sender.trySendBatch(messages.map((at) => this.made[at]));
      this.send = (message) => sender.send(this.made[message]);
      this.tryReceive = () => take(receiver.tryReceive());
      this.receive = async () => void take(await receiver.receive());
      this.drain = () => void receiver.drain((packet) => void take(packet));
    }
    this.blocks = [this.channel.handle.control, pool.handle.control];
  }

  /** Each message arrived once, in order; nothing is left over. */
  end(): void {
    while (this.tryReceive());
    expect(this.received).toEqual(this.sent);
    for (const packet of this.packets) packet.release();
    for (const packet of this.made) if (!packet.released) packet.release();
    this.sender.close();
    this.receiver.close();
    expect(auditPool(this.pool)).toEqual([]);
    this.other.detach();
    expect(this.pool.close()).toMatchObject({ heldByThreads: 0, inTransit: 0 });
  }
}

/** Prepares; the step under test, true once it is done; what must hold then. */
interface Operation {
  prepare(stage: Stage): void;
  step(stage: Stage): boolean;
  settle(stage: Stage): Promise<unknown> | undefined;
}

function arm(stage: Stage): void {
  stage.rung = new Promise((resolve) => stage.receiver.setReadyCallback(resolve));
  expect(stage.receiver.arm()).toBe(true);
}

function fill(stage: Stage): void {
  for (let message = 0; stage.trySend(message); message++) stage.sent.push(message);
}

/** Fills the channel; one more message waits for room. */
function fillAndWait(stage: Stage): void {
  fill(stage);
  stage.waiting = stage.send(MESSAGES - 1);
  stage.sent.push(MESSAGES - 1);
}

const OPERATIONS: Record<string, Operation> = {
  'trySend to a sleeper': {
    prepare: arm,
    step: (stage) => {
      if (stage.trySend(1)) stage.sent.push(1);
      return true;
    },
    settle: (stage) => stage.rung,
  },
  'trySendBatch to a sleeper': {
    prepare: arm,
    step: (stage) => {
      const rest = [1, 2].slice(stage.sent.length);
      const count = stage.trySendBatch(rest);
      stage.sent.push(...rest.slice(0, count));
      return stage.sent.length === 2;
    },
    settle: (stage) => stage.rung,
  },
  'tryReceive from a sleeper': {
    prepare: fillAndWait,
    step: (stage) => stage.tryReceive(),
    settle: (stage) => stage.waiting,
  },
  'drain what a sleeper has sent': {
    prepare: fillAndWait,
    step: (stage) => {
      stage.drain();
      return true;
    },
    settle: (stage) => stage.waiting,
  },
  arm: {
    prepare: (stage) => {
      stage.rung = new Promise((resolve) => stage.receiver.setReadyCallback(resolve));
    },
    step: (stage) => stage.receiver.arm(),
    settle: (stage) => {
      expect(stage.trySend(1)).toBe(true);
      stage.sent.push(1);
      return stage.rung;
    },
  },
  'the sender leaves': {
    prepare: arm,
    step: (stage) => {
      stage.sender.close();
      return true;
    },
    settle: (stage) => stage.rung,
  },
};

describe.each(CHANNEL_KINDS)('%s', (kind) => {
  describe.each(['words', 'packets'] as const)('%s', (carries) => {
    test.each(Object.entries(OPERATIONS))('%s, an exception at each access', async (_, op) => {
      let k = 1;
      for (let more = true; more && k < ACCESSES_MAX; k++) {
        const stage = new Stage(kind, carries);
        op.prepare(stage);
        let isDone = false;
        more = throwAt(
          k,
          () => {
            isDone = op.step(stage);
          },
          stage.blocks,
        );
        for (let again = 0; !isDone; again++) {
          if (again === RETRIES_MAX) throw new Error(`access ${k}: not done when made again`);
          isDone = op.step(stage);
        }
        await op.settle(stage);
        stage.end();
      }
      expect(k).toBeGreaterThan(2);
      expect(k).toBeLessThan(ACCESSES_MAX);
    });

    test('receive that waits, an exception at each access', async () => {
      let k = 1;
      for (let more = true; more && k < ACCESSES_MAX; k++) {
        const stage = new Stage(kind, carries);
        let waits: Promise<unknown> = Promise.resolve();
        more = throwAt(
          k,
          () => {
            waits = stage.receive().then(undefined, () => 'refused');
          },
          stage.blocks,
        );
        const first = Promise.resolve('later');
        const isRefused = (await Promise.race([waits, first.then((later) => later)])) === 'refused';
        const received = isRefused ? stage.receive() : waits;
        expect(stage.trySend(1)).toBe(true);
        stage.sent.push(1);
        await received;
        stage.end();
      }
      expect(k).toBeGreaterThan(2);
      expect(k).toBeLessThan(ACCESSES_MAX);
    });
  });
});
