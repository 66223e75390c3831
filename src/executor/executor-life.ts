// SPDX-License-Identifier: MIT
/** The room where packets are worked on: the life of one thread, from start to last word. */

import type { MessagePort } from 'node:worker_threads';
import { checkFunction, checkInteger } from '../base/check.ts';
import { startTimer, stopTimer, type Timer } from '../base/clock.ts';
import { BusbarError } from '../base/errors.ts';
import { native, setAffinity, setThreadName } from '../native/index.ts';
import { BufferPool } from '../pool/index.ts';
import type { ExecutorContext, ExecutorMain } from './executor-context.ts';
import { DRAINING, RUNNING } from './executor-layout.ts';
import { Gauges } from './gauges.ts';
import type { LaneMailbox } from './mailbox.ts';
import { LaneEnds } from './mesh.ts';
import type { Answer, Assignment, Envelope, Order } from './messages.ts';
import { TurnLoop } from './turn-loop.ts';
import { throwUncaught } from './uncaught.ts';

/**
 * One executor from within.
 *
 *   start ▸ pin, attach, import, run ──'started'──▶ turns ──drain──▶ turns, 'quiet' … ──finish──▶
 *   turns until the mailbox has ended ▸ defers ▸ detach ──'ended'──▶ exit
 *
 * Whatever throws on the way ends the thread as an uncaught exception; the group learns of it by
 * the worker's 'error'. There is no other way of failing.
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
  #hasStarted = false;
  #finishing = false;
  #ending = false;
  /** While draining: the last pass found nothing, and the group was told. */
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
    this.#gauges.showTurn();
    this.#ends = new LaneEnds(this.#pool, assignment.mesh);
    this.#host = new Gauges(assignment.gauges, assignment.count, assignment.epochMs);
    const { receivers } = this.#ends;
    this.#loop = new TurnLoop(this.#pool, receivers, this.#gauges, assignment.idle, (error) =>
      this.#forgives(error),
    );
    this.#mailbox = this.#loop.mailbox;
  }

  /** Runs the user's module. */
  async start(): Promise<void> {
    const { cpu, unpinned } = this.#pin();
    // Keeps the event loop alive, parked or not, until the thread ends itself.
    this.#port.on('message', (message: Envelope<Order> | null | undefined) => {
      if (message?.busbar !== undefined) this.#obey(message.busbar);
    });
    const module: Record<string, unknown> = await import(this.#assignment.module);
    const main = mainOf(module);
    checkFunction(`the default export (or 'run') of ${this.#assignment.module}`, main);
    await (main as ExecutorMain)(this.#context(cpu));
    if (this.#ending) return;
    this.#hasStarted = true;
    this.#gauges.become(RUNNING);
    this.#say({ kind: 'started', cpu, unpinned });
    // Told to while it was starting.
    if (this.#aborter.signal.aborted) this.#beginDrain();
    else this.#loop.wake();
  }

  #afterPass(foundInPass: boolean): void {
    const { ended, handled, isRead } = this.#mailbox;
    // Those who ask take packets out between two passes, too.
    const foundWork = foundInPass || handled !== this.#handledBefore;
    this.#handledBefore = handled;
    // What nobody ever read, nobody will.
    if (!isRead && !foundWork) this.#gauges.addDropped(this.#mailbox.discard());
    if (foundWork) {
      this.#busyPasses++;
      this.#isQuiet = false;
      this.#loop.wake();
    } else if (this.#finishing) {
      if (ended || !isRead) this.#end();
    } else if (!this.#isQuiet) {
      this.#isQuiet = true;
      this.#say({ kind: 'quiet' });
    }
  }

  /** How much was done so far; −1 unless the last pass found nothing, and so it is still. */
  #work(): number {
    const isQuiet = this.#isQuiet && this.#mailbox.handled === this.#handledBefore;
    return isQuiet ? this.#busyPasses : -1;
  }

  /** Once lanes are closed a handler cannot send what it would like to: the packet is lost. */
  #forgives(error: unknown): boolean {
    const isClosed = (error as { code?: unknown } | null)?.code === 'ERR_BUSBAR_CHANNEL_CLOSED';
    if (!isClosed || this.#host.state < DRAINING) return false;
    this.#gauges.addDropped(1);
    return true;
  }

  /** Pins the thread, if it can be; says why not. */
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
    const { index, count, name, data } = this.#assignment;
    const loop = this.#loop;
    const ends = this.#ends;
    return Object.freeze({
      index,
      count,
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

  #obey(order: Order): void {
    switch (order.kind) {
      case 'ping':
      case 'look':
        break;
      case 'pause':
        // A thread that is to stop does not rest before.
        if (!this.#aborter.signal.aborted) this.#loop.pause();
        break;
      case 'resume':
        this.#loop.resume();
        break;
      case 'drain':
        this.#drain(order.dropAfterMs);
        return;
      case 'finish':
        this.#finishing = true;
        this.#loop.wake();
        return;
      case 'abandon':
        this.#abort();
        this.#end();
        return;
    }
    this.#say({ kind: 'reply', id: order.id, work: this.#work() });
  }

  #drain(dropAfterMs: number): void {
    this.#deadline = startTimer(dropAfterMs, () => this.#end());
    this.#abort();
    // Who would read the mailbox is known when the module has returned.
    if (this.#hasStarted) this.#beginDrain();
  }

  #beginDrain(): void {
    this.#handledBefore = this.#mailbox.handled;
    this.#loop.end(DRAINING, (foundWork) => this.#afterPass(foundWork));
  }

  #abort(): void {
    this.#aborter.abort(new BusbarError('ERR_BUSBAR_EXECUTOR_STOPPED'));
  }

  /** The mailbox is empty, or what is in it has to go: the last things, in order. */
  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    stopTimer(this.#deadline);
    this.#loop.stop();
    this.#gauges.become(DRAINING);
    this.#gauges.addDropped(this.#mailbox.discard());
    this.#mailbox.end();
    this.#leave().catch(throwUncaught);
  }

  async #leave(): Promise<void> {
    // Not within the pass that found out: its count comes first.
    await new Promise((resolve) => setImmediate(resolve));
    for (const cleanup of this.#defers.reverse()) await cleanup();
    this.#gauges.addDropped(this.#mailbox.discard());
    this.#loop.showHandled();
    this.#mailbox.close();
    this.#ends.closeSenders();
    this.#detach();
    this.#say({ kind: 'ended' });
    // Whatever the module left open does not keep the thread.
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

  #say(answer: Answer): void {
    this.#port.postMessage({ busbar: answer } satisfies Envelope<Answer>);
  }
}

/**
 * What the module has for us. The default export of a CommonJS module is all that it exports, which
 * may have a `default` or `run` of its own.
 */
function mainOf(module: Record<string, unknown>): unknown {
  const exported = module.default as Record<string, unknown> | null | undefined;
  const candidates = [exported, module.run, exported?.default, exported?.run];
  return candidates.find((candidate) => typeof candidate === 'function') ?? exported ?? module.run;
}
