// SPDX-License-Identifier: MIT
/**
 * The load of the demonstration, on a thread of its own, over real sockets.
 *
 * Each publisher sends numbered messages to a subject of its own, with a limited number in flight.
 * Each message goes to two subscribers, one of the subject and one of the wildcard for all, and is
 * verified there: the order by its number, the content by a pattern made from the number.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { BufferPool } from 'busbar/pool';
import { DemoClient, type DemoCredentials } from './demo-client.ts';

/** The thread's start data. */
export interface LoadRequest {
  readonly host: string;
  readonly port: number;
  readonly credentials: DemoCredentials;
  readonly publishers: number;
  readonly payloadBytes: number;
  readonly seconds: number;
}

/** Its report of each second and, with `done`, of the whole run. */
export interface LoadReport {
  readonly done: boolean;
  readonly seconds: number;
  /** Since the last report; with `done`, since the beginning. */
  readonly published: number;
  readonly delivered: number;
  /** From publisher to subscriber, of a sample of the messages, in milliseconds. */
  readonly latencyP50: number;
  readonly latencyP99: number;
  /** At the end: the same without any other traffic. */
  readonly quietMs: number;
  /** Messages that came out of order or altered. */
  readonly wrong: number;
  readonly error: string | undefined;
}

/**
 * Messages that one publisher has in flight at most. Enough to keep the broker busy, few enough for
 * short queues.
 */
const WINDOW = 2048;
/** Messages that one publisher sends before the others have a turn. */
const BURST = 256;
/** One message in this many is timed. */
const SAMPLE = 64;
/** One timing in this many is kept for the end. */
const KEEP = 8;
/** Messages sent one by one at the end. */
const QUIET_COUNT = 2000;
/** Payload: u32 publisher, u32 number, f64 time, then the pattern in words. */
const NUMBER_AT = 4;
const TIME_AT = 8;
const PATTERN_AT = 16;

/** The word that stands at a place of a message's pattern. */
function patternWord(number: number, index: number): number {
  return Math.imul(number + 1, 0x9e3779b1) ^ Math.imul(index, 0x85ebca6b);
}

const request = workerData as LoadRequest;
const pool = BufferPool.create({ bufferSize: 128 * 1024, bufferCount: 256 });
const { view } = pool;
let latencies: number[] = [];
let wrong = 0;
let delivered = 0;
/** Publishes no more, and comes to its end. */
let isStopped = false;
parentPort?.once('message', () => {
  isStopped = true;
});

class Publisher {
  readonly #client: DemoClient;
  readonly #head: Uint8Array;
  readonly #id: number;
  published: number = 0;
  /** Messages that its own subscriber has received. */
  confirmed: number = 0;

  constructor(client: DemoClient, id: number) {
    this.#client = client;
    this.#id = id;
    this.#head = Buffer.from(`PUB demo.${id} ${request.payloadBytes}\r\n`);
  }

  /** Sends as many messages as the window and the link have room for, up to a burst. */
  burst(): void {
    const head = this.#head;
    const writer = this.#client.link.writer;
    const { payloadBytes } = request;
    const length = head.length + payloadBytes + 2;
    const count = Math.min(BURST, WINDOW - (this.published - this.confirmed));
    const now = performance.now();
    for (let i = 0; i < count; i++) {
      const at = writer.tryReserve(length);
      if (at < 0) return;
      pool.bytes.set(head, at);
      const payload = at + head.length;
      view.setUint32(payload, this.#id, true);
      view.setUint32(payload + NUMBER_AT, this.published, true);
      view.setFloat64(payload + TIME_AT, now, true);
      for (let offset = PATTERN_AT; offset < payloadBytes; offset += 4) {
        view.setInt32(payload + offset, patternWord(this.published, offset), true);
      }
      view.setUint16(payload + payloadBytes, 0x0d0a);
      writer.commit(at, length);
      this.published++;
    }
  }
}

/** Verifies the messages of one subscriber. */
class Verifier {
  readonly #publishers: readonly Publisher[];
  readonly #expected: number[];
  readonly #confirms: boolean;

  constructor(publishers: readonly Publisher[], confirms: boolean) {
    this.#publishers = publishers;
    this.#expected = publishers.map(() => 0);
    this.#confirms = confirms;
  }

  onMessage(offset: number, length: number): void {
    const id = view.getUint32(offset, true);
    const number = view.getUint32(offset + NUMBER_AT, true);
    let isRight = length === request.payloadBytes && number === this.#expected[id];
    for (let at = PATTERN_AT; at < length; at += 4) {
      if (view.getInt32(offset + at, true) !== patternWord(number, at)) isRight = false;
    }
    if (!isRight) wrong++;
    this.#expected[id] = number + 1;
    delivered++;
    if (this.#confirms) this.#publishers[id].confirmed++;
    if (number % SAMPLE === 0) {
      latencies.push(performance.now() - view.getFloat64(offset + TIME_AT, true));
    }
  }
}

/** Counts and reports of a run. */
class Progress {
  readonly #startMs: number = performance.now();
  readonly #clients: readonly DemoClient[];
  readonly #publishers: readonly Publisher[];
  /** A sample of the sample. */
  readonly #allLatencies: number[] = [];
  #reportedMs: number = this.#startMs;
  #published: number = 0;
  #delivered: number = 0;

  constructor(clients: readonly DemoClient[], publishers: readonly Publisher[]) {
    this.#clients = clients;
    this.#publishers = publishers;
  }

  get seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }

  get published(): number {
    return this.#publishers.reduce((total, { published }) => total + published, 0);
  }

  get error(): string | undefined {
    return this.#clients.find(({ error }) => error !== undefined)?.error;
  }

  /** Reports once a second. */
  reportIfDue(): void {
    const nowMs = performance.now();
    if (nowMs - this.#reportedMs < 1000) return;
    const published = this.published;
    const seconds = (nowMs - this.#reportedMs) / 1000;
    this.#keepLatencies();
    this.#post(false, seconds, published - this.#published, delivered - this.#delivered, latencies);
    this.#reportedMs = nowMs;
    this.#published = published;
    this.#delivered = delivered;
    latencies = [];
  }

  /** Reports on the whole run, which took `seconds`. */
  reportAll(seconds: number, quietMs: number): void {
    this.#keepLatencies();
    this.#post(true, seconds, this.published, delivered, this.#allLatencies, quietMs);
  }

  #keepLatencies(): void {
    for (let i = 0; i < latencies.length; i += KEEP) this.#allLatencies.push(latencies[i]);
  }

  #post(
    done: boolean,
    seconds: number,
    published: number,
    received: number,
    sample: number[],
    quietMs: number = 0,
  ): void {
    sample.sort((a, b) => a - b);
    const latencyP50 = percentile(sample, 0.5);
    const latencyP99 = percentile(sample, 0.99);
    const { error } = this;
    const report: LoadReport = {
      done,
      seconds,
      published,
      delivered: received,
      latencyP50,
      latencyP99,
      quietMs,
      wrong,
      error,
    };
    parentPort?.postMessage(report);
  }
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.floor((sorted.length - 1) * share)];
}

async function run(): Promise<void> {
  const { host, port, credentials } = request;
  const connect = (onMessage: (offset: number, length: number) => void): Promise<DemoClient> =>
    DemoClient.connect(pool, port, host, credentials, onMessage);
  const clients: DemoClient[] = [];
  const publishers: Publisher[] = [];
  for (let id = 0; id < request.publishers; id++) {
    const client = await connect(() => {});
    clients.push(client);
    publishers.push(new Publisher(client, id));
  }
  for (let id = 0; id <= request.publishers; id++) {
    const all = id === request.publishers;
    const verifier = new Verifier(publishers, !all);
    const client = await connect((offset, length) => verifier.onMessage(offset, length));
    client.subscribe(all ? 'demo.*' : `demo.${id}`, 1);
    await client.ping();
    clients.push(client);
  }
  const progress = new Progress(clients, publishers);
  await drive(publishers, progress);
  const { seconds } = progress;
  const isQuiet = progress.error === undefined && !isStopped;
  const quietMs = isQuiet ? await quietLatency(clients[0], connect) : 0;
  progress.reportAll(seconds, quietMs);
  for (const client of clients) await client.link.close();
}

/** Publishes for the time requested, then waits until everything has arrived. */
function drive(publishers: readonly Publisher[], progress: Progress): Promise<void> {
  return new Promise((resolve) => {
    const turn = (): void => {
      const failed = progress.error !== undefined;
      const over = isStopped || progress.seconds >= request.seconds;
      if (!over && !failed) for (const publisher of publishers) publisher.burst();
      progress.reportIfDue();
      if (failed || (over && delivered === 2 * progress.published)) resolve();
      else setImmediate(turn);
    };
    turn();
  });
}

/** The median time from one client through the broker to another, one message at a time. */
async function quietLatency(
  publisher: DemoClient,
  connect: (onMessage: () => void) => Promise<DemoClient>,
): Promise<number> {
  let arrived = (): void => {};
  const subscriber = await connect(() => arrived());
  subscriber.subscribe('demo.quiet.ping', 1);
  await subscriber.ping();
  const times: number[] = [];
  for (let i = 0; i < QUIET_COUNT && !isStopped; i++) {
    const startMs = performance.now();
    await new Promise<void>((resolve) => {
      arrived = resolve;
      publisher.say('PUB demo.quiet.ping 0\r\n\r\n');
    });
    times.push(performance.now() - startMs);
  }
  await subscriber.link.close();
  return percentile(
    times.sort((a, b) => a - b),
    0.5,
  );
}

run().then(
  () => parentPort?.close(),
  (error: unknown) => {
    throw error;
  },
);
