// SPDX-License-Identifier: MIT
/**
 * Model checker: MessageChannel between the threads of a scenario, and threads begun by threads.
 *
 * A channel has one word for each direction, which counts the messages: posting adds to it and
 * notifies, and the receiver's event loop waits for it to change. So messages are ordered,
 * interleaved and undone like other accesses, and a receiver knows what the sender did before. The
 * messages themselves are kept by word and number. Like everything that a thread does, they are a
 * function of what it had read.
 */

import workerThreads from 'node:worker_threads';
import type { SharedAccess } from './accesses.ts';
import type { Agent } from './agent.ts';
import type { Machine } from './machine.ts';
import type { BareThread } from './machine-contract.ts';
import { ABSENT, OP_ADD, OP_LOAD, OP_STORE, READY, T_STATUS } from './machine-layout.ts';
import type { ModelThread, SpawnedThread, ThreadPort } from './scenario.ts';
import { structuredCopy } from './structured-copy.ts';

/** Channels that setup can make, and each thread. */
const CHANNELS_MAX = 16;
/** Words of one channel: one for each direction. */
const CHANNEL_WORDS = 2;

type Listener = (message: unknown) => void;

/** What a thread knows of a port that it uses; made anew each time the thread runs again. */
interface PortUse {
  taken: number;
  isOpen: boolean;
  listens: boolean;
  readonly listeners: {
    readonly given: unknown;
    readonly call: Listener;
    readonly once: boolean;
  }[];
}

const NOTIFY_ALL = Number.POSITIVE_INFINITY;

/** All ports of one machine. */
export class MessagePorts {
  readonly #machine: Machine;
  readonly #access: SharedAccess;
  /** What was posted, by word and number. */
  readonly #posted: unknown[][] = [];
  readonly #made = new WeakMap<Agent, number>();
  #firstCell = -1;

  constructor(machine: Machine, access: SharedAccess) {
    this.#machine = machine;
    this.#access = access;
  }

  /** The two ends of a new channel. */
  channel(): { port1: ModelPort; port2: ModelPort } {
    const { agent, current } = this.#machine;
    const made = this.#made.get(agent) ?? 0;
    if (made === CHANNELS_MAX) {
      throw new Error(`a thread of a scenario makes at most ${CHANNELS_MAX} message channels`);
    }
    this.#made.set(agent, made + 1);
    const word = ((current + 1) * CHANNELS_MAX + made) * CHANNEL_WORDS;
    return {
      port1: new ModelPort(this, word, word + 1),
      port2: new ModelPort(this, word + 1, word),
    };
  }

  /** The ports over which a thread and the one that began it talk. */
  between(thread: number): { parent: ModelPort; child: ModelPort } {
    const words = this.#spawnWord(thread);
    return {
      parent: new ModelPort(this, words + 1, words + 2),
      child: new ModelPort(this, words + 2, words + 1),
    };
  }

  /** Begins a thread that was not there yet. */
  spawn(thread: number, data: unknown): void {
    const machine = this.#machine;
    const word = this.#spawnWord(thread);
    this.#posted[word] = [this.#copy(data)];
    this.#access.atomic(OP_STORE, this.cell(word), 1, 0);
    const status = machine.layout.thread(thread) + T_STATUS;
    if (machine.state[status] !== ABSENT) return;
    machine.state[status] = READY;
    if (machine.current >= 0) machine.clocks.join(thread, machine.current);
  }

  /** What the thread was begun with. */
  dataOf(thread: number): unknown {
    return this.#copy(this.#posted[this.#spawnWord(thread)]?.[0]);
  }

  post(word: number, message: unknown, transfer: readonly unknown[]): void {
    const copy = this.#copy(message, transfer);
    const cell = this.cell(word);
    const number = this.#access.atomic(OP_ADD, cell, 1, 0);
    this.#posted[word] ??= [];
    this.#posted[word][number] = copy;
    this.#access.notify(cell, NOTIFY_ALL);
  }

  /** How many messages were posted so far. */
  count(word: number): number {
    return this.#access.atomic(OP_LOAD, this.cell(word), 0, 0);
  }

  message(word: number, number: number): unknown {
    return this.#copy(this.#posted[word]?.[number]);
  }

  /** Calls `deliver` in a turn of the thread's event loop once more than `taken` were posted. */
  whenMore(word: number, taken: number, deliver: () => void): void {
    const { value, async } = this.#access.waitAsync(this.cell(word), taken);
    const machine = this.#machine;
    const { agent } = machine;
    if (!async) {
      agent.startTurn(deliver);
      return;
    }
    // The look at the count is what the thread learns by; and an earlier post may ring late.
    const look = (): void => {
      if (this.count(word) > taken) deliver();
      else this.whenMore(word, taken, deliver);
    };
    value.then(look).catch((error) => machine.unwinding || agent.fail(error));
  }

  get agent(): Agent {
    return this.#machine.agent;
  }

  cell(word: number): number {
    const { memory, layout } = this.#machine;
    if (this.#firstCell < 0) throw new Error('setup makes channels and posts nothing');
    if (word >= this.#words(layout.threadCount)) throw new Error(`the model has no port ${word}`);
    return this.#firstCell + word * memory.cellWords;
  }

  /** After setup has made its memory: words for all ports that there can be. */
  makeWords(): void {
    if (this.#firstCell >= 0) return;
    const { memory, layout } = this.#machine;
    const bytes = 4 * this.#words(layout.threadCount);
    this.#firstCell = memory.addRegion(new SharedArrayBuffer(bytes), bytes).firstCell;
  }

  /** What a trace calls the word. */
  wordName(block: number, word: number): string | undefined {
    const { memory, layout, threads } = this.#machine;
    if (memory.regions[block]?.firstCell !== this.#firstCell) return undefined;
    const child = word - this.#spawnWord(0);
    if (child < 0) {
      const channel = word >> 1;
      const maker = Math.floor(channel / CHANNELS_MAX) - 1;
      const whose = maker < 0 ? 'setup' : threads[maker].name;
      return `port ${1 + ((word + 1) & 1)} of ${whose}'s channel ${channel % CHANNELS_MAX}`;
    }
    if (child >= 3 * layout.threadCount) return undefined;
    const { name } = threads[Math.floor(child / 3)];
    return child % 3 === 0 ? `begin of ${name}` : child % 3 === 1 ? `from ${name}` : `to ${name}`;
  }

  #words(threadCount: number): number {
    return (threadCount + 1) * CHANNELS_MAX * CHANNEL_WORDS + 3 * threadCount;
  }

  #spawnWord(thread: number): number {
    const { threadCount } = this.#machine.layout;
    return (threadCount + 1) * CHANNELS_MAX * CHANNEL_WORDS + 3 * thread;
  }

  #copy(value: unknown, transfer?: readonly unknown[]): unknown {
    return structuredCopy(value, (object) => {
      if (!(object instanceof ModelPort)) return undefined;
      if (transfer?.includes(object) === false) {
        throw new DOMException('a MessagePort must be in the transfer list', 'DataCloneError');
      }
      return object.handedOver();
    });
  }
}

/** One end of a channel: of the Node and the web interface what threads need. */
export class ModelPort implements ThreadPort {
  readonly #ports: MessagePorts;
  readonly #reads: number;
  readonly #writes: number;
  readonly #begin: number;
  readonly #uses = new WeakMap<Agent, PortUse>();

  constructor(ports: MessagePorts, reads: number, writes: number, begin = 0) {
    this.#ports = ports;
    this.#reads = reads;
    this.#writes = writes;
    this.#begin = begin;
  }

  postMessage(message: unknown, transfer: readonly unknown[] = []): void {
    if (this.#use.isOpen) this.#ports.post(this.#writes, message, transfer);
  }

  on(event: string, listener: Listener): this {
    return this.#listen(event, listener, listener, false);
  }

  once(event: string, listener: Listener): this {
    return this.#listen(event, listener, listener, true);
  }

  off(event: string, listener: unknown): this {
    const { listeners } = this.#use;
    const at = event === 'message' ? listeners.findIndex(({ given }) => given === listener) : -1;
    if (at >= 0) listeners.splice(at, 1);
    return this;
  }

  addListener(event: string, listener: Listener): this {
    return this.on(event, listener);
  }

  removeListener(event: string, listener: Listener): this {
    return this.off(event, listener);
  }

  addEventListener(event: string, listener: (event: { data: unknown }) => void): void {
    this.#listen(event, listener, (data) => listener({ data }), false);
  }

  removeEventListener(event: string, listener: unknown): void {
    this.off(event, listener);
  }

  set onmessage(listener: ((event: { data: unknown }) => void) | null) {
    const { listeners } = this.#use;
    const at = listeners.findIndex(({ given }) => given === 'onmessage');
    if (at >= 0) listeners.splice(at, 1);
    if (listener !== null) {
      this.#listen('message', 'onmessage', (data) => listener({ data }), false);
    }
  }

  start(): void {
    this.#pump();
  }

  close(): void {
    this.#use.isOpen = false;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** What `receiveMessageOnPort` returns. */
  receive(): { message: unknown } | undefined {
    const use = this.#use;
    if (!use.isOpen || this.#ports.count(this.#reads) <= use.taken) return undefined;
    return { message: this.#ports.message(this.#reads, use.taken++) };
  }

  /** The port as the thread has it to which it is transferred; here, it is closed. */
  handedOver(): ModelPort {
    const use = this.#use;
    use.isOpen = false;
    return new ModelPort(this.#ports, this.#reads, this.#writes, use.taken);
  }

  get #use(): PortUse {
    const { agent } = this.#ports;
    let use = this.#uses.get(agent);
    if (use === undefined) {
      use = { taken: this.#begin, isOpen: true, listens: false, listeners: [] };
      this.#uses.set(agent, use);
    }
    return use;
  }

  #listen(event: string, given: unknown, call: Listener, once: boolean): this {
    if (event !== 'message') return this;
    this.#use.listeners.push({ given, call, once });
    this.#pump();
    return this;
  }

  #pump(): void {
    const use = this.#use;
    if (use.listens || !use.isOpen) return;
    use.listens = true;
    this.#ports.whenMore(this.#reads, use.taken, () => {
      use.listens = false;
      if (!use.isOpen) return;
      const message = this.#ports.message(this.#reads, use.taken++);
      const listeners = [...use.listeners];
      for (const listener of listeners) {
        if (listener.once) use.listeners.splice(use.listeners.indexOf(listener), 1);
      }
      // What listens for the next one comes first: a listener may throw.
      if (use.listeners.length > 0) this.#pump();
      for (const listener of listeners) listener.call(message);
    });
  }
}

/** While a scenario runs, the classes and functions by which programs make and use ports. */
export function replaceMessages(
  ports: MessagePorts,
  replace: (target: object, key: string, value: unknown) => void,
): void {
  const MessageChannel = function MessageChannel(): object {
    return ports.channel();
  };
  replace(globalThis, 'MessageChannel', MessageChannel);
  replace(workerThreads, 'MessageChannel', MessageChannel);
  replace(workerThreads, 'receiveMessageOnPort', (port: unknown) => {
    if (port instanceof ModelPort) return port.receive();
    throw new TypeError('the port is none of the model: make it while the scenario runs');
  });
}

/** What a thread knows of itself, with ways to begin others and to talk to who began it. */
export function withPorts(
  self: BareThread,
  ports: MessagePorts,
  thread: number,
  spawned: ReadonlyMap<string, number>,
): ModelThread {
  const isSpawned = [...spawned.values()].includes(thread);
  return {
    ...self,
    parentPort: isSpawned ? ports.between(thread).child : null,
    workerData: isSpawned ? ports.dataOf(thread) : undefined,
    spawn: (name: string, data?: unknown): SpawnedThread => {
      const other = spawned.get(name);
      if (other === undefined) {
        throw new TypeError(`scenario.spawned has no ${JSON.stringify(name)} that could begin`);
      }
      ports.spawn(other, data);
      return ports.between(other).parent;
    },
  };
}
