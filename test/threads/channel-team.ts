// SPDX-License-Identifier: MIT
/** Test tool: the main thread's side of workers that send and receive through channels. */
import { Worker } from 'node:worker_threads';
import { PacketChannel, WordChannel } from 'busbar/channel';
import type { BufferPool } from 'busbar/pool';
import { Random } from '../../src/base/random.ts';
import * as crew from './channel-crew.ts';
import { workerUrl } from './worker-crew.ts';

/** What came of one task of one worker. */
export interface Done {
  readonly done: number;
  readonly closed: boolean;
  readonly calls: Record<string, number>;
}

/** A worker with one task at a time. */
export class Member {
  readonly worker: Worker;
  readonly attached: Promise<void>;
  readonly exited: Promise<void>;
  slot = -1;
  #onAttached: () => void = () => {};
  #onJoined: () => void = () => {};
  #onDone: (done: Done) => void = () => {};
  #onFailed: (error: unknown) => void = () => {};

  constructor(pool: BufferPool) {
    const workerData: crew.WorkerStart = { pool: pool.handle };
    this.worker = new Worker(workerUrl('channel'), { workerData });
    this.attached = new Promise((resolve) => {
      this.#onAttached = resolve;
    });
    this.worker.on('message', (news: crew.WorkerNews) => {
      if ('slot' in news) {
        this.slot = news.slot;
        this.#onAttached();
      } else if ('joined' in news) this.#onJoined();
      else this.#onDone(news);
    });
    this.worker.on('error', (error) => this.#onFailed(error));
    this.exited = new Promise((resolve) => {
      this.worker.on('exit', () => resolve());
    });
  }

  /** `joined` settles when it has its place, `done` when it has left it, and never if it dies. */
  begin(task: crew.ChannelTask): { joined: Promise<void>; done: Promise<Done> } {
    const failed = new Promise<never>((_, reject) => {
      this.#onFailed = reject;
    });
    failed.catch(() => {});
    const joined = new Promise<void>((resolve) => {
      this.#onJoined = resolve;
    });
    const done = new Promise<Done>((resolve) => {
      this.#onDone = resolve;
    });
    this.worker.postMessage(task);
    return { joined: Promise.race([joined, failed]), done: Promise.race([done, failed]) };
  }

  async terminate(): Promise<void> {
    await this.worker.terminate();
    await this.exited;
  }
}

export interface Shape {
  readonly kind: 'spsc' | 'mpsc' | 'mpmc';
  readonly capacity: number;
  readonly carries: crew.Load;
}

/** One channel, and the words in which is written what came of it. */
export class Course {
  readonly shape: Shape;
  readonly channel: PacketChannel | WordChannel;
  readonly board: Int32Array<SharedArrayBuffer>;
  readonly seen: Uint8Array<SharedArrayBuffer>;
  readonly #random: Random;

  constructor(pool: BufferPool, shape: Shape, senders: number, seed: number) {
    this.shape = shape;
    const Channel = shape.carries === 'packets' ? PacketChannel : WordChannel;
    this.channel = Channel.create(pool, { kind: shape.kind, capacity: shape.capacity });
    this.board = new Int32Array(new SharedArrayBuffer(4 * crew.BOARD_WORDS));
    this.seen = new Uint8Array(new SharedArrayBuffer(senders * crew.NUMBERS));
    this.#random = new Random(seed);
  }

  task(role: 'sender' | 'receiver', id: number, count: number): crew.ChannelTask {
    return {
      channel: this.channel.handle,
      carries: this.shape.carries,
      role,
      id,
      count,
      seed: this.#random.next(),
      seen: this.seen.buffer,
      board: this.board.buffer,
    };
  }

  get received(): number {
    return Atomics.load(this.board, crew.RECEIVED);
  }

  sent(id: number): number {
    return Atomics.load(this.board, crew.SENT + id);
  }

  /** Which of a sender's messages were received; what came twice has thrown long before. */
  receivedOf(id: number): number[] {
    const numbers: number[] = [];
    for (let number = 0; number < crew.NUMBERS; number++) {
      if (this.seen[id * crew.NUMBERS + number] > 0) numbers.push(number);
    }
    return numbers;
  }

  /** What is wrong if all of a sender's messages should have come. */
  missing(id: number): string[] {
    const numbers = this.receivedOf(id);
    const sent = this.sent(id);
    if (numbers.length === sent && (numbers.at(-1) ?? -1) === sent - 1) return [];
    return [`of sender ${id}, ${numbers.length} of ${sent} came, the last was ${numbers.at(-1)}`];
  }
}
