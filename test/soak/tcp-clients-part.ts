// SPDX-License-Identifier: MIT
/**
 * Soak: clients of the echo server: some stay and keep a window of messages in flight, some
 * connect, talk and leave, in good order or not.
 */

import type { Socket } from 'node:net';
import { LengthPrefixCodec } from 'busbar/framer';
import { TcpLink } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { sharedNowMs } from '../../bench/broker/shared-clock.ts';
import { Random } from '../../src/base/random.ts';
import { ChurnLoop } from './churn-loop.ts';
import { lengthOf, MessageMemory } from './message.ts';
import { HANG_MS, type Part, type PartOptions } from './part.ts';
import { touchPages } from './reading.ts';
import { Sequence, Tally } from './tally.ts';
import { PREFIX_BYTES } from './tcp-server-part.ts';
import { Window } from './window.ts';

const POOL = { bufferSize: 65_536, bufferCount: 512 };
const STEADY_COUNT = 6;
const WINDOW_MESSAGES = 256;
const CHURN_COUNT = 3;
const CHURN_MESSAGES_MAX = 200;
/** Streams of those that come and go have numbers from here on. */
const CHURN_STREAM = 1000;

export async function makeTcpClients({ ports, seed }: PartOptions): Promise<Part> {
  const [port] = ports;
  const pool = BufferPool.create(POOL);
  touchPages(pool);
  const random = new Random(seed);
  const steady = new Tally('tcp echo');
  const churn = new Tally('tcp churn');
  const clients: EchoClient[] = [];
  const loops = Array.from({ length: CHURN_COUNT }, (_, i) => {
    const own = new Random(random.next());
    return new ChurnLoop(() => visit(pool, port, churn, CHURN_STREAM + i, own), churn);
  });
  return {
    ports: [],
    pool,
    tallies: [steady, churn],
    async go() {
      for (let stream = 0; stream < STEADY_COUNT; stream++) {
        const client = await EchoClient.connect(pool, port, steady, stream);
        clients.push(client);
        client.window.start();
      }
      for (const loop of loops) loop.start();
    },
    async stop() {
      await Promise.all(loops.map((loop) => loop.stop()));
      await Promise.all(clients.map((client) => client.finish()));
    },
    async close() {},
  };
}

/** One link on which messages go out and must come back. */
class EchoClient {
  readonly window: Window;
  readonly link: TcpLink;
  readonly #tally: Tally;
  #isClosing = false;

  private constructor(link: TcpLink, memory: MessageMemory, tally: Tally, stream: number) {
    this.link = link;
    this.#tally = tally;
    this.window = new Window(WINDOW_MESSAGES, 1, (number, nowMs) => {
      const length = lengthOf(number);
      const at = link.writer.tryReserve(PREFIX_BYTES + length);
      if (at < 0) return false;
      memory.view.setUint32(at, length);
      memory.write(at + PREFIX_BYTES, stream, number, nowMs);
      link.writer.commit(at, PREFIX_BYTES + length);
      return true;
    });
  }

  static async connect(
    pool: BufferPool,
    port: number,
    tally: Tally,
    stream: number,
  ): Promise<EchoClient> {
    const memory = new MessageMemory(pool.bytes);
    const sequence = new Sequence(tally, memory, stream);
    let client: EchoClient | undefined;
    await TcpLink.connect(pool, {
      port,
      codec: () => new LengthPrefixCodec('u32'),
      handler: (link) => {
        const made = new EchoClient(link, memory, tally, stream);
        client = made;
        return {
          onFrame(offset, length) {
            sequence.take(offset, length);
            made.window.confirm();
          },
          onClose: (_link, error) => made.#onClose(error),
        };
      },
    });
    if (client === undefined) throw new Error('no handler was asked for');
    return client;
  }

  /** Sends no more, waits for all replies and closes in good order. */
  async finish(): Promise<void> {
    await this.window.finish();
    this.#isClosing = true;
    await this.link.close({ deadlineMs: HANG_MS });
    if (this.link.error !== undefined) this.#tally.complain(`close: ${this.link.error.message}`);
  }

  /** Goes without a word, or with a reset. */
  vanish(random: Random): void {
    this.#isClosing = true;
    this.window.destroy();
    if (random.chance(0.5)) this.link.destroy();
    else (this.link.socket as Socket).resetAndDestroy();
  }

  #onClose(error: Error | undefined): void {
    this.window.destroy();
    if (!this.#isClosing) this.#tally.complain(`the link closed: ${error?.message}`);
  }
}

/** Connects, sends some messages, and leaves in one way or another. */
async function visit(
  pool: BufferPool,
  port: number,
  tally: Tally,
  stream: number,
  random: Random,
): Promise<void> {
  const client = await EchoClient.connect(pool, port, tally, stream);
  client.window.send(1 + random.below(CHURN_MESSAGES_MAX), sharedNowMs());
  if (random.chance(0.5)) {
    await client.finish();
    return;
  }
  if (random.chance(0.5)) client.link.flush();
  client.vanish(random);
}
