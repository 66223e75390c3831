// SPDX-License-Identifier: MIT
/** Fuzz tool: the interface of a target, how one is run, and the report of a failure. */
import { Random } from '../../src/base/random.ts';

/** Something to be tried with inputs that follow from a seed. */
export interface SeedTarget {
  readonly name: string;
  /** What is counted as one. */
  readonly execution: string;
  /** How many of them `npm test` makes. */
  readonly executionsInTests: number;
  /** One execution, from its input to its end; throws if something is wrong. */
  run(seed: number): void | Promise<void>;
  /** Releases what executions share. */
  end?(): Promise<void>;
}

/** A target whose input is bytes: what fails can be made smaller, and kept. */
export interface ByteTarget extends SeedTarget {
  generate(random: Random): Uint8Array;
  check(input: Uint8Array): void | Promise<void>;
}

export type FuzzTarget = SeedTarget | ByteTarget;

/** Makes a target of an input's two halves. */
export function byteTarget(parts: Omit<ByteTarget, 'run' | 'end'>): ByteTarget {
  const { generate, check } = parts;
  return { ...parts, run: (seed) => check(generate(new Random(seed))) };
}

export function insist(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** Runs seeds `[begin, begin + count)`; what it throws says how to run the one that failed. */
export async function runSeeds(target: FuzzTarget, begin: number, count: number): Promise<void> {
  for (let seed = begin; seed < begin + count; seed++) {
    try {
      const running = target.run(seed);
      if (running !== undefined) await running;
    } catch (cause) {
      throw new Error(await explain(target, seed, cause), { cause });
    }
  }
}

async function explain(target: FuzzTarget, seed: number, cause: unknown): Promise<string> {
  const lines = [
    `${target.name}: ${cause instanceof Error ? cause.message : String(cause)}`,
    `replay with npm run fuzz -- --only ${target.name} --seed ${seed} --executions 1`,
  ];
  if ('check' in target) {
    const input = await shrink(target, target.generate(new Random(seed)).slice());
    const hex = Buffer.from(input).toString('hex');
    lines.push(
      `or, the input made smaller, with npm run fuzz -- --only ${target.name} --hex ${hex}`,
    );
  }
  return lines.join('\n');
}

/** Leaves out what the failure does not need: halves first, then quarters, down to single bytes. */
async function shrink(target: ByteTarget, input: Uint8Array): Promise<Uint8Array> {
  let small = input;
  if (!(await fails(target, small))) return small;
  for (let size = small.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size <= small.length; ) {
      const shorter = new Uint8Array(small.length - size);
      shorter.set(small.subarray(0, at));
      shorter.set(small.subarray(at + size), at);
      if (await fails(target, shorter)) small = shorter;
      else at += size;
    }
  }
  return small;
}

async function fails(target: ByteTarget, input: Uint8Array): Promise<boolean> {
  try {
    await target.check(input);
    return false;
  } catch {
    return true;
  }
}
