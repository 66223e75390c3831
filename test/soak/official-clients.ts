// SPDX-License-Identifier: MIT
/** Soak: two official clients; one publishes and sends requests, the other listens and replies. */

import { connect, type NatsConnection } from '@nats-io/transport-node';
import { sharedNowMs } from '../../bench/broker/shared-clock.ts';
import { lengthOf, MessageMemory } from './message.ts';
import { HANG_MS } from './part.ts';
import { Sequence, type Tally } from './tally.ts';

/** Questions that are open at a time. */
const LANES = 16;
const FLOW = 'soak.official.flow';
const REQUEST = 'soak.official.request';
const FLOW_STREAM = 2000;
const REQUEST_STREAM = 2001;

export class OfficialClients {
  readonly #port: number;
  readonly #requests: Tally;
  readonly #flow: Tally;
  #asking: NatsConnection | undefined = undefined;
  #answering: NatsConnection | undefined = undefined;
  #isOver: boolean = false;
  #published: number = 0;
  #asked: number = 0;
  #lanes: Promise<void>[] = [];

  constructor(port: number, requests: Tally, flow: Tally) {
    this.#port = port;
    this.#requests = requests;
    this.#flow = flow;
  }

  async start(): Promise<void> {
    const servers = `127.0.0.1:${this.#port}`;
    const options = { servers, reconnect: false, timeout: HANG_MS };
    const asking = await connect(options);
    const answering = await connect(options);
    const sequence = new Sequence(this.#flow, new MessageMemory(new Uint8Array(0)), FLOW_STREAM);
    answering.subscribe(FLOW, {
      callback: (_error, { data }) => sequence.take(0, data.length, new MessageMemory(data)),
    });
    answering.subscribe(REQUEST, {
      callback: (_error, message) => {
        message.respond(message.data);
      },
    });
    await answering.flush();
    this.#asking = asking;
    this.#answering = answering;
    this.#lanes = Array.from({ length: LANES }, () => this.#lane(asking));
  }

  /** Publishes and asks no more, waits for everything, and closes. */
  async finish(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
    await this.#asking?.flush();
    await this.#answering?.flush();
    const missing = this.#published - this.#flow.messages;
    if (missing !== 0) this.#flow.complain(`${missing} messages have not come`);
    await this.#asking?.close();
    await this.#answering?.close();
  }

  async #lane(client: NatsConnection): Promise<void> {
    try {
      while (!this.#isOver) {
        client.publish(FLOW, messageOf(FLOW_STREAM, this.#published++));
        await this.#ask(client, this.#asked++);
      }
    } catch (error) {
      this.#requests.complain((error as Error).message);
    }
  }

  async #ask(client: NatsConnection, number: number): Promise<void> {
    const question = messageOf(REQUEST_STREAM, number);
    const askedMs = sharedNowMs();
    const answer = await client.request(REQUEST, question, { timeout: HANG_MS });
    this.#requests.time(askedMs);
    this.#requests.messages++;
    if (Buffer.compare(question, answer.data) !== 0) {
      this.#requests.complain(`the answer to ${number} is another one`);
    }
  }
}

/** In memory of its own: the client keeps it until it has been sent. */
function messageOf(stream: number, number: number): Buffer {
  const bytes = Buffer.alloc(lengthOf(number));
  new MessageMemory(bytes).write(0, stream, number, sharedNowMs());
  return bytes;
}
