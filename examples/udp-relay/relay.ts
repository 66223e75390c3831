// SPDX-License-Identifier: MIT
/**
 * Example udp-relay: sends the datagrams of many sources to all subscribers, without copies.
 *
 *   sources ──▶ link ──▶ batch of this turn: regions of buffers ──▶ link ──▶ one subscriber
 *                                                                    └──▶ and the next one
 *
 * A message is one region, held by one reference for each subscriber until the system has taken it.
 * A whole batch goes to one subscriber before the next one's turn: the kernel takes runs of equal
 * datagrams to one address as one (GSO).
 */

import { type UdpAddress, UdpLink } from 'busbar/link';
import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';
import {
  COUNT,
  DATA,
  GRANTED,
  kindOf,
  LEASE_AT,
  LEASE_BYTES,
  SEQUENCE_AT,
  SOURCE_AT,
  SUBSCRIBE,
  writeLease,
} from './datagrams.ts';
import type { LossCounts } from './loss-counter.ts';
import { Sources } from './sources.ts';

export interface RelayOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** The longest time of one subscription; silent sources are remembered for as long. */
  readonly leaseMsMax: number;
  /** Subscribers at a time; further ones are granted 0 milliseconds. */
  readonly subscribersMax: number;
  /** Bytes that may wait in the socket. The system may grant less. */
  readonly receiveBytes: number;
  /** A clock in milliseconds, with any origin. */
  readonly clock: () => number;
}

/** What a relay has done so far. */
export interface RelayStats extends LossCounts {
  readonly sources: number;
  readonly subscribers: number;
  /** Subscriptions that have expired. */
  readonly expired: number;
  /** COUNTs that came; they are relayed like messages. */
  readonly counts: number;
  /** Datagrams times subscribers: given to the link, and, with the replies, sent by the system. */
  readonly forwarded: number;
  readonly sent: number;
  /** The same, but not forwarded, because the socket has no room. */
  readonly refused: number;
  /** The same, but refused by the system. */
  readonly failed: number;
  /** Messages that found no room in the relay's own socket, as far as the system says. */
  readonly dropped: number;
  /** Times that the pool had no buffer to read into. */
  readonly exhaustions: number;
  /** Datagrams that are not of this protocol. */
  readonly malformed: number;
  /** Messages of sources beyond the first 4096: relayed, but their loss is not counted. */
  readonly uncounted: number;
}

interface Subscriber {
  readonly address: UdpAddress;
  untilMs: number;
}

/** Messages in one batch; a full one is sent before the turn is over. */
const BATCH_MAX = 1024;
/** Numbers for each: buffer, offset, length. */
const FIELDS = 3;

export class Relay {
  readonly link: UdpLink;
  readonly #pool: BufferPool;
  readonly #options: RelayOptions;
  readonly #sources: Sources = new Sources();
  readonly #subscribers: Map<string, Subscriber> = new Map();
  readonly #batch: Int32Array = new Int32Array(BATCH_MAX * FIELDS);
  #count = 0;
  #isDue = false;
  #nowMs = 0;
  #expired = 0;
  #counts = 0;
  #forwarded = 0;
  #refused = 0;
  #malformed = 0;

  private constructor(pool: BufferPool, options: RelayOptions, link: UdpLink) {
    this.#pool = pool;
    this.#options = options;
    this.link = link;
    this.#nowMs = options.clock();
  }

  /** **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED when the port is taken; RangeError. */
  static async open(pool: BufferPool, options: RelayOptions): Promise<Relay> {
    const { host, port, receiveBytes } = options;
    let relay!: Relay;
    await UdpLink.open(pool, {
      host,
      port,
      receiveBytes,
      handler: (link) => {
        relay = new Relay(pool, options, link);
        return {
          onMessage: (offset, length, bufferId) => relay.#take(offset, length, bufferId),
          onError: () => {}, // counted by the link
        };
      },
    });
    return relay;
  }

  /** Removes expired subscribers. Call it now and then. */
  sweep(): void {
    const nowMs = this.#options.clock();
    this.#nowMs = nowMs;
    for (const [key, { untilMs }] of this.#subscribers) {
      if (untilMs > nowMs) continue;
      this.#subscribers.delete(key);
      this.#expired++;
    }
    this.#sources.sweep(nowMs - this.#options.leaseMsMax);
  }

  stats(): RelayStats {
    const { datagramsWritten, lostDatagrams, dropped, exhaustions } = this.link.stats();
    return {
      sources: this.#sources.count,
      subscribers: this.#subscribers.size,
      ...this.#sources.totals(),
      expired: this.#expired,
      counts: this.#counts,
      forwarded: this.#forwarded,
      sent: datagramsWritten,
      refused: this.#refused,
      failed: lostDatagrams,
      dropped,
      exhaustions,
      malformed: this.#malformed,
      uncounted: this.#sources.uncounted,
    };
  }

  /** Sends what has arrived, and closes. */
  async close(): Promise<void> {
    this.#fanOut();
    await this.link.close();
  }

  #take(offset: number, length: number, bufferId: BufferId): void {
    const { view } = this.#pool;
    const kind = kindOf(view, offset, length);
    if (kind === DATA || kind === COUNT) {
      if (kind === COUNT) this.#counts++;
      const source = view.getInt32(offset + SOURCE_AT);
      this.#sources.accept(
        source,
        view.getInt32(offset + SEQUENCE_AT),
        kind === COUNT,
        this.#nowMs,
      );
      if (this.#subscribers.size > 0) this.#add(offset, length, bufferId);
    } else if (kind === SUBSCRIBE) {
      this.#grant(this.#subscribe(view.getUint32(offset + LEASE_AT)));
    } else {
      this.#malformed++;
    }
  }

  /** Keeps a message for the end of this turn. */
  #add(offset: number, length: number, bufferId: BufferId): void {
    const at = this.#count++ * FIELDS;
    this.#pool.retain(bufferId);
    this.#batch[at] = bufferId;
    this.#batch[at + 1] = offset;
    this.#batch[at + 2] = length;
    if (this.#count === BATCH_MAX) {
      this.#fanOut();
    } else if (!this.#isDue) {
      this.#isDue = true;
      setImmediate(() => {
        this.#isDue = false;
        this.#fanOut();
      });
    }
  }

  #fanOut(): void {
    const pool = this.#pool;
    const batch = this.#batch;
    const end = this.#count * FIELDS;
    this.#count = 0;
    for (const { address } of this.#subscribers.values()) {
      for (let at = 0; at < end && !this.link.closed; at += FIELDS) {
        const bufferId = batch[at] as BufferId;
        pool.retain(bufferId);
        if (this.link.trySendRegion(bufferId, batch[at + 1], batch[at + 2], address)) {
          this.#forwarded++;
        } else {
          pool.release(bufferId);
          this.#refused++;
        }
      }
    }
    for (let at = 0; at < end; at += FIELDS) pool.release(batch[at] as BufferId);
  }

  /** Subscribes the sender of the present datagram; returns for how long. */
  #subscribe(wantedMs: number): number {
    const { clock, leaseMsMax, subscribersMax } = this.#options;
    // Earlier messages go to the subscribers of that time.
    this.#fanOut();
    const address = this.link.source();
    const key = address.toString();
    const known = this.#subscribers.get(key);
    if (wantedMs === 0) {
      this.#subscribers.delete(key);
      return 0;
    }
    if (known === undefined && this.#subscribers.size >= subscribersMax) return 0;
    const leaseMs = Math.min(wantedMs, leaseMsMax);
    const untilMs = clock() + leaseMs;
    if (known === undefined) this.#subscribers.set(key, { address, untilMs });
    else known.untilMs = untilMs;
    return leaseMs;
  }

  /**
   * Replies to the present datagram if a buffer is free; a subscriber without a reply asks again.
   */
  #grant(leaseMs: number): void {
    const pool = this.#pool;
    const bufferId = pool.tryAcquire();
    if (bufferId === NO_BUFFER) return;
    const offset = pool.offsetOf(bufferId);
    writeLease(pool.view, offset, GRANTED, leaseMs);
    if (!this.link.tryReplyRegion(bufferId, offset, LEASE_BYTES)) pool.release(bufferId);
  }
}
