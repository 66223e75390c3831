// SPDX-License-Identifier: MIT
/** Soak: a client of the broker that connects, subscribes, publishes and leaves, well or badly. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { Connection } from '../../bench/broker/connection.ts';
import { DeliveryCheck } from '../../bench/broker/delivery-check.ts';
import { deliveredBlock, publishedBlock, SUBSCRIPTION } from '../../bench/broker/message-block.ts';
import type { Random } from '../../src/base/random.ts';
import { HANG_MS } from './part.ts';
import type { Tally } from './tally.ts';

const MESSAGES = 64;
const PAYLOADS = [16, 128, 1024] as const;

export class BrokerVisitor {
  readonly #port: number;
  readonly #number: number;
  readonly #tally: Tally;
  readonly #random: Random;
  #visits: number = 0;

  constructor(port: number, number: number, tally: Tally, random: Random) {
    this.#port = port;
    this.#number = number;
    this.#tally = tally;
    this.#random = random;
  }

  /** **Throws** when the broker does something wrong. */
  async visit(): Promise<void> {
    const random = this.#random;
    if (random.chance(0.1)) {
      await this.#knock();
      return;
    }
    const payloadBytes = PAYLOADS[random.below(PAYLOADS.length)];
    // What a visitor has sent may arrive when it has long been gone.
    const subject = `soak.churn.${this.#number}.${this.#visits++}`;
    const published = publishedBlock(subject, MESSAGES, payloadBytes);
    const delivered = deliveredBlock(subject, MESSAGES, payloadBytes);
    const greeting = `SUB ${subject} ${SUBSCRIPTION}\r\n`;
    const connection = await Connection.open(this.#port, greeting, HANG_MS);
    const { socket } = connection;
    const closed = once(socket, 'close');
    if (random.chance(0.5)) {
      await this.#converse(connection, published, delivered);
      connection.close();
    } else {
      // Often in the middle of a message.
      const begin = random.chance(0.5) ? published.length : random.below(published.length) + 1;
      connection.listen(
        () => {},
        () => {},
      );
      socket.write(published.subarray(0, begin));
      if (random.chance(0.5)) await new Promise(setImmediate);
      if (random.chance(0.5)) socket.resetAndDestroy();
      else socket.destroy();
    }
    await closed;
  }

  /** Is gone before the broker has said anything. */
  async #knock(): Promise<void> {
    const socket = connect(this.#port, '127.0.0.1');
    const closed = once(socket, 'close');
    await once(socket, 'connect');
    socket.destroy();
    await closed;
  }

  /** Publishes to itself, compares every byte, unsubscribes and says goodbye. */
  async #converse(connection: Connection, published: Buffer, delivered: Buffer): Promise<void> {
    const check = new DeliveryCheck(delivered, MESSAGES);
    await new Promise<void>((resolve, reject) => {
      connection.listen((bytes, size) => {
        check.take(bytes, 0, size);
        if (check.messageBytes === delivered.length) resolve();
      }, reject);
      connection.socket.write(published);
    });
    this.#tally.messages += MESSAGES;
    connection.socket.write(`UNSUB ${SUBSCRIPTION}\r\n`);
    await connection.settle();
    connection.listen(
      () => {},
      () => {},
    );
    connection.socket.end();
    await once(connection.socket, 'end');
  }
}
