// SPDX-License-Identifier: MIT
/** Test tool: runs built programs in their own processes and reads their output. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const running: Set<ChildProcess> = new Set();
let isBuilt = false;

/**
 * Builds what is out of date: programs run as they are built. Where BUSBAR_BUILT=1 says that it is
 * done, the engine of the tests may be one that cannot.
 */
export function buildPrograms(): void {
  if (isBuilt || process.env.BUSBAR_BUILT === '1') return;
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${ROOT}scripts/build.mjs`], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the build failed: ${stdout}${stderr}`);
  isBuilt = true;
}

/** For `afterAll`: ends what a failed test has left running. */
export function killPrograms(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** A program that runs, and the lines that it prints. */
export class Program {
  readonly process: ChildProcess;
  /** Of both streams, as they came. */
  readonly lines: string[] = [];
  /** Of the standard output. */
  readonly output: string[] = [];
  /** The exit code; null: a signal. */
  readonly ended: Promise<number | null>;
  #changed: () => void = () => {};
  #hasEnded = false;

  /** `script`: a path from the repository's root if it ends in .js or .mjs, else a command. */
  constructor(script: string, args: readonly string[] = [], environment: object = {}) {
    const isScript = /\.m?js$/.test(script);
    const words = isScript ? [process.execPath, `${ROOT}${script}`, ...args] : [script, ...args];
    const child = spawn(words[0], words.slice(1), {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.process = child;
    running.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        if (stream === child.stdout) this.output.push(line);
        this.#changed();
      });
    }
    this.ended = once(child, 'close').then(([code]) => {
      running.delete(child);
      this.#hasEnded = true;
      this.#changed();
      return code as number | null;
    });
  }

  /** Waits for a line that matches. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      for (const line of this.lines) {
        const match = pattern.exec(line);
        if (match !== null) return match;
      }
      if (this.#hasEnded) throw new Error(`ended without ${pattern}:\n${this.lines.join('\n')}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Asks it to stop, and waits until it has: the exit code. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.process.kill(signal);
    return this.ended;
  }
}
