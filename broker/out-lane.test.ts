// SPDX-License-Identifier: MIT
/** Example broker: what an executor tells another of its clients' interests, and how fast. */

import { OwnInterest } from 'busbar/bus';
import { expect, test } from 'vitest';
import { BufferPool } from '../src/pool/index.ts';
import { FairShare } from './fair-share.ts';
import {
  INTEREST,
  readInterest,
  SIGN_BYTES,
  SYNC,
  TELL,
  TELL_BYTES,
  wordAt,
} from './mesh-messages.ts';
import { CHANGES_MAX, type LaneCore, OutLane } from './out-lane.ts';
import { noPeers } from './peers.ts';
import { Scratch } from './scratch.ts';
import { Subscription } from './subscription.ts';

const LISTENER = 7;
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** A lane to an executor that hears nothing by itself, and what was sent there. */
function laneWith(interests: number): { lane: OutLane; core: LaneCore; heard: () => number[] } {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 512, maxThreads: 1 });
  const own = new OwnInterest();
  for (let i = 0; i < interests; i++) {
    own.add(new Subscription(null, bytesOf(`to.${i}`), '', bytesOf('1')));
  }
  let kinds: number[] = [];
  const core: LaneCore = {
    pool,
    own,
    peers: {
      ...noPeers(),
      count: 2,
      trySend: (_to, bufferId, offset, length) => {
        for (let at = offset; at < offset + length; ) {
          const kind = wordAt(pool.view, at, 0);
          kinds.push(kind);
          if (kind === INTEREST) at = readInterest(pool.view, pool.bytes, at).end;
          else at += kind === SYNC ? SIGN_BYTES : kind === TELL ? TELL_BYTES : 2 * SIGN_BYTES;
        }
        pool.release(bufferId);
        return true;
      },
    },
    scratch: new Scratch(pool, () => {}),
    windowBytes: 65_536,
    windowRegions: 8,
    share: new FairShare(() => {}),
    isDirty: false,
  };
  const heard = (): number[] => {
    const all = kinds;
    kinds = [];
    return all;
  };
  return { lane: new OutLane(core, 1), core, heard };
}

test('no more interests are on their way than said, and the last is followed by SYNC', () => {
  const count = 2 * CHANGES_MAX + 100;
  const { lane, heard } = laneWith(count);
  lane.open(LISTENER);
  const told: number[] = [];
  for (let done = 0; done < count; ) {
    lane.flush();
    const kinds = heard();
    expect(kinds.includes(SYNC)).toBe(done + CHANGES_MAX >= count);
    const now = kinds.filter((kind) => kind === INTEREST).length;
    told.push(now);
    done += now;
    // Until the other has heard some of them nothing more is said, and no message may overtake.
    lane.flush();
    expect(heard()).toEqual([]);
    lane.done(done, 0, 0);
  }
  expect(told).toEqual([CHANGES_MAX, CHANGES_MAX, 100]);
  expect(lane.unheardCount).toBe(0);
});
