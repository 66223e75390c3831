// SPDX-License-Identifier: MIT
/**
 * End to end: starts a broker on several executors in a process of its own, or in one whose broker
 * was drained before, which takes less time.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { BrokerOptions } from '../../broker/broker-options.ts';
import type { Answer, CrashKind, GroupStats, Order } from './broker-under-test.main.ts';

export interface StartedBroker {
  readonly port: number;
  stats(): Promise<GroupStats>;
  /** Ends one executor; with one thread there is none to end. */
  crash(index: number, how: CrashKind): Promise<void>;
  drain(): Promise<void>;
}

/** An order without its number. */
type Asked<O = Order> = O extends Order ? Omit<O, 'id'> : never;

/** A process that runs `broker-under-test.main`, one broker after the other. */
class Host {
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown[]>;
  readonly #pending: Map<
    number,
    { resolve: (answer: Answer) => void; reject: (e: Error) => void }
  > = new Map();
  #ids = 0;
  #complaints = '';

  constructor(program: URL, environment: Record<string, string>) {
    this.#process = fork(program, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, ...environment },
    });
    this.#exited = once(this.#process, 'exit');
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text;
    });
    this.#process.on('message', (answer: Answer) => {
      const asked = this.#pending.get(answer.id);
      this.#pending.delete(answer.id);
      if (answer.kind === 'failed') asked?.reject(new Error(answer.reason));
      else asked?.resolve(answer);
    });
    this.#process.on('exit', (code) => {
      const error = new Error(`the broker has ended, code ${code}: ${this.#complaints}`);
      for (const { reject } of this.#pending.values()) reject(error);
    });
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null;
  }

  ask(asked: Asked): Promise<Answer> {
    const order = { ...asked, id: this.#ids++ };
    return new Promise((resolve, reject) => {
      this.#pending.set(order.id, { resolve, reject });
      this.#process.send(order, (error) => error !== null && reject(error));
    });
  }

  /** Nothing keeps the process alive now: waits for its end. **Throws** if its code is not 0. */
  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    const [code] = (await this.#exited) as [number | null];
    if (code !== 0) throw new Error(`the broker ended with ${code}: ${this.#complaints}`);
  }
}

/** Hosts without a broker. */
const idle: Host[] = [];

export class BrokerProcess implements StartedBroker {
  readonly port: number;
  readonly #host: Host;
  /** Whether another broker may follow in its process. */
  #isReusable: boolean;
  #isDrained = false;

  private constructor(host: Host, port: number, isReusable: boolean) {
    this.#host = host;
    this.port = port;
    this.#isReusable = isReusable;
  }

  /** `program`: `broker-under-test.main`, as it is built. Its process ends with the broker. */
  static start(
    program: URL,
    executors: number,
    options: BrokerOptions,
    environment: Record<string, string> = {},
  ): Promise<BrokerProcess> {
    return BrokerProcess.#startIn(new Host(program, environment), executors, options, false);
  }

  /** The same; its process stays for the next call, until {@link endIdle}. */
  static startNext(
    program: URL,
    executors: number,
    options: BrokerOptions,
  ): Promise<BrokerProcess> {
    const host = idle.pop() ?? new Host(program, {});
    return BrokerProcess.#startIn(host, executors, options, true);
  }

  /** Ends the processes that {@link startNext} has left. */
  static async endIdle(): Promise<void> {
    for (const host of idle.splice(0)) await host.end();
  }

  static async #startIn(
    host: Host,
    executors: number,
    options: BrokerOptions,
    isReusable: boolean,
  ): Promise<BrokerProcess> {
    const answer = await host.ask({ kind: 'start', executors, options });
    if (answer.kind !== 'started') throw new Error(`asked to start, got ${answer.kind}`);
    return new BrokerProcess(host, answer.port, isReusable);
  }

  async stats(): Promise<GroupStats> {
    const answer = await this.#host.ask({ kind: 'stats' });
    if (answer.kind !== 'stats') throw new Error(`asked for stats, got ${answer.kind}`);
    return answer.stats;
  }

  async crash(index: number, how: CrashKind): Promise<void> {
    this.#isReusable = false;
    await this.#host.ask({ kind: 'crash', index, how });
  }

  /** Again does nothing. */
  async drain(): Promise<void> {
    if (this.#isDrained || this.#host.hasEnded) return;
    this.#isDrained = true;
    if (!this.#isReusable) {
      await this.#host.ask({ kind: 'drain' }).catch(() => {});
      return this.#host.end();
    }
    await this.#host.ask({ kind: 'drain' });
    idle.push(this.#host);
  }
}
