// SPDX-License-Identifier: MIT
/** The life of an executor inside its thread, from start to last message. */

import type { MessagePort } from 'node:worker_threads';
import { checkFunction, checkInteger } from '../base/check.ts';
import { startTimer, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { throwLater } from '../base/throw-later.ts';
import { native, setAffinity, setThreadName } from '../native/index.ts';
import { BufferPool } from '../pool/index.ts';
import type { ExecutorContext, ExecutorMain } from './executor-context.ts';
import { DRAINING, RUNNING } from './executor-layout.ts';
import { Gauges } from './gauges.ts';
import type { LaneMailbox } from './lane-mailbox.ts';
import { LaneEnds } from './mesh.ts';
import type { Assignment, Envelope, Order, Report } from './messages.ts';
import { TurnLoop } from './turn-loop.ts';

/** The module has not returned yet. */
const STARTING = 'starting';
/** The module has returned; the mailbox is being read, or drained. */
const STARTED = 'started';
/** The thread will end once the mailbox has ended. */
const FINISHING = 'finishing';
/** The packets that were left are dropped, and the thread is about to exit. */
const ENDING = 'ending';
type LifeState = typeof STARTING | typeof STARTED | typeof FINISHING | typeof ENDING;

/**
 * One executor, seen from inside its thread.
 *
 *   start ▸ pin, attach, import, run ──'started'──▶ turns ──drain──▶ turns, 'quiet' … ──finish──▶
 *   turns until the mailbox has ended ▸ defers ▸ detach ──'ended'──▶ exit
 *
 * An error at any step is an uncaught exception and ends the thread; the group sees it as the
 * worker's 'error' event. An executor fails in no other way.
 */
export class ExecutorLife {
  readonly #port: MessagePort;
  readonly #assignment: Assignment;
  readonly #pool: BufferPool;
  readonly #gauges: Gauges;
  readonly #host: Gauges;
  readonly #ends: LaneEnds;
  readonly #loop: TurnLoop;
  readonly #mailbox: LaneMailbox;
  readonly #aborter = new AbortController();
  readonly #defers: (() => void | Promise<void>)[] = [];
  #deadline: Timer | undefined;
  #state: LifeState = STARTING;
  /** While draining: the last pass found nothing, and the group has been told. */
  #isQuiet = false;
  #busyPasses = 0;
  #handledBefore = 0;

  constructor(port: MessagePort, assignment: Assignment) {
    this.#port = port;
    this.#assignment = assignment;
    this.#gauges = new Gauges(assignment.gauges, assignment.index, assignment.epochMs);
    const announce = (badge: number): void => {
      this.#gauges.badge = badge;
    };
    this.#pool = BufferPool.attachAnnounced(assignment.pool, announce, assignment.ticket);
    this.#pool.nameThread(assignment.name);
    this.#gauges.showTurn();
    this.#ends = new LaneEnds(this.#pool, assignment.mesh);
    this.#host = new Gauges(assignment.gauges, assignment.count, assignment.epochMs);
    const { receivers } = this.#ends;
    this.#loop = new TurnLoop(this.#pool, receivers, this.#gauges, assignment.idle, (error) =>
      this.#forgives(error),
    );
    this.#mailbox = this.#loop.mailbox;
    this.#mailbox.laneTo = (index) => this.#ends.sender(index);
  }

  /** Runs the user's module. */
  async start(): Promise<void> {
    const { cpu, unpinned } = this.#pin();
    // This listener keeps the event loop alive, parked or not, until the thread ends itself.
    this.#port.on('message', (message: Envelope<Order> | null | undefined) => {
      if (message?.busbar !== undefined) this.#execute(message.busbar);
    });
    const file = this.#assignment.module;
    // Without the comment, webpack and rspack would look for the file when they build.
    const module: Record<string, unknown> = await import(/* webpackIgnore: true */ file);
    const main = mainOf(module);
    checkFunction(`the default export (or 'run') of ${this.#assignment.module}`, main);
    await (main as ExecutorMain)(this.#context(cpu));
    if (this.#state === ENDING) return;
    if (this.#state === STARTING) this.#state = STARTED;
    this.#gauges.become(RUNNING);
    this.#send({ kind: 'started', cpu, unpinned });
    // Aborted: the order to drain came while the module was starting.
    if (this.#aborter.signal.aborted) this.#beginDrain();
    else this.#loop.wake();
  }

  #afterPass(foundInPass: boolean): void {
    const { ended, handled, isRead } = this.#mailbox;
    // `receive` takes packets out between two passes, too.
    const foundWork = foundInPass || handled !== this.#handledBefore;
    this.#handledBefore = handled;
    // While draining, no reader comes any more: a mailbox without one is emptied here.
    if (!isRead && !foundWork) this.#gauges.addDropped(this.#mailbox.releaseQueued());
    if (foundWork) {
      this.#busyPasses++;
      this.#isQuiet = false;
      this.#loop.wake();
    } else if (this.#mailbox.running > 0) {
      // Each promise that settles asks for another pass.
      this.#isQuiet = false;
    } else if (this.#state === FINISHING) {
      if (ended || !isRead) this.#end();
    } else if (!this.#isQuiet) {
      this.#isQuiet = true;
      this.#send({ kind: 'quiet' });
    }
  }

  /** Passes that found work; −1 if the last one did, or packets were taken since. */
  #work(): number {
    const isQuiet = this.#isQuiet && this.#mailbox.handled === this.#handledBefore;
    return isQuiet ? this.#busyPasses : -1;
  }

  /** A handler that sends to a lane closed by `stop` throws. Not fatal: the packet is dropped. */
  #forgives(error: unknown): boolean {
    const isClosed = (error as { code?: unknown } | null)?.code === 'ERR_BUSBAR_CHANNEL_CLOSED';
    if (!isClosed || this.#host.state < DRAINING) return false;
    this.#gauges.addDropped(1);
    return true;
  }

  /** Pins the thread if possible; otherwise returns why not. */
  #pin(): { cpu: number | undefined; unpinned: string } {
    const { cpu, name } = this.#assignment;
    const { affinity, threadName } = native.features;
    try {
      if (threadName.available) setThreadName(name);
      if (cpu === undefined) return { cpu, unpinned: 'not asked for' };
      if (!affinity.available) return { cpu: undefined, unpinned: affinity.reason };
      setAffinity([cpu]);
      return { cpu, unpinned: '' };
    } catch (error) {
      return { cpu: undefined, unpinned: (error as Error).message };
    }
  }

  #context(cpu: number | undefined): ExecutorContext {
    const { index, count, restarts, name, data } = this.#assignment;
    const loop = this.#loop;
    const ends = this.#ends;
    return Object.freeze({
      index,
      count,
      restarts,
      name,
      cpu,
      data,
      pool: this.#pool,
      mailbox: this.#mailbox,
      peer: (to: number) => ends.sender(checkInteger('index', to, 0, count - 1)),
      host: ends.sender(count),
      poll: (work: () => number) => loop.poll(work),
      wake: () => loop.wake(),
      signal: this.#aborter.signal,
      defer: (cleanup: () => void | Promise<void>) => {
        this.#defers.push(checkFunction('cleanup', cleanup));
      },
      counters: this.#gauges.counters,
    });
  }

  #execute(order: Order): void {
    switch (order.kind) {
      case 'ping':
      case 'look':
        break;
      case 'pause':
        // A thread that is about to stop does not pause.
        if (!this.#aborter.signal.aborted) this.#loop.pause();
        break;
      case 'resume':
        this.#loop.resume();
        break;
      case 'drain':
        this.#drain(order.dropAfterMs);
        return;
      case 'finish':
        if (this.#state !== ENDING) this.#state = FINISHING;
        this.#loop.wake();
        return;
      case 'destroy':
        this.#abort();
        this.#end();
        return;
    }
    this.#send({ kind: 'reply', id: order.id, work: this.#work() });
  }

  #drain(dropAfterMs: number): void {
    this.#deadline = startTimer(dropAfterMs, () => this.#end());
    this.#abort();
    // Whether the mailbox is read is known only when the module has returned.
    if (this.#state !== STARTING) this.#beginDrain();
  }

  #beginDrain(): void {
    this.#handledBefore = this.#mailbox.handled;
    this.#loop.drain(DRAINING, (foundWork) => this.#afterPass(foundWork));
  }

  #abort(): void {
    this.#aborter.abort(new BusbarError('ERR_BUSBAR_EXECUTOR_STOPPED'));
  }

  /** Called when the mailbox has ended or must not be waited for: drops the rest and exits. */
  #end(): void {
    if (this.#state === ENDING) return;
    this.#state = ENDING;
    stopTimer(this.#deadline);
    this.#loop.stop();
    this.#gauges.become(DRAINING);
    this.#gauges.addDropped(this.#mailbox.releaseQueued());
    this.#mailbox.end();
    this.#exit().catch(throwLater);
  }

  async #exit(): Promise<void> {
    // After the running pass, so that its packets are counted.
    await new Promise((resolve) => setImmediate(resolve));
    for (const cleanup of this.#defers.reverse()) await cleanup();
    this.#gauges.addDropped(this.#mailbox.releaseQueued());
    this.#loop.showHandled();
    this.#mailbox.close();
    this.#ends.closeSenders();
    this.#detach();
    this.#send({ kind: 'ended' });
    // Handles that the module left open do not keep the thread alive.
    process.exit();
  }

  /** If the module still holds buffers, the group reclaims them when the thread is gone. */
  #detach(): void {
    try {
      this.#pool.detach();
    } catch (error) {
      if (!(error instanceof BusbarError)) throw error;
    }
  }

  #send(report: Report): void {
    this.#port.postMessage({ busbar: report } satisfies Envelope<Report>);
  }
}

/**
 * The function to call. The default export of a CommonJS module is its `exports` object, which may
 * have a `default` or `run` of its own.
 */
function mainOf(module: Record<string, unknown>): unknown {
  const exported = module.default as Record<string, unknown> | null | undefined;
  const candidates = [exported, module.run, exported?.default, exported?.run];
  return candidates.find((candidate) => typeof candidate === 'function') ?? exported ?? module.run;
}
