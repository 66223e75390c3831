// SPDX-License-Identifier: MIT
/** BufferPool: a fixed number of buffers of a fixed size, shared by all threads. */

import { addThenStore, loadAcquire, type Words } from '../base/atomics.ts';
import { checkInteger, checkText, checkTimeoutMs, showMs } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { eventChannel, publish } from '../base/events.ts';
import { readText } from '../base/text.ts';
import { resolveWaitOptions, type WaitOptions } from '../base/wait-guard.ts';
import { announceParty, type CarrierTicket, detachCarriers, isJoined } from './carriers.ts';
import type { Doorbell } from './doorbell.ts';
import { HOLDER_NAME } from './holder-layout.ts';
import { closeHolder, closeHoldersOf, openHolder, writeName } from './holders.ts';
import { createBlocks, openBlocks } from './pool-blocks.ts';
import { PoolDeaths } from './pool-deaths.ts';
import {
  ATTENTION,
  ATTENTION_CLOSED,
  type BufferId,
  DETACHED_WORDS,
  HOARD,
  NO_BUFFER,
  OWN_HOLDER,
  POISON,
  TOTAL,
} from './pool-layout.ts';
import {
  type BufferPoolHandle,
  type BufferPoolOptions,
  resolvePoolOptions,
} from './pool-options.ts';
import { type PoolPlan, type PoolUse, planPool } from './pool-plan.ts';
import { outstanding, type PoolReport, type PoolStats, poolStats } from './pool-stats.ts';
import type { Announce } from './pool-thread.ts';
import { openAccount, REFERENCES_MAX, SHARES_GRANT } from './share-accounts.ts';
import { nameOfPool, nameOfThread } from './thread-names.ts';
import { Transits } from './transits.ts';
import { holdersInBrief, type PoolWho, whoHolds } from './who.ts';

const exhausted = eventChannel('busbar.pool.exhausted');

/**
 * A fixed number of fixed-size buffers in one block of shared memory, with a cache of free ones for
 * each thread.
 *
 * Every buffer that is not free is held by references: `tryAcquire` gives the caller one, `retain`
 * adds one, `release` takes one away, and the buffer is free again when the last one goes.
 * References belong to the thread that took them; `moveInto` and `moveFrom` carry one to another
 * thread. This interface uses plain numbers; `Packet` does the same with objects.
 *
 * One object per thread: `create` makes the pool and attaches the creating thread, `attach` joins
 * it from another. All methods belong to the thread that made the object.
 */
export class BufferPool extends PoolDeaths {
  /**
   * Makes a pool and attaches this thread to it.
   *
   * **Cost** all memory is reserved at once: bufferSize × bufferCount (rounded up to 64 bytes a
   * buffer, and to pages of 64 KiB), 128 bytes per buffer, 8 per buffer and thread, and up to 7 MiB
   * by `maxThreads` (5.4 for 16), most of it lanes of executors.
   * The system provides pages as they are first touched.
   * **Throws** TypeError or RangeError naming the option that is wrong.
   */
  static create(options: BufferPoolOptions): BufferPool {
    const { handle, words } = createBlocks(resolvePoolOptions(options));
    return new BufferPool(handle, words);
  }

  /**
   * Joins a pool from the thread that received its handle.
   *
   * **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_POOL_CLOSED, ERR_BUSBAR_THREAD_SLOTS.
   */
  static attach(handle: BufferPoolHandle): BufferPool {
    return BufferPool.attachAnnounced(handle);
  }

  /**
   * @internal {@link attach} that announces its badge before it has a slot, so that the thread can
   * be named wherever it dies. With a ticket it joins a carrier.
   *
   * **Throws** ERR_BUSBAR_EXECUTOR_STOPPED if the carrier's owner has died.
   */
  static attachAnnounced(
    handle: BufferPoolHandle,
    announce?: Announce,
    ticket?: CarrierTicket,
  ): BufferPool {
    const { handle: own, words } = openBlocks(handle);
    if ((loadAcquire(words, ATTENTION) & ATTENTION_CLOSED) !== 0) {
      throw new BusbarError('ERR_BUSBAR_POOL_CLOSED');
    }
    const pool = new BufferPool(own, words, (badge) => {
      announce?.(badge);
      if (ticket !== undefined) announceParty(words, ticket, badge);
    });
    if (ticket !== undefined && !isJoined(words, pool.layout, ticket)) {
      pool.detach();
      throw new BusbarError('ERR_BUSBAR_EXECUTOR_STOPPED', 'its host has died');
    }
    return pool;
  }

  /**
   * The text of UTF-8 bytes `[offset, offset + length)` of `bytes`; malformed bytes become U+FFFD.
   * **Throws** RangeError.
   */
  text(offset: number, length: number): string {
    const size = this.bytes.length;
    checkInteger('offset', offset, 0, size);
    checkInteger('length', length, 0, size - offset);
    return readText(this.bytes, offset, offset + length);
  }

  /** @internal In a pool of `debug`: fills a region that no other reference protects. */
  poison(id: BufferId, offset: number, length: number): void {
    if (!this.isDebug || this.words[this.layout.refs(this.threadSlot) + id] === 0) return;
    if (this.isSoleHolder(id)) this.arena.fill(offset, length, POISON);
  }

  /**
   * How many buffers a program with links on one thread needs, and why. For links that write only
   * while `link.writable`, with their default options.
   */
  plan(use: PoolUse): PoolPlan {
    return planPool(this.bufferSize, this.bufferCount, use);
  }

  /**
   * Takes a free buffer, or waits for one; if none comes within a second, a process warning
   * (`BUSBAR_POOL`) says who holds them. Callers of all threads are served in the order in which
   * they asked, but a thread is given one buffer at a time: until it has taken the one for its
   * first caller, buffers go to the callers of other threads.
   *
   * **Ownership** the caller holds one reference on success, nothing on failure; a wait that ends
   * early never keeps a buffer. Keeps the event loop alive while it waits.
   * **Throws** (rejects) ERR_BUSBAR_TIMEOUT, `signal.reason`, ERR_BUSBAR_POOL_CLOSED,
   * ERR_BUSBAR_DETACHED.
   */
  async acquire(options?: WaitOptions): Promise<BufferId> {
    const limits = resolveWaitOptions(options);
    if (this.waiters.isEmpty) {
      const id = this.tryAcquire();
      if (id !== NO_BUFFER) return id;
      this.tellExhausted();
    } else {
      this.checkUsable();
    }
    return this.waiters.wait(limits, this.heldInBrief);
  }

  /**
   * Takes a free buffer, blocking this thread (its event loop too) until there is one.
   *
   * **Ownership** the caller holds one reference.
   * **Throws** ERR_BUSBAR_TIMEOUT after `timeoutMs`, ERR_BUSBAR_POOL_CLOSED, ERR_BUSBAR_DETACHED.
   */
  acquireSync(timeoutMs: number = Infinity): BufferId {
    checkTimeoutMs('timeoutMs', timeoutMs);
    if (this.waiters.isEmpty) {
      const id = this.tryAcquire();
      if (id !== NO_BUFFER) return id;
      this.tellExhausted();
    }
    this.checkUsable();
    const id = this.waiters.waitSync(timeoutMs, this.heldInBrief);
    if (id === NO_BUFFER) {
      const held = this.heldInBrief();
      throw new BusbarError('ERR_BUSBAR_TIMEOUT', `acquireSync, ${showMs(timeoutMs)}; ${held}`);
    }
    return id;
  }

  /**
   * Leaves the pool; the thread's cache goes back to the shared list and its slot is free for
   * another thread. Waiters of this thread are rejected. Idempotent.
   *
   * **Throws** ERR_BUSBAR_BUFFERS_HELD if this thread still holds references; nothing has changed
   * then.
   */
  detach(): void {
    if (this.words === DETACHED_WORDS) return;
    const held = outstanding(this.thread, this.threadSlot);
    if (held > 0) {
      throw new BusbarError(
        'ERR_BUSBAR_BUFFERS_HELD',
        `${held} buffers; release their packets before detach()${this.leaks?.summary() ?? ''}`,
      );
    }
    this.waiters.detach();
    this.thread.doorbell.close();
    this.thread.giveBack();
    this.thread.serve();
    detachCarriers(this.words, this.layout, this.badge);
    closeHoldersOf(this.words, this.layout, this.threadSlot);
    this.words = DETACHED_WORDS;
    this.leaks?.close();
    this.arena.retire();
    this.thread.detach();
  }

  /**
   * Counters, read without stopping any thread: numbers that others change meanwhile were each true
   * at some moment. **Cost** a few loads for each of `maxThreads`.
   */
  stats(): PoolStats {
    this.checkAttached();
    return poolStats(this.thread, this.arena.isFast);
  }

  /**
   * Who holds the buffers: {@link stats}, and a table by thread and kind of holder. Exact for what
   * is at rest. Packets in transit are attributed to the lanes of executors, and to the channels,
   * flushers and shared writers that this thread has objects of; to others as 'elsewhere'.
   *
   * **Threads** any. **Cost** a load for each buffer and attached thread.
   */
  who(): PoolWho {
    return whoHolds(this.thread, this.stats(), this.transits.sources());
  }

  /** @internal */
  heldInBrief = (): string =>
    this.words === DETACHED_WORDS ? 'detached' : holdersInBrief(this.thread, this.stats());

  /** The pool's name; '' without one. */
  get name(): string {
    this.checkAttached();
    return nameOfPool(this.thread);
  }

  /** @internal Its name, or its slot. */
  get threadName(): string {
    return nameOfThread(this.thread, this.threadSlot);
  }

  /** Names this thread in {@link stats}, {@link who} and errors, by the first 31 bytes. */
  nameThread(name: string): void {
    this.checkAttached();
    checkText('name', name);
    writeName(this.words, this.thread.record + OWN_HOLDER + HOLDER_NAME, name);
  }

  /** @internal Words in which a holder counts by {@link note}: its own if named and possible. */
  holder(name: string = ''): number {
    const own = this.thread.record + OWN_HOLDER;
    return name === '' ? own : openHolder(this.words, this.layout, this.threadSlot, name);
  }

  /** @internal `change` more references by word `index` of a holder; nothing after `detach`. */
  note(index: number, change: number): void {
    this.words[index] += change;
  }

  /** @internal Gives a holder back. */
  closeHolder(holder: number): void {
    if (this.words !== DETACHED_WORDS) closeHolder(this.words, this.layout, holder);
  }

  /** @internal Carriers that this thread knows. */
  readonly transits: Transits = new Transits();
  /**
   * Closes the pool for all threads: waits are rejected, acquiring fails, releasing still works.
   * Returns what is still held. A second call only reports.
   */
  close(): PoolReport {
    this.checkAttached();
    this.thread.close();
    this.waiters.pump();
    const { threads, inTransit } = this.who();
    return {
      heldByThreads: threads.reduce((sum, thread) => sum + thread.held, 0),
      inTransit,
      leaks: this.leaks?.report() ?? 'off',
    };
  }

  [Symbol.dispose](): void {
    if (this.words !== DETACHED_WORDS) this.close();
  }

  /** @internal The bell of this thread, for other rooms that wait or wake. */
  get doorbell(): Doorbell {
    return this.thread.doorbell;
  }

  /** @internal The words of `deadlock-layout.ts`, where leaks are tracked. */
  get deadlockWords(): { readonly words: Words; readonly first: number } | undefined {
    const { words, layout } = this;
    return layout.deadlocks === 0 ? undefined : { words, first: layout.deadlocks };
  }

  /**
   * @internal Takes a reference on a buffer that shares in a carrier's words keep alive meanwhile;
   * the caller has claimed these words. **Cost** one read-modify-write, none if this thread holds
   * the buffer already.
   */
  retainShared(id: BufferId): void {
    const words = this.words;
    if (words[this.refs + id] === REFERENCES_MAX)
      throw new BusbarError('ERR_BUSBAR_REFERENCES', `buffer ${id}`);
    const account = this.shares + id;
    if (words[account] === 0) {
      addThenStore(words, this.layout.buffer(id) + TOTAL, SHARES_GRANT, account, SHARES_GRANT);
    }
    words[this.refs + id]++;
  }

  /** @internal A sole reference becomes one by a share, so that others may {@link retainShared}. */
  share(id: BufferId): void {
    const { words, shares, refs } = this;
    const isSole = words[refs + id] === 1 && words[shares + id] === 0;
    if (isSole) openAccount(words, shares + id, this.layout.buffer(id), 1);
  }

  /**
   * @internal Adds to the number of buffers that a listener of {@link doorbell} would release: a
   * thread that needs one then rings this one.
   */
  hoard(change: number): void {
    this.words[this.thread.record + HOARD] += change;
  }

  /** The first caller of this thread begins to wait. */
  private tellExhausted(): void {
    if (exhausted.hasSubscribers) publish(exhausted, { pool: this });
  }
}

describeAs(BufferPool, 'BufferPool', (pool) => {
  const { threads, ...rest } = pool.stats();
  return { ...rest, bufferSize: pool.bufferSize, threads: threads.map(({ name }) => name).join() };
});
