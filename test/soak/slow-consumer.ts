// SPDX-License-Identifier: MIT
/**
 * Soak: a subscriber that stops reading for a while under a steady flow: the broker must first
 * throttle the publisher, then close the subscriber if that does not help.
 */

import { once } from 'node:events';
import { Connection } from '../../bench/broker/connection.ts';
import { DeliveryCheck } from '../../bench/broker/delivery-check.ts';
import { deliveredBlock, publishedBlock, SUBSCRIPTION } from '../../bench/broker/message-block.ts';
import type { Random } from '../../src/base/random.ts';
import { HANG_MS } from './part.ts';
import type { Tally } from './tally.ts';

const SUBJECT = 'soak.slow';
const PAYLOAD_BYTES = 1000;
/** The flow: about 13 MB each second, unless the broker holds it up. */
const BURST_MESSAGES = 128;
const BURST_MS = 10;
const WAITING_BYTES_MAX = 1 << 20;
const SLEEP_MS_MIN = 200;
const SLEEP_MS_MAX = 5000;

export class SlowConsumer {
  readonly #port: number;
  /** Counts those that were cut off. */
  readonly #tally: Tally;
  readonly #random: Random;
  readonly #hurry: AbortController = new AbortController();
  #publisher: Connection | undefined = undefined;
  #publishing: NodeJS.Timeout | undefined = undefined;

  constructor(port: number, tally: Tally, random: Random) {
    this.#port = port;
    this.#tally = tally;
    this.#random = random;
  }

  async startPublisher(): Promise<void> {
    const publisher = await Connection.open(this.#port, '', HANG_MS);
    this.#publisher = publisher;
    publisher.listen(
      (bytes, size) => {
        const text = bytes.toString('latin1', 0, size);
        if (text === 'PING\r\n') publisher.answerPing();
        else this.#tally.complain(`the publisher is told ${JSON.stringify(text)}`);
      },
      (error) => this.#tally.complain(`the publisher has failed: ${error.message}`),
    );
    const burst = publishedBlock(SUBJECT, 1, PAYLOAD_BYTES).toString('latin1');
    const bytes = Buffer.from(burst.repeat(BURST_MESSAGES), 'latin1');
    const { socket } = publisher;
    this.#publishing = setInterval(() => {
      if (socket.writableLength < WAITING_BYTES_MAX) socket.write(bytes);
    }, BURST_MS);
  }

  stopPublisher(): void {
    clearInterval(this.#publishing);
    this.#publisher?.close();
  }

  /** The present visit, and all that follow, sleep no more. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Subscribes, sleeps, and reads until it is cut off, or until it sees that it will not be. */
  async visit(): Promise<void> {
    const connection = await Connection.open(this.#port, '', HANG_MS);
    const { socket } = connection;
    socket.pause();
    socket.write(`SUB ${SUBJECT} ${SUBSCRIPTION}\r\n`);
    const check = new DeliveryCheck(deliveredBlock(SUBJECT, 1, PAYLOAD_BYTES), 1);
    const outcome = new Promise<'cut off' | 'caught up'>((resolve, reject) => {
      let enough = Infinity;
      connection.listen(
        (bytes, size) => {
          if (enough === Infinity) enough = check.messageBytes + WAITING_BYTES_MAX * 16;
          try {
            check.take(bytes, 0, size);
          } catch (error) {
            // The broker's last word comes between two messages.
            if (/there came "-/.test((error as Error).message)) resolve('cut off');
            else reject(error);
          }
          if (check.messageBytes > enough) resolve('caught up');
        },
        () => resolve('cut off'), // it may not have had room for a last word
      );
    });
    await this.#sleep();
    const closed = once(socket, 'close');
    socket.resume();
    if ((await outcome) === 'cut off') this.#tally.messages++;
    connection.close();
    await closed;
  }

  #sleep(): Promise<void> {
    const { signal } = this.#hurry;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#random.between(SLEEP_MS_MIN, SLEEP_MS_MAX));
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
