// SPDX-License-Identifier: MIT
/**
 * Fuzz target: valid operations on packets in random order, with pool objects of three threads and
 * a channel, against a list of expected contents.
 */

import { Random } from '../../src/base/random.ts';
import { PacketChannel } from '../../src/channel/index.ts';
import { Packet, type SendPacket } from '../../src/packet/index.ts';
import { BufferPool } from '../../src/pool/index.ts';
import { auditPool } from '../pool-audit.ts';
import { insist, type SeedTarget } from './target.ts';

const STEPS = 60;
const THREADS = 3;
const KINDS = ['spsc', 'mpsc', 'mpmc'] as const;

interface Held {
  packet: Packet;
  bytes: readonly number[];
}

class PacketRun {
  readonly #random: Random;
  readonly #pools: BufferPool[];
  readonly #held: Held[][];
  readonly #sent: { readonly sent: SendPacket; readonly bytes: readonly number[] }[] = [];
  readonly #channel: PacketChannel;
  readonly #queued: (readonly number[])[] = [];
  #value = 0;

  constructor(seed: number) {
    const random = new Random(seed);
    const bufferCount = random.between(1, 12);
    const batchSize = random.between(1, Math.min(3, bufferCount));
    const maxThreads = THREADS;
    const pool = BufferPool.create({ bufferSize: 32, bufferCount, batchSize, maxThreads });
    this.#random = random;
    this.#pools = [pool, BufferPool.attach(pool.handle), BufferPool.attach(pool.handle)];
    this.#held = [[], [], []];
    const kind = KINDS[random.below(3)];
    this.#channel = PacketChannel.create(pool, { kind, capacity: 2 ** random.below(4) });
  }

  go(): void {
    const [pool, other] = this.#pools;
    const sender = this.#channel.sender();
    const receiver = PacketChannel.attach(other, this.#channel.handle).receiver();
    for (let step = 0; step < STEPS; step++) {
      const thread = this.#random.below(THREADS);
      switch (this.#random.below(9)) {
        case 0:
        case 1:
          this.#make(thread);
          break;
        case 2:
        case 3:
          this.#change(thread);
          break;
        case 4:
          this.#send(thread);
          break;
        case 5:
          this.#receive(thread);
          break;
        case 6: {
          const held = this.#take(0);
          const isRoom = this.#queued.length < this.#channel.capacity;
          if (held === undefined) break;
          insist(sender.trySend(held.packet) === isRoom, 'trySend says what is not so');
          if (isRoom) this.#queued.push(held.bytes);
          else this.#held[0].push(held);
          break;
        }
        case 7: {
          const packet = receiver.tryReceive();
          const bytes = this.#queued.shift();
          insist((packet === undefined) === (bytes === undefined), 'tryReceive missed something');
          if (packet !== undefined && bytes !== undefined) this.#held[1].push({ packet, bytes });
          break;
        }
        default:
          this.#take(thread)?.packet.release();
      }
    }
    for (const held of this.#held.flat()) this.#compare(held);
    for (const { packet } of this.#held.flat()) packet.release();
    this.#held[0].length = 0;
    while (this.#sent.length > 0) this.#receive(0);
    for (const { packet } of this.#held[0]) packet.release();
    sender.close();
    receiver.close();
    const { heldByThreads, inTransit } = pool.close();
    insist(heldByThreads + inTransit === 0, `${heldByThreads} held, ${inTransit} in transit`);
    const wrong = auditPool(pool);
    insist(wrong.length === 0, wrong.join('; '));
    for (const each of this.#pools) each.detach();
  }

  #make(thread: number): void {
    const bytes = Array.from({ length: this.#random.below(33) }, () => ++this.#value & 0xff);
    const packet = Packet.tryFrom(this.#pools[thread], Uint8Array.from(bytes));
    if (packet !== undefined) this.#held[thread].push({ packet, bytes });
    else insist(this.#inUse() > 0, 'a pool that nobody uses has no buffer');
  }

  #inUse(): number {
    return this.#held.flat().length + this.#sent.length + this.#queued.length + THREADS;
  }

  #change(thread: number): void {
    const held = this.#take(thread);
    if (held === undefined) return;
    const { packet, bytes } = held;
    const mine = this.#held[thread];
    const begin = this.#random.below(bytes.length + 1);
    const end = this.#random.between(begin, bytes.length);
    switch (this.#random.below(4)) {
      case 0:
        mine.push({ packet: packet.clone(), bytes });
        break;
      case 1:
        mine.push({ packet: packet.slice(begin, end), bytes: bytes.slice(begin, end) });
        break;
      case 2:
        packet.advance(begin);
        mine.push({ packet, bytes: bytes.slice(begin) });
        return;
      default: {
        const ends = [begin, end, bytes.length];
        for (const [i, piece] of packet.shatter([begin, end]).entries()) {
          mine.push({ packet: piece, bytes: bytes.slice(ends[i - 1] ?? 0, ends[i]) });
        }
        return;
      }
    }
    mine.push(held);
  }

  #send(thread: number): void {
    const held = this.#take(thread);
    if (held !== undefined) this.#sent.push({ sent: held.packet.moveOut(), bytes: held.bytes });
  }

  #receive(thread: number): void {
    const [first] = this.#sent.splice(this.#random.below(this.#sent.length || 1), 1);
    if (first === undefined) return;
    const packet = Packet.moveIn(this.#pools[thread], first.sent);
    this.#held[thread].push({ packet, bytes: first.bytes });
  }

  /** One of the packets of a thread, looked at; no more in the list. */
  #take(thread: number): Held | undefined {
    const mine = this.#held[thread];
    const [held] = mine.splice(this.#random.below(mine.length || 1), 1);
    if (held !== undefined) this.#compare(held);
    return held;
  }

  #compare({ packet, bytes }: Held): void {
    insist(packet.length === bytes.length, `${packet.length} bytes, not ${bytes.length}`);
    for (let i = 0; i < bytes.length; i++) insist(packet.getUint8(i) === bytes[i], 'wrong bytes');
  }
}

export const packets: SeedTarget = {
  name: 'packets',
  execution: `${STEPS} operations on packets of one pool, in three threads' worth of objects`,
  executionsInTests: 500,
  run: (seed) => new PacketRun(seed).go(),
};
