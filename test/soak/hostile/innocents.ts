// SPDX-License-Identifier: MIT
/**
 * Hostile soak: well-behaved clients, in pairs: one publishes a message at intervals, the other
 * receives it. Each message is timed and must arrive once, in order and unaltered.
 */

import { Histogram } from '../../../bench/histogram.ts';
import { RawClient } from '../../e2e/raw-client.ts';

/** A pair sends a message so often. */
const EVERY_MS = 10;
const US_PER_MS = 1000;
const PADDING = 'innocent'.repeat(8);
/** Time by which everything has arrived, once the hostile clients have left. */
const REST_MS_MAX = 60_000;

export class Innocents {
  /** Of microseconds: since it was reset last, of all, and of this third of the run. */
  readonly recent: Histogram = new Histogram();
  readonly all: Histogram = new Histogram();
  readonly third: Histogram = new Histogram();
  messages: number = 0;
  readonly complaints: string[] = [];
  readonly #pairs: Pair[] = [];
  #timer: NodeJS.Timeout | undefined = undefined;

  static async start(port: number, count: number): Promise<Innocents> {
    const innocents = new Innocents();
    for (let i = 0; i < count; i++) innocents.#pairs.push(await Pair.open(innocents, port, i));
    innocents.#timer = setInterval(() => {
      for (const pair of innocents.#pairs) pair.send();
    }, EVERY_MS);
    return innocents;
  }

  /** Sends no more, and waits for all that was sent. */
  async finish(): Promise<void> {
    clearInterval(this.#timer);
    for (const pair of this.#pairs) await pair.finish(REST_MS_MAX);
  }

  close(): void {
    for (const pair of this.#pairs) pair.close();
  }

  heard(sentMs: number): void {
    const us = (performance.now() - sentMs) * US_PER_MS;
    this.messages++;
    this.recent.record(us);
    this.third.record(us);
    this.all.record(us);
  }
}

class Pair {
  readonly #innocents: Innocents;
  readonly #publisher: RawClient;
  readonly #subscriber: RawClient;
  readonly #subject: string;
  /** When each that is on its way was sent. */
  readonly #sentMs: number[] = [];
  #sent: number = 0;
  #next: number = 0;
  #isDone: boolean = false;
  #onEmpty: () => void = () => {};

  private constructor(innocents: Innocents, all: readonly RawClient[], subject: string) {
    this.#innocents = innocents;
    [this.#publisher, this.#subscriber] = all;
    this.#subject = subject;
    for (const client of all) {
      client.closed.then(() => {
        if (!this.#isDone) this.#complain('was cut off');
      });
    }
    listen(this.#publisher, (line) => this.#unexpected(line));
    let isMessageNext = false;
    listen(this.#subscriber, (line) => {
      if (isMessageNext) this.#take(line);
      else if (!line.startsWith(`MSG ${subject} 1 `)) this.#unexpected(line);
      isMessageNext = !isMessageNext && line.startsWith('MSG ');
    });
  }

  static async open(innocents: Innocents, port: number, number: number): Promise<Pair> {
    const subject = `innocent.${number}`;
    const publisher = await RawClient.connect(port);
    const subscriber = await RawClient.connect(port);
    await subscriber.converse(`SUB ${subject} 1\r\n`);
    await publisher.converse('');
    return new Pair(innocents, [publisher, subscriber], subject);
  }

  send(): void {
    const payload = `${this.#sent++} ${PADDING}`;
    this.#sentMs.push(performance.now());
    this.#publisher.say(`PUB ${this.#subject} ${payload.length}\r\n${payload}\r\n`);
  }

  async finish(timeoutMs: number): Promise<void> {
    if (this.#sentMs.length === 0) return;
    // Once it is cut off, nothing more comes.
    const cutOff = Promise.race([this.#publisher.closed, this.#subscriber.closed]);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      void cutOff.then(() => this.#onEmpty());
      this.#onEmpty = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
    if (this.#sentMs.length > 0) this.#complain(`lost ${this.#sentMs.length} messages`);
  }

  close(): void {
    this.#isDone = true;
    this.#publisher.destroy();
    this.#subscriber.destroy();
  }

  #take(payload: string): void {
    const sentMs = this.#sentMs.shift();
    if (payload !== `${this.#next++} ${PADDING}` || sentMs === undefined) {
      this.#complain(`got ${JSON.stringify(payload.slice(0, 80))} as number ${this.#next - 1}`);
      return;
    }
    this.#innocents.heard(sentMs);
    if (this.#sentMs.length === 0) this.#onEmpty();
  }

  #unexpected(line: string): void {
    if (line === 'PING') {
      this.#publisher.say('PONG\r\n');
      this.#subscriber.say('PONG\r\n');
    } else if (line !== 'PONG') {
      this.#complain(`is told ${JSON.stringify(line.slice(0, 80))}`);
    }
  }

  #complain(what: string): void {
    if (this.#innocents.complaints.length < 10) {
      this.#innocents.complaints.push(`${this.#subject} ${what}`);
    }
  }
}

/** Calls `onLine` with each line that comes from now on. */
function listen(client: RawClient, onLine: (line: string) => void): void {
  let rest = '';
  client.socket.removeAllListeners('data');
  client.socket.on('data', (chunk) => {
    const lines = (rest + chunk.toString('latin1')).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
}
