// SPDX-License-Identifier: MIT
/** Test tool: drives writers at random and compares what arrives with a plain list. */
import { arbitrarySeed, Random } from '../../src/base/random.ts';
import type { Packet } from '../../src/packet/index.ts';
import { type BufferId, BufferPool } from '../../src/pool/index.ts';
import {
  type FlushPolicy,
  LocalWriter,
  SharedWriter,
  WriteFlusher,
} from '../../src/writer/index.ts';
import { auditPool } from '../pool-audit.ts';

type Writer = LocalWriter | SharedWriter;

/** One reservation, as the oracle sees it: the list of them is in the order of reservation. */
interface Message {
  readonly writer: number;
  offset: number;
  readonly length: number;
  state: 'open' | 'committed' | 'aborted';
  bytes: number[];
}

/** A packet that the program keeps, and what must stay in it. */
interface Kept {
  readonly packet: Packet;
  readonly bytes: number[];
}

/** What a run is made of; chosen from the seed. */
export interface Shape {
  readonly bufferSize: number;
  readonly bufferCount: number;
  readonly regionCount: number;
  readonly headroom: number;
  readonly tailroom: number;
  readonly flush: FlushPolicy;
  readonly openMax: number;
  readonly keepsMax: number;
  /** 0: a LocalWriter; otherwise this many objects of one SharedWriter. */
  readonly shared: number;
}

const POLICIES: readonly FlushPolicy[] = ['manual', 'turn', { bytes: 90 }, { messages: 3 }];

function chooseShape(random: Random, shared: number): Shape {
  const hasRooms = random.chance(0.4);
  const bufferSize = random.between(24, 96);
  return {
    bufferSize,
    // Regions among others' bytes need a free buffer to be copied to.
    bufferCount: random.between(shared > 0 || hasRooms ? 24 : 3, 40),
    regionCount: 2 ** random.between(1, 5),
    headroom: hasRooms ? random.below(6) : 0,
    tailroom: hasRooms ? random.below(6) : 0,
    flush: POLICIES[random.below(POLICIES.length)],
    openMax: random.between(1, 6),
    keepsMax: random.below(5),
    shared,
  };
}

/** One run; throws, with the way to replay it, when something is wrong. */
export function runOracle(shared: number, steps: number, seed: number = arbitrarySeed()): void {
  const random = new Random(seed);
  const shape = chooseShape(random, shared);
  const run = new OracleRun(shape, random);
  let step = 0;
  try {
    for (; step < steps; step++) run.step();
    run.end();
  } catch (error) {
    const where = `replay: runOracle(${shared}, ${steps}, ${seed}); step ${step}`;
    throw new Error(`${where}, ${JSON.stringify(shape)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function insist(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

class OracleRun {
  readonly #shape: Shape;
  readonly #random: Random;
  readonly #pools: BufferPool[];
  readonly #flusher: WriteFlusher;
  readonly #writers: Writer[];
  readonly #messages: Message[] = [];
  readonly #arrived: number[] = [];
  readonly #packets: Kept[] = [];
  readonly #kept: { id: BufferId; offset: number; bytes: number[] }[] = [];
  #value = 0;

  constructor(shape: Shape, random: Random) {
    this.#shape = shape;
    this.#random = random;
    const { bufferSize, bufferCount, regionCount, headroom, tailroom, flush, shared } = shape;
    const pool = BufferPool.create({ bufferSize, bufferCount, batchSize: 1, maxThreads: 5 });
    this.#flusher = WriteFlusher.create(pool, { writerCount: 3, regionCount });
    const options = { headroom, tailroom, flush };
    this.#pools = [pool];
    if (shared === 0) {
      this.#writers = [new LocalWriter(this.#flusher, options)];
      return;
    }
    const writer = SharedWriter.create(this.#flusher, options);
    this.#writers = [writer];
    for (let i = 1; i < shared; i++) {
      const other = BufferPool.attach(pool.handle);
      this.#pools.push(other);
      const flusher = WriteFlusher.attach(other, this.#flusher.handle);
      this.#writers.push(SharedWriter.attach(flusher, writer.handle));
    }
  }

  step(): void {
    const random = this.#random;
    const open = this.#messages.filter((message) => message.state === 'open');
    const chance = random.below(100);
    if (chance < 45 && open.length < this.#shape.openMax) this.#reserve();
    else if (chance < 75 && open.length > 0) this.#finish(open[random.below(open.length)]);
    else if (chance < 80) this.#handOver(open);
    else if (chance < 92) this.#flush();
    else if (chance < 96) this.#drain(1 + random.below(4));
    else this.#releaseOne();
    for (const writer of this.#writers) {
      if (writer instanceof LocalWriter) {
        writer.invariants();
        if (random.chance(0.02)) writer.releaseIdle();
      }
    }
  }

  end(): void {
    for (const message of this.#messages) {
      if (message.state === 'open') this.#finish(message);
    }
    for (let i = 0; ; i++) {
      this.#releaseOne(true);
      const complete = this.#writers[0].flush();
      this.#drain();
      if (complete) break;
      insist(i < 200, 'flush is never complete');
    }
    this.#compare(this.#deliverable(), true);
    this.#releasePackets(this.#packets.splice(0));
    for (const writer of this.#writers) insist(writer.close() === 0, 'close() dropped something');
    this.#drain();
    this.#releaseOne(true);
    insist(this.#flusher.stats().writers === 0, 'the lane is not free again');
    const { held, inTransit } = this.#pools[0].who();
    insist(held === 0 && inTransit === 0, `${held} buffers held, ${inTransit} in transit`);
    const wrong = auditPool(this.#pools[0]);
    insist(wrong.length === 0, wrong.join('; '));
    for (const pool of this.#pools) pool.detach();
  }

  #reserve(): void {
    const random = this.#random;
    const index = random.below(this.#writers.length);
    const writer = this.#writers[index];
    const max = writer.messageBytesMax;
    const long = random.chance(0.2) ? max + 1 : Math.min(16, max + 1);
    const length = random.chance(0.1) ? max : random.below(long);
    const offset = writer.tryReserve(length);
    if (offset < 0) return;
    const { bytes } = this.#pools[0];
    for (let i = 0; i < length; i++) bytes[offset + i] = 0xa0 + (i & 7);
    this.#messages.push({ writer: index, offset, length, state: 'open', bytes: [] });
  }

  #finish(message: Message): void {
    const random = this.#random;
    const writer = this.#writers[message.writer];
    if (random.chance(0.2)) {
      message.state = 'aborted';
      writer.abort(message.offset);
      return;
    }
    const length = random.chance(0.7) ? message.length : random.below(message.length + 1);
    const { bytes } = this.#pools[0];
    for (let i = 0; i < length; i++) {
      this.#value = (this.#value + 1) & 0x7f;
      message.bytes.push(this.#value);
      bytes[message.offset + i] = this.#value;
    }
    message.state = 'committed';
    if (random.chance(0.05)) {
      const packet = writer.commitPacket(message.offset, length);
      this.#packets.push({ packet, bytes: message.bytes });
    } else {
      writer.commit(message.offset, length);
    }
    if (this.#packets.length > 2) {
      this.#releasePackets(this.#packets.splice(0, 1));
    }
  }

  /** Gives an open reservation of a shared writer to another object. */
  #handOver(open: Message[]): void {
    if (open.length === 0 || this.#writers.length === 1) return;
    const at = this.#random.below(open.length);
    const message = open[at];
    const from = this.#writers[message.writer] as SharedWriter;
    const index = this.#random.below(this.#writers.length);
    const ticket = structuredClone(from.handOver(message.offset));
    insist(
      (this.#writers[index] as SharedWriter).takeOver(ticket) === message.offset,
      'takeOver() returned another offset',
    );
    const place = this.#messages.indexOf(message);
    this.#messages[place] = { ...message, writer: index };
  }

  #flush(): void {
    const complete = this.#writers[this.#random.below(this.#writers.length)].flush();
    const expected = this.#deliverable();
    this.#drain();
    this.#compare(expected, complete);
  }

  /** The longest run of finished messages from the beginning. */
  #deliverable(): number[] {
    const bytes: number[] = [];
    for (const message of this.#messages) {
      if (message.state === 'open') break;
      if (message.state === 'committed') bytes.push(...message.bytes);
    }
    return bytes;
  }

  #compare(expected: number[], complete: boolean): void {
    const arrived = this.#arrived;
    insist(arrived.length <= expected.length, `${arrived.length} > ${expected.length} bytes`);
    insist(!complete || arrived.length === expected.length, `${arrived.length} bytes arrived`);
    insist(
      arrived.every((byte, i) => byte === expected[i]),
      'wrong bytes arrived',
    );
    // What has arrived need not be compared again.
    while (this.#messages.length > 0) {
      const [message] = this.#messages;
      if (message.state === 'open' || arrived.length < message.bytes.length) break;
      if (message.state === 'committed') arrived.splice(0, message.bytes.length);
      this.#messages.shift();
    }
  }

  #drain(countMax: number = Infinity): void {
    const { headroom, tailroom, keepsMax } = this.#shape;
    const pool = this.#pools[0];
    this.#flusher.drain((writerId, offset, length, id) => {
      insist(writerId === this.#writers[0].id, 'wrong writerId');
      insist(length > 0 && pool.bufferAt(offset) === id, 'wrong region');
      const bytes = [...pool.bytes.subarray(offset, offset + length)];
      this.#arrived.push(...bytes);
      pool.bytes.fill(0xee, offset - headroom, offset);
      pool.bytes.fill(0xef, offset + length, offset + length + tailroom);
      insist(pool.bufferAt(offset - headroom) === id, 'no headroom');
      insist(offset + length + tailroom <= pool.offsetOf(id) + pool.bufferSize, 'no tailroom');
      this.#kept.push({ id, offset, bytes });
      if (this.#kept.length > keepsMax) this.#releaseOne();
    }, countMax);
  }

  #releasePackets(packets: Kept[]): void {
    for (const { packet, bytes } of packets) {
      insist(
        packet.bytes.every((byte, i) => byte === bytes[i]),
        'a packet was overwritten',
      );
      packet.release();
    }
  }

  #releaseOne(all: boolean = false): void {
    const pool = this.#pools[0];
    do {
      const region = this.#kept.shift();
      if (region === undefined) return;
      const { id, offset, bytes } = region;
      insist(
        bytes.every((byte, i) => pool.bytes[offset + i] === byte),
        'a region was overwritten',
      );
      pool.release(id);
    } while (all);
  }
}
