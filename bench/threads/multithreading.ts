// SPDX-License-Identifier: MIT
/** Loads the package `multithreading` as far as it is used here. */

import os from 'node:os';

/** Its own types need a newer library of types. */
export interface Multithreading {
  spawn(moved: unknown, work: (...args: never[]) => unknown): unknown;
  move(...args: unknown[]): unknown;
  channel(capacity: number, options?: { size?: number }): [tx: Sender, rx: Disposable];
  shutdown(): void;
  /** Both words, where given, are those that another thread made it with. */
  readonly Mutex: new (
    data: unknown,
    words?: SharedArrayBuffer,
  ) => ItsMutex;
  readonly RwLock: new (data: unknown, words?: SharedArrayBuffer) => ItsRwLock;
  readonly Semaphore: new (permits: number, words?: SharedArrayBuffer) => ItsSemaphore;
}

export interface Sender extends Disposable {
  send(value: unknown): Promise<{ ok: boolean; error?: unknown }>;
}

export interface ItsMutex {
  blockingLock(): { dispose(): void };
}

export interface ItsRwLock {
  blockingRead(): { dispose(): void };
}

export interface ItsSemaphore {
  blockingAcquire(): { dispose(): void };
}

/** It was written for a newer Node than 20: what it misses there is given to it. */
export async function loadMultithreading(): Promise<Multithreading> {
  const world = globalThis as { navigator?: unknown };
  world.navigator ??= { hardwareConcurrency: os.availableParallelism() };
  const promises = Promise as { withResolvers?: () => unknown };
  promises.withResolvers ??= () => {
    let resolve: unknown;
    let reject: unknown;
    const promise = new Promise((...both) => {
      [resolve, reject] = both;
    });
    return { promise, resolve, reject };
  };
  return (await import('multithreading')) as unknown as Multithreading;
}
