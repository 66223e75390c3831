// SPDX-License-Identifier: MIT
/** The room where packets are worked on, seen from its host: all threads of one group. */

import { sharedNowMs, startTimer, stopTimer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import type { PacketSender } from '../channel/index.ts';
import type { BufferPool } from '../pool/index.ts';
import { DRAINING, ENDED, RUNNING } from './executor-layout.ts';
import { Gauges } from './gauges.ts';
import type { ResolvedGroupOptions, StopOptions } from './group-options.ts';
import type { LaneMailbox } from './mailbox.ts';
import { LaneEnds, Mesh } from './mesh.ts';
import type { Assignment } from './messages.ts';
import { crashed, Seat } from './seat.ts';
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
}

/** So long after its deadline a thread may still run what it has deferred. */
const GRACE_MS = 500;

/**
 * What a group is behind its handle: it goes on when the handle is dropped, and knows nothing of
 * it.
 */
export class Crew {
  readonly seats: readonly Seat[];
  readonly mailbox: LaneMailbox;
  /** The host's lanes to the executors. */
  readonly senders: readonly PacketSender[];
  readonly closed: Promise<void>;
  readonly mesh: Mesh;
  readonly pool: BufferPool;
  readonly #options: ResolvedGroupOptions;
  readonly #ends: LaneEnds;
  readonly #gauges: Gauges;
  readonly #loop: TurnLoop;
  readonly #aborter = new AbortController();
  #settleClosed: (crash: BusbarError | undefined) => void = () => {};
  #crash: BusbarError | undefined;
  #stopped: Promise<StopReport> | undefined;
  /** Settles when nobody sits anywhere any more. */
  #deserted: Promise<unknown> = Promise.resolve();
  /** Nobody sits anywhere any more, and what was queued for them is released. */
  #isDeserted = false;
  #onQuiet: () => void = () => {};

  private constructor(options: ResolvedGroupOptions) {
    const { cpus, pool, laneCapacity } = options;
    const count = cpus.length;
    this.#options = options;
    this.pool = pool;
    this.mesh = Mesh.create(pool, count, laneCapacity);
    this.#ends = new LaneEnds(pool, this.mesh.plan(count));
    this.senders = cpus.map((_, index) => this.#ends.sender(index));
    const block = Gauges.createBlock(count);
    const epochMs = sharedNowMs();
    this.#gauges = new Gauges(block, count, epochMs);
    const { receivers } = this.#ends;
    this.#loop = new TurnLoop(pool, receivers, this.#gauges, 'adaptive', () => false);
    this.mailbox = this.#loop.mailbox;
    this.#gauges.become(RUNNING);
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = (crash) => (crash === undefined ? resolve() : reject(crash));
    });
    const seats: Seat[] = [];
    this.seats = seats;
    try {
      for (const [index, cpu] of cpus.entries()) {
        const gauges = new Gauges(block, index, epochMs);
        const assignment: Assignment = {
          kind: 'busbar/executor',
          index,
          count,
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
        seats.push(new Seat(assignment, options, this.mesh, gauges, () => this.#onQuiet()));
      }
    } catch (error) {
      // A thread could not even be made: the data cannot be cloned, say.
      for (const seat of seats) seat.terminate();
      this.#ends.closeSenders();
      this.forsake();
      void Promise.all(seats.map((seat) => seat.bury())).then(() => this.#end('now'));
      throw notStarted(error);
    }
  }

  /**
   * Starts all threads; when one does not start, none is left.
   *
   * **Throws** (rejects) ERR_BUSBAR_EXECUTOR_START with the cause.
   */
  static async start(options: ResolvedGroupOptions): Promise<Crew> {
    const crew = new Crew(options);
    const failure = await crew.#awaitStart();
    if (failure !== undefined) {
      await crew.#disband();
      throw failure;
    }
    crew.#deserted = Promise.all(
      crew.seats.map((seat) => seat.keep(crew.#aborter.signal).catch((crash) => crew.#fail(crash))),
    );
    crew.#loop.wake();
    return crew;
  }

  /** Ends the group; a second call has the same answer, but may make it hurry. Never rejects. */
  stop({ mode, deadlineMs }: Required<StopOptions>): Promise<StopReport> {
    if (this.#stopped === undefined) this.#stopped = this.#stop(mode, deadlineMs);
    else if (mode === 'now') this.#abandon(deadlineMs);
    return this.#stopped;
  }

  /**
   * Releases what was sent to the host and not read; nobody can read it any more. If no thread is
   * left either, the mesh is given back.
   */
  forsake(): void {
    this.mailbox.discard();
    this.mailbox.close();
    this.#loop.stop();
    if (this.#isDeserted) this.mesh.release();
  }

  async #awaitStart(): Promise<BusbarError | undefined> {
    const { startTimeoutMs } = this.#options;
    let timer: ReturnType<typeof startTimer> | undefined;
    const timeout = new Promise<BusbarError>((resolve) => {
      const cause = new BusbarError('ERR_BUSBAR_TIMEOUT', `start, ${startTimeoutMs} ms`);
      timer = startTimer(startTimeoutMs, () => resolve(notStarted(cause)));
    });
    const failures = this.seats.map(async ({ index, worker }) => {
      if ((await worker.started) !== undefined) return undefined;
      const end = await worker.ended;
      return notStarted(end.error ?? crashed(index, end));
    });
    const first = new Promise<BusbarError | undefined>((resolve) => {
      for (const failure of failures) failure.then((error) => error && resolve(error));
      Promise.all(failures).then(() => resolve(undefined));
    });
    const failure = await Promise.race([first, timeout]);
    stopTimer(timer);
    return failure;
  }

  /** Nobody is to be left of a group that could not start. */
  async #disband(): Promise<void> {
    this.#gauges.become(DRAINING);
    this.#abandon(GRACE_MS);
    await Promise.all(this.seats.map((seat) => seat.bury()));
    this.#end('now');
  }

  #fail(crash: BusbarError): void {
    this.#crash ??= crash;
    void this.stop({ mode: 'drain', deadlineMs: DRAIN_AFTER_CRASH_MS });
  }

  async #stop(mode: 'drain' | 'now', deadlineMs: number): Promise<StopReport> {
    try {
      return await this.#stopInOrder(mode, deadlineMs);
    } catch (error) {
      // The host has left the pool: nothing can be tidied up from here, but nobody may be left.
      for (const { worker } of this.seats) worker.order({ kind: 'abandon' });
      this.#terminateAfter(GRACE_MS);
      await Promise.all(this.seats.map(({ worker }) => worker.ended));
      this.#settleClosed(this.#crash ?? (error as BusbarError));
      return this.#report();
    }
  }

  async #stopInOrder(mode: 'drain' | 'now', deadlineMs: number): Promise<StopReport> {
    this.#aborter.abort();
    this.#gauges.become(DRAINING);
    this.mesh.closeFromHost();
    if (mode === 'now') {
      this.#abandon(deadlineMs);
    } else {
      this.#terminateAfter(deadlineMs + GRACE_MS);
      await this.#drain(deadlineMs);
    }
    await this.#deserted;
    this.#end(mode);
    await this.#emptyMailbox();
    this.#settleClosed(this.#crash);
    return this.#report();
  }

  /**
   * First the executors go on as ever, only that nothing comes from the host any more, until all of
   * them have nothing to do and nothing lies in any lane: what one of them sends another while it
   * empties its mailbox is handled like everything else. Then all lanes are closed. A group that
   * never comes to rest has half the time for that, and the other half for what is queued then.
   */
  async #drain(deadlineMs: number): Promise<void> {
    const sitting = this.seats.filter((seat) => !seat.isEmpty);
    for (const { worker } of sitting) worker.order({ kind: 'drain', dropAfterMs: deadlineMs });
    await this.#untilQuiet(deadlineMs / 2);
    for (const { index } of this.seats) this.mesh.closeTo(index);
    for (const { worker } of sitting) worker.order({ kind: 'finish' });
  }

  /** Looks again whenever somebody says that he has nothing to do now, or has ended. */
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
   * True if everybody says twice that there is nothing to do, and nobody has done anything in
   * between, when every lane was empty. Then nothing more can come of what was sent: only work
   * sends.
   */
  async #isQuiet(): Promise<boolean> {
    const sitting = this.seats.filter((seat) => !seat.isEmpty);
    const look = (): Promise<number[]> =>
      Promise.all(sitting.map(({ worker }) => worker.ask('look').catch(() => -1)));
    const before = await look();
    if (before.includes(-1) || !this.mesh.isEmpty(sitting.map(({ index }) => index))) return false;
    const after = await look();
    return after.every((work, i) => work === before[i]);
  }

  /** Everybody drops what is queued and ends, or is ended. */
  #abandon(deadlineMs: number): void {
    for (const { index } of this.seats) this.mesh.closeTo(index);
    for (const { worker } of this.seats) worker.order({ kind: 'abandon' });
    this.#terminateAfter(deadlineMs);
  }

  #terminateAfter(delayMs: number): void {
    const timer = startTimer(delayMs, () => {
      for (const seat of this.seats) if (!seat.isEmpty) seat.terminate();
    });
    void Promise.all(this.seats.map(({ worker }) => worker.ended)).then(() => stopTimer(timer));
  }

  /** All threads are gone: what nobody will take any more is released, every lane is closed. */
  #end(mode: 'drain' | 'now'): void {
    for (const { index, gauges } of this.seats) gauges.addDropped(this.mesh.discard(index));
    this.#ends.closeSenders();
    this.mesh.closeTo(this.#options.cpus.length);
    this.#isDeserted = true;
    if (mode === 'now') this.forsake();
    this.#loop.wake();
    this.#gauges.become(ENDED);
  }

  /** What executors had sent to the host's handler is handled first; what is unread stays. */
  async #emptyMailbox(): Promise<void> {
    while (this.mailbox.hasHandler && !this.mailbox.ended) {
      this.#loop.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (this.mesh.queued(this.seats.length) === 0) this.forsake();
  }

  #report(): StopReport {
    const readings = this.seats.map(({ gauges }) => gauges.read());
    return {
      handled: readings.reduce((sum, { handled }) => sum + handled, 0),
      dropped: readings.reduce((sum, { dropped }) => sum + dropped, 0),
    };
  }
}

/** After a crash the others have as long as after a stop without a deadline of its own. */
const DRAIN_AFTER_CRASH_MS = 10_000;

function notStarted(cause: unknown): BusbarError {
  const message = (cause as Error | undefined)?.message;
  return new BusbarError('ERR_BUSBAR_EXECUTOR_START', message, { cause });
}
