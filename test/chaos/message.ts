// SPDX-License-Identifier: MIT
/**
 * Test tool: the messages of a chaos run. All bytes of one follow from its source and its number,
 * so its receiver can check that it is unaltered, and that it is the expected one.
 *
 *   KIND u8 │ ROUTE u8 │ SOURCE u16 │ SEQUENCE u32 │ SESSION u32 │ PATH u32 │ SUM u32 │ payload
 */
import { EXECUTORS } from './board.ts';

// Kinds.
export const MESSAGE = 1;
/** The first on a connection: which source it is. */
export const HELLO = 2;
/** Nothing comes behind it until the next round; SEQUENCE is the number of the round. */
export const FENCE = 3;
/** The answer to a fence. */
export const FENCE_BACK = 4;
/** Fills a connection whose reader has stopped. */
export const FILLER = 5;

// Routes: what the host does with a message.
export const BY_SPSC = 0;
export const BY_MPMC = 1;
/** And from here on: to this executor. */
export const BY_GROUP = 2;
export const ROUTE_COUNT: number = BY_GROUP + EXECUTORS;

/** What an executor can do with a message: see its module. */
export const CHOICES = 4;
export const LANE_COUNT: number = BY_GROUP + EXECUTORS * CHOICES;

export const KIND_AT = 0;
export const ROUTE_AT = 1;
export const SOURCE_AT = 2;
export const SEQUENCE_AT = 4;
export const SESSION_AT = 8;
export const PATH_AT = 12;
export const SUM_AT = 16;
export const HEADER_BYTES = 20;

const PAYLOAD_BYTES_MAX = 900;
/** Of a sequence: which runs of 64 messages are large. */
const LARGE_MASK = 0xc0;
const LARGE_BYTES_MIN = 600;
const LARGE_SPREAD = 300;
export const MESSAGE_BYTES_MAX: number = HEADER_BYTES + PAYLOAD_BYTES_MAX;

/** TCP has a length in four bytes before each message. */
export const PREFIX_BYTES = 4;

/** Anything that follows from the two numbers, 0 … 2³² − 1. */
export function hashOf(source: number, sequence: number): number {
  let hash = Math.imul(sequence + 1, 0x9e3779b1) ^ Math.imul(source + 1, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

export function payloadBytesOf(source: number, sequence: number): number {
  const hash = hashOf(source, sequence);
  // One run of messages in four: each of them fills more than half of a tiny pool's buffer.
  if ((sequence & LARGE_MASK) === LARGE_MASK)
    return LARGE_BYTES_MIN + ((hash >>> 5) % LARGE_SPREAD);
  const most = (hash & 31) === 0 ? PAYLOAD_BYTES_MAX : 200;
  return (hash >>> 5) % (most + 1);
}

export function routeOf(source: number, sequence: number): number {
  return (source + sequence) % ROUTE_COUNT;
}

/** What an executor does with a message of the host: one of CHOICES things. */
export function choiceOf(sequence: number): number {
  return (sequence >>> 3) % CHOICES;
}

/** Messages that need the same threads: others go on when one of those is dead. */
export function laneOf(source: number, sequence: number): number {
  const route = routeOf(source, sequence);
  return route < BY_GROUP ? route : BY_GROUP + (route - BY_GROUP) * CHOICES + choiceOf(sequence);
}

/**
 * Messages of one stream keep their order, if they come back by the same path: they take the same
 * way there.
 */
export function streamOf(source: number, sequence: number, session: number): string {
  return `${source}/${session}/${laneOf(source, sequence)}`;
}

/** Byte `i` of the payload. */
function byteOf(hash: number, i: number): number {
  return (hash + i * ((hash >>> 8) | 1)) & 255;
}

export function sumOf(bytes: Uint8Array, begin: number, end: number): number {
  let sum = 0x811c9dc5;
  for (let i = begin; i < end; i++) sum = Math.imul(sum ^ (bytes[i] as number), 0x01000193);
  return sum >>> 0;
}

/** Writes a message at `at`; returns its bytes. */
export function putMessage(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  source: number,
  sequence: number,
  session: number,
): number {
  const hash = hashOf(source, sequence);
  const length = payloadBytesOf(source, sequence);
  putHeader(view, at, MESSAGE, source, sequence, session);
  view.setUint8(at + ROUTE_AT, routeOf(source, sequence));
  const begin = at + HEADER_BYTES;
  for (let i = 0; i < length; i++) bytes[begin + i] = byteOf(hash, i);
  view.setUint32(at + SUM_AT, sumOf(bytes, begin, begin + length));
  return HEADER_BYTES + length;
}

/** Writes the header of anything; no path, no sum. */
export function putHeader(
  view: DataView,
  at: number,
  kind: number,
  source: number,
  sequence: number,
  session: number,
): void {
  view.setUint8(at + KIND_AT, kind);
  view.setUint8(at + ROUTE_AT, 0);
  view.setUint16(at + SOURCE_AT, source);
  view.setUint32(at + SEQUENCE_AT, sequence);
  view.setUint32(at + SESSION_AT, session);
  view.setUint32(at + PATH_AT, 0);
  view.setUint32(at + SUM_AT, 0);
}

/** What is wrong with a message; '' if it is as it was sent. */
export function faultOf(view: DataView, bytes: Uint8Array, at: number, length: number): string {
  const source = view.getUint16(at + SOURCE_AT);
  const sequence = view.getUint32(at + SEQUENCE_AT);
  const hash = hashOf(source, sequence);
  const expected = HEADER_BYTES + payloadBytesOf(source, sequence);
  const name = `message ${source}/${sequence}`;
  if (length !== expected) return `${name} has ${length} bytes, not ${expected}`;
  const begin = at + HEADER_BYTES;
  for (let i = 0; i < length - HEADER_BYTES; i++) {
    const found = bytes[begin + i];
    if (found !== byteOf(hash, i)) return `${name}: byte ${i} of the payload is ${found}`;
  }
  const sum = view.getUint32(at + SUM_AT);
  if (sum !== sumOf(bytes, begin, at + length)) return `${name} has the sum ${sum}`;
  return '';
}
