// SPDX-License-Identifier: MIT
/** Test tool: reads a pool's control words at rest and reports what contradicts pool-layout.ts. */
import { layoutOf } from '../src/pool/pool-blocks.ts';
import {
  ALONE,
  ATTENTION,
  ATTENTION_CLOSED,
  ATTENTION_WAITERS,
  CACHE_COUNT,
  GRANT,
  inStripe,
  isVacant,
  NEXT,
  NOT_WAITING,
  OWNER,
  type PoolLayout,
  SHARED,
  STATE,
  TOTAL,
  WAITING,
} from '../src/pool/pool-layout.ts';
import type { BufferPoolHandle } from '../src/pool/pool-options.ts';

/** Where a buffer was found; each must be found in one place. */
type Places = Map<number, string[]>;

/** The control words of a pool, for tests that look into it or poke it. */
export function controlWords(pool: { readonly handle: BufferPoolHandle }): Int32Array {
  return new Int32Array(pool.handle.control);
}

/** The layout of a pool. */
export function controlLayout(pool: { readonly handle: BufferPoolHandle }): PoolLayout {
  return layoutOf(controlWords(pool));
}

/**
 * Every contradiction in the control words; empty when all is well. No thread may be inside a call.
 */
export function auditPool(pool: { readonly handle: BufferPoolHandle }): string[] {
  const words = controlWords(pool);
  const layout = layoutOf(words);
  const places: Places = new Map();
  const wrong = [
    ...auditStripes(words, layout, places),
    ...auditThreads(words, layout, places),
    ...auditBuffers(words, layout, places),
  ];
  for (const [id, found] of places) {
    if (found.length > 1) wrong.push(`buffer ${id} is in ${found.join(' and in ')}`);
  }
  return wrong;
}

function place(places: Places, id: number, where: string): void {
  places.set(id, [...(places.get(id) ?? []), where]);
}

function auditStripes(words: Int32Array, layout: PoolLayout, places: Places): string[] {
  const wrong: string[] = [];
  for (let stripe = 0; stripe < layout.maxThreads; stripe++) {
    const head = words[layout.stripe(stripe)];
    if (head < 0) wrong.push(`stripe ${stripe} is claimed by thread ${-1 - head}`);
    let length = 0;
    for (let id = head - 1; id >= 0; id = words[layout.buffer(id) + NEXT]) {
      if (id >= layout.bufferCount) {
        wrong.push(`stripe ${stripe} leads to buffer ${id}`);
        break;
      }
      place(places, id, `stripe ${stripe}`);
      const owner = words[layout.buffer(id) + OWNER];
      if (owner !== inStripe(stripe)) {
        wrong.push(`buffer ${id} in stripe ${stripe} has OWNER ${owner}`);
      }
      if (++length > layout.bufferCount) {
        wrong.push(`stripe ${stripe} is a ring`);
        break;
      }
    }
  }
  return wrong;
}

function auditThreads(words: Int32Array, layout: PoolLayout, places: Places): string[] {
  const wrong: string[] = [];
  let waiting = 0;
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const record = layout.thread(slot);
    const free = isVacant(words[record + STATE]);
    const cached = words[record + CACHE_COUNT];
    if (words[record + GRANT] === WAITING) waiting++;
    if (free && words[record + GRANT] !== NOT_WAITING) wrong.push(`free slot ${slot} waits`);
    if (free && cached !== 0) wrong.push(`free slot ${slot} has ${cached} buffers cached`);
    for (let i = 1; i <= cached; i++) {
      const id = words[record + CACHE_COUNT + i];
      place(places, id, `the cache of ${slot}`);
      const owner = words[layout.buffer(id) + OWNER];
      if (owner !== slot) wrong.push(`buffer ${id} in the cache of ${slot} has OWNER ${owner}`);
      const refs = words[layout.refs(slot) + id];
      if (refs !== 0) wrong.push(`buffer ${id} in the cache of ${slot} has ${refs} references`);
    }
    for (let id = 0; id < layout.bufferCount; id++) {
      const refs = words[layout.refs(slot) + id];
      const shares = words[layout.shares(slot) + id];
      if (refs < 0 || shares < 0) {
        wrong.push(`account ${slot}/${id}: ${refs} refs ${shares} shares`);
      }
      if (free && refs !== 0) wrong.push(`free slot ${slot} holds buffer ${id}`);
      if (shares !== 0 && refs === 0) wrong.push(`slot ${slot} has shares of ${id}, no reference`);
    }
  }
  // The flag may stay set for a while without waiters; the reverse is an error.
  const attention = words[ATTENTION] & ~ATTENTION_CLOSED;
  if (waiting > 0 ? attention !== ATTENTION_WAITERS : attention > ATTENTION_WAITERS) {
    wrong.push(`ATTENTION says ${attention}, ${waiting} wait`);
  }
  return wrong;
}

function auditBuffers(words: Int32Array, layout: PoolLayout, places: Places): string[] {
  const wrong: string[] = [];
  for (let id = 0; id < layout.bufferCount; id++) {
    const owner = words[layout.buffer(id) + OWNER];
    let shares = 0;
    for (let slot = 0; slot < layout.maxThreads; slot++) {
      const refs = words[layout.refs(slot) + id];
      const mine = words[layout.shares(slot) + id];
      shares += mine;
      if (refs > 0 && owner !== slot && owner !== SHARED) {
        wrong.push(`slot ${slot} holds buffer ${id}, its OWNER is ${owner}`);
      }
      if (refs > 0 && owner === SHARED && mine === 0) {
        wrong.push(`slot ${slot} holds shared buffer ${id} without shares`);
      }
      if (refs > 0 && owner === slot) place(places, id, `the hands of ${slot}`);
    }
    if (owner === SHARED) {
      const total = words[layout.buffer(id) + TOTAL];
      place(places, id, 'many hands');
      if (total < 1 || shares > total) wrong.push(`buffer ${id}: ${shares} shares of ${total}`);
    } else if (owner === ALONE) {
      place(places, id, 'transit');
    } else if (shares !== 0) {
      wrong.push(`buffer ${id} has ${shares} shares and OWNER ${owner}`);
    }
    if (!places.has(id)) wrong.push(`buffer ${id} is nowhere, its OWNER is ${owner}`);
  }
  return wrong;
}
