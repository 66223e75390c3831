// SPDX-License-Identifier: MIT
/** Soak: the run's handle on one part, which is a process. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Answer, HANG_MS, type Order, type PartName, type PartOptions } from './part.ts';

const PROGRAM = fileURLToPath(new URL('./part.main.js', import.meta.url));
/** A part may itself wait for something that hangs, and report that first. */
const ANSWER_MS_MAX = 2 * HANG_MS;
/** With everything closed it ends by itself. */
const EXIT_MS_MAX = HANG_MS;
const COMPLAINTS_MAX = 4000;

/** Order without its id. */
type Wish = Order extends infer One ? (One extends Order ? Omit<One, 'id'> : never) : never;
type Sample = Extract<Answer, { readonly kind: 'sample' }>;
interface Asked {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class PartProcess {
  readonly name: PartName;
  readonly #child: ChildProcess;
  readonly #pending: Map<number, Asked> = new Map();
  #ids: number = 0;
  #printed: string = '';

  constructor(name: PartName) {
    this.name = name;
    // Newer Node reads that file on a thread, and one more descriptor is counted meanwhile.
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
    this.#child = fork(PROGRAM, [name], {
      execArgv: ['--expose-gc'],
      env,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#printed = (this.#printed + text).slice(-COMPLAINTS_MAX);
    });
    this.#child.on('message', (answer: Answer) => {
      const asked = this.#pending.get(answer.id);
      this.#pending.delete(answer.id);
      if (answer.kind === 'failed') asked?.reject(new Error(`${name}: ${answer.reason}`));
      else asked?.resolve(answer);
    });
    this.#child.on('exit', (code) => {
      const error = new Error(`${name} has ended, code ${code}: ${this.#printed}`);
      for (const { reject } of this.#pending.values()) reject(error);
      this.#pending.clear();
    });
  }

  /** Resolves to its ports. */
  async make(options: PartOptions): Promise<readonly number[]> {
    const answer = await this.#ask({ kind: 'make', options });
    return answer.kind === 'made' ? answer.ports : [];
  }

  async sample(isMinute: boolean): Promise<Sample> {
    const answer = await this.#ask({ kind: 'sample', isMinute });
    if (answer.kind !== 'sample') throw new Error(`asked for a sample, got ${answer.kind}`);
    return answer;
  }

  /** Resolves to what it has to complain about. */
  async do(kind: 'go' | 'stop' | 'close'): Promise<readonly string[]> {
    const answer = await this.#ask({ kind });
    return answer.kind === 'done' ? answer.complaints : [];
  }

  /** Resolves when the process has ended by itself: nothing that was closed keeps it alive. */
  async exit(): Promise<void> {
    const exited = once(this.#child, 'exit');
    await this.#ask({ kind: 'exit' });
    const timer = setTimeout(() => this.kill(), EXIT_MS_MAX);
    const [code, signal] = (await exited) as [number | null, string | null];
    clearTimeout(timer);
    if (code !== 0) throw new Error(`${this.name} ended with ${code ?? signal}: ${this.#printed}`);
  }

  /** At once. Does nothing if it has ended. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #ask(wish: Wish): Promise<Answer> {
    const id = this.#ids++;
    return new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${this.name} has not answered ${wish.kind} in ${ANSWER_MS_MAX} ms`));
      }, ANSWER_MS_MAX);
      this.#pending.set(id, {
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#child.send({ ...wish, id }, (error) => {
        if (error !== null) this.#pending.get(id)?.reject(error);
      });
    });
  }
}
