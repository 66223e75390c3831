// SPDX-License-Identifier: MIT
/**
 * The words on which plain accesses may race, as declared by the `*-hints.ts` files, each with the
 * reason why that is correct under ECMAScript's memory model. weak.model.test.ts checks it within
 * bounds; beyond them it has to be argued. docs/verification.md has the table.
 */

import { isChannelHint } from '../../src/channel/channel-hints.ts';
import { ChannelLayout, HEAD, TAIL } from '../../src/channel/channel-layout.ts';
import { HOLDER_WORDS } from '../../src/pool/holder-layout.ts';
import { isOwnerWord, isPoolHint, isPoolStatistic } from '../../src/pool/pool-hints.ts';
import * as pool from '../../src/pool/pool-layout.ts';
import { TRANSIT_MARK } from '../../src/pool/transit-layout.ts';
import * as flusher from '../../src/writer/flusher-layout.ts';
import * as writer from '../../src/writer/shared-writer-layout.ts';
import { isFlusherHint, isReferenceWord, isWriterHint } from '../../src/writer/writer-hints.ts';

/** One kind of word; `at` lists all of its words in the sample that the structure stands for. */
interface RacyWord {
  readonly word: string;
  readonly at: readonly number[];
  readonly argument: string;
}

/** A sample of one shared structure, with what is declared for it. */
export interface RacyStructure {
  readonly name: string;
  readonly wordCount: number;
  readonly isDeclared: (word: number) => boolean;
  readonly words: readonly RacyWord[];
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function ofPool(): RacyStructure {
  const layout = new pool.PoolLayout(2, 2, 1);
  const slots = upTo(layout.maxThreads);
  const ids = upTo(layout.bufferCount);
  const counters = upTo(pool.GIVE_BACKS - pool.ACQUIRES + 1).map((i) => pool.ACQUIRES + i);
  return {
    name: 'pool',
    wordCount: layout.wordCount,
    isDeclared: (word) =>
      isPoolHint(layout, word) || isOwnerWord(layout, word) || isPoolStatistic(layout, word),
    words: [
      {
        word: 'ATTENTION',
        at: [pool.ATTENTION],
        argument:
          'Read plainly on hot paths. An old value costs time only: the waiter raises it again ' +
          'at ' +
          'each sweep, and `refill` looks with order.',
      },
      {
        word: 'CACHE_COUNT, HOARD',
        at: slots.flatMap((slot) =>
          [pool.CACHE_COUNT, pool.HOARD].map((word) => layout.thread(slot) + word),
        ),
        argument:
          'One writer; others read it to choose whom to ring. An old value rings one thread too ' +
          'many or too few, and the next sweep looks again.',
      },
      {
        word: 'TICKET',
        at: slots.map((slot) => layout.thread(slot) + pool.TICKET),
        argument:
          'Read to find who has waited longest. An old value may serve another first; GRANT, by ' +
          'compare-exchange, decides whether a thread is served.',
      },
      {
        word: 'OWNER',
        at: ids.map((id) => layout.buffer(id) + pool.OWNER),
        argument:
          'A receiver reads it after the carrier has published the packet, and it stays while ' +
          'shares are out. `reclaim` reads all; one that names the dead was written by the dead, ' +
          'and `notify`, under the lock by which the engine took its waits away, comes after.',
      },
      {
        word: 'counters',
        at: slots.flatMap((slot) => counters.map((counter) => layout.thread(slot) + counter)),
        argument: 'One writer; only `stats()` of others reads them, and decides nothing by them.',
      },
      {
        word: 'COUNT of a stripe',
        at: slots.map((slot) => layout.stripe(slot) + pool.STRIPE_COUNT),
        argument: 'Written under the claim; only `stats()` of others reads it.',
      },
      {
        word: 'holders',
        at: [
          ...slots.flatMap((slot) => {
            return upTo(HOLDER_WORDS).map((i) => layout.thread(slot) + pool.OWN_HOLDER + i);
          }),
          ...ids.flatMap((i) =>
            upTo(HOLDER_WORDS - 1).map((field) => layout.holder(i) + field + 1),
          ),
        ],
        argument: 'One writer; only `who()` of others reads them, and decides nothing by them.',
      },
      {
        word: 'REFS',
        at: slots.flatMap((slot) => ids.map((id) => layout.refs(slot) + id)),
        argument: 'One writer; only `stats()` of others reads them, and decides nothing by them.',
      },
    ],
  };
}

const CHANNEL_WORDS = {
  spscTail:
    'The receiver reads TAIL plainly to see whether there is news, the sender its own last ' +
    'value. ' +
    'An ordered load or compare-exchange, whose value is used, follows before a slot is touched.',
  spscHead: 'As TAIL, with the sides exchanged.',
  tail:
    'A hint, written after the group before it was claimed, so never beyond the frontier. An old ' +
    'value costs steps; the claim is a compare-exchange of TURN.',
  head: 'As TAIL, for receivers.',
  turn:
    'Looked at plainly to pass over slots that others have; what a claim or `take` acts on is a ' +
    "compare-exchange, or an ordered load whose own value is looked at. A follower's, written " +
    "plainly with its group, counts only once the first slot's was read or exchanged with order.",
};

function ofChannel(kind: 'spsc' | 'mpsc' | 'mpmc'): RacyStructure {
  const shape = { kind, capacity: 2 };
  const layout = new ChannelLayout(kind, 'words', shape.capacity, 2);
  const isSpsc = kind === 'spsc';
  const words: RacyWord[] = [
    { word: 'TAIL', at: [TAIL], argument: isSpsc ? CHANNEL_WORDS.spscTail : CHANNEL_WORDS.tail },
  ];
  if (kind !== 'mpsc') {
    const argument = isSpsc ? CHANNEL_WORDS.spscHead : CHANNEL_WORDS.head;
    words.push({ word: 'HEAD', at: [HEAD], argument });
  }
  if (!isSpsc) {
    const at = upTo(shape.capacity).map((slot) => layout.slots + slot * layout.slotWords);
    words.push({ word: 'TURN', at, argument: CHANNEL_WORDS.turn });
  }
  return {
    name: `${kind} channel`,
    wordCount: layout.wordCount,
    isDeclared: (word) => isChannelHint(layout, shape, word),
    words,
  };
}

function ofFlusher(): RacyStructure {
  const layout = new flusher.FlusherLayout(2, 2);
  const lanes = upTo(layout.writerCount);
  const regions = upTo(layout.regionCount);
  return {
    name: 'flusher',
    wordCount: layout.wordCount,
    isDeclared: (word) => isFlusherHint(layout, word) || isReferenceWord(layout, word),
    words: [
      {
        word: 'ready',
        at: [...new Set(lanes.map((lane) => layout.readyWord(lane)))],
        argument:
          'Read plainly by `drain`: who polls sees a bit at last; who goes to sleep looks again ' +
          'with order after it has said so.',
      },
      {
        word: 'lane TAIL',
        at: lanes.map((lane) => layout.lane(lane) + flusher.TAIL),
        argument: 'Looked at by a writer that joins, and loaded again once it may use the lane.',
      },
      {
        word: "a region's last word",
        at: lanes.flatMap((lane) => regions.map((slot) => layout.slot(lane, slot) + TRANSIT_MARK)),
        argument:
          'Written before TAIL publishes the region. When a flusher is closed several threads ' +
          'may ' +
          'take it back: the exchange of this word decides who does.',
      },
    ],
  };
}

function ofWriter(): RacyStructure {
  const layout = new writer.SharedWriterLayout(16, 2);
  const segments = upTo(layout.segmentCount).map((place) => layout.segment(place));
  const entries = upTo(layout.segmentCount).flatMap((place) =>
    upTo(layout.entryCount).map((entry) => layout.entry(place, entry) + writer.STATE),
  );
  return {
    name: 'shared writer',
    wordCount: layout.wordCount,
    isDeclared: (word) => isWriterHint(layout, word),
    words: [
      {
        word: 'EPOCH',
        at: [writer.EPOCH],
        argument: 'Where a reservation begins to look; the compare-exchange of FILL decides.',
      },
      {
        word: 'SHUT',
        at: [writer.SHUT],
        argument: 'Asked by `recover` for the dead thread alone, while a living one may write it.',
      },
      {
        word: 'segment FILL',
        at: segments.map((segment) => segment + writer.FILL),
        argument: 'A guess: each reservation is a compare-exchange of it, from the value it saw.',
      },
      {
        word: 'segment BUFFER',
        at: segments.map((segment) => segment + writer.BUFFER),
        argument: 'Declared so by the writer; what is done with it rests on the claim of FILL.',
      },
      {
        word: 'entry STATE',
        at: entries,
        argument:
          'Written plainly by who reserved the entry; others change it by compare-exchange, and ' +
          'only once they have seen it OPEN.',
      },
    ],
  };
}

export function racyStructures(): RacyStructure[] {
  return [
    ofPool(),
    ofChannel('spsc'),
    ofChannel('mpsc'),
    ofChannel('mpmc'),
    ofFlusher(),
    ofWriter(),
  ];
}

/** The table of docs/verification.md. */
export function racyTable(): string {
  const rows = new Map<string, { where: string[]; word: string }>();
  for (const { name, words } of racyStructures()) {
    for (const { word, argument } of words) {
      const key = `${word}\n${argument}`;
      const row = rows.get(key) ?? { where: [], word };
      row.where.push(name);
      rows.set(key, row);
    }
  }
  const lines = [...rows].map(
    ([key, { where, word }]) => `| ${where.join(', ')} | ${word} | ${key.split('\n')[1]} |`,
  );
  return ['| in | word | why it may race |', '|---|---|---|', ...lines].join('\n');
}
