// SPDX-License-Identifier: MIT
/** Test tool: makes a pool object of this thread look like that of a thread that has ended. */
import type { BufferPool } from '../src/pool/index.ts';
import { lifeOf, PROBES } from '../src/pool/pool-layout.ts';
import { controlWords } from './pool-audit.ts';

/** What the tests need of a pool's insides. */
interface Insides {
  readonly thread: {
    readonly record: number;
    readonly state: number;
    readonly doorbell: { close(): void };
    readonly pulse: { close(): void };
  };
}

/**
 * Takes away whatever shows that the pool object's thread lives, and nothing else: no other thread
 * can tell it from one whose worker was terminated. The object must not be used any more.
 */
export function die(pool: BufferPool): void {
  const { thread } = pool as unknown as Insides;
  const words = controlWords(pool);
  const probes = thread.record + PROBES + lifeOf(thread.state);
  const answerable = words[probes];
  thread.doorbell.close();
  thread.pulse.close();
  words[probes] = answerable;
}
