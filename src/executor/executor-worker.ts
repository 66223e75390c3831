// SPDX-License-Identifier: MIT
/** The host's side of one thread, from start to end. */

import { type ResourceLimits, Worker } from 'node:worker_threads';
import { BusbarError } from '../base/errors.ts';
import { NO_LIMITS, WaitGuard, type WaitLimits } from '../base/wait-guard.ts';
import { programOf } from './executor-program.ts';
import type { Assignment, Envelope, Order, Question, Report } from './messages.ts';

/** How a thread ended. */
export interface ThreadEnd {
  /** True if it ended on an order of the group. */
  readonly wasOrdered: boolean;
  readonly error: unknown;
  readonly exitCode: number;
}

/** The report of a thread that has started. */
export type Started = Extract<Report, { kind: 'started' }>;

/** The host's side of one thread. */
export class ExecutorWorker {
  /** Its report when the module has returned; undefined if it ended before. Never rejects. */
  readonly started: Promise<Started | undefined>;
  /** Never rejects. */
  readonly ended: Promise<ThreadEnd>;
  /** The same as {@link started}, once it is known. */
  startReport: Started | undefined;
  readonly #worker: Worker;
  readonly #pending = new Map<
    number,
    { resolve: (work: number) => void; reject: (error: Error) => void }
  >();
  readonly #onQuiet: () => void;
  #onStarted: (started: Started | undefined) => void = () => {};
  #asked = 0;
  #error: unknown;
  #wasOrdered = false;
  #isOver = false;

  /** `onQuiet` is called while draining: the thread has nothing to do, or has ended. */
  constructor(
    assignment: Assignment,
    resourceLimits: ResourceLimits | undefined,
    onQuiet: () => void,
  ) {
    this.#onQuiet = onQuiet;
    const program = programOf(assignment.module);
    this.#worker = new Worker(program, {
      workerData: { ...assignment, program: program.href },
      name: assignment.name,
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
    this.#worker.on('message', (message: Envelope<Report> | null | undefined) => {
      if (message?.busbar !== undefined) this.#receive(message.busbar);
    });
    this.#worker.on('error', (error: unknown) => {
      this.#error ??= error;
    });
    this.started = new Promise((resolve) => {
      this.#onStarted = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#worker.on('exit', (exitCode) => resolve(this.#onExit(exitCode)));
    });
  }

  /**
   * Gives an order. Resolves when the thread has carried it out, with the amount of work done so
   * far.
   *
   * **Throws** (rejects) ERR_BUSBAR_EXECUTOR_STOPPED if the thread ends or has ended;
   * ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  ask(kind: Question, limits: WaitLimits = NO_LIMITS): Promise<number> {
    if (this.#isOver) return Promise.reject(gone());
    const id = this.#asked++;
    return new Promise((resolve, reject) => {
      const guard = new WaitGuard(limits, kind, (reason) => {
        this.#pending.delete(id);
        reject(reason);
      });
      this.#pending.set(id, {
        resolve: (work) => {
          guard.end();
          resolve(work);
        },
        reject: (error) => {
          guard.end();
          reject(error);
        },
      });
      this.order({ kind, id });
    });
  }

  order(order: Order): void {
    this.#worker.postMessage({ busbar: order } satisfies Envelope<Order>);
  }

  terminate(): void {
    void this.#worker.terminate();
  }

  ref(): void {
    this.#worker.ref();
  }

  unref(): void {
    this.#worker.unref();
  }

  #receive(report: Report): void {
    switch (report.kind) {
      case 'reply':
        this.#pending.get(report.id)?.resolve(report.work);
        this.#pending.delete(report.id);
        break;
      case 'started':
        this.startReport = report;
        this.#onStarted(report);
        break;
      case 'quiet':
        this.#onQuiet();
        break;
      case 'ended':
        this.#wasOrdered = true;
        break;
    }
  }

  #onExit(exitCode: number): ThreadEnd {
    this.#isOver = true;
    for (const { reject } of this.#pending.values()) reject(gone());
    this.#pending.clear();
    this.#onStarted(undefined);
    this.#onQuiet();
    // An error after the final message still counts as a crash.
    const wasOrdered = this.#wasOrdered && this.#error === undefined;
    return { wasOrdered, error: this.#error, exitCode };
  }
}

function gone(): BusbarError {
  return new BusbarError('ERR_BUSBAR_EXECUTOR_STOPPED', 'its thread has ended');
}
