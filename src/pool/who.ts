// SPDX-License-Identifier: MIT
/** Who holds the buffers of a pool, by thread and kind of holder. */

import { eachInCarriers } from './carriers.ts';
import { HOLDER_KINDS, HOLDER_NAME } from './holder-layout.ts';
import { holdersOf, readName } from './holders.ts';
import { ALONE, OWN_HOLDER, OWNER, SHARED, slotOf } from './pool-layout.ts';
import type { PoolStats, PoolThreadStats } from './pool-stats.ts';
import type { PoolThread } from './pool-thread.ts';
import { nameOfThread } from './thread-names.ts';
import type { TransitSource } from './transits.ts';

/**
 * One kind of holder in one thread. 'packet': packets, and references taken by number; 'sending':
 * what a link has to send; 'lane': between executors; 'elsewhere': in transit in what this thread
 * has no object of.
 */
export interface PoolHolder {
  readonly kind:
    | 'packet'
    | 'framer'
    | 'writer'
    | 'sending'
    | 'receiving'
    | 'packet writer'
    | 'channel'
    | 'lane'
    | 'flusher'
    | 'shared writer'
    | 'elsewhere';
  /** Of the link, channel or lane; '' without one. */
  readonly name: string;
  /** The thread's slot; undefined: in transit between threads. */
  readonly slot: number | undefined;
  /** References, or packets in transit; a buffer counts for each. 'elsewhere': buffers. */
  readonly count: number;
}

/** What `who()` returns. */
export interface PoolWho extends PoolStats {
  /** Of the held buffers, those that only packets in transit keep. */
  readonly inTransit: number;
  readonly threads: readonly (PoolThreadStats & {
    /** Buffers on which it holds references. */
    readonly held: number;
  })[];
  /** By thread, the largest first; then those in transit. */
  readonly holders: readonly PoolHolder[];
  /** All of it, for people. */
  readonly text: string;
}

/** Gathers holders; those of one thread, kind and name are one. */
class Holders {
  readonly #found = new Map<string, { -readonly [K in keyof PoolHolder]: PoolHolder[K] }>();

  add(slot: number | undefined, kind: PoolHolder['kind'], name: string, count: number): void {
    if (count <= 0) return;
    const key = `${slot} ${kind} ${name}`;
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { kind, name, slot, count });
    else known.count += count;
  }

  list(): PoolHolder[] {
    return [...this.#found.values()].sort(
      (a, b) => (a.slot ?? Infinity) - (b.slot ?? Infinity) || b.count - a.count || 0,
    );
  }
}

/** See `BufferPool.who`. */
export function whoHolds(
  self: PoolThread,
  stats: PoolStats,
  sources: readonly TransitSource[],
): PoolWho {
  const { words, layout } = self;
  const holders = new Holders();
  const isHeld = new Uint8Array(layout.bufferCount);
  const threads = stats.threads.map((thread) => {
    const { slot } = thread;
    const refs = layout.refs(slot);
    let held = 0;
    let references = 0;
    for (let id = 0; id < layout.bufferCount; id++) {
      const count = words[refs + id];
      if (count <= 0) continue;
      held++;
      references += count;
      isHeld[id] = 1;
    }
    for (const at of holdersOf(words, layout, slot)) {
      const name = at === layout.thread(slot) + OWN_HOLDER ? '' : readName(words, at + HOLDER_NAME);
      for (const [word, kind] of HOLDER_KINDS) {
        references -= words[at + word];
        holders.add(slot, kind as PoolHolder['kind'], name, words[at + word]);
      }
    }
    holders.add(slot, 'packet', '', references);
    return { ...thread, held };
  });
  const isSeen = new Uint8Array(layout.bufferCount);
  for (const source of sources) {
    source.eachInTransit((id) => {
      if (id >>> 0 < layout.bufferCount) isSeen[id] = 1;
      holders.add(undefined, source.transitKind, source.transitName, 1);
    });
  }
  eachInCarriers(words, layout, (from, to, id) => {
    if (id >>> 0 < layout.bufferCount) isSeen[id] = 1;
    const lane = `${threadName(self, from)} → ${threadName(self, to)}`;
    holders.add(undefined, 'lane', lane, 1);
  });
  let inTransit = 0;
  let elsewhere = 0;
  let freeShared = 0;
  let held = 0;
  for (let id = 0; id < layout.bufferCount; id++) {
    const owner = words[layout.buffer(id) + OWNER];
    if (owner < SHARED && owner !== ALONE) freeShared++;
    else if (isHeld[id] === 1) held++;
    else if (owner < 0) {
      inTransit++;
      held++;
      if (isSeen[id] === 0) elsewhere++;
    }
  }
  holders.add(undefined, 'elsewhere', '', elsewhere);
  const found = { ...stats, freeShared, held, inTransit, threads, holders: holders.list() };
  return { ...found, text: textOf(found) };
}

/** The name of the thread that a badge names. */
function threadName(self: PoolThread, badge: number): string {
  if (badge <= 0) return 'nobody';
  return nameOfThread(self, slotOf(badge));
}

function textOf(who: Omit<PoolWho, 'text'>): string {
  const pool = who.name === '' ? 'pool' : `pool "${who.name}"`;
  const lines = [
    `${pool}: ${who.held} of ${who.capacity} buffers held, ${who.inTransit} of them in transit`,
  ];
  const of = (slot: number | undefined): string[] =>
    who.holders
      .filter((holder) => holder.slot === slot)
      .map(({ kind, name, count }) => {
        return `${String(count).padStart(8)}  ${kind}${name === '' ? '' : ` of ${name}`}`;
      });
  for (const { slot, name, held } of who.threads) {
    if (held > 0) lines.push(`  ${name} (slot ${slot}): ${held} buffers`, ...of(slot));
  }
  if (who.inTransit > 0 || of(undefined).length > 0) lines.push('  in transit', ...of(undefined));
  return lines.join('\n');
}

/** Loads up to which an error message may cost a look at every account. */
const LOADS_MAX = 1 << 18;

/** For the message of an error: who holds the buffers, in a line. */
export function holdersInBrief(self: PoolThread, stats: PoolStats): string {
  const { capacity, held, name } = stats;
  const what = `${held} of ${capacity} buffers${name === '' ? '' : ` of pool "${name}"`} are held`;
  if (capacity * stats.threads.length > LOADS_MAX) return `${what}; pool.who() says by whom`;
  const { holders } = whoHolds(self, stats, []);
  const shown = holders.slice(0, 4).map((holder) => {
    const who = holder.slot === undefined ? 'in transit' : nameOfThread(self, holder.slot);
    const whose = holder.name === '' ? '' : ` of ${holder.name}`;
    return holder.kind === 'elsewhere'
      ? `in transit: ${holder.count}`
      : `${who}: ${holder.count} ${holder.kind}${whose}`;
  });
  return [what, ...shown].join('; ');
}
