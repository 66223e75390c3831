// SPDX-License-Identifier: MIT
/** Waits for a free buffer, first come, first served. */

import { compareExchange, fetchAdd, loadAcquire, loadSeqCst } from '../base/atomics.ts';
import { nowMs, startTicking, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { type Linked, LinkedList } from '../base/linked-list.ts';
import { ensureStack } from '../base/stack.ts';
import { WaitGuard, type WaitLimits } from '../base/wait-guard.ts';
import { warn } from './leak-tracker.ts';
import {
  ACQUIRES,
  ACQUIRES_HIGH,
  ATTENTION,
  type BufferId,
  CACHE_COUNT,
  GRANT,
  NEXT_TICKET,
  NO_BUFFER,
  NOT_WAITING,
  OWNER,
  TICKET,
  WAITING,
  WAITS,
} from './pool-layout.ts';
import type { PoolThread } from './pool-thread.ts';

/**
 * How often a waiter looks again at what it can only see without ordering: other threads' caches,
 * and stripes that were claimed when it looked. A store becomes visible within microseconds; this
 * bounds what is left.
 */
const SWEEP_MS = 10;
/** A thread that waits so long without getting a buffer warns. */
const WARN_MS = 1000;

/**
 * One caller that waits; the blocking kind has neither `resolve` nor `reject` and looks at `id`
 * itself.
 */
interface Waiter extends Linked<Waiter> {
  /** Its place among the callers of all threads. */
  readonly ticket: number;
  id: BufferId;
  readonly resolve: ((id: BufferId) => void) | undefined;
  readonly reject: ((reason: unknown) => void) | undefined;
  guard: WaitGuard | undefined;
}

/**
 * This thread's waiters, in order. Each draws its ticket when it asks. Only the thread is
 * registered in shared memory, in the words TICKET and GRANT, with the ticket of its longest
 * waiting caller. A granted buffer goes to that caller, and the thread registers again for the
 * next.
 */
export class WaitQueue {
  readonly #thread: PoolThread;
  readonly #release: (id: BufferId) => void;
  readonly #waiters = new LinkedList<Waiter>();
  #ticking: Timer | undefined;
  /** When a sweep first saw callers wait; −1: not since a buffer came; Infinity: it was told. */
  #stuckSinceMs = -1;
  /** Says who holds the buffers. */
  #brief = (): string => '';

  /** `release` takes a reference back that no caller is left for. */
  constructor(thread: PoolThread, release: (id: BufferId) => void) {
    this.#thread = thread;
    this.#release = release;
    thread.doorbell.listen(() => this.#onRing());
  }

  /** True if no caller of this thread waits. */
  get isEmpty(): boolean {
    return this.#waiters.isEmpty;
  }

  /** Waits without blocking; `brief` says who holds the buffers. */
  wait(limits: WaitLimits, brief: () => string): Promise<BufferId> {
    ensureStack();
    this.#brief = brief;
    return new Promise((resolve, reject) => {
      const waiter = this.#enqueue(resolve, reject);
      const giveUp = (reason: unknown): void => this.#reject(waiter, reason);
      waiter.guard = new WaitGuard(limits, 'acquire', giveUp, brief);
      this.#ticking ??= startTicking(SWEEP_MS, () => this.#sweep());
      this.#sweep();
    });
  }

  /**
   * Blocks this thread; its earlier waiters are served first. Returns NO_BUFFER after `timeoutMs`.
   */
  waitSync(timeoutMs: number, brief: () => string): BufferId {
    // From here on, a caller that has left would still stand in the queue.
    ensureStack();
    this.#brief = brief;
    const deadline = nowMs() + timeoutMs;
    const waiter = this.#enqueue(undefined, undefined);
    for (;;) {
      this.#sweep();
      if (waiter.id !== NO_BUFFER) return waiter.id;
      if (this.#thread.closed) {
        // The pool was closed without a call of pump(): this caller is still in the queue.
        this.#reject(waiter, undefined);
        throw new BusbarError('ERR_BUSBAR_POOL_CLOSED');
      }
      const leftMs = deadline - nowMs();
      if (leftMs <= 0) {
        this.#reject(waiter, undefined);
        return NO_BUFFER;
      }
      this.#thread.doorbell.parkSync(Math.min(leftMs, SWEEP_MS));
    }
  }

  /**
   * Serves this thread's waiters as far as possible now, and registers the thread if some are left.
   */
  pump(): void {
    // Between a grant and its caller stand many calls: none of them may throw.
    ensureStack();
    this.pumpChecked();
  }

  /** {@link pump} within a step that has checked the stack: a second check could fail. */
  pumpChecked(): void {
    const { words, record } = this.#thread;
    for (;;) {
      // SYNC(grant): sees the buffer as its giver left it; pairs with serve().
      const grant = loadAcquire(words, record + GRANT);
      if (grant > WAITING) {
        this.#deliver(this.#accept((grant - 1) as BufferId));
        continue;
      }
      if (this.#thread.closed) this.#rejectAll(new BusbarError('ERR_BUSBAR_POOL_CLOSED'));
      const { first } = this.#waiters;
      if (first === undefined) {
        if (grant === WAITING && !this.#unregister()) continue;
        if (this.#thread.lowerAttention()) this.#thread.serve();
        return;
      }
      if (grant === WAITING && words[record + TICKET] !== first.ticket) {
        // Registered for a caller that gave up: the next one does not inherit its place.
        this.#unregister();
        continue;
      }
      if (grant === NOT_WAITING) this.#register(first.ticket);
      this.#thread.raiseAttention();
      this.#thread.serve();
      if (loadAcquire(words, record + GRANT) === WAITING) return;
    }
  }

  /** This thread leaves the pool: its waiters are refused. */
  detach(): void {
    this.#rejectAll(new BusbarError('ERR_BUSBAR_DETACHED'));
    this.pump();
  }

  #onRing(): void {
    const { words, record } = this.#thread;
    if (loadSeqCst(words, ATTENTION) === 0 && words[record + GRANT] === NOT_WAITING) return;
    if (words[record + CACHE_COUNT] > 0) {
      this.#thread.giveBack();
      this.#thread.serve();
    }
    this.pump();
  }

  /** Takes a buffer if there is one, and asks threads with full caches for theirs. */
  #sweep(): void {
    if (this.#thread.words[this.#thread.record + CACHE_COUNT] > 0) this.#thread.giveBack();
    this.pumpChecked();
    if (this.#waiters.isEmpty) return;
    this.#thread.ringHoarders();
    this.#warnIfStuck();
  }

  /** Once until the next buffer comes: a release may have been forgotten. */
  #warnIfStuck(): void {
    const now = nowMs();
    if (this.#stuckSinceMs < 0) this.#stuckSinceMs = now;
    if (now - this.#stuckSinceMs < WARN_MS) return;
    this.#stuckSinceMs = Infinity;
    try {
      const text = `no buffer has become free within ${WARN_MS} ms; ${this.#brief()}`;
      warn(text, 'BusbarPool', 'BUSBAR_POOL');
    } catch {
      // No stack for that. The caller still waits, and must not be left in the queue.
    }
  }

  #enqueue(resolve: Waiter['resolve'], reject: Waiter['reject']): Waiter {
    const { words, record } = this.#thread;
    const waiter: Waiter = {
      ticket: fetchAdd(words, NEXT_TICKET, 1),
      id: NO_BUFFER,
      resolve,
      reject,
      guard: undefined,
      list: undefined,
      previous: undefined,
      next: undefined,
    };
    this.#waiters.push(waiter);
    words[record + WAITS]++;
    return waiter;
  }

  #register(ticket: number): void {
    const { words, record } = this.#thread;
    words[record + TICKET] = ticket;
    // SYNC(grant): publishes the ticket.
    compareExchange(words, record + GRANT, NOT_WAITING, WAITING);
  }

  /** Returns false if a buffer was granted at the last moment. */
  #unregister(): boolean {
    const { words, record } = this.#thread;
    return compareExchange(words, record + GRANT, WAITING, NOT_WAITING) === WAITING;
  }

  #accept(id: BufferId): BufferId {
    const { words, record, slot, layout } = this.#thread;
    const refs = layout.refs(slot);
    // Before the grant is taken down, so that a reclaim of the giver sees either the grant or the
    // new owner.
    words[layout.buffer(id) + OWNER] = slot;
    compareExchange(words, record + GRANT, id + 1, NOT_WAITING);
    words[refs + id] = 1;
    const acquires = (words[record + ACQUIRES] + 1) | 0;
    words[record + ACQUIRES] = acquires;
    if (acquires === 0) words[record + ACQUIRES_HIGH]++;
    return id;
  }

  #deliver(id: BufferId): void {
    const waiter = this.#waiters.first;
    if (waiter === undefined) {
      this.#release(id);
      return;
    }
    this.#stuckSinceMs = -1;
    this.#settle(waiter);
    waiter.id = id;
    waiter.resolve?.(id);
  }

  /**
   * A waiter gives up (timeout, abort). A buffer that arrives for it meanwhile goes to the next.
   */
  #reject(waiter: Waiter, reason: unknown): void {
    const wasFirst = this.#waiters.first === waiter;
    if (!this.#settle(waiter)) return;
    waiter.reject?.(reason);
    // The others do not show in shared memory.
    if (wasFirst) this.pump();
  }

  #rejectAll(error: BusbarError): void {
    for (;;) {
      const waiter = this.#waiters.first;
      if (waiter === undefined) return;
      this.#settle(waiter);
      waiter.reject?.(error);
    }
  }

  /** Takes the waiter out of the queue. Returns false if it was not in it any more. */
  #settle(waiter: Waiter): boolean {
    if (!this.#waiters.remove(waiter)) return false;
    waiter.guard?.end();
    if (!this.#waiters.isEmpty) return true;
    this.#stuckSinceMs = -1;
    stopTimer(this.#ticking);
    this.#ticking = undefined;
    return true;
  }
}
