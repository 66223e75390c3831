// SPDX-License-Identifier: MIT
/** Bugs planted in the synchronization primitives, one at a time: the scenarios find them. */

import { barrierCases, countdownCases, waitGroupCases } from './counted-scenarios.ts';
import type { Case } from './coverage.ts';
import { type DeadlockModule, deadlockCases } from './deadlock-scenarios.ts';
import { eventCases } from './event-scenarios.ts';
import { gateCases } from './gate-scenarios.ts';
import { mutexCases, mutexDeathCases, mutexExceptionCases } from './mutex-scenarios.ts';
import { onceCases } from './once-scenarios.ts';
import { type Bug, huntAll } from './planted.ts';
import { rwLockCases, rwLockDeathCases, rwLockExceptionCases } from './rw-lock-scenarios.ts';
import { semaphoreCases, semaphoreDeathCases } from './semaphore-scenarios.ts';
import { seqLockCases } from './seq-lock-scenarios.ts';
import { signalCases } from './signal-scenarios.ts';
import type { SyncShared } from './sync-words.ts';

const BUGS: readonly Bug[] = [
  {
    what: 'mutex: a lock is taken without a compare',
    entry: 'sync/mutex.ts',
    from: 'const before = compareExchange(this.words, STATE, FREE, this.badge);',
    to:
      'const before = loadAcquire(this.words, STATE);\n' +
      'if (before === FREE) compareExchange(this.words, STATE, this.words[STATE], this.badge);',
    scenarios: /^mutex barging: lockSync twice/,
  },
  {
    what: 'mutex: unlock rings no thread',
    entry: 'sync/mutex.ts',
    from: 'waiters.owe();\n  }',
    to: '}',
    scenarios: /^mutex (barging|fair): lockSync twice/,
  },
  {
    what: 'mutex: a waiter sleeps by a lock that it has not marked',
    entry: 'sync/mutex.ts',
    from: 'return compareExchange(words, STATE, state, state | WAITED) === state;',
    to: 'return true;',
    scenarios: /^mutex barging: lockSync twice/,
  },
  {
    what: 'mutex: a waiter that gives up keeps the ring',
    entry: 'sync/mutex.ts',
    from: 'if (loadAcquire(this.words, STATE) !== (this.badge | WAITED)) this.waiters.ringFirst();',
    to: '',
    scenarios: /^mutex barging: one aborts/,
  },
  {
    what: 'mutex: a waiter shows itself after it has looked',
    entry: 'sync/waiters.ts',
    from: 'storeSeqCst(this.#words, this.seat + WAITING, ticket);',
    to: 'queueMicrotask(() => storeSeqCst(this.#words, this.seat + WAITING, ticket));',
    scenarios: /^mutex barging: lockSync twice/,
  },
  {
    what: 'mutex: the lock of a dead thread stays locked',
    entry: 'sync/mutex.ts',
    from: 'if (!this.pool.isBadgeGone(holder, asker)) return false;',
    to: 'return false;',
    scenarios: /^mutex barging: death, handOver: lockSync/,
  },
  {
    what: 'mutex: the heir is not told',
    entry: 'sync/mutex.ts',
    from: 'this.#ownerDied = holder === ORPHANED;',
    to: 'this.#ownerDied = false;',
    scenarios: /^mutex barging: death, handOver: lockSync/,
  },
  {
    what: 'mutex: the stack is not looked at before an unlock that rings',
    entry: 'sync/mutex.ts',
    from: 'ensureStep();\n    const isFair',
    to: 'const isFair',
    scenarios: /^mutex (barging|fair): exception: lockSync/,
  },
  {
    what: 'mutex: a call follows an attempt that has succeeded, without a look at the stack',
    entry: 'sync/primitive.ts',
    from:
      'ensureStep();\n    this.#result = this.#attempt(this.#argument as never);\n' +
      '    this.waiters.passed = NOT_WAITING;',
    to: 'this.#result = this.#attempt(this.#argument as never);\n' + 'this.waiters.first();',
    scenarios: /^mutex barging: exception: lockSync/,
  },
  {
    what: 'mutex: the stack is not looked at before a guard is made',
    entry: 'sync/mutex.ts',
    from: 'ensureStep();\n    return this.#guard(this.lockSync',
    to: 'return this.#guard(this.lockSync',
    scenarios: /^mutex (barging|fair): exception: guardSync/,
  },
  {
    what: 'mutex: a waiter passes over those before it at its first tick',
    entry: 'sync/waiters.ts',
    from: 'this.#idleTicks > ahead ?',
    to: 'this.#idleTicks > 0 ?',
    scenarios: /^mutex fair: no waiter is overtaken/,
  },
  {
    what: 'mutex: the bit that keeps newcomers out is cleared as the lock is freed',
    entry: 'sync/mutex.ts',
    from: 'if (isFair && waiters.isEmpty && !this.stopsQueueing()) {',
    to:
      'if (isFair && waiters.isEmpty) {\n' +
      'compareExchange(words, STATE, before, FREE);\nreturn waiters.owe();',
    scenarios: /^mutex fair: no waiter is overtaken by a newcomer$/,
  },
  {
    what: 'semaphore: permits are taken without a compare',
    entry: 'sync/semaphore.ts',
    from: 'STATE, state, next, at, held) === state',
    to: 'STATE, loadAcquire(words, STATE), next, at, held) !== -7',
    scenarios: /^semaphore: (each wants|2 signals)/,
  },
  {
    what: 'semaphore: release rings no thread',
    entry: 'sync/semaphore.ts',
    from: 'if (state < 0) this.waiters.owe();',
    to: '',
    scenarios: /^semaphore: (a signal|2 block)/,
  },
  {
    what: 'semaphore: the cap is looked at only where no permit is left',
    entry: 'sync/semaphore.ts',
    from: 'if ((state & PERMITS_MASK) + count > this.max) return',
    to: 'if ((state & PERMITS_MASK) === this.max + 1) return',
    scenarios: /^semaphore: 2 signals/,
  },
  {
    what: 'semaphore: disable rings no thread',
    entry: 'sync/semaphore.ts',
    from: 'this.waiters.ringAll();',
    to: '',
    scenarios: /^semaphore: disable/,
  },
  {
    what: 'semaphore: a waiter that leaves does not ring the next',
    entry: 'sync/semaphore.ts',
    from: 'if ((state & PERMITS_MASK) !== 0 || state >= 0) waiters.ringFirst();',
    to: '',
    scenarios: /^semaphore: (2 block|one gives up|one aborts)/,
  },
  {
    what: 'semaphore: what a thread holds is written before it has it',
    entry: 'sync/semaphore.ts',
    from: 'const held = this.owned ? words[at] + change : 0;',
    to: 'const held = this.owned ? words[at] + change : 0; words[at] = held;',
    scenarios: /^semaphore: death/,
  },
  {
    what: 'event: a wait does not see that it was set and reset meanwhile',
    entry: 'sync/event.ts',
    from: '|| epoch !== (began & EPOCH_MASK)',
    to: '',
    scenarios: /^event manual: set and reset/,
  },
  {
    what: 'event: set rings one of several',
    entry: 'sync/event.ts',
    from: 'else waiters.oweAll();',
    to: 'else waiters.owe();',
    scenarios: /^event manual: 2 wait/,
  },
  {
    what: 'event: two waits use up one set',
    entry: 'sync/event.ts',
    from: 'if (compareExchange(words, STATE, state, taken) !== state) continue;',
    to: 'compareExchange(words, STATE, state, taken);',
    scenarios: /^event auto: 2 wait/,
  },
  {
    what: 'deadlocks: a holder that waits again is taken for one that still waits',
    entry: 'sync/deadlocks.ts',
    from: 'return edge.wait !== 0 && stuck.get(edge.badge)?.wait === edge.wait;',
    to: 'return stuck.has(edge.badge);',
    scenarios: /^deadlock: in turns/,
  },
  {
    what: 'deadlocks: who holds it is looked at once, before the WAIT of the holder',
    entry: 'sync/deadlocks.ts',
    from: 'isSame &&= again === need && count === seen.length;',
    to: 'isSame = again === again;',
    scenarios: /^deadlock: in turns/,
  },
  {
    what: 'rwlock: a writer does not look whether threads read',
    entry: 'sync/rw-lock.ts',
    from: 'if (this.areReading()) return BUSY;',
    to: '',
    scenarios: /^rwlock: a reader, a writer/,
  },
  {
    what: 'rwlock: a reader looks for writers before it shows itself',
    entry: 'sync/read-lock.ts',
    from: 'storeSeqCst(words, at, reads + 1);',
    to:
      'const free = loadSeqCst(words, STATE) === FREE;\n' +
      'storeSeqCst(words, at, reads + 1); if (free) return "acquired";',
    scenarios: /^rwlock: a reader, a writer/,
  },
  {
    what: 'rwlock: the last reader rings no writer',
    entry: 'sync/read-lock.ts',
    from: 'if (state !== FREE) this.#oweWriter(state);',
    to: '',
    scenarios: /^rwlock: a reader, a writer/,
  },
  {
    what: 'rwlock: a reader that withdraws rings no writer',
    entry: 'sync/read-lock.ts',
    from: 'if ((now & HOLDER_MASK) !== this.badge) this.#oweWriter(now);',
    to: '',
    scenarios: /^rwlock: a reader, a writer/,
  },
  {
    what: 'rwlock: a writer that gives up keeps its claim',
    entry: 'sync/read-lock.ts',
    from: 'if (!this.pool.isAttached || !this.isClaimed) return;',
    to: 'if (this !== undefined) return;',
    scenarios: /^rwlock: a writer gives up/,
  },
  {
    what: 'rwlock: a dead reader reads for ever',
    entry: 'sync/read-lock.ts',
    from: 'storeSeqCst(words, seat + READS, 0);',
    to: '',
    scenarios: /^rwlock: death: who reads/,
  },
  {
    what: 'rwlock: a dead writer is not told of',
    entry: 'sync/read-lock.ts',
    from: 'const next = held === CLAIMED ? FREE',
    to: 'const next = held > 0 ? FREE',
    scenarios: /^rwlock: death: who writes/,
  },
  {
    what: 'rwlock: a downgrade lets a writer in between',
    entry: 'sync/rw-lock.ts',
    from: 'storeSeqCst(this.words, this.waiters.seat + READS, 1);\n    this.free(FREE);',
    to: 'this.free(FREE);\n    storeSeqCst(this.words, this.waiters.seat + READS, 1);',
    scenarios: /^rwlock: downgrade$/,
  },
  {
    what: 'rwlock: the stack is not looked at before a read ends',
    entry: 'sync/read-lock.ts',
    from: 'ensureStep();\n    // SYNC(sync-reads): a writer that sees it',
    to: '// a writer that sees it',
    scenarios: /^rwlock: exception: readSync/,
  },
  {
    what: 'rwlock: the bit that keeps newcomers out is cleared as the lock is freed',
    entry: 'sync/read-lock.ts',
    from: `if (state < 0 && waiters.isEmpty && !this.stopsQueueing()) state &= ~WAITED;
      const next = holder | (state & WAITED);`,
    to: 'const next = holder | (state < 0 && !waiters.isEmpty ? WAITED : 0);',
    scenarios: /^rwlock: no waiter is overtaken/,
  },
  {
    what: 'countdown: two are the last',
    entry: 'sync/counted.ts',
    from: 'if (!this.swap(state, next, held | runs)) continue;',
    to: 'this.swap(state, next, held | runs);',
    scenarios: /^countdown: one more/,
  },
  {
    what: 'countdown: the one that finishes rings one of several',
    entry: 'sync/phased.ts',
    from: 'else waiters.oweAll();',
    to: 'else waiters.owe();',
    scenarios: /^countdown: 1 arrives/,
  },
  {
    what: 'countdown: what a dead thread ran runs for ever',
    entry: 'sync/countdown.ts',
    from: 'return (state & DIED) | FAILED;\n  }\n}',
    to: 'return state;\n  }\n}',
    scenarios: /^countdown: death: the last/,
  },
  {
    what: 'wait group: the last one rings no thread',
    entry: 'sync/counted.ts',
    from: 'if (state < 0 && next >= 0) waiters.oweAll();',
    to: '',
    scenarios: /^wait group: 1 is done/,
  },
  {
    what: 'wait group: a wait does not see that nothing was left meanwhile',
    entry: 'sync/wait-group.ts',
    from: '((state + EPOCH_ONE) & EPOCH_BITS)',
    to: '(state & EPOCH_BITS)',
    scenarios: /^wait group: more/,
  },
  {
    what: 'barrier: who withdraws another is not responsible for itself',
    entry: 'sync/barrier.ts',
    from: "this.countDown(0, 'withdraw', false)",
    to: "this.countDown(0, 'withdraw')",
    scenarios: /^barrier: death: one that withdrew/,
  },
  {
    what: 'barrier: a party that has died is waited for',
    entry: 'sync/counted.ts',
    from: 'if ((state & PHASE) !== OPEN || entered === 0) return state;',
    to: 'if (entered < 2) return state;',
    scenarios: /^barrier: death/,
  },
  {
    what: 'barrier: cancel rings no thread',
    entry: 'sync/barrier.ts',
    from: 'if (state < 0) this.waiters.oweAll();',
    to: '',
    scenarios: /^barrier: cancel/,
  },
  {
    what: 'once: two make it',
    entry: 'sync/once.ts',
    from: 'if (!this.swap(state, next, RUNS)) continue;',
    to: 'this.swap(state, next, RUNS);',
    scenarios: /^once: 2 block$/,
  },
  {
    what: 'who only asks does not look for deaths',
    entry: 'sync/primitive.ts',
    from: 'if (this.#tries !== 1) return false;',
    to: 'return false;',
    scenarios: /^(mutex fair|rwlock|semaphore|once|gate|countdown): death.*: try\w+ again/,
  },
  {
    what: 'once: the next one is not told of the death',
    entry: 'sync/phased.ts',
    from: 'const told = next === state ? state : next | DIED;',
    to: 'const told = next;',
    scenarios: /^once: death/,
  },
  {
    what: 'once: a waiter that leaves does not ring the next',
    entry: 'sync/phased.ts',
    from: 'if (!this.isPending(loadAcquire(this.words, STATE))) this.waiters.ringFirst();',
    to: '',
    scenarios: /^once: the first aborts/,
  },
  {
    what: 'once: the packet of a thread that died stays in the way',
    entry: 'sync/once.ts',
    from: 'if (words[MADE + TRANSIT_MARK] !== 0) pool.release(pool.moveFromWords(words, MADE));',
    to: '',
    scenarios: /^once: death: of a packet/,
  },
  {
    what: 'once: the packet is moved in after it is done',
    entry: 'sync/once.ts',
    from: `this.pool.share(value.bufferId);
      value.moveInto(this.words, MADE);
    } else this.words[TAG] = value;
    this.endRun(DONE, 0, 'finish');`,
    to: `} else this.words[TAG] = value;
    this.endRun(DONE, 0, 'finish');
    if (isPacket) {
      this.pool.share(value.bufferId);
      value.moveInto(this.words, MADE);
    }`,
    scenarios: /^once: of a packet/,
  },
  {
    what: 'once: the packet is moved in as a sole reference',
    entry: 'sync/once.ts',
    from: 'this.pool.share(value.bufferId);',
    to: '',
    scenarios: /^once: of a packet/,
  },
  {
    what: 'gate: two enter as one',
    entry: 'sync/gate.ts',
    from: 'if (!this.swap(state, kept | phase | count, words[this.held])) continue;',
    to: 'this.swap(state, kept | phase | count, words[this.held]);',
    scenarios: /^gate: 2 of 3/,
  },
  {
    what: 'gate: a thread that enters rings no other',
    entry: 'sync/phased.ts',
    from: 'if (!this.isPending(loadAcquire(this.words, STATE))) this.waiters.ringFirst();',
    to: '',
    scenarios: /^gate: 2 wait/,
  },
  {
    what: 'gate: what is closed while a thread decides stays open',
    entry: 'sync/gate.ts',
    from: 'stays && (state & CLOSING) === 0 &&',
    to: 'stays &&',
    scenarios: /^gate: closed/,
  },
  {
    what: 'gate: the last entry of a batch closes the next batch',
    entry: 'sync/gate.ts',
    from: 'this.#end(stays, 0);',
    to: 'this.#end(stays && phase === OPEN, 0);',
    scenarios: /^gate: opened anew/,
  },
  {
    what: 'gate: a thread that dies inside leaves it so',
    entry: 'sync/gate.ts',
    from: '(held & RUNS) === 0) return state;',
    to: 'held > 0) return state;',
    scenarios: /^gate: death/,
  },
  {
    what: 'seqlock: a reader accepts a copy that is being written again',
    entry: 'sync/seq-lock-layout.ts',
    from: 'export const OVERWRITTEN = 3;',
    to: 'export const OVERWRITTEN = 4;',
    scenarios: /^seqlock: \d writes/,
  },
  {
    what: 'seqlock: a writer that ends as one looks at it seems to have died',
    entry: 'sync/seq-lock.ts',
    from: 'isGone && loadSeqCst(this.#words, SEQUENCE) === sequence',
    to: 'isGone',
    scenarios: /^seqlock: 1 asks/,
  },
  {
    what: 'seqlock: SEQUENCE becomes odd after the copy was begun',
    entry: 'sync/seq-lock.ts',
    from: 'storeSeqCst(words, SEQUENCE, began);',
    to: '',
    scenarios: /^seqlock: \d writes/,
  },
  {
    what: 'seqlock: after a death the other copy is written',
    entry: 'sync/seq-lock.ts',
    from: 'const began = loadSeqCst(words, SEQUENCE) | 1;',
    to: 'const began = (loadSeqCst(words, SEQUENCE) + 1) | 1;',
    scenarios: /^seqlock: a writer dies/,
  },
  {
    what: 'signals: a consumer clears the bit above without another look',
    entry: 'sync/signal-tree.ts',
    from: 'if (loadSeqCst(bits, levels[level] + word) !== 0) {',
    to: 'if (loadSeqCst(bits, levels[level] + word) === 0.5) {',
    scenarios: /^signals: (2 set|set again)/,
  },
  {
    what: 'signals: set rings no thread',
    entry: 'sync/signal-tree.ts',
    from: 'if (loadSeqCst(this.words, STATE) < 0) this.waiters.owe();',
    to: '',
    scenarios: /^signals: 2 (set|take)/,
  },
  {
    what: 'signals: two consumers take one signal',
    entry: 'sync/signal-tree.ts',
    from: 'if ((before & (1 << i)) !== 0) return i;',
    to: 'return i;',
    scenarios: /^signals: 2 try/,
  },
  {
    what: 'signals: a search passes by a bit above nothing',
    entry: 'sync/signal-tree.ts',
    from: 'index = this.#takeFrom(this.#levels.length - 1, 0);',
    to: 'index = this.#takeFrom(0, 0);',
    scenarios: /^signals: waits for nothing/,
  },
  {
    what: 'signals: what a dead consumer left is not repaired',
    entry: 'sync/signal-tree.ts',
    from: 'const isRepaired = this.#repair();',
    to: 'const isRepaired = false;',
    scenarios: /^signals: death/,
  },
];

huntAll('sync', BUGS, async (load) => {
  const module: DeadlockModule = {
    ...(await load<Pick<DeadlockModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
    ...(await load<Omit<DeadlockModule, 'BufferPool' | 'NO_BUFFER' | 'Packet'>>('sync/index.ts')),
    ...(await load<Pick<DeadlockModule, 'Packet'>>('packet/index.ts')),
    ...(await load<Pick<DeadlockModule, 'Deadlocks'>>('sync/deadlocks.ts')),
  };
  return [
    ...mutexCases(module),
    ...mutexDeathCases(module),
    ...mutexExceptionCases(module),
    ...semaphoreCases(module),
    ...semaphoreDeathCases(module),
    ...eventCases(module),
    ...deadlockCases(module),
    ...countdownCases(module),
    ...waitGroupCases(module),
    ...barrierCases(module),
    ...onceCases(module),
    ...gateCases(module),
    ...signalCases(module),
    ...(seqLockCases(module) as unknown as Case<SyncShared>[]),
    ...rwLockCases(module),
    ...rwLockDeathCases(module),
    ...rwLockExceptionCases(module),
  ];
});
