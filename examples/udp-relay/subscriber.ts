// SPDX-License-Identifier: MIT
/** Example udp-relay: a subscriber, which gets everything that comes to a relay. */

import { UdpLink, type UdpPeer } from 'busbar/link';
import type { BufferPool } from 'busbar/pool';
import {
  COUNT,
  DATA,
  GRANTED,
  HEAD_BYTES,
  kindOf,
  LEASE_AT,
  LEASE_BYTES,
  SEQUENCE_AT,
  SOURCE_AT,
  SUBSCRIBE,
  writeLease,
} from './datagrams.ts';
import { LossCounter } from './loss-counter.ts';

/** A message: its payload is `[offset, offset + length)` of the pool, borrowed. */
export type OnData = (source: number, sequence: number, offset: number, length: number) => void;

/** How often a subscriber asks while it has no reply. */
const ASK_MS = 200;
/** How many times it renews its subscription while it lasts: two may be lost. */
const RENEWALS = 3;

export class Subscriber {
  readonly link: UdpLink;
  /** By source. */
  readonly counters: Map<number, LossCounter> = new Map();
  /** By source: how many messages it reports to have sent. */
  readonly announced: Map<number, number> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #onGranted: (leaseMs: number) => void = () => {};

  private constructor(link: UdpLink) {
    this.link = link;
  }

  /** `receiveBytes`: bytes that may wait in its socket. */
  static async open(
    pool: BufferPool,
    relay: UdpPeer,
    receiveBytes: number,
    onData: OnData,
  ): Promise<Subscriber> {
    let subscriber: Subscriber | undefined;
    const link = await UdpLink.open(pool, {
      peer: relay,
      receiveBytes,
      offload: false, // so that each datagram that finds no room counts
      handler: () => ({
        onMessage: (offset, length) => {
          if (subscriber !== undefined) subscriber.#take(offset, length, onData);
        },
        onError: () => {}, // the relay is away
      }),
    });
    subscriber = new Subscriber(link);
    return subscriber;
  }

  /**
   * Subscribes, and renews that in time until `unsubscribe` or `vanish`. Resolves with the
   * milliseconds that were granted.
   */
  async subscribe(leaseMs: number): Promise<number> {
    const grantedMs = await this.#ask(leaseMs);
    clearInterval(this.#timer);
    if (grantedMs > 0) {
      this.#timer = setInterval(() => this.#send(leaseMs), grantedMs / RENEWALS);
      this.#timer.unref();
    }
    return grantedMs;
  }

  async unsubscribe(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ask(0);
  }

  /** Leaves without unsubscribing. */
  vanish(): Promise<void> {
    clearInterval(this.#timer);
    return this.link.close();
  }

  #ask(leaseMs: number): Promise<number> {
    return new Promise((resolve) => {
      const timer = setInterval(() => this.#send(leaseMs), ASK_MS);
      this.#onGranted = (grantedMs) => {
        clearInterval(timer);
        resolve(grantedMs);
      };
      this.#send(leaseMs);
    });
  }

  #send(leaseMs: number): void {
    const bytes = new Uint8Array(LEASE_BYTES);
    writeLease(new DataView(bytes.buffer), 0, SUBSCRIBE, leaseMs);
    this.link.tryWrite(bytes);
  }

  #take(offset: number, length: number, onData: OnData): void {
    const { view } = this.link.pool;
    const kind = kindOf(view, offset, length);
    if (kind === GRANTED) {
      this.#onGranted(view.getUint32(offset + LEASE_AT));
      return;
    }
    if (kind !== DATA && kind !== COUNT) return;
    const source = view.getInt32(offset + SOURCE_AT);
    const sequence = view.getUint32(offset + SEQUENCE_AT);
    let counter = this.counters.get(source);
    if (counter === undefined) {
      counter = new LossCounter();
      this.counters.set(source, counter);
    }
    if (kind === COUNT) {
      counter.announce(sequence);
      this.announced.set(source, sequence);
    } else {
      counter.accept(sequence);
      onData(source, sequence, offset + HEAD_BYTES, length - HEAD_BYTES);
    }
  }
}
