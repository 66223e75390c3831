// SPDX-License-Identifier: MIT
/** Test worker: sends or receives through channels in every way that they offer. */
import { parentPort, workerData } from 'node:worker_threads';
import {
  PacketChannel,
  type PacketReceiver,
  type PacketSender,
  WordChannel,
  type WordReceiver,
  type WordSender,
} from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { BufferPool, NO_BUFFER } from 'busbar/pool';
import { Random } from '../../src/base/random.ts';
import { turn } from '../turns.ts';
import * as crew from './channel-crew.ts';

const start = workerData as crew.WorkerStart;
const port = parentPort as NonNullable<typeof parentPort>;
const pool = BufferPool.attach(start.pool);

function tell(news: crew.WorkerNews): void {
  port.postMessage(news);
}

function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name: string };
  return typeof code === 'string' ? code : name;
}

const CLOSED = 'ERR_BUSBAR_CHANNEL_CLOSED';
/** In a test of deaths, other threads replace the dead ones. */
const GIVEN_UP = ['ERR_BUSBAR_TIMEOUT', 'AbortError', 'ERR_BUSBAR_CHANNEL_PEER_DIED'];

/** What was done how often; tells whether the test had power. */
type Calls = Record<string, number>;

function count(calls: Calls, name: string): void {
  calls[name] = (calls[name] ?? 0) + 1;
}

/** Options of a wait that may be given up in one of two ways, or not at all. */
function patience(random: Random): { signal?: AbortSignal; timeoutMs?: number } {
  const way = random.below(4);
  if (way === 0) return { timeoutMs: random.below(3) };
  if (way > 1) return {};
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (random.below(2) === 0) setImmediate(abort);
  else setTimeout(abort, random.below(3));
  return { signal: controller.signal };
}

/** Sends messages 0, 1, 2 … of sender `id`. */
abstract class SenderRun {
  readonly calls: Calls = {};
  next = 0;
  readonly #task: crew.ChannelTask;
  readonly #board: Int32Array;
  protected readonly random: Random;

  constructor(task: crew.ChannelTask) {
    this.#task = task;
    this.#board = new Int32Array(task.board);
    this.random = new Random(task.seed);
  }

  /** True if the channel was closed under it. */
  async run(): Promise<boolean> {
    try {
      while (this.next < this.#task.count && Atomics.load(this.#board, crew.STOP) === 0) {
        const way = this.random.below(6);
        const burst = 1 + this.random.below(this.random.below(4) === 0 ? 40 : 4);
        for (let i = 0; i < burst && this.next < this.#task.count; i++) {
          await this.step(way, this.#task.count - this.next);
        }
        if (this.random.below(4) === 0) await turn();
      }
      return false;
    } catch (error) {
      if (codeOf(error) !== CLOSED) throw error;
      return true;
    }
  }

  protected word(number: number): number {
    return this.#task.id * crew.NUMBERS + number;
  }

  protected sent(count_: number): void {
    this.next += count_;
    Atomics.add(this.#board, crew.SENT + this.#task.id, count_);
  }

  /** Runs a wait that may end early. */
  protected async mayGiveUp(name: string, wait: () => unknown): Promise<boolean> {
    count(this.calls, name);
    try {
      await wait();
      return true;
    } catch (error) {
      if (!GIVEN_UP.includes(codeOf(error))) throw error;
      count(this.calls, `${name}, given up`);
      return false;
    }
  }

  protected abstract step(way: number, left: number): Promise<void>;
  abstract close(): void;
}

class WordSenderRun extends SenderRun {
  readonly #sender: WordSender;

  constructor(task: crew.ChannelTask) {
    super(task);
    this.#sender = WordChannel.attach(pool, task.channel).sender();
  }

  protected override async step(way: number, left: number): Promise<void> {
    const sender = this.#sender;
    const { random } = this;
    const word = this.word(this.next);
    if (way < 2) {
      count(this.calls, 'trySend');
      if (sender.trySend(word)) this.sent(1);
      else if (random.below(2) === 0) await turn();
    } else if (way === 2) {
      count(this.calls, 'trySendBatch');
      const batch = new Int32Array(Math.min(1 + random.below(20), left));
      for (let i = 0; i < batch.length; i++) batch[i] = this.word(this.next + i);
      const taken = sender.trySendBatch(batch);
      this.sent(taken);
      if (taken === 0) await turn();
    } else if (way === 3) {
      const patient = random.below(2) === 0 ? Infinity : random.below(3);
      if (await this.mayGiveUp('sendSync', () => sender.sendSync(word, patient))) this.sent(1);
    } else {
      const options = patience(random);
      if (await this.mayGiveUp('send', () => sender.send(word, options))) this.sent(1);
    }
  }

  override close(): void {
    this.#sender.close();
  }
}

class PacketSenderRun extends SenderRun {
  readonly #sender: PacketSender;
  /** Made, and not sent yet. */
  readonly #packets: Packet[] = [];

  constructor(task: crew.ChannelTask) {
    super(task);
    this.#sender = PacketChannel.attach(pool, task.channel).sender();
  }

  protected override async step(way: number, left: number): Promise<void> {
    const sender = this.#sender;
    const { random } = this;
    const wanted = way === 2 ? Math.min(1 + random.below(8), left) : 1;
    await this.#make(wanted);
    const packet = this.#packets[0];
    let taken = 0;
    if (way === 0) {
      count(this.calls, 'trySend');
      taken = Number(sender.trySend(packet));
      if (taken === 0) await turn();
    } else if (way === 1) {
      count(this.calls, 'trySendRegion');
      pool.retain(packet.bufferId);
      taken = Number(this.#tryRegion(packet));
    } else if (way === 2) {
      count(this.calls, 'trySendBatch');
      taken = sender.trySendBatch(this.#packets);
      if (taken === 0) await turn();
    } else if (way === 3) {
      const patient = random.below(2) === 0 ? Infinity : random.below(3);
      taken = Number(await this.mayGiveUp('sendSync', () => sender.sendSync(packet, patient)));
    } else {
      const options = patience(random);
      taken = Number(await this.mayGiveUp('send', () => sender.send(packet, options)));
    }
    for (const gone of this.#packets.splice(0, taken)) {
      if (!gone.released) throw new Error('a packet that was sent is still ours');
    }
    for (const kept of this.#packets) {
      if (kept.released) throw new Error('a packet that was not sent is gone');
    }
    this.sent(taken);
  }

  override close(): void {
    for (const packet of this.#packets.splice(0)) packet.release();
    this.#sender.close();
  }

  /** Sends a reference of its own, and then gives up the packet's. */
  #tryRegion(packet: Packet): boolean {
    const { bufferId } = packet;
    let isSent = false;
    try {
      isSent = this.#sender.trySendRegion(bufferId, packet.offset, packet.length);
    } finally {
      if (!isSent) pool.release(bufferId);
    }
    if (isSent) packet.release();
    return isSent;
  }

  async #make(wanted: number): Promise<void> {
    while (this.#packets.length < wanted) {
      const id = this.#packets.length === 0 ? await pool.acquire() : pool.tryAcquire();
      if (id === NO_BUFFER) return;
      const offset = pool.offsetOf(id);
      const word = this.word(this.next + this.#packets.length);
      const length = 4 + (word % 20);
      pool.view.setUint32(offset, word);
      pool.bytes.fill(word & 255, offset + 4, offset + length);
      this.#packets.push(Packet.wrap(pool, id, offset, length));
    }
  }
}

/** Receives until the channel has ended. */
abstract class ReceiverRun {
  readonly calls: Calls = {};
  protected readonly account: crew.Account;
  protected readonly random: Random;
  protected abstract readonly receiver: PacketReceiver | WordReceiver;
  received = 0;

  constructor(task: crew.ChannelTask) {
    this.account = new crew.Account(task.seen, task.board);
    this.random = new Random(task.seed);
  }

  async run(): Promise<void> {
    const { random } = this;
    while (!this.receiver.ended) {
      const way = random.below(8);
      const burst = 1 + random.below(4);
      for (let i = 0; i < burst && !this.receiver.ended; i++) await this.step(way);
      if (random.below(4) === 0) await turn();
    }
  }

  protected abstract step(way: number): Promise<void>;
  protected abstract take(message: Packet | number | undefined): void;

  protected async wait(way: number): Promise<void> {
    const { receiver, random, calls } = this;
    if (way === 4) {
      const options = patience(random);
      await this.#mayGiveUp('receive', async () => this.take(await receiver.receive(options)));
    } else if (way === 5) {
      const patient = random.below(2) === 0 ? Infinity : random.below(3);
      await this.#mayGiveUp('receiveSync', () => this.take(receiver.receiveSync(patient)));
    } else if (way === 6) {
      count(calls, 'arm');
      await this.#untilReady();
    } else {
      let left = 1 + random.below(6);
      await this.#mayGiveUp('for await', async () => {
        for await (const message of receiver) {
          this.take(message);
          if (--left === 0) break;
        }
      });
    }
  }

  async #mayGiveUp(name: string, wait: () => unknown): Promise<void> {
    count(this.calls, name);
    try {
      await wait();
    } catch (error) {
      if (!GIVEN_UP.includes(codeOf(error))) throw error;
      count(this.calls, `${name}, given up`);
    }
  }

  /** Now and then something else is tried while the callback is asked for. */
  async #untilReady(): Promise<void> {
    const { receiver, random } = this;
    const alive = setInterval(() => {}, 1000);
    let besides: Promise<void> | undefined;
    await new Promise<void>((resolve, reject) => {
      receiver.setReadyCallback(() => resolve());
      if (!receiver.arm()) return resolve();
      if (random.below(4) > 0) return;
      const way = 4 + random.below(2);
      besides = this.wait(way);
      besides.catch(reject);
    });
    // Its promise may have a message that this thread has not looked at: nothing is taken before.
    await besides;
    clearInterval(alive);
    receiver.setReadyCallback(undefined);
  }

  close(): void {
    this.receiver.close();
  }
}

class WordReceiverRun extends ReceiverRun {
  protected override readonly receiver: WordReceiver;
  readonly #batch = new Int32Array(100);

  constructor(task: crew.ChannelTask) {
    super(task);
    this.receiver = WordChannel.attach(pool, task.channel).receiver();
  }

  protected override async step(way: number): Promise<void> {
    const { receiver, random, calls } = this;
    const max = 1 + random.below(random.below(3) === 0 ? 100 : 5);
    if (way === 0) {
      count(calls, 'tryReceive');
      this.take(receiver.tryReceive());
    } else if (way === 1) {
      count(calls, 'tryReceiveBatch');
      const end = receiver.tryReceiveBatch(this.#batch, 0, max);
      for (let i = 0; i < end; i++) this.take(this.#batch[i]);
    } else if (way < 4) {
      count(calls, 'drain');
      receiver.drain((word) => this.#drained(word), max);
    } else {
      await this.wait(way);
    }
  }

  /** Now and then takes the next one from within. */
  #drained(word: number): void {
    this.take(word);
    if (this.random.below(10) === 0) this.take(this.receiver.tryReceive());
  }

  protected override take(word: number | undefined): void {
    if (word === undefined) return;
    this.received++;
    this.account.take(word);
  }
}

class PacketReceiverRun extends ReceiverRun {
  protected override readonly receiver: PacketReceiver;

  constructor(task: crew.ChannelTask) {
    super(task);
    this.receiver = PacketChannel.attach(pool, task.channel).receiver();
  }

  protected override async step(way: number): Promise<void> {
    const { receiver, random, calls } = this;
    const max = 1 + random.below(random.below(3) === 0 ? 100 : 5);
    if (way === 0) {
      count(calls, 'tryReceive');
      this.take(receiver.tryReceive());
    } else if (way === 1) {
      count(calls, 'tryReceiveRegion');
      const id = receiver.tryReceiveRegion();
      if (id !== NO_BUFFER) this.take(Packet.wrap(pool, id, receiver.offset, receiver.length));
    } else if (way === 2) {
      count(calls, 'drain');
      receiver.drain((packet) => {
        this.take(packet);
        if (random.below(10) === 0) this.take(receiver.tryReceive());
      }, max);
    } else if (way === 3) {
      count(calls, 'drainRegions');
      receiver.drainRegions((id, offset, length) => {
        this.take(Packet.wrap(pool, id, offset, length));
      }, max);
    } else {
      await this.wait(way);
    }
  }

  protected override take(packet: Packet | undefined): void {
    if (packet === undefined) return;
    const word = pool.view.getUint32(packet.offset);
    const end = packet.offset + packet.length;
    if (packet.length !== 4 + (word % 20)) throw new Error(`message ${word} has another length`);
    for (let at = packet.offset + 4; at < end; at++) {
      if (pool.bytes[at] !== (word & 255)) throw new Error(`message ${word} is torn`);
    }
    this.account.take(word);
    this.received++;
    packet.release();
  }
}

async function work(task: crew.ChannelTask): Promise<crew.WorkerNews> {
  if (task.role === 'sender') {
    const run = task.carries === 'words' ? new WordSenderRun(task) : new PacketSenderRun(task);
    tell({ joined: true });
    const closed = await run.run();
    run.close();
    return { done: run.next, closed, calls: run.calls };
  }
  const run = task.carries === 'words' ? new WordReceiverRun(task) : new PacketReceiverRun(task);
  tell({ joined: true });
  await run.run();
  run.close();
  return { done: run.received, closed: true, calls: run.calls };
}

tell({ slot: pool.threadSlot });
port.on('message', async (task: crew.ChannelTask) => tell(await work(task)));
