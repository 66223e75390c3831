// SPDX-License-Identifier: MIT
/** Model checker: channels, pool and writers as structures for the linearizability check. */

import {
  BLOCKED,
  choose,
  type LinearizableOptions,
  type ModelThread,
  type Structure,
} from 'busbar/testing';
import { CHANNEL_KINDS } from '../../src/channel/channel-layout.ts';
import type { BufferId, BufferPool } from '../../src/pool/index.ts';
import type { LocalWriter, SharedWriter, WriteFlusher } from '../../src/writer/index.ts';
import { ChannelBodies, type Giver, type Taker } from './channel-scenarios.ts';
import {
  type ChannelModule,
  type ChannelShape,
  type ChannelShared,
  channelWordName,
  isChannelHint,
  makeChannel,
} from './channel-words.ts';
import {
  isHint,
  isOwnerWord,
  makePool,
  type PoolModule,
  type PoolShared,
  poolWordName,
} from './pool-words.ts';
import {
  isWriterGuess,
  makeWriter,
  type WriterModule,
  type WriterShared,
  writerWordName,
} from './writer-scenarios.ts';

/** A structure and how far to go. */
export interface Checked<Shared, Subject> {
  readonly structure: Structure<Shared, Subject>;
  readonly options: LinearizableOptions;
}

/** Time stands still, so that a wait without end is found. */
const STILL = { timeouts: 0, polls: 0 } as const;

// ── Channels ────────────────────────────────────────────────────────────────────────────────────

type End = Giver & Taker;

export function channelStructures(module: ChannelModule): Checked<ChannelShared, End>[] {
  return CHANNEL_KINDS.flatMap((kind) =>
    (['words', 'packets'] as const).map((carries) =>
      channelStructure(module, { kind, capacity: kind === 'spsc' ? 2 : 1, carries }),
    ),
  );
}

function channelStructure(module: ChannelModule, shape: ChannelShape): Checked<ChannelShared, End> {
  const bodies = new ChannelBodies(module);
  const { kind, capacity, carries } = shape;
  const give = { args: (random: { unique(): number }) => [random.unique()], role: 'sender' };
  return {
    structure: {
      name: `${kind}, ${carries}`,
      setup: () =>
        makeChannel(module, { bufferCount: capacity + 3, batchSize: 1, maxThreads: 3 }, shape),
      attach: (shared, _self, role) => {
        const pool = module.BufferPool.attach(shared.handle);
        const channel = bodies.open(pool, shared);
        return (
          role === 'sender'
            ? refusing(bodies.giver(pool, channel.sender()))
            : bodies.taker(pool, channel.receiver())
        ) as End;
      },
      sequential: class extends SequentialQueue {
        override readonly capacity = capacity;
      },
      roles: {
        sender: kind === 'spsc' ? { most: 1 } : {},
        receiver: kind === 'mpmc' ? {} : { most: 1 },
      },
      operations: {
        trySend: { ...give, mayRefuse: { result: false } },
        sendSync: { ...give, waits: true, mayRefuse: { result: false } },
        send: { ...give, waits: true, mayRefuse: { result: false } },
        tryReceive: { role: 'receiver', mayRefuse: { result: undefined } },
        receiveSync: { role: 'receiver', waits: true },
        receive: { role: 'receiver', waits: true },
      },
      racy: (shared) => (block, word) => isChannelHint(shared, block, word),
      nameWord: (shared) => (block, word) => channelWordName(shared, block, word),
    },
    options: { ...STILL, threads: kind === 'spsc' ? 2 : 3, operations: 2, preemptions: 1 },
  };
}

/** A packet that finds no buffer at once is not sent. */
function refusing(giver: Giver): Giver {
  const refused = (error: unknown): boolean => {
    if (!(error instanceof Error) || error.message !== 'no buffer') throw error;
    return false;
  };
  const attempt =
    (send: (message: number) => unknown) =>
    (message: number): never => {
      try {
        return send(message) as never;
      } catch (error) {
        return refused(error) as never;
      }
    };
  return {
    ...giver,
    trySend: attempt(giver.trySend.bind(giver)),
    sendSync: attempt(giver.sendSync.bind(giver)),
    send: attempt(giver.send.bind(giver)),
  };
}

class SequentialQueue {
  readonly capacity: number = 1;
  items: number[] = [];

  trySend(message: number): boolean {
    if (this.items.length === this.capacity) return false;
    this.items.push(message);
    return true;
  }

  sendSync(message: number): unknown {
    return this.trySend(message) ? undefined : BLOCKED;
  }

  send(message: number): unknown {
    return this.sendSync(message);
  }

  tryReceive(): number | undefined {
    return this.items.shift();
  }

  receiveSync(): unknown {
    return this.items.length === 0 ? BLOCKED : this.items.shift();
  }

  receive(): unknown {
    return this.receiveSync();
  }
}

// ── The pool ────────────────────────────────────────────────────────────────────────────────────

/** Buffers that one thread has taken, the last one given back first. */
class Holder {
  readonly #pool: BufferPool;
  readonly #held: BufferId[] = [];

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  tryAcquire(): number {
    return this.#keep(this.#pool.tryAcquire());
  }

  acquireSync(): number {
    return this.#keep(this.#pool.acquireSync());
  }

  async acquire(): Promise<number> {
    return this.#keep(await this.#pool.acquire());
  }

  release(): number {
    const id = this.#held.pop();
    if (id === undefined) return -1;
    this.#pool.release(id);
    return id;
  }

  #keep(id: BufferId): number {
    if (id >= 0) this.#held.push(id);
    return id;
  }
}

const BUFFERS = 2;

class SequentialBag {
  free: number[] = Array.from({ length: BUFFERS }, (_, id) => id);
  held: Record<string, number[]> = {};

  /** Another thread's cache may have the last ones: "none" may always be said. */
  tryAcquire(thread: string): number {
    return this.#take(choose([...this.free, -1]), thread);
  }

  acquireSync(thread: string): unknown {
    return this.free.length === 0 ? BLOCKED : this.#take(choose(this.free), thread);
  }

  acquire(thread: string): unknown {
    return this.acquireSync(thread);
  }

  release(thread: string): number {
    const id = this.held[thread]?.pop();
    if (id === undefined) return -1;
    this.free = [...this.free, id].sort();
    return id;
  }

  recover(dead: string): void {
    this.free = [...this.free, ...(this.held[dead] ?? [])].sort();
    this.held[dead] = [];
  }

  #take(id: number, thread: string): number {
    if (id < 0) return id;
    this.free = this.free.filter((other) => other !== id);
    this.held[thread] = [...(this.held[thread] ?? []), id];
    return id;
  }
}

export function poolStructure(module: PoolModule): Checked<PoolShared, Holder> {
  return {
    structure: {
      name: 'pool',
      setup: () => makePool(module, { bufferCount: BUFFERS, batchSize: 1, maxThreads: 4 }),
      attach: (shared, self: ModelThread) => {
        const pool = module.BufferPool.attach(shared.handle);
        self.publish(pool.threadSlot);
        return new Holder(pool);
      },
      sequential: SequentialBag,
      operations: {
        tryAcquire: {},
        acquireSync: { waits: true },
        acquire: { waits: true },
        release: {},
      },
      recover: ({ handle }, dead, self) => {
        const pool = module.BufferPool.attach(handle);
        self.begin();
        pool.reclaim(dead.published[0] as number);
      },
      racy: (shared) => (block, word) =>
        isHint(shared, block, word) || isOwnerWord(shared, block, word),
      nameWord: (shared) => (block, word) => poolWordName(shared, block, word),
    },
    // A waiter has time on its side: it asks for buffers in other threads' caches.
    options: { timeouts: 0, operations: 3, preemptions: 1 },
  };
}

// ── Writers ─────────────────────────────────────────────────────────────────────────────────────

/** Writes messages of two bytes, or receives them. */
interface Writing {
  write(message: number): boolean;
  drain(): number[];
  next(): Promise<number[]>;
}

class SequentialLog {
  messages: number[] = [];

  /** A full pool says no; nothing else does. */
  write(message: number): boolean {
    this.messages.push(message);
    return true;
  }

  /** Of what overlaps with an earlier one that is still being written, the rest comes later. */
  drain(): number[] {
    const count = choose(Array.from({ length: this.messages.length + 1 }, (_, i) => i));
    return this.messages.splice(0, count);
  }

  next(): unknown {
    if (this.messages.length === 0) return BLOCKED;
    const count = choose(Array.from({ length: this.messages.length }, (_, i) => i + 1));
    return this.messages.splice(0, count);
  }
}

/** Messages of several lanes come in any order, those of one in its own. */
class SequentialLanes {
  lanes: Record<string, number[]> = {};

  write(message: number, thread: string): boolean {
    this.lanes[thread] = [...(this.lanes[thread] ?? []), message];
    return true;
  }

  drain(): number[] {
    return this.#take(true);
  }

  next(): unknown {
    return this.#waiting.length === 0 ? BLOCKED : this.#take(false);
  }

  get #waiting(): string[] {
    return Object.keys(this.lanes).filter((name) => this.lanes[name].length > 0);
  }

  #take(mayBeNone: boolean): number[] {
    const taken: number[] = [];
    while (this.#waiting.length > 0) {
      const mayEnd = mayBeNone || taken.length > 0;
      const name = choose(mayEnd ? [...this.#waiting, ''] : this.#waiting);
      if (name === '') break;
      taken.push(this.lanes[name].shift() as number);
    }
    return taken;
  }
}

export function writerStructures(module: WriterModule): Checked<WriterShared, Writing>[] {
  const structure = (shared: boolean): Structure<WriterShared, Writing> => ({
    name: shared ? 'shared writer' : 'local writers',
    setup: () => makeWriter(module, { bufferCount: 4, batchSize: 1, maxThreads: 4 }, 16, shared),
    attach: (memory, _self, role) => {
      const pool = module.BufferPool.attach(memory.handle);
      const flusher = module.WriteFlusher.attach(pool, memory.flusherHandle);
      return role === 'receiver'
        ? receiving(pool, flusher)
        : writing(
            shared
              ? module.SharedWriter.attach(flusher, memory.writerHandle)
              : new module.LocalWriter(flusher, { flush: 'manual' }),
          );
    },
    sequential: shared ? SequentialLog : SequentialLanes,
    roles: { receiver: { most: 1 }, writer: { most: 2 } },
    operations: {
      write: {
        args: (random) => [random.unique()],
        role: 'writer',
        mayRefuse: { result: false },
      },
      drain: { role: 'receiver' },
      next: { role: 'receiver', waits: true },
    },
    racy: (memory) => (block, word) => isWriterGuess(memory, block, word),
    nameWord: (memory) => (block, word) => writerWordName(memory, block, word),
  });
  const options = {
    ...STILL,
    threads: 3,
    operations: 2,
    before: 1,
    preemptions: 1,
    states: 20_000,
  };
  return [true, false].map((shared) => ({ structure: structure(shared), options }));
}

function writing(writer: LocalWriter | SharedWriter): Writing {
  return {
    write: (message) => {
      if (!writer.tryWrite(new Uint8Array(2).fill(message))) return false;
      writer.flush();
      return true;
    },
    drain: () => [],
    next: async () => [],
  };
}

function receiving(pool: BufferPool, flusher: WriteFlusher): Writing {
  flusher.becomeReceiver();
  const drain = (): number[] => {
    const messages: number[] = [];
    flusher.drain((_writer, offset, length, id) => {
      for (let i = 0; i < length; i += 2) {
        const [first, second] = [pool.bytes[offset + i], pool.bytes[offset + i + 1]];
        messages.push(first === second ? first : -1);
      }
      pool.release(id);
    });
    return messages;
  };
  return {
    write: () => false,
    drain,
    next: () =>
      new Promise((resolve) => {
        flusher.setReadyCallback(() => {
          const messages = drain();
          if (messages.length === 0) return;
          flusher.setReadyCallback(undefined);
          resolve(messages);
        });
      }),
  };
}
