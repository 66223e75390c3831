// SPDX-License-Identifier: MIT
/** The state of one executor group on its host: starts the threads, stops them, reports. */

import { fileURLToPath } from 'node:url';
import { showMs } from '../base/check.ts';
import { nowMs, sharedNowMs, startTimer, stopTimer } from '../base/clock.ts';
import { BusbarError, messageOf } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import type { PacketSender } from '../channel/index.ts';
import type { BufferPool } from '../pool/index.ts';
import { DRAINING, ENDED, RUNNING } from './executor-layout.ts';
import { isThere } from './executor-program.ts';
import { crashed, ExecutorSlot, endOf } from './executor-slot.ts';
import { Gauges } from './gauges.ts';
import type { ResolvedGroupOptions, StopOptions } from './group-options.ts';
import type { TakenRegion } from './in-hand.ts';
import type { LaneMailbox } from './lane-mailbox.ts';
import { LaneEnds, Mesh } from './mesh.ts';
import type { Assignment } from './messages.ts';
import { Requests } from './requests.ts';
import { TurnLoop } from './turn-loop.ts';

/** What became of the packets of a group, from its start to its end. */
export interface StopReport {
  /**
   * Packets that executors took out of their mailboxes; of a thread that died or had to be
   * terminated, without those of its last pass.
   */
  readonly handled: number;
  /** Packets that were sent and released unhandled. */
  readonly dropped: number;
  /** Buffers that threads still held when they ended; the pool has them back. */
  readonly leaked: number;
  /** Executors that had not ended by the deadline: the group ended their threads. */
  readonly terminated: readonly number[];
}

/** Told of a crash: the executor's index, its starts so far, what it may have had in hand. */
export type CrashWatcher = (index: number, epoch: number, taken: readonly TakenRegion[]) => void;

/** Advice for the author of a module that does not return. */
const ADVICE =
  'Packets come after run has returned: it must not await its mailbox, but call mailbox.handle, ' +
  'or begin a loop over the mailbox and pass defer a function that returns its promise';

/** How long a thread may run its deferred functions after its deadline. */
const GRACE_MS = 500;

/**
 * A group's state. Separate from the public handle, so that the handle can be garbage-collected
 * while threads run.
 */
export class GroupState {
  readonly slots: readonly ExecutorSlot[];
  readonly mailbox: LaneMailbox;
  /** The host's lanes to the executors. */
  readonly senders: readonly PacketSender[];
  readonly closed: Promise<void>;
  readonly mesh: Mesh;
  readonly pool: BufferPool;
  readonly requests: Requests = new Requests();
  /** Told of each crash before `onCrash`. */
  readonly watchers: CrashWatcher[] = [];
  readonly #options: ResolvedGroupOptions;
  readonly #ends: LaneEnds;
  readonly #gauges: Gauges;
  readonly #loop: TurnLoop;
  readonly #aborter = new AbortController();
  #settleClosed: (crash: BusbarError | undefined) => void = () => {};
  #crash: BusbarError | undefined;
  #stopped: Promise<StopReport> | undefined;
  /** Settles when every thread has ended. */
  #allEnded: Promise<unknown> = Promise.resolve();
  /** True once every thread has ended and what was queued for them is released. */
  #isEmpty = false;
  #onQuiet: () => void = () => {};
  /** Packets for the host's handler that the deadline of a stop has cut off. */
  #unhandled = 0;

  private constructor(options: ResolvedGroupOptions) {
    const { cpus, pool, laneCapacity } = options;
    const count = cpus.length;
    this.#options = options;
    this.pool = pool;
    this.mesh = Mesh.create(pool, count, laneCapacity, options.name);
    this.#ends = new LaneEnds(pool, this.mesh.plan(count));
    this.senders = cpus.map((_, index) => this.#ends.sender(index));
    const block = Gauges.createBlock(count);
    const epochMs = sharedNowMs();
    this.#gauges = new Gauges(block, count, epochMs);
    const { receivers } = this.#ends;
    this.#loop = new TurnLoop(pool, receivers, this.#gauges, 'adaptive', () => false);
    this.mailbox = this.#loop.mailbox;
    this.mailbox.requests = this.requests;
    this.mailbox.laneTo = (index) => this.#ends.sender(index);
    this.#gauges.become(RUNNING);
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = (crash) => (crash === undefined ? resolve() : reject(crash));
    });
    const slots: ExecutorSlot[] = [];
    const watched: ResolvedGroupOptions = {
      ...options,
      onCrash: (index, crash, inHand, taken) => {
        const epoch = (slots[index] as ExecutorSlot).restarts + 1;
        for (const watcher of this.watchers) watcher(index, epoch, taken);
        this.requests.crashed(index, this.mesh.tagsBetween(index, count), crash);
        options.onCrash(index, crash, inHand, []);
      },
    };
    this.slots = slots;
    try {
      for (const [index, cpu] of cpus.entries()) {
        const gauges = new Gauges(block, index, epochMs);
        const assignment: Assignment = {
          kind: 'busbar/executor',
          program: '',
          index,
          count,
          restarts: 0,
          name: `${options.name}-${index}`,
          cpu,
          idle: options.idle,
          module: options.module,
          data: options.data,
          pool: pool.handle,
          mesh: this.mesh.plan(index),
          ticket: this.mesh.ticket(index),
          gauges: block,
          epochMs,
        };
        slots.push(new ExecutorSlot(assignment, watched, this.mesh, gauges, () => this.#onQuiet()));
      }
    } catch (error) {
      // A thread could not be created; for example, its data cannot be cloned.
      for (const slot of slots) slot.terminate();
      this.#ends.closeSenders();
      this.closeMailbox();
      void Promise.all(slots.map((slot) => slot.awaitEnd())).then(() => this.#end('now'));
      throw notStarted(error);
    }
  }

  /**
   * Starts all threads; when one does not start, none is left.
   *
   * **Throws** (rejects) ERR_BUSBAR_EXECUTOR_START with the cause.
   */
  static async start(options: ResolvedGroupOptions): Promise<GroupState> {
    // With an empty stack: a start that a full stack interrupts could not be undone.
    await Promise.resolve();
    const state = new GroupState(options);
    const failure = await state.#awaitStart();
    if (failure !== undefined) {
      await state.#stopFailedStart();
      throw failure;
    }
    state.#allEnded = Promise.all(
      state.slots.map((slot) =>
        slot.supervise(state.#aborter.signal).catch((crash) => state.#fail(crash)),
      ),
    );
    state.#loop.wake();
    return state;
  }

  /**
   * Ends the group. A second call returns the same promise; mode 'now' speeds it up. Never rejects;
   * throws if the stack is full, and can then be called again.
   */
  stop({ mode, deadlineMs }: Required<StopOptions>): Promise<StopReport> {
    if (this.#stopped !== undefined) {
      if (mode === 'now') this.#endNow(deadlineMs);
      return this.#stopped;
    }
    // The host can send no more when this returns; all else follows with an empty stack.
    this.#refuseFromHost();
    ensureStep();
    this.#stopped = this.#stop(mode, deadlineMs);
    return this.#stopped;
  }

  #refuseFromHost(): void {
    try {
      this.#gauges.become(DRAINING);
      this.mesh.closeFromHost();
    } catch (error) {
      // The host has left the pool; what follows handles that.
      if (!(error instanceof BusbarError)) throw error;
    }
  }

  /**
   * Closes the host's mailbox, and releases its unread packets. If every thread has ended, also
   * gives back the memory of the mesh.
   */
  closeMailbox(): void {
    this.mailbox.releaseQueued();
    this.mailbox.close();
    this.#loop.stop();
    if (this.#isEmpty) this.mesh.release();
  }

  async #awaitStart(): Promise<BusbarError | undefined> {
    const { startTimeoutMs, module, name } = this.#options;
    const starting = new Set(this.slots.map(({ index }) => index));
    let timer: ReturnType<typeof startTimer> | undefined;
    const timeout = new Promise<BusbarError>((resolve) => {
      timer = startTimer(startTimeoutMs, () => {
        const who = `the module of executor ${[...starting].join(', ')}`;
        const detail = `${who} has not returned within ${showMs(startTimeoutMs)}. ${ADVICE}`;
        resolve(notStarted(new BusbarError('ERR_BUSBAR_TIMEOUT', detail), detail));
      });
    });
    const failures = this.slots.map(async ({ index, worker }) => {
      if ((await worker.started) !== undefined) {
        starting.delete(index);
        return undefined;
      }
      const end = await worker.ended;
      const who = `${name}-${index}`;
      const cause = end.error ?? crashed(index, who, end);
      return notStarted(cause, absent(module, cause) ?? endOf(index, who, end));
    });
    const first = new Promise<BusbarError | undefined>((resolve) => {
      for (const failure of failures) failure.then((error) => error && resolve(error));
      Promise.all(failures).then(() => resolve(undefined));
    });
    const failure = await Promise.race([first, timeout]);
    stopTimer(timer);
    return failure;
  }

  /** Ends every thread of a group that could not start. */
  async #stopFailedStart(): Promise<void> {
    this.#gauges.become(DRAINING);
    this.#endNow(GRACE_MS);
    await Promise.all(this.slots.map((slot) => slot.awaitEnd()));
    this.#end('now');
  }

  #fail(crash: BusbarError): void {
    this.#crash ??= crash;
    void this.stop({ mode: 'drain', deadlineMs: DRAIN_AFTER_CRASH_MS });
  }

  async #stop(mode: 'drain' | 'now', deadlineMs: number): Promise<StopReport> {
    try {
      await Promise.resolve();
      return await this.#stopInOrder(mode, deadlineMs);
    } catch (error) {
      // The host has left the pool: nothing can be recovered from here, but every thread must end.
      for (const { worker } of this.slots) worker.order({ kind: 'destroy' });
      this.#terminateAfter(GRACE_MS);
      await Promise.all(this.slots.map(({ worker }) => worker.ended));
      this.requests.close();
      this.#settleClosed(this.#crash ?? (error as BusbarError));
      return this.#report();
    }
  }

  async #stopInOrder(mode: 'drain' | 'now', deadlineMs: number): Promise<StopReport> {
    const endMs = nowMs() + deadlineMs;
    this.#aborter.abort();
    this.#gauges.become(DRAINING);
    this.mesh.closeFromHost();
    if (mode === 'now') {
      this.#endNow(deadlineMs);
    } else {
      this.#terminateAfter(deadlineMs + GRACE_MS);
      await this.#drain(deadlineMs);
    }
    await this.#allEnded;
    this.#end(mode);
    await this.#emptyMailbox(Math.max(GRACE_MS, endMs - nowMs()));
    this.#settleClosed(this.#crash);
    return this.#report();
  }

  /**
   * Stops the threads in two steps. First the executors run until all of them are idle and every
   * lane is empty; the host sends nothing more, and what executors send each other meanwhile is
   * handled. Then all lanes are closed. A group that never becomes idle has half of the time for
   * the first step, and the other half for the packets queued then.
   */
  async #drain(deadlineMs: number): Promise<void> {
    const running = this.slots.filter((slot) => !slot.isEmpty);
    for (const { worker } of running) worker.order({ kind: 'drain', dropAfterMs: deadlineMs });
    await this.#untilQuiet(deadlineMs / 2);
    for (const { index } of this.slots) this.mesh.closeTo(index);
    for (const { worker } of running) worker.order({ kind: 'finish' });
  }

  /** Checks again whenever a thread reports that it is idle or has ended. */
  async #untilQuiet(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = startTimer(timeoutMs, resolve);
      let isLooking = false;
      let news = false;
      const look = async (): Promise<void> => {
        news = true;
        if (isLooking) return;
        isLooking = true;
        while (news) {
          news = false;
          if (!(await this.#isQuiet())) continue;
          stopTimer(timer);
          resolve();
        }
        isLooking = false;
      };
      this.#onQuiet = look;
      void look();
    });
    this.#onQuiet = () => {};
  }

  /**
   * Asks every thread twice. True if all are idle both times without work in between, and every
   * lane was empty between the two questions. Then no packet can follow: only work sends packets.
   */
  async #isQuiet(): Promise<boolean> {
    const running = this.slots.filter((slot) => !slot.isEmpty);
    const look = (): Promise<number[]> =>
      Promise.all(running.map(({ worker }) => worker.ask('look').catch(() => -1)));
    const before = await look();
    if (before.includes(-1) || !this.mesh.isEmpty(running.map(({ index }) => index))) return false;
    const after = await look();
    return after.every((work, i) => work === before[i]);
  }

  /** Orders every thread to drop what is queued and to end; terminates those that do not. */
  #endNow(deadlineMs: number): void {
    for (const { index } of this.slots) this.mesh.closeTo(index);
    for (const { worker } of this.slots) worker.order({ kind: 'destroy' });
    this.#terminateAfter(deadlineMs);
  }

  #terminateAfter(delayMs: number): void {
    const timer = startTimer(delayMs, () => {
      for (const slot of this.slots) if (!slot.isEmpty) slot.terminate();
    });
    void Promise.all(this.slots.map(({ worker }) => worker.ended)).then(() => stopTimer(timer));
  }

  /** Every thread has ended: releases what is queued and closes every lane. */
  #end(mode: 'drain' | 'now'): void {
    for (const { index, gauges } of this.slots) gauges.addDropped(this.mesh.destroy(index));
    this.#ends.closeSenders();
    this.mesh.closeTo(this.#options.cpus.length);
    this.#isEmpty = true;
    if (mode === 'now') this.closeMailbox();
    this.#loop.wake();
    this.#gauges.become(ENDED);
  }

  /**
   * The host's handler takes what executors had sent; what it has not taken in time is released.
   * Without a handler, unread packets stay.
   */
  async #emptyMailbox(timeoutMs: number): Promise<void> {
    const { mailbox } = this;
    // A handler may wait for a reply that cannot come any more.
    this.requests.endUnless(this.mesh.tagsTo(this.slots.length));
    if (mailbox.hasHandler && !mailbox.ended) {
      await new Promise<void>((resolve) => {
        const timer = startTimer(timeoutMs, resolve);
        this.#loop.drain(ENDED, () => {
          if (!mailbox.ended) return;
          stopTimer(timer);
          resolve();
        });
      });
      if (!mailbox.ended) this.#unhandled = mailbox.releaseQueued();
    }
    while (!mailbox.hasHandler && mailbox.pump() > 0);
    this.requests.close();
    if (this.mesh.queued(this.slots.length) === 0) this.closeMailbox();
  }

  #report(): StopReport {
    const readings = this.slots.map(({ gauges }) => gauges.read());
    return {
      handled: readings.reduce((sum, { handled }) => sum + handled, 0),
      dropped: readings.reduce((sum, { dropped }) => sum + dropped, this.#unhandled),
      leaked: this.slots.reduce((sum, { leaked }) => sum + leaked, 0),
      terminated: this.slots.flatMap(({ index, wasTerminated }) => (wasTerminated ? [index] : [])),
    };
  }
}

/** After a crash the other executors drain for as long as after a stop without a deadline. */
const DRAIN_AFTER_CRASH_MS = 10_000;

function notStarted(cause: unknown, detail?: string): BusbarError {
  const code = 'ERR_BUSBAR_EXECUTOR_START';
  if (BusbarError.isOne(cause) && cause.code === code) return cause;
  return new BusbarError(code, detail ?? messageOf(cause), { cause });
}

/** What to say if the module itself is not there. */
function absent(module: string, error: unknown): string | undefined {
  const isMissing = (error as { code?: unknown } | null)?.code === 'ERR_MODULE_NOT_FOUND';
  if (!isMissing || !module.startsWith('file:') || isThere(new URL(module))) return undefined;
  const advice = "paths begin at the working directory; or use new URL('./it.js', import.meta.url)";
  return `there is no module ${fileURLToPath(module)}: ${advice}`;
}
