// SPDX-License-Identifier: MIT
/** Test tool: starts producer threads and receives on this thread what they write. */
import { Worker } from 'node:worker_threads';
import { arbitrarySeed, Random } from '../../src/base/random.ts';
import { type BufferId, BufferPool } from '../../src/pool/index.ts';
import { type FlushPolicy, SharedWriter, WriteFlusher } from '../../src/writer/index.ts';
import { auditPool } from '../pool-audit.ts';
import { MessageChecker } from './writer-message.ts';
import type { ProducerNews, ProducerOrder, ProducerTask } from './writer-producer.worker.ts';

const PROGRAM = new URL('../../build/test/threads/writer-producer.worker.js', import.meta.url);

/** One producer, as the test sees it. */
export interface Producer {
  readonly worker: Worker;
  readonly thread: number;
  slot: number;
  /** Messages it has committed; −1 until it says. */
  committed: number;
  readonly attached: Promise<void>;
  readonly done: Promise<void>;
  readonly exited: Promise<void>;
}

/** What a crew is made of. */
export interface CrewOptions {
  readonly bufferSize: number;
  readonly bufferCount: number;
  readonly regionCount?: number;
  readonly isShared: boolean;
  readonly policy?: FlushPolicy;
  /** Regions that the receiver keeps for a while. */
  readonly keepsMax?: number;
  readonly seed?: number;
  /** A flusher that another thread drains for now; created if absent. */
  readonly pool?: BufferPool;
  readonly flusher?: WriteFlusher;
}

/** A pool, a flusher, its receiver, and threads that write to it. */
export class Crew {
  readonly seed: number;
  readonly random: Random;
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  readonly writer: SharedWriter | undefined;
  readonly checker: MessageChecker = new MessageChecker();
  readonly producers: Producer[] = [];
  /** Called with everything that was received. */
  onReceived: () => void = () => {};
  #threads = 0;
  readonly #kept: BufferId[] = [];
  readonly #options: CrewOptions;
  #failed: unknown;
  readonly #failure = newPromise();

  constructor(options: CrewOptions) {
    const { bufferSize, bufferCount, regionCount = 8, isShared, policy = 'manual' } = options;
    this.#options = options;
    this.seed = options.seed ?? arbitrarySeed();
    this.random = new Random(this.seed);
    const shape = { bufferSize, bufferCount, batchSize: 2, maxThreads: 12 };
    this.pool = options.pool ?? BufferPool.create(shape);
    const lanes = { writerCount: 16, regionCount };
    this.flusher = options.flusher ?? WriteFlusher.create(this.pool, lanes);
    if (isShared) this.writer = SharedWriter.create(this.flusher, { flush: policy });
    if (options.flusher === undefined) this.flusher.setReadyCallback(() => this.receive());
  }

  /** Starts a thread that makes `count` reservations. */
  start(count: number, holdMax: number, handsOver: boolean = false): Producer {
    const thread = this.#threads++;
    const task: ProducerTask = {
      pool: this.pool.handle,
      flusher: this.flusher.handle,
      ...(this.writer === undefined ? {} : { writer: this.writer.handle }),
      thread,
      seed: this.random.next(),
      count,
      holdMax,
      policy: this.#options.policy ?? 'manual',
      handsOver,
    };
    const worker = new Worker(PROGRAM, { workerData: task });
    const attached = newPromise();
    const done = newPromise();
    const exited = newPromise();
    const producer: Producer = {
      worker,
      thread,
      slot: -1,
      committed: -1,
      attached: attached.promise,
      done: done.promise,
      exited: exited.promise,
    };
    worker.on('message', (news: ProducerNews) => {
      if ('slot' in news) {
        producer.slot = news.slot;
        attached.resolve();
      } else if ('offer' in news) {
        this.#passOn(producer, news.offer);
      } else {
        producer.committed = news.committed;
        done.resolve();
      }
    });
    worker.on('error', (error) => {
      this.fail(error);
      done.resolve();
      attached.resolve();
    });
    worker.on('exit', () => {
      attached.resolve();
      exited.resolve();
    });
    this.producers.push(producer);
    return producer;
  }

  receive(): void {
    const { bytes } = this.pool;
    this.flusher.drain((_writerId, offset, length, id) => {
      this.#kept.push(id);
      try {
        this.checker.take(bytes, offset, length);
      } catch (error) {
        this.fail(error);
      }
      while (this.#kept.length > (this.#options.keepsMax ?? 0)) this.#releaseOne();
    });
    if (this.#kept.length > 0) setImmediate(() => this.#releaseOne());
    this.onReceived();
  }

  fail(error: unknown): void {
    this.#failed ??= error;
    this.#failure.resolve();
  }

  /** Settles when all the promises have; throws as soon as something goes wrong. */
  async all(promises: readonly Promise<void>[]): Promise<void> {
    await Promise.race([Promise.all(promises), this.#failure.promise]);
    this.check();
  }

  /** Tells the producers to end, waits for them, and checks that nothing is lost. */
  async end(): Promise<void> {
    for (const producer of this.producers) {
      const order: ProducerOrder = { end: true };
      producer.worker.postMessage(order);
    }
    await this.all(this.producers.map((producer) => producer.exited));
    this.writer?.flush();
    this.receive();
    const dropped = this.writer?.close() ?? 0;
    this.receive();
    while (this.#kept.length > 0) this.#releaseOne();
    this.check();
    const { held, inTransit } = this.pool.who();
    const { writers } = this.flusher.stats();
    const found = { dropped, held, inTransit, writers, wrong: auditPool(this.pool) };
    const home = { dropped: 0, held: 0, inTransit: 0, writers: 0, wrong: [] };
    if (JSON.stringify(found) !== JSON.stringify(home)) this.fail(new Error(JSON.stringify(found)));
    this.check();
  }

  /** Throws what went wrong, with the seed. */
  check(): void {
    if (this.#failed === undefined) return;
    throw new Error(`seed ${this.seed}: ${String(this.#failed)}`, { cause: this.#failed });
  }

  /** A reservation that one producer gives away goes to another. */
  #passOn(from: Producer, offer: object): void {
    const others = this.producers.filter((producer) => producer !== from);
    others[this.random.below(others.length)].worker.postMessage({ offer });
  }

  #releaseOne(): void {
    const id = this.#kept.shift();
    if (id !== undefined) this.pool.release(id);
  }
}

function newPromise(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
