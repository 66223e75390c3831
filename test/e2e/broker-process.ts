// SPDX-License-Identifier: MIT
/** End to end: starts a broker on several executors in its own process. */

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

export class BrokerProcess implements StartedBroker {
  port = 0;
  readonly #process: ChildProcess;
  readonly #pending: Map<
    number,
    { resolve: (answer: Answer) => void; reject: (e: Error) => void }
  > = new Map();
  #ids = 0;
  #complaints = '';

  private constructor(program: URL, environment: Record<string, string>) {
    this.#process = fork(program, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, ...environment },
    });
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

  /** `program`: `broker-under-test.main`, as it is built. */
  static async start(
    program: URL,
    executors: number,
    options: BrokerOptions,
    environment: Record<string, string> = {},
  ): Promise<BrokerProcess> {
    const broker = new BrokerProcess(program, environment);
    const answer = await broker.#ask({ id: broker.#ids++, kind: 'start', executors, options });
    if (answer.kind === 'started') broker.port = answer.port;
    return broker;
  }

  async stats(): Promise<GroupStats> {
    const answer = await this.#ask({ id: this.#ids++, kind: 'stats' });
    if (answer.kind !== 'stats') throw new Error(`asked for stats, got ${answer.kind}`);
    return answer.stats;
  }

  async crash(index: number, how: CrashKind): Promise<void> {
    await this.#ask({ id: this.#ids++, kind: 'crash', index, how });
  }

  async drain(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exited = once(this.#process, 'exit');
    await this.#ask({ id: this.#ids++, kind: 'drain' }).catch(() => {});
    const [code] = (await exited) as [number | null];
    if (code !== 0) throw new Error(`the broker ended with ${code}: ${this.#complaints}`);
  }

  #ask(order: Order): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#pending.set(order.id, { resolve, reject });
      this.#process.send(order, (error) => error !== null && reject(error));
    });
  }
}
