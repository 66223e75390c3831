// SPDX-License-Identifier: MIT
/** Locks and semaphores of others, for the cases that busbar's are compared with. */

import { Mutex as AsyncMutex } from 'async-mutex';
import { NOTHING } from './control.ts';
import { loadMultithreading } from './multithreading.ts';
import type { Role } from './role.ts';

/** Takes the lock, counts a word up (a reader: reads it), gives the lock back; this many times. */
export type Contest = (words: Int32Array, count: number) => void | Promise<void>;

export const PEERS = [
  'atomics',
  'multithreading',
  'multithreading-read',
  'web-locks',
  'web-locks-read',
] as const;
export type Peer = (typeof PEERS)[number];

/** Bytes that a lock of a peer takes. */
export const PEER_BYTES = 8;

export interface PeerData {
  readonly peer: Peer;
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
}

export interface PeerPartnerData {
  readonly there: SharedArrayBuffer;
  readonly back: SharedArrayBuffer;
}

/** The part of `navigator.locks` that is used here; Node has it from 24.5 on. */
export interface WebLocks {
  request(
    name: string,
    options: { readonly mode: 'exclusive' | 'shared' },
    work: () => void,
  ): Promise<void>;
}

export const webLocks: WebLocks | undefined = (globalThis as { navigator?: { locks?: WebLocks } })
  .navigator?.locks;

const WEB_LOCK = 'busbar-bench';
const FREE = 0;
const HELD = 1;
const CONTENDED = 2;

/** A lock of a peer as one thread uses it. */
export async function openPeer(peer: Peer, memory: SharedArrayBuffer): Promise<Contest> {
  if (peer === 'atomics') return contestByAtomics(new Int32Array(memory));
  if (peer === 'web-locks') return contestByWebLocks;
  if (peer === 'web-locks-read') return readByWebLocks;
  const { Mutex, RwLock } = await loadMultithreading();
  if (peer === 'multithreading') {
    const mutex = new Mutex(undefined, memory);
    return (words, count) => {
      for (let i = 0; i < count; i++) {
        const guard = mutex.blockingLock();
        words[0]++;
        guard.dispose();
      }
    };
  }
  const lock = new RwLock(undefined, memory);
  return (words, count) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const guard = lock.blockingRead();
      sum += words[0];
      guard.dispose();
    }
    if (sum < 0) throw new Error('the word counts up');
  };
}

/** The textbook lock of three states, of nothing but `Atomics`. */
function contestByAtomics(lock: Int32Array): Contest {
  return (words, count) => {
    for (let i = 0; i < count; i++) {
      if (Atomics.compareExchange(lock, 0, FREE, HELD) !== FREE) {
        while (Atomics.exchange(lock, 0, CONTENDED) !== FREE) Atomics.wait(lock, 0, CONTENDED);
      }
      words[0]++;
      if (Atomics.exchange(lock, 0, FREE) === CONTENDED) Atomics.notify(lock, 0, 1);
    }
  };
}

async function contestByWebLocks(words: Int32Array, count: number): Promise<void> {
  const countUp = (): void => {
    words[0]++;
  };
  await requestWebLocks('exclusive', countUp, count);
}

async function readByWebLocks(words: Int32Array, count: number): Promise<void> {
  let sum = 0;
  const read = (): void => {
    sum += words[0];
  };
  await requestWebLocks('shared', read, count);
  if (sum < 0) throw new Error('the word counts up');
}

async function requestWebLocks(
  mode: 'exclusive' | 'shared',
  work: () => void,
  count: number,
): Promise<void> {
  // A request does not keep the thread's event loop alive.
  const timer = setInterval(() => {}, 1000);
  for (let i = 0; i < count; i++) await webLocks?.request(WEB_LOCK, { mode }, work);
  clearInterval(timer);
}

/** Two asynchronous functions of one thread, with async-mutex. */
export async function contestByAsyncMutex(ops: number): Promise<number> {
  const mutex = new AsyncMutex();
  let count = 0;
  const work = async (): Promise<void> => {
    while (count < ops) {
      const release = await mutex.acquire();
      count++;
      // The other function asks for it meanwhile.
      await undefined;
      release();
    }
  };
  await Promise.all([work(), work()]);
  return count;
}

/** A thread that takes a lock of a peer `ops / 2` times a turn. */
export async function createPeerLocker(data: PeerData): Promise<Role> {
  const contest = await openPeer(data.peer, data.memory);
  return {
    async run(ops) {
      await contest(data.words, ops / 2);
      return NOTHING;
    },
    close: endThread,
  };
}

/** The two words of a bare round trip, in lines of their own. */
export const BARE_THERE = 0;
export const BARE_BACK = 64;
export const BARE_WORDS = 128;

/** Counts a word up and wakes who sleeps on it. */
export function bareSignal(words: Int32Array, at: number): void {
  Atomics.add(words, at, 1);
  Atomics.notify(words, at, 1);
}

/** Sleeps until the word is not `seen` any more. */
export function bareWait(words: Int32Array, at: number, seen: number): void {
  while (Atomics.load(words, at) === seen) Atomics.wait(words, at, seen);
}

/** A thread that gives a signal back for each that it gets, by nothing but `Atomics`. */
export function createAtomicsPartner({ words }: { readonly words: Int32Array }): Role {
  let seen = 0;
  return {
    run(ops) {
      for (let i = 0; i < ops; i++) {
        bareWait(words, BARE_THERE, seen);
        seen = (seen + 1) | 0;
        bareSignal(words, BARE_BACK);
      }
      return NOTHING;
    },
    close() {},
  };
}

/** A thread that gives a permit of multithreading's semaphore back for each that it gets. */
export async function createPeerPartner(data: PeerPartnerData): Promise<Role> {
  const { Semaphore } = await loadMultithreading();
  const there = new Semaphore(0, data.there);
  const back = new Semaphore(0, data.back);
  return {
    run(ops) {
      for (let i = 0; i < ops; i++) {
        there.blockingAcquire();
        addPermit(back);
      }
      return NOTHING;
    },
    close: endThread,
  };
}

/** The package keeps the event loop of a thread that has imported it alive. */
function endThread(): never {
  process.exit(0);
}

/** Adds a permit that was not acquired: its guard does no more than that. */
export function addPermit(semaphore: unknown): void {
  const controller = Object.getOwnPropertySymbols(Object.getPrototypeOf(semaphore)).find(
    ({ description }) => description === 'Thread.InternalSemaphoreController',
  );
  if (controller === undefined) throw new Error('this version of multithreading is another one');
  (semaphore as Record<symbol, { release(count: number): void }>)[controller].release(1);
}
