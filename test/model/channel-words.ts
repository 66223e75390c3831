// SPDX-License-Identifier: MIT
/**
 * Model checker: a channel's shared words: names, hints, and the invariants of messages at the end.
 */

import type { Outcome } from 'busbar/testing';
import { isChannelHint as isWordHint } from '../../src/channel/channel-hints.ts';
import {
  type ChannelKind,
  ChannelLayout,
  HEAD,
  HEADER_CLOSED,
  HOLDER,
  LAP_SHIFT,
  MEMBERS,
  PASSED,
  REFUSED,
  TAIL,
  WAITING,
  WAITS,
} from '../../src/channel/channel-layout.ts';
import type { ChannelHandle, PacketChannel, WordChannel } from '../../src/channel/index.ts';
import type { Packet } from '../../src/packet/index.ts';
import { PoolLayout } from '../../src/pool/pool-layout.ts';
import {
  isHint,
  isOwnerWord,
  type PoolModule,
  type PoolShape,
  type PoolShared,
  poolWordName,
} from './pool-words.ts';

/** The parts of the modules that scenarios use: the modules themselves, or copies of them. */
export interface ChannelModule extends PoolModule {
  readonly PacketChannel: typeof PacketChannel;
  readonly WordChannel: typeof WordChannel;
  readonly Packet: typeof Packet;
}

export interface ChannelShape {
  readonly kind: ChannelKind;
  readonly capacity: number;
  readonly carries: 'packets' | 'words';
  readonly survives?: boolean;
}

/** What threads of a channel scenario share. Block 2 is spare words, 3 the channel. */
export interface ChannelShared extends PoolShared {
  readonly channel: ChannelHandle;
  readonly shape: ChannelShape;
  readonly channelLayout: ChannelLayout;
}

/** Makes a pool and a channel without attached threads; `begin` is where positions begin. */
export function makeChannel(
  module: ChannelModule,
  pool: PoolShape,
  shape: ChannelShape,
  begin = 0,
): ChannelShared {
  const { kind, capacity, carries, survives = false } = shape;
  const maker = module.BufferPool.create({ ...pool, bufferSize: 16, trackLeaks: false });
  const words = new Int32Array(new SharedArrayBuffer(64));
  const Channel = carries === 'packets' ? module.PacketChannel : module.WordChannel;
  const { handle } = Channel.create(maker, { kind, capacity, survives });
  const channelLayout = new ChannelLayout(kind, carries, capacity, pool.maxThreads);
  if (begin !== 0) moveOn(new Int32Array(handle.control), channelLayout, shape, begin);
  maker.detach();
  return {
    handle: maker.handle,
    words,
    layout: new PoolLayout(pool.bufferCount, pool.maxThreads, pool.batchSize),
    channel: handle,
    shape,
    channelLayout,
  };
}

/** Brings an empty, unused channel to where it would be after `position` messages. */
export function moveOn(
  words: Int32Array,
  layout: ChannelLayout,
  { kind, capacity }: ChannelShape,
  position: number,
): void {
  const unit = kind === 'spsc' ? 4 : 1;
  words[TAIL] = position * unit;
  words[HEAD] = position * unit;
  if (kind === 'spsc') return;
  for (let slot = 0; slot < capacity; slot++) {
    const behind = slot < (position & (capacity - 1)) ? 1 : 0;
    const lap = (position >>> Math.log2(capacity)) + behind;
    words[layout.slots + slot * layout.slotWords] = lap << LAP_SHIFT;
  }
}

/** Words that may be read without order: they are looked at again before they count. */
export function isChannelHint(shared: ChannelShared, block: number, word: number): boolean {
  if (block === 0) return isHint(shared, block, word) || isOwnerWord(shared, block, word);
  if (block !== 3) return false;
  return isWordHint(shared.channelLayout, shared.shape, word);
}

/** Names for traces. */
export function channelWordName(
  shared: ChannelShared,
  block: number,
  word: number,
): string | undefined {
  if (block !== 3) return poolWordName(shared, block, word);
  const { channelLayout: layout, shape } = shared;
  if (word === TAIL) return 'TAIL';
  if (word === HEAD) return 'HEAD';
  if (word === HEADER_CLOSED) return 'CLOSED';
  const sides: [string, number, (seat: number) => number][] = [
    ['sender', layout.senderSeats, (seat) => layout.senderSeat(seat)],
    ['receiver', layout.receiverSeats, (seat) => layout.receiverSeat(seat)],
  ];
  for (const [side, count, at] of sides) {
    for (let seat = 0; seat < count; seat++) {
      const name = SEAT_NAMES.get(word - at(seat));
      if (name !== undefined) return `${side} ${seat} ${name}`;
    }
  }
  const at = word - layout.slots;
  if (at < 0 || at >= shape.capacity * layout.slotWords) return undefined;
  const field = at % layout.slotWords;
  const slot = Math.floor(at / layout.slotWords);
  if (shape.kind === 'spsc') return `slot ${slot}[${field}]`;
  return `slot ${slot} ${field === 0 ? 'TURN' : `[${field - 1}]`}`;
}

const SEAT_NAMES: ReadonlyMap<number, string> = new Map([
  [HOLDER, 'HOLDER'],
  [WAITING, 'WAITING'],
  [MEMBERS, 'MEMBERS'],
  [PASSED, 'PASSED'],
  [REFUSED, 'REFUSED'],
  [WAITS, 'WAITS'],
]);

/** What a thread says it has sent, or received: message m of sender s is 16 · s + m. */
export interface Told {
  readonly sent?: readonly number[];
  readonly received?: readonly number[];
}

/** What the successor of a dead sender sent arrives: neither side has given up. */
export function checkSurvival(outcome: Outcome): void {
  const told = Object.values(outcome.results) as (Told | undefined)[];
  const received = told.flatMap((one) => one?.received ?? []);
  const isMissing = (message: number): boolean => message >= 160 && !received.includes(message);
  const lost = told.flatMap((one) => one?.sent ?? []).filter(isMissing);
  if (lost.length > 0) throw new Error(`lost: ${lost} of ${JSON.stringify(outcome.results)}`);
}

/** Nothing came twice, from nowhere or out of order; unless it may, nothing is missing. */
export function checkMessages(outcome: Outcome, mayLose: boolean): void {
  const sent = new Set<number>();
  const received = new Set<number>();
  const told = Object.values(outcome.results) as (Told | undefined)[];
  const story = JSON.stringify(outcome.results);
  for (const { sent: list = [] } of told.map((one) => one ?? {})) {
    for (const message of list) sent.add(message);
  }
  for (const { received: list = [] } of told.map((one) => one ?? {})) {
    const last = new Map<number, number>();
    for (const message of list) {
      if (received.has(message)) throw new Error(`${message} came twice: ${story}`);
      received.add(message);
      if (message <= (last.get(message >> 4) ?? -1)) throw new Error(`out of order: ${story}`);
      last.set(message >> 4, message);
      // A killed thread has not recorded its last send.
      if (!sent.has(message) && outcome.killed.length === 0) {
        throw new Error(`${message} was never sent: ${story}`);
      }
    }
  }
  if (mayLose) return;
  for (const message of sent) {
    if (!received.has(message)) throw new Error(`${message} is lost: ${story}`);
  }
}
