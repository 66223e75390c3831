// SPDX-License-Identifier: MIT
/** Test tool: buses of one thread as peers, over lanes that deliver, wait and refuse as told. */

import { readText } from '../../../src/base/text.ts';
import { Bus } from '../../../src/bus/bus.ts';
import type { BusOptions } from '../../../src/bus/bus-options.ts';
import { MessageFrame } from '../../../src/bus/peer/message-frame.ts';
import {
  ENDED,
  NOT_NOW,
  type PeerCarrier,
  type PeerGroup,
  type RegionReceiver,
  SENT,
} from '../../../src/bus/peer/peer-carrier.ts';
import * as layout from '../../../src/bus/peer/peer-layout.ts';
import type { BufferId, BufferPool } from '../../../src/pool/index.ts';

interface Region {
  readonly bufferId: BufferId;
  readonly offset: number;
  readonly length: number;
}

/** What a carrier throws when its bus is to die. */
export class Death extends Error {}

/** One start of a bus. */
export interface Member {
  readonly bus: Bus;
  readonly epoch: number;
  receiver: RegionReceiver;
  flush: () => number;
  gone: (index: number, epoch: number) => void;
}

export class PeerNetwork {
  readonly pool: BufferPool;
  readonly count: number;
  readonly capacity: number;
  /** By index; undefined: none runs. */
  readonly members: (Member | undefined)[] = [];
  /** Regions for which a lane has room; of others: all. Lanes are named 'from>to'. */
  readonly room: Map<string, number> = new Map();
  /** Lanes that have ended. */
  readonly cut: Set<string> = new Set();
  /** Sends until one throws {@link Death}; less than 0: none does. */
  sendsToDeath: number = -1;
  readonly #lanes: Map<string, Region[]> = new Map();
  readonly #epochs: number[] = [];

  constructor(pool: BufferPool, count: number, capacity: number = 64) {
    this.pool = pool;
    this.count = count;
    this.capacity = capacity;
    for (let i = 0; i < count; i++) this.members.push(undefined);
  }

  lane(from: number, to: number): Region[] {
    const key = `${from}>${to}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = [];
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  nextEpoch(index: number): number {
    return (this.#epochs[index] ?? 0) + 1;
  }

  start(index: number, options?: BusOptions): Bus {
    const epoch = this.nextEpoch(index);
    this.#epochs[index] = epoch;
    const parts: Omit<Member, 'bus' | 'epoch'> = {
      receiver: () => {},
      flush: () => 0,
      gone: () => {},
    };
    const group: PeerGroup = {
      index,
      epoch,
      carriers: Array.from({ length: this.count }, (_, to) =>
        to === index
          ? undefined
          : this.#carrier(index, to, () => this.members[index]?.epoch === epoch),
      ),
      isExpected: () => true,
      onRegion: (receiver) => {
        parts.receiver = receiver;
      },
      poll: (flush) => {
        parts.flush = flush;
      },
      onGone: (listener) => {
        parts.gone = listener;
      },
    };
    // A bus sends while it is made.
    this.members[index] = { ...parts, epoch } as Member;
    const bus = Bus.over(this.pool, group, options);
    this.members[index] = { ...parts, bus, epoch };
    return bus;
  }

  bus(index: number): Bus {
    return this.member(index).bus;
  }

  member(index: number): Member {
    const member = this.members[index];
    if (member === undefined) throw new Error(`bus ${index} does not run`);
    return member;
  }

  /** The bus ends without a word; what it had goes back to the pool. */
  kill(index: number): number {
    const { bus, epoch } = this.member(index);
    this.members[index] = undefined;
    bus.destroy();
    return epoch;
  }

  /** Delivers the first region of a lane. False: there is none, or no bus receives. */
  deliver(from: number, to: number): boolean {
    const member = this.members[to];
    if (member === undefined) return false;
    const region = this.lane(from, to).shift();
    if (region === undefined) return false;
    member.receiver(region.bufferId, region.offset, region.length, from);
    return true;
  }

  flush(): void {
    for (const member of this.members) member?.flush();
  }

  /** Delivers all there is, until nothing moves. */
  settle(onRegion: (from: number, to: number) => void = () => {}): void {
    let left = 100_000;
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      this.flush();
      for (let from = 0; from < this.count; from++) {
        for (let to = 0; to < this.count; to++) {
          while (this.members[to] !== undefined && this.lane(from, to).length > 0) {
            if (left-- === 0) throw new Error('the buses never come to rest');
            onRegion(from, to);
            this.deliver(from, to);
            isMoving = true;
          }
        }
      }
    }
  }

  /** Ends all, and gives back what lies in lanes. */
  end(): void {
    for (let i = 0; i < this.count; i++) if (this.members[i] !== undefined) this.kill(i);
    for (const lane of this.#lanes.values()) {
      for (const { bufferId } of lane.splice(0)) this.pool.release(bufferId);
    }
  }

  /** The frames of a region, one text. */
  describe({ offset, length }: Region): string {
    return length === 0 ? 'a reference' : describeFrames(this.pool, offset, offset + length);
  }

  #carrier(from: number, to: number, isAlive: () => boolean): PeerCarrier {
    const key = `${from}>${to}`;
    return {
      capacity: this.capacity,
      trySend: (bufferId, offset, length) => {
        if (!isAlive()) return ENDED;
        if (this.sendsToDeath >= 0 && this.sendsToDeath-- === 0) throw new Death();
        if (this.cut.has(key)) return ENDED;
        const lane = this.lane(from, to);
        const room = this.room.get(key) ?? this.capacity - lane.length;
        if (room <= 0) return NOT_NOW;
        if (this.room.has(key)) this.room.set(key, room - 1);
        lane.push({ bufferId, offset, length });
        return SENT;
      },
    };
  }
}

function describeFrames(pool: BufferPool, begin: number, end: number): string {
  const words = new Int32Array(pool.bytes.buffer);
  const text = (at: number, length: number): string => readText(pool.bytes, at, at + length);
  const frames: string[] = [];
  const frame = new MessageFrame();
  for (let at = begin; at < end; ) {
    const word = at >>> 2;
    const [kind, a, b, c, d, e] = words.subarray(word, word + 6);
    const after = (count: number): number => at + 4 * count;
    if (frame.read(words, at, end)) {
      const { subjectAt, subjectBytes, payloadAt, payloadBytes, sequence } = frame;
      const subject = `#${sequence} ${text(subjectAt, subjectBytes)}`;
      if (frame.isReference) frames.push(`REFERENCE ${subject}`);
      else frames.push(`MESSAGE ${subject} '${text(payloadAt, payloadBytes)}'`);
      at = frame.end;
    } else if (kind === layout.ASK) {
      frames.push(`ASK ${a}`);
      at = after(layout.ASK_WORDS);
    } else if (kind === layout.TELL) {
      const length = words[word + 5];
      frames.push(`TELL ${a} ${b} ${text(after(layout.TELL_WORDS), length)}`);
      at = after(layout.TELL_WORDS) + layout.padded(length);
    } else if (kind === layout.INTEREST) {
      const subject = text(after(layout.INTEREST_WORDS), b);
      const queue = text(after(layout.INTEREST_WORDS) + b, c);
      frames.push(`INTEREST ${a} ${subject}${queue === '' ? '' : ` in ${queue}`}`);
      at = after(layout.INTEREST_WORDS) + layout.padded(b + c);
    } else if (kind === layout.SYNC) {
      frames.push('SYNC');
      at = after(layout.SYNC_WORDS);
    } else if (kind === layout.DONE) {
      frames.push(`DONE to ${a} by ${b}: ${c} regions, ${d} bytes, fence ${e}`);
      at = after(layout.DONE_WORDS);
    } else if (kind === layout.FENCE) {
      frames.push(`FENCE ${a}`);
      at = after(layout.FENCE_WORDS);
    } else if (kind === layout.SERVE) {
      const names = text(after(layout.SERVE_WORDS), b);
      frames.push(`SERVE ${['groups', 'plain', 'passed'][a]}${names === '' ? '' : ` ${names}`}`);
      at = after(layout.SERVE_WORDS) + layout.padded(b);
    } else if (kind === layout.GONE) {
      frames.push(`GONE ${a} ${b}`);
      at = after(layout.GONE_WORDS);
    } else if (kind === layout.BYE) {
      frames.push(`BYE ${a}`);
      at = after(layout.BYE_WORDS);
    } else {
      frames.push(`stray ${kind}`);
      break;
    }
  }
  return frames.join(' · ');
}
