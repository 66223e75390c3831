// SPDX-License-Identifier: MIT
/** The lanes between executors: one for each pair, in each direction. */

import { BusbarError } from '../base/errors.ts';
import { textBytes } from '../base/text.ts';
import { ChannelLayout } from '../channel/channel-layout.ts';
import {
  type ChannelHandle,
  type ChannelOptions,
  PacketChannel,
  type PacketSender,
} from '../channel/index.ts';
import type { Carrier, CarrierTicket } from '../pool/carriers.ts';
import { NAME_BYTES_MAX } from '../pool/holder-layout.ts';
import type { BufferPool } from '../pool/index.ts';
import type { Lanes } from './lane-mailbox.ts';

/** What one party needs of the mesh; index: the other party. Structured-cloneable. */
export interface MeshPlan {
  readonly inbound: readonly (ChannelHandle | undefined)[];
  readonly outbound: readonly (ChannelHandle | undefined)[];
}

/**
 * All lanes between the executors 0 … count − 1 and their host, number `count`. A lane is a channel
 * with one sender and one receiver, so its ends never compete. Each executor also has a lane to
 * itself.
 *
 * Lanes outlive the threads at their ends: the next thread in the slot finds what is queued.
 */
export class Mesh {
  readonly count: number;
  /** from · (count + 1) + to; none from the host to itself. */
  readonly #lanes: (PacketChannel | undefined)[] = [];

  readonly #carrier: Carrier | undefined;

  /**
   * Makes the mesh in the pool's own block if there is room: if the host and all executors die, the
   * thread that reclaims them finds the packets in it. Otherwise the mesh has memory of its own.
   */
  static create(pool: BufferPool, count: number, capacity: number, name: string): Mesh {
    const layout = new ChannelLayout('spsc', 'packets', capacity, pool.maxThreads);
    const carrier = pool.claimCarrier({
      partyCount: count,
      laneCount: (count + 1) ** 2,
      laneWords: layout.wordCount,
      slotsBegin: layout.slots,
      slotWords: layout.slotWords,
      slotCount: capacity,
    });
    return new Mesh(pool, count, capacity, carrier, name);
  }

  constructor(
    pool: BufferPool,
    count: number,
    capacity: number,
    carrier?: Carrier,
    group: string = '',
  ) {
    this.count = count;
    this.#carrier = carrier;
    // By who receives, for errors; a name that does not fit is left out.
    const names = Array.from({ length: count + 1 }, (_, to) => {
      const name = to === count || group === '' ? group : `${group}-${to}`;
      return textBytes(name) > NAME_BYTES_MAX ? '' : name;
    });
    for (let from = 0; from <= count; from++) {
      for (let to = 0; to <= count; to++) {
        const isNone = from === count && to === count;
        const at = carrier?.lane(this.#lanes.length);
        const options: ChannelOptions = { kind: 'spsc', capacity, name: names[to] };
        const make = (): PacketChannel =>
          at === undefined
            ? PacketChannel.create(pool, options)
            : PacketChannel.createAt(pool, options, at);
        this.#lanes.push(isNone ? undefined : make());
      }
    }
  }

  plan(party: number): MeshPlan {
    return {
      inbound: this.#inbound(party).map((lane) => lane?.handle),
      outbound: this.#outbound(party).map((lane) => lane?.handle),
    };
  }

  /** The ticket with which an executor joins; undefined if the mesh has memory of its own. */
  ticket(index: number): CarrierTicket | undefined {
    return this.#carrier?.ticket(index);
  }

  /** Gives the memory in the pool back. The lanes are empty and no thread uses them any more. */
  release(): void {
    this.#lanes.fill(undefined);
    this.#carrier?.release();
  }

  /** Packets that wait for a party. */
  queued(party: number): number {
    let sum = 0;
    for (const lane of this.#inbound(party)) sum += lane?.stats().queued ?? 0;
    return sum;
  }

  /** True if no packet waits for any of these parties. */
  isEmpty(parties: readonly number[]): boolean {
    return parties.every((party) => this.queued(party) === 0);
  }

  /** Closes the host's lanes to the executors. */
  closeFromHost(): void {
    for (const lane of this.#outbound(this.count)) lane?.close();
  }

  /** Closes every lane to this party. */
  closeTo(party: number): void {
    for (const lane of this.#inbound(party)) lane?.close();
  }

  /** The lanes to a party, by sender. */
  lanesTo(party: number): readonly (PacketChannel | undefined)[] {
    return this.#inbound(party);
  }

  /** The tags of the packets between two parties, in both directions; one has no thread now. */
  tagsBetween(a: number, b: number): Set<number> {
    const tags = new Set<number>();
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#lanes[from * (this.count + 1) + to]?.eachTag((tag) => tags.add(tag));
    }
    return tags;
  }

  /** The tags of the packets that wait for a party; no other thread uses their lanes now. */
  tagsTo(party: number): Set<number> {
    const tags = new Set<number>();
    for (const lane of this.#inbound(party)) lane?.eachTag((tag) => tags.add(tag));
    return tags;
  }

  /** Repairs the lanes of a dead thread: finishes or undoes what it had begun. */
  recover(party: number): void {
    for (const lane of this.#inbound(party)) lane?.recover();
    for (const lane of this.#outbound(party)) lane?.recover();
  }

  /** Closes the lanes to a party without a thread and releases what is queued; returns how many. */
  destroy(party: number): number {
    let count = 0;
    for (const lane of this.#inbound(party)) count += lane?.destroy() ?? 0;
    return count;
  }

  #inbound(party: number): (PacketChannel | undefined)[] {
    return this.#lanes.filter((_, i) => i % (this.count + 1) === party);
  }

  #outbound(party: number): (PacketChannel | undefined)[] {
    return this.#lanes.slice(party * (this.count + 1), (party + 1) * (this.count + 1));
  }
}

/** One party's ends of its lanes, in its own thread. */
export class LaneEnds {
  readonly receivers: Lanes;
  readonly #pool: BufferPool;
  readonly #outbound: readonly (ChannelHandle | undefined)[];
  readonly #senders: (PacketSender | undefined)[] = [];

  constructor(pool: BufferPool, plan: MeshPlan) {
    this.#pool = pool;
    this.#outbound = plan.outbound;
    this.receivers = plan.inbound.map((handle) =>
      handle === undefined ? undefined : PacketChannel.attach(pool, handle).receiver(),
    );
  }

  /** The sending end of the lane to a party; always the same object. */
  sender(party: number): PacketSender {
    const known = this.#senders[party];
    if (known !== undefined) return known;
    const handle = this.#outbound[party];
    if (handle === undefined) {
      throw new BusbarError('ERR_BUSBAR_CHANNEL_ROLE', 'the host has no lane to itself');
    }
    const sender = PacketChannel.attach(this.#pool, handle).sender();
    this.#senders[party] = sender;
    return sender;
  }

  /** Closes the sending ends; what was sent stays. */
  closeSenders(): void {
    for (const sender of this.#senders) sender?.close();
  }
}
