// SPDX-License-Identifier: MIT
/** What other locks cost: those that busbar's are compared with, in the same run. */

import type { BenchCase, PreparedCase } from '../bench-case.ts';
import { Crew } from './crew.ts';
import { loadMultithreading } from './multithreading.ts';
import {
  addPermit,
  BARE_BACK,
  BARE_THERE,
  BARE_WORDS,
  bareSignal,
  bareWait,
  contestByAsyncMutex,
  openPeer,
  PEER_BYTES,
  type Peer,
  type PeerData,
  type PeerPartnerData,
  webLocks,
} from './sync-peers.ts';

export const syncPeerCases: readonly BenchCase[] = [
  {
    id: 'sync/atomics-2t',
    what: 'the textbook lock on bare Atomics, a word counted up, by two threads; per lock',
    unit: 1000,
    threads: 2,
    prepare: () => prepareContest('atomics'),
  },
  {
    id: 'sync/multithreading-mutex-2t',
    what: 'blockingLock and dispose of the package multithreading, by two threads; per lock',
    unit: 1000,
    threads: 2,
    prepare: () => prepareContest('multithreading'),
  },
  {
    id: 'sync/multithreading-rwlock-read-2t',
    what: 'blockingRead and dispose of the package multithreading, by two threads; per lock',
    unit: 1000,
    threads: 2,
    prepare: () => prepareContest('multithreading-read'),
  },
  {
    id: 'sync/multithreading-ping-pong',
    what: 'a permit of the package multithreading there and one back, both blocking',
    unit: 100,
    threads: 2,
    prepare: preparePingPong,
  },
  {
    id: 'sync/atomics-ping-pong',
    what: 'Atomics.add and notify there and back, both in Atomics.wait: the least with two sleeps',
    unit: 100,
    threads: 2,
    prepare: prepareBarePingPong,
  },
  {
    id: 'sync/async-mutex-contended',
    what: 'acquire and release of the package async-mutex, by two functions of one thread',
    unit: 1000,
    threads: 1,
    prepare: () => ({ run: contestByAsyncMutex, close() {} }),
  },
  ...(webLocks === undefined ? [] : webLocksCases()),
];

function webLocksCases(): readonly BenchCase[] {
  return [
    {
      id: 'sync/web-locks-2t',
      what: 'navigator.locks.request, a word counted up, by two threads; per lock',
      unit: 100,
      threads: 2,
      prepare: () => prepareContest('web-locks'),
    },
    {
      id: 'sync/web-locks-read-2t',
      what: 'the same in the mode shared, a word read',
      unit: 100,
      threads: 2,
      prepare: () => prepareContest('web-locks-read'),
    },
  ];
}

async function prepareContest(peer: Peer): Promise<PreparedCase> {
  const memory = new SharedArrayBuffer(PEER_BYTES);
  const words = new Int32Array(new SharedArrayBuffer(4));
  const data: PeerData = { peer, memory: memory, words };
  const crew = await Crew.start([{ role: 'peer-locker', data }]);
  const contest = await openPeer(peer, memory);
  const counts = !peer.endsWith('-read');
  const isWeb = peer.startsWith('web-locks');
  let total = 0;
  let lost = 0;
  return {
    async run(ops) {
      const begin = words[0];
      crew.begin(ops);
      await contest(words, ops / 2);
      if (isWeb) await crew.finishAsync();
      else crew.finish();
      const missing = counts ? ops - ((words[0] - begin) | 0) : words[0];
      // Now and then Node 24 and 26 run the callbacks of two threads at once.
      const lostMax = isWeb && counts ? ops / 50 : 0;
      if (missing < 0 || missing > lostMax) throw new Error(`${missing} counts were lost`);
      total += ops;
      lost += missing;
      return ops;
    },
    note: () => (lost === 0 ? '' : `not exclusive: ${lost} of ${total} counts were lost`),
    close: () => crew.close(),
  };
}

async function preparePingPong(): Promise<PreparedCase> {
  const { Semaphore } = await loadMultithreading();
  const data: PeerPartnerData = {
    there: new SharedArrayBuffer(PEER_BYTES),
    back: new SharedArrayBuffer(PEER_BYTES),
  };
  const there = new Semaphore(0, data.there);
  const back = new Semaphore(0, data.back);
  const crew = await Crew.start([{ role: 'peer-partner', data }]);
  return {
    run(ops) {
      crew.begin(ops);
      for (let i = 0; i < ops; i++) {
        addPermit(there);
        back.blockingAcquire();
      }
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}

async function prepareBarePingPong(): Promise<PreparedCase> {
  const words = new Int32Array(new SharedArrayBuffer(4 * BARE_WORDS));
  const crew = await Crew.start([{ role: 'atomics-partner', data: { words } }]);
  let seen = 0;
  return {
    run(ops) {
      crew.begin(ops);
      for (let i = 0; i < ops; i++) {
        bareSignal(words, BARE_THERE);
        bareWait(words, BARE_BACK, seen);
        seen = (seen + 1) | 0;
      }
      crew.finish();
      return ops;
    },
    close: () => crew.close(),
  };
}
