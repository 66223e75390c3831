// SPDX-License-Identifier: MIT
/** `planPool`: how many buffers a program with links needs, and why. */

import { checkBoolean, checkInteger, checkOptions } from '../base/check.ts';

/** What a program does with its links. */
export interface PoolUse {
  /** Links that are open at a time. */
  readonly links: number;
  /** How many of their peers may stop reading at the same time. Default 0. */
  readonly laggards?: number;
  /** Bytes of a message that is sent, as it travels. */
  readonly messageBytes: number;
  /** Bytes of a message that peers send. Default 0: up to 256 one begun needs no buffer. */
  readonly requestBytes?: number;
  /**
   * Whether the same packets go to all (`PacketWriter`, `link.trySend`), rather than what is
   * written to each link (`link.writer`). Default false.
   */
  readonly packets?: boolean;
}

/** A part of a {@link PoolPlan}. */
export interface PoolPlanPart {
  readonly bufferCount: number;
  readonly why: string;
}

/** How many buffers a program needs. */
export interface PoolPlan {
  /** The sum of the parts. */
  readonly bufferCount: number;
  /** Whether the pool has as many. */
  readonly fits: boolean;
  readonly parts: readonly PoolPlanPart[];
  /** All of it, for people. */
  readonly text: string;
}

/** Of a frame begun, up to so much is kept outside of the pool. */
const PARKED_BYTES_MAX = 256;
/** What a link may hold at least, however many others do: its fair share. */
const SHARE_MIN = 2;
/** For what is read and delivered at once, and what moves between caches. */
const SPARE = 4;

const KEYS = ['links', 'laggards', 'messageBytes', 'requestBytes', 'packets'];

/** See `BufferPool.plan`. */
export function planPool(bufferSize: number, bufferCount: number, use: PoolUse): PoolPlan {
  const own = checkOptions('use', use, KEYS);
  const links = checkInteger('links', own.links, 0, 1 << 20);
  const laggards = checkInteger('laggards', own.laggards ?? 0, 0, links);
  checkInteger('messageBytes', own.messageBytes, 1, bufferSize);
  const requestBytes = own.requestBytes ?? 0;
  checkInteger('requestBytes', requestBytes, 0, bufferSize);
  const packets = checkBoolean('packets', own.packets ?? false);
  const parts: PoolPlanPart[] = [];
  const add = (count: number, why: string): void => {
    if (count > 0) parts.push({ bufferCount: count, why });
  };
  if (packets) add(2, 'packets for all links: the buffer they are carved from, and the next');
  else add(links, `a message for each of ${links} links, written in one turn`);
  if (requestBytes > PARKED_BYTES_MAX) add(links, `a frame begun from each of ${links} peers`);
  add(SPARE, 'reading, and to spare');
  const others = parts.reduce((sum, part) => sum + part.bufferCount, 0);
  if (laggards > 0) {
    const held = Math.max(others, SHARE_MIN * laggards);
    const what = `${laggards} peers that do not read: half of the pool, ${SHARE_MIN} each at least`;
    add(held, what);
  }
  const needed = parts.reduce((sum, part) => sum + part.bufferCount, 0);
  const lines = parts.map((part) => `${String(part.bufferCount).padStart(8)}  ${part.why}`);
  const verdict = bufferCount < needed ? 'too few' : 'enough';
  const has = `of ${bufferSize} bytes; the pool has ${bufferCount}: ${verdict}`;
  return Object.freeze({
    bufferCount: needed,
    fits: bufferCount >= needed,
    parts: Object.freeze(parts),
    text: [...lines, `${String(needed).padStart(8)}  ${has}`].join('\n'),
  });
}
