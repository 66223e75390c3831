// SPDX-License-Identifier: MIT
/**
 * Fuzz target: the receiving half of a UDP link, over a fake socket, with arbitrary datagrams, also
 * packed ones with wrong lengths.
 */
import { Random } from '../../src/base/random.ts';
import { UdpIntake, type UdpIntakeOwner } from '../../src/link/udp/udp-intake.ts';
import { AGAIN, type UdpSocket } from '../../src/link/udp/udp-socket.ts';
import {
  IN_CAPACITY,
  IN_FLAGS,
  IN_LENGTH,
  IN_OFFSET,
  IN_SEGMENT,
  IN_TRUNCATED,
  IN_WORDS,
} from '../../src/native/udp.ts';
import { type BufferId, BufferPool, NO_BUFFER } from '../../src/pool/index.ts';
import { byteTarget, type FuzzTarget, insist } from './target.ts';

/** Which pool and mode, and three bytes that say what the receiver does with what it gets. */
const HEAD_BYTES = 4;
/** Before each datagram: its length, and how the system put it together; 0: it did not. */
const DATAGRAM_HEAD_BYTES = 2;
const DATAGRAM_BYTES_MAX = 250;
const INPUT_BYTES_MAX = 2000;

const POOLS: readonly BufferPool[] = [64, 128, 200, 1024].flatMap((bufferSize) =>
  [2, 5].map((bufferCount) => BufferPool.create({ bufferSize, bufferCount, batchSize: 1 })),
);

const scratch = new Uint8Array(INPUT_BYTES_MAX + 2 * DATAGRAM_BYTES_MAX);

function generate(random: Random): Uint8Array {
  for (let i = 0; i < HEAD_BYTES; i++) scratch[i] = random.next();
  let at = HEAD_BYTES;
  for (let count = random.below(8); count > 0; count--) {
    const begin = at + DATAGRAM_HEAD_BYTES;
    let end = begin;
    const messageMax = random.chance(0.8) ? 12 : 120;
    for (let messages = random.below(9); messages > 0; messages--) {
      const length = random.below(messageMax);
      if (end + 2 + length > begin + DATAGRAM_BYTES_MAX) break;
      scratch[end++] = 0;
      scratch[end++] = length;
      for (let i = 0; i < length; i++) scratch[end++] = i;
    }
    for (let damages = random.below(3); damages > 0 && end > begin; damages--) {
      const where = begin + random.below(end - begin);
      if (random.chance(0.5)) scratch[where] = random.chance(0.5) ? random.below(4) : random.next();
      else end = where;
    }
    scratch[at] = end - begin;
    scratch[at + 1] = random.chance(0.6) ? 0 : 1 + random.below(random.chance(0.5) ? 20 : 255);
    at = end;
  }
  return scratch.subarray(0, at);
}

/** Something that is to be delivered: where it lies in the input. */
interface Expected {
  readonly begin: number;
  readonly length: number;
}

interface Datagram {
  readonly bytes: Uint8Array;
  readonly segment: number;
}

class IntakeRun implements UdpIntakeOwner {
  readonly #pool: BufferPool;
  readonly #random: Random;
  readonly #intake: UdpIntake;
  readonly #input: Uint8Array;
  readonly #datagrams: Datagram[] = [];
  readonly #expected: Expected[] = [];
  readonly #kept: [BufferId, number, Expected][] = [];
  #next = 0;
  #delivered = 0;
  #truncated = 0;
  #malformed = 0;
  #isFailed = false;

  constructor(input: Uint8Array) {
    const packed = (input[0] & 1) !== 0;
    this.#pool = POOLS[(input[0] >> 1) % POOLS.length];
    this.#random = new Random(input[1] | (input[2] << 8) | (input[3] << 16));
    this.#input = input;
    this.#intake = new UdpIntake(this.#pool, packed);
    for (let at = HEAD_BYTES; at + DATAGRAM_HEAD_BYTES <= input.length; ) {
      const begin = at + DATAGRAM_HEAD_BYTES;
      const whole = Math.min(begin + input[at], input.length);
      const end = Math.min(whole, begin + this.#pool.bufferSize);
      if (end < whole) this.#truncated++;
      const length = end - begin;
      const segment = length === 0 ? 0 : input[at + 1];
      this.#datagrams.push({ bytes: input.subarray(begin, whole), segment });
      for (let from = begin; from < end || from === begin; from += segment || length || 1) {
        this.#expect(packed, from, segment === 0 ? end : Math.min(from + segment, end));
      }
      at = whole;
    }
    const socket = { receive: (table: Int32Array, count: number) => this.#receive(table, count) };
    this.#intake.open(this, socket as unknown as UdpSocket);
  }

  /** What one datagram holds. */
  #expect(packed: boolean, begin: number, end: number): void {
    if (!packed) {
      this.#expected.push({ begin, length: end - begin });
      return;
    }
    for (let at = begin; at < end; ) {
      const length = at + 2 > end ? Infinity : this.#input[at] * 256 + this.#input[at + 1];
      if (at + 2 + length > end) {
        this.#malformed++;
        return;
      }
      this.#expected.push({ begin: at + 2, length });
      at += 2 + length;
    }
  }

  async go(): Promise<void> {
    const intake = this.#intake;
    for (let idle = 0; !this.#isFailed; ) {
      const before = this.#next + this.#delivered;
      if (intake.paused) intake.resume();
      if (intake.wantsMore) intake.readable();
      if (this.#isFailed) break;
      if (!intake.paused && this.#next === this.#datagrams.length && intake.wantsMore) break;
      if (!intake.wantsMore && !intake.paused) {
        // The pool is dry: what is kept goes back, and the intake finds its buffer.
        this.#dropAll();
        await undefined;
        await undefined;
      }
      idle = this.#next + this.#delivered > before ? 0 : idle + 1;
      insist(idle < 10, 'no progress');
    }
    this.#finish();
  }

  deliver(offset: number, length: number, bufferId: BufferId): void {
    const random = this.#random;
    const expected = this.#expected[this.#delivered];
    insist(!this.#isFailed, 'delivered after its end');
    insist(expected !== undefined, 'a message too many');
    insist(length === expected.length, `message of ${length} bytes, expected ${expected.length}`);
    this.#compare(offset, expected);
    this.#delivered++;
    if (random.chance(0.2)) {
      this.#pool.retain(bufferId);
      this.#kept.push([bufferId, offset, expected]);
    }
    if (random.chance(0.1)) this.#intake.pause();
    if (random.chance(0.1)) this.#drop();
    if (random.chance(0.01)) {
      this.#isFailed = true;
      if (random.chance(0.5)) this.#intake.close();
      else throw new Error('the handler fails');
    }
  }

  deliveryFailed(error: unknown): void {
    if (!this.#isFailed) throw error;
    this.#intake.close();
  }

  intakeFailed(error: unknown): void {
    throw error;
  }

  receiveFailed(errno: number): void {
    throw new Error(`errno ${errno}`);
  }

  watch(): void {}

  /** The system's part. */
  #receive(table: Int32Array, count: number): number {
    let filled = 0;
    for (; filled < count && this.#next < this.#datagrams.length; filled++) {
      if (filled > 0 && this.#random.chance(0.1)) break;
      const { bytes, segment } = this.#datagrams[this.#next++];
      const row = filled * IN_WORDS;
      const length = Math.min(bytes.length, table[row + IN_CAPACITY]);
      this.#pool.bytes.set(bytes.subarray(0, length), table[row + IN_OFFSET]);
      table[row + IN_LENGTH] = length;
      table[row + IN_SEGMENT] = segment;
      table[row + IN_FLAGS] = length < bytes.length ? IN_TRUNCATED : 0;
    }
    return filled === 0 ? -AGAIN : filled;
  }

  #compare(offset: number, { begin, length }: Expected): void {
    for (let i = 0; i < length; i++) {
      insist(this.#pool.bytes[offset + i] === this.#input[begin + i], 'wrong bytes');
    }
  }

  #drop(): void {
    const kept = this.#kept.shift();
    if (kept === undefined) return;
    this.#compare(kept[1], kept[2]);
    this.#pool.release(kept[0]);
  }

  #dropAll(): void {
    while (this.#kept.length > 0) this.#drop();
  }

  #finish(): void {
    const { datagramsRead, messages, truncated, malformed } = this.#intake.stats();
    if (!this.#isFailed) {
      insist(this.#delivered === this.#expected.length, `${this.#delivered} messages only`);
      insist(truncated === this.#truncated, `${truncated} truncated, not ${this.#truncated}`);
      insist(malformed === this.#malformed, `${malformed} malformed, not ${this.#malformed}`);
      insist(datagramsRead >= this.#datagrams.length, `${datagramsRead} datagrams`);
    }
    insist(messages === this.#delivered, `${messages} messages counted`);
    this.#intake.close();
    this.#dropAll();
    const free: BufferId[] = [];
    for (let id = this.#pool.tryAcquire(); id !== NO_BUFFER; id = this.#pool.tryAcquire()) {
      free.push(id);
    }
    for (const id of free) this.#pool.release(id);
    insist(free.length === this.#pool.bufferCount, 'a buffer did not come home');
  }
}

export const udpIntake: FuzzTarget = byteTarget({
  name: 'udp-intake',
  execution: 'up to seven datagrams, messages or packed, through an intake to its close',
  executionsInTests: 8_000,
  generate,
  check: async (input) => {
    if (input.length >= HEAD_BYTES) await new IntakeRun(input).go();
  },
});
