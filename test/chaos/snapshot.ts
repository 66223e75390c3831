// SPDX-License-Identifier: MIT
/**
 * Test tool: the shared words of a chaos run that has come to a stop, so that a failure which comes
 * once in hours explains itself: who is parked, what each lane and shared writer waits for, and
 * where each buffer in transit is.
 */
import type { SharedWriter } from 'busbar/writer';
import {
  ALONE,
  GRANT,
  isVacant,
  OWNER,
  PARKER,
  SHARED,
  STATE,
  TOTAL,
} from '../../src/pool/pool-layout.ts';
import { TRANSIT_ID, TRANSIT_MARK } from '../../src/pool/transit-layout.ts';
import * as flusherWords from '../../src/writer/flusher-layout.ts';
import * as writerWords from '../../src/writer/shared-writer-layout.ts';
import { controlLayout, controlWords } from '../pool-audit.ts';
import type { Hub } from './hub.ts';

/** Where buffers in transit were found, by id. */
type Found = Map<number, string[]>;

/** One fact a line. Threads may be running. */
export function describeWords(hub: Hub): string[] {
  const found: Found = new Map();
  return [
    `fences: in ${hub.fencesIn}, back ${hub.fencesBack}`,
    ...describeThreads(hub),
    ...describeLanes(hub, found),
    ...describeWriter('twins', hub.twinsWriter, hub, found),
    ...describeWriter('executors', hub.executorsWriter, hub, found),
    ...describeTransit(hub, found),
  ];
}

function note(found: Found, id: number, where: string): void {
  found.set(id, [...(found.get(id) ?? []), where]);
}

function describeThreads({ pool }: Hub): string[] {
  const words = controlWords(pool);
  const layout = controlLayout(pool);
  const lines: string[] = [];
  for (let slot = 0; slot < layout.maxThreads; slot++) {
    const at = layout.thread(slot);
    if (isVacant(words[at + STATE])) continue;
    const [state, parker, grant] = [words[at + STATE], words[at + PARKER], words[at + GRANT]];
    lines.push(`slot ${slot}: STATE ${state}, PARKER ${parker}, GRANT ${grant}`);
  }
  return lines;
}

function describeLanes({ flusher }: Hub, found: Found): string[] {
  const { ASLEEP, HEAD, OWNER: LANE_OWNER, RECEIVER, TAIL, WANTS_SPACE } = flusherWords;
  const { words, layout } = flusher;
  const ready = Array.from(
    { length: layout.readyWords },
    (_, i) => words[layout.readyWord(i * 32)],
  );
  const lines = [`flusher: RECEIVER ${words[RECEIVER]}, ASLEEP ${words[ASLEEP]}, ready ${ready}`];
  for (let lane = 0; lane < layout.writerCount; lane++) {
    const at = layout.lane(lane);
    const [owner, tail, head] = [words[at + LANE_OWNER], words[at + TAIL], words[at + HEAD]];
    const held: number[] = [];
    for (let i = 0; i < layout.regionCount; i++) {
      const slot = layout.slot(lane, i);
      if (words[slot + TRANSIT_MARK] === 0) continue;
      held.push(words[slot + TRANSIT_ID]);
      note(found, words[slot + TRANSIT_ID], `lane ${lane}, slot ${i}`);
    }
    if (owner === 0 && held.length === 0) continue;
    const wish = words[at + WANTS_SPACE];
    lines.push(`lane ${lane}: OWNER ${owner}, TAIL ${tail}, HEAD ${head}, wish ${wish}, [${held}]`);
  }
  return lines;
}

function describeWriter(name: string, writer: SharedWriter, { pool }: Hub, found: Found): string[] {
  const words = new Int32Array(writer.handle.control);
  const layout = writerWords.SharedWriterLayout.of(words);
  const named = ['EPOCH', 'CLAIM', 'DELIVERED', 'DELIVERED_AT', 'FREED', 'TOLD', 'SHUT', 'MEMBERS'];
  const text = [...named, 'OWED'].map(
    (key) => `${key} ${words[(writerWords as unknown as Record<string, number>)[key]]}`,
  );
  const lines = [`writer of ${name}, lane ${writer.id}: ${text.join(', ')}`];
  for (let place = 0; place < layout.segmentCount; place++) {
    const at = layout.segment(place);
    const id = words[at + writerWords.BUFFER] - 1;
    const open: string[] = [];
    for (let entry = 0; entry < layout.entryCount; entry++) {
      const state = words[layout.entry(place, entry) + writerWords.STATE];
      if ((state & writerWords.ENTRY_OPEN) !== 0) open.push(`${entry}: ${state.toString(16)}`);
    }
    if (id < 0 && open.length === 0) continue;
    note(found, id, `segment ${place} of the writer of ${name}`);
    const fill = (words[at + writerWords.FILL] >>> 0).toString(16);
    lines.push(`segment ${place}: buffer ${id}, FILL ${fill}, open [${open}]`);
  }
  for (let slot = 0; slot < pool.maxThreads; slot++) {
    const at = layout.pending(slot);
    const badge = words[layout.badge(slot)];
    if (badge !== 0) lines.push(`member ${slot}: BADGE ${badge}, ${words[layout.joined(slot)]}`);
    if (words[at + TRANSIT_MARK] === 0) continue;
    note(found, words[at + TRANSIT_ID], `pending of slot ${slot}, writer of ${name}`);
  }
  return lines;
}

function describeTransit({ pool }: Hub, found: Found): string[] {
  const words = controlWords(pool);
  const layout = controlLayout(pool);
  const lines: string[] = [];
  for (let id = 0; id < layout.bufferCount; id++) {
    const owner = words[layout.buffer(id) + OWNER];
    if (owner !== SHARED && owner !== ALONE) continue;
    const shares: string[] = [];
    for (let slot = 0; slot < layout.maxThreads; slot++) {
      const mine = words[layout.shares(slot) + id];
      if (mine > 0) shares.push(`${mine} of slot ${slot}`);
    }
    const where = found.get(id)?.join(' and ') ?? 'in no lane and no writer';
    lines.push(`buffer ${id}: ${words[layout.buffer(id) + TOTAL]} shares, ${shares}; ${where}`);
  }
  return lines;
}
