// SPDX-License-Identifier: MIT
/** `DirectWrites`: writes the regions of many sockets in one call of the shim. */

import { assert } from '../../base/assert.ts';
import { throwLater } from '../../base/throw-later.ts';
import { WRITE_WORDS, type WriteSockets, writeSocketsCall } from '../../native/socket-writes.ts';
import type { BufferPool } from '../../pool/index.ts';

/** An outbox with regions to write. Its methods should not throw. */
export interface DirectWriter {
  /**
   * Puts at most {@link WRITER_ROWS} regions into the table, from this row on. Returns their
   * number; 0: it has none, or has sent them in another way.
   */
  fill(table: Int32Array, row: number): number;
  /**
   * Called after the write, with the results in these rows. Returns whether there are more regions
   * that the system may take at once.
   */
  settle(table: Int32Array, row: number, rows: number): boolean;
  /** Called later, in a separate tick: a write has ended. */
  written(): void;
}

/** Most rows of one writer: what the shim writes to one socket by one system call. */
export const WRITER_ROWS = 512;

/** Rows of the table, 64 KiB. Further regions go with the next call. */
const TABLE_ROWS = 4096;

/**
 * The direct writes of one pool's outboxes on this thread: one call for all that enlisted between
 * `hold` and `release`.
 *
 * Avoids what a write costs in `node:net`: a request, views, ticks, a callback. The shim makes one
 * system call per socket. What the system does not take at once, the writer sends through its
 * stream, which waits until the socket is writable.
 */
export class DirectWrites {
  readonly #pool: BufferPool;
  readonly #write: WriteSockets;
  readonly #table = new Int32Array(TABLE_ROWS * WRITE_WORDS);
  #enlisted: DirectWriter[] = [];
  #enlistedSpare: DirectWriter[] = [];
  readonly #rowCounts: number[] = [];
  #held = false;
  #writing = false;
  #written: DirectWriter[] = [];
  #writtenSpare: DirectWriter[] = [];

  private constructor(pool: BufferPool, write: WriteSockets) {
    this.#pool = pool;
    this.#write = write;
  }

  /** The direct writes of a pool on this thread; undefined without the shim. */
  static forPool(pool: BufferPool): DirectWrites | undefined {
    let writes = byPool.get(pool);
    if (writes === undefined) {
      const write = writeSocketsCall();
      if (write === undefined) return undefined;
      writes = new DirectWrites(pool, write);
      byPool.set(pool, writes);
    }
    return writes;
  }

  /** Writes the writer's regions: now, or, after `hold`, with all others at `release`. */
  enlist(writer: DirectWriter): void {
    this.#enlisted.push(writer);
    if (!this.#held) this.#writeAll();
  }

  /** Collects writers until {@link release}. */
  hold(): void {
    assert(!this.#held, 'writers are not held twice');
    this.#held = true;
  }

  /** Writes the regions of the collected writers. */
  release(): void {
    assert(this.#held, 'a release follows a hold');
    this.#held = false;
    this.#writeAll();
  }

  #writeAll(): void {
    if (this.#writing) return;
    this.#writing = true;
    try {
      while (this.#enlisted.length > 0) {
        const enlisted = this.#enlisted;
        assert(this.#enlistedSpare.length === 0, 'the previous list is written completely');
        this.#enlisted = this.#enlistedSpare;
        this.#enlistedSpare = enlisted;
        this.#writeEach(enlisted);
        enlisted.length = 0;
      }
    } finally {
      this.#writing = false;
    }
    if (this.#written.length > 0) process.nextTick(this.#tellWritten);
  }

  #writeEach(writers: readonly DirectWriter[]): void {
    let begin = 0;
    let row = 0;
    for (let i = 0; i < writers.length; i++) {
      if (row + WRITER_ROWS > TABLE_ROWS) {
        this.#writeTable(writers, begin, i, row);
        begin = i;
        row = 0;
      }
      const rows = writers[i].fill(this.#table, row);
      assert(rows <= WRITER_ROWS, 'no writer fills the rows of another');
      this.#rowCounts[i] = rows;
      row += rows;
    }
    this.#writeTable(writers, begin, writers.length, row);
  }

  /** Writes the rows of the writers `[begin, end)`. */
  #writeTable(writers: readonly DirectWriter[], begin: number, end: number, rows: number): void {
    if (rows === 0) return;
    const calls = this.#write(this.#pool.bytes, this.#table, rows);
    assert(calls > 0, 'the shim accepts the table: regions lie in the pool');
    let row = 0;
    for (let i = begin; i < end; i++) {
      const count = this.#rowCounts[i];
      if (count === 0) continue;
      const writer = writers[i];
      try {
        if (writer.settle(this.#table, row, count)) this.#enlisted.push(writer);
        else this.#written.push(writer);
      } catch (error) {
        throwLater(error);
      }
      row += count;
    }
    assert(row === rows, 'each writer settles its own rows');
  }

  readonly #tellWritten = (): void => {
    const written = this.#written;
    this.#written = this.#writtenSpare;
    this.#writtenSpare = written;
    for (let i = 0; i < written.length; i++) {
      try {
        written[i].written();
      } catch (error) {
        throwLater(error);
      }
    }
    written.length = 0;
  };
}

const byPool = new WeakMap<BufferPool, DirectWrites>();
