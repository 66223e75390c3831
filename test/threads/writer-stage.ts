// SPDX-License-Identifier: MIT
/** Test tool: several simulated threads on one real thread, which write numbered messages. */
import type { BufferId } from '../../src/pool/index.ts';
import { BufferPool } from '../../src/pool/index.ts';
import {
  type LocalWriter,
  SharedWriter,
  WriteFlusher,
  type WriterOptions,
} from '../../src/writer/index.ts';
import type { RingShape } from '../../src/writer/shared-writer-layout.ts';
import { auditPool } from '../pool-audit.ts';
import { die } from '../simulated-death.ts';

/** What a stage is made of. */
export interface StageShape {
  readonly bufferSize: number;
  /** Bytes of each message, 8 or more. */
  readonly size: number;
  readonly regionCount: number;
  readonly options?: WriterOptions;
  readonly ring?: RingShape;
  /** The first epoch. */
  readonly epoch?: number;
}

/** One "thread". */
export interface Actor {
  readonly name: number;
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  shared: SharedWriter | undefined;
  local: LocalWriter | undefined;
  next: number;
}

type Make = (
  flusher: WriteFlusher,
  options: WriterOptions,
  shape?: RingShape,
  epoch?: number,
) => SharedWriter;

const ACTORS = 4;
const WRITER_COUNT = 3;

/** A pool, a flusher whose receiver is actor 0, a shared writer, and who writes what. */
export class Stage {
  readonly shape: StageShape;
  readonly actors: Actor[] = [];
  /** Blocks that the threads share: the pool's control, the flusher's, the shared writer's. */
  readonly memory: ArrayBufferLike[];
  readonly #got: { author: number; number: number }[] = [];
  readonly #committed = new Map<number, number[]>();
  receiver: Actor;

  constructor(shape: StageShape) {
    this.shape = shape;
    const { bufferSize, regionCount, options = {} } = shape;
    const sizes = { bufferSize, bufferCount: 64, batchSize: 1, maxThreads: ACTORS + 1 };
    const pool = BufferPool.create(sizes);
    const flusher = WriteFlusher.create(pool, { writerCount: WRITER_COUNT, regionCount });
    const { make } = SharedWriter as unknown as { make: Make };
    const shared = make.call(SharedWriter, flusher, options, shape.ring, shape.epoch);
    this.actors.push({ name: 0, pool, flusher, shared, local: undefined, next: 0 });
    for (let i = 1; i < ACTORS; i++) this.actors.push(this.attach(i));
    this.memory = [pool.handle.control, flusher.handle.control, shared.handle.control];
    [this.receiver] = this.actors;
  }

  /** Another thread, without a writer. */
  attach(name: number): Actor {
    const [first] = this.actors;
    const pool = BufferPool.attach(first.pool.handle);
    const flusher = WriteFlusher.attach(pool, first.flusher.handle);
    return { name, pool, flusher, shared: undefined, local: undefined, next: 0 };
  }

  join(actor: Actor): SharedWriter {
    const { handle } = this.actors[0].shared as SharedWriter;
    actor.shared = SharedWriter.attach(actor.flusher, handle);
    return actor.shared;
  }

  /** Reserves and fills; −1: not now. The message counts from {@link commit} on. */
  reserve(actor: Actor, writer: SharedWriter | LocalWriter): number {
    const at = writer.tryReserve(this.shape.size);
    if (at >= 0) {
      actor.pool.view.setUint32(at, actor.name);
      actor.pool.view.setUint32(at + 4, actor.next);
    }
    return at;
  }

  commit(actor: Actor, writer: SharedWriter | LocalWriter, at: number): void {
    writer.commit(at, this.shape.size);
    this.wrote(actor, actor.next++);
  }

  /** Notes that a message was committed. */
  wrote(actor: Actor, number: number): void {
    const list = this.#committed.get(actor.name);
    if (list === undefined) this.#committed.set(actor.name, [number]);
    else list.push(number);
  }

  write(actor: Actor, writer: SharedWriter | LocalWriter): boolean {
    const bytes = new Uint8Array(this.shape.size);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, actor.name);
    // Used up also if that throws: it may have been committed, and the flush by policy thrown.
    const number = actor.next++;
    view.setUint32(4, number);
    if (!writer.tryWrite(bytes)) return false;
    this.wrote(actor, number);
    return true;
  }

  /** The same message again until there is room. */
  writeSurely(actor: Actor, writer: SharedWriter | LocalWriter): void {
    for (let i = 0; !this.write(actor, writer); i++) {
      if (i > 100) throw new Error(`no room for ${actor.name}: ${actor.next}`);
      writer.flush();
      this.drain();
    }
    writer.flush();
    this.drain();
  }

  /** Writes a number of messages, whatever becomes of them. */
  writeMany(actor: Actor, writer: SharedWriter | LocalWriter, count: number): void {
    for (let i = 0; i < count; i++) {
      this.write(actor, writer);
      writer.flush();
    }
  }

  drain(actor: Actor = this.receiver, countMax: number = Infinity): number {
    const { pool, flusher } = actor;
    return flusher.drain((_writer, offset, length, id: BufferId) => {
      if (length % this.shape.size !== 0) throw new Error(`${length} bytes are no messages`);
      for (let at = offset; at < offset + length; at += this.shape.size) {
        const author = pool.view.getUint32(at);
        this.#got.push({ author, number: pool.view.getUint32(at + 4) });
      }
      pool.release(id);
    }, countMax);
  }

  /** The thread has died: its objects must not be used any more. */
  bury(actor: Actor): void {
    die(actor.pool);
    this.actors.splice(this.actors.indexOf(actor), 1);
  }

  /** What a host does after an 'exit'. */
  recover(slot: number, by: Actor = this.actors[0]): void {
    by.shared?.recover(slot);
    this.receiver.flusher.recover(slot);
    by.pool.reclaim(slot);
  }

  /** The living go on; then all close. Returns what is wrong. */
  async finish(more: number): Promise<string[]> {
    const wrong: string[] = [];
    for (let i = 0; i < more; i++) {
      for (const actor of this.actors) {
        if (actor.shared?.closed === false) this.writeSurely(actor, actor.shared);
        if (actor.local?.closed === false) this.writeSurely(actor, actor.local);
      }
    }
    for (const { shared, local } of this.actors) {
      if (shared !== undefined && shared.close() > 0) wrong.push('close() dropped something');
      if (local !== undefined && local.close() > 0) wrong.push('close() dropped something');
      this.drain();
    }
    this.drain();
    const living = new Set(this.actors.map(({ name }) => name));
    for (const [author, committed] of this.#committed) {
      const got = this.#got.filter((message) => message.author === author);
      const numbers = got.map(({ number }) => number);
      if (numbers.some((number, i) => i > 0 && number <= numbers[i - 1])) {
        wrong.push(`${author} out of order: ${numbers}`);
      }
      const arrived = new Set(numbers);
      const lost = committed.filter((number) => !arrived.has(number));
      if (living.has(author) && lost.length > 0) wrong.push(`${author} lost ${lost}`);
    }
    // A wait for a buffer that has been given up may get it, and gives it back.
    const { pool, flusher } = this.receiver;
    for (let i = 0; i < 50 && pool.stats().held > 0; i++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { held, inTransit } = pool.who();
    const { writers } = flusher.stats();
    if (held + writers > 0) {
      wrong.push(`${held} held, ${inTransit} in transit, ${writers} writers`);
    }
    wrong.push(...auditPool(pool));
    if (wrong.length === 0) for (const actor of this.actors) actor.pool.detach();
    return wrong;
  }
}
