// SPDX-License-Identifier: MIT
/**
 * Soak: UdpLinks that send a fixed number of messages a second; each is closed and reopened at
 * intervals.
 */

import { UdpLink } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { sharedNowMs } from '../../bench/broker/shared-clock.ts';
import { lengthOf, MessageMemory } from './message.ts';
import type { Part, PartOptions } from './part.ts';
import { touchPages } from './reading.ts';
import { Tally } from './tally.ts';
import { UDP_MODES, UDP_POOL } from './udp-receiver-part.ts';

const PACKED_PER_SECOND = 50_000;
const SINGLE_PER_SECOND = 20_000;
const TICK_MS = 2;
const MS_PER_SECOND = 1000;
/** Who was held up does not make up for more than this. */
const CATCH_UP_MS = 20;
/** Ticks after which a link is closed, and another one opened. */
const TICKS_PER_LINK = 500;
/** Before each message. */
const PREFIX_BYTES = 2;

export async function makeUdpSender({ ports }: PartOptions): Promise<Part> {
  const pool = BufferPool.create(UDP_POOL);
  touchPages(pool);
  const senders = UDP_MODES.map((_, stream) => new Sender(pool, stream, ports[stream]));
  return {
    ports: [],
    pool,
    tallies: senders.map(({ tally }) => tally),
    go: async () => {
      await Promise.all(senders.map((sender) => sender.start()));
    },
    stop: async () => {
      await Promise.all(senders.map((sender) => sender.stop()));
    },
    async close() {},
  };
}

class Sender {
  /** What was sent. */
  readonly tally: Tally;
  readonly #pool: BufferPool;
  readonly #memory: MessageMemory;
  readonly #stream: number;
  readonly #port: number;
  readonly #perMs: number;
  #link: UdpLink | undefined = undefined;
  #ended: Promise<void> | undefined = undefined;
  #isOver: boolean = false;

  constructor(pool: BufferPool, stream: number, port: number) {
    this.tally = new Tally(`udp ${UDP_MODES[stream]} sent`);
    this.#pool = pool;
    this.#memory = new MessageMemory(pool.bytes);
    this.#stream = stream;
    this.#port = port;
    const perSecond = UDP_MODES[stream] === 'packed' ? PACKED_PER_SECOND : SINGLE_PER_SECOND;
    this.#perMs = perSecond / MS_PER_SECOND;
  }

  async start(): Promise<void> {
    await this.#open();
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  async #run(): Promise<void> {
    let lastMs = sharedNowMs();
    for (let tick = 1; !this.#isOver; tick++) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      const nowMs = sharedNowMs();
      this.#burst(Math.round(Math.min(nowMs - lastMs, CATCH_UP_MS) * this.#perMs), nowMs);
      lastMs = nowMs;
      if (tick % TICKS_PER_LINK === 0) {
        await this.#link?.close();
        await this.#open();
      }
    }
    await this.#link?.close();
  }

  async #open(): Promise<void> {
    this.#link = await UdpLink.open(this.#pool, {
      mode: UDP_MODES[this.#stream],
      peer: { host: '127.0.0.1', port: this.#port },
      handler: () => ({
        onMessage: () => this.tally.complain('an answer nobody has asked for'),
        onError: (error) => this.tally.complain(error.message),
      }),
    });
  }

  #burst(count: number, nowMs: number): void {
    const { writer } = this.#link as UdpLink;
    const memory = this.#memory;
    for (let i = 0; i < count; i++) {
      const number = this.tally.messages;
      const length = lengthOf(number);
      const at = writer.tryReserve(PREFIX_BYTES + length);
      if (at < 0) return; // not now: with the next tick
      memory.view.setUint16(at, length);
      memory.write(at + PREFIX_BYTES, this.#stream, number, nowMs);
      writer.commit(at, PREFIX_BYTES + length);
      this.tally.messages++;
    }
  }
}
