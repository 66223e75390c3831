// SPDX-License-Identifier: MIT
/**
 * Example broker: the format of messages between executors. `mesh.ts` describes their protocol.
 *
 *   word      0          1               2               3          then
 *   ASK       │ kind     │ asker's epoch │
 *   TELL      │ kind     │ asker's epoch │ teller's epoch │
 *   SYNC      │ kind     │
 *   INTEREST  │ kind     │ subject bytes │ queue bytes   │ weight   │ subject, queue
 *   DONE      │ kind     │ interests     │ regions       │ bytes    │ all modulo 2³²
 *
 * A weight less than 0 means that the interest is stalled.
 *
 *   SERVE     │ kind     │ plain: 0 or 1 │ name bytes    │ queue groups, a space after each
 *   FENCE     │ kind     │
 *   BYE       │ kind     │
 *   message   as its publisher sent it: PUB subject …, HPUB subject …
 *
 * Words are 32 bits, little-endian, at any address. A region holds one or more of these, one after
 * another, either of the first kind, *notices*, or of the second, *the stream*. The first byte is
 * less than 16 for a notice, and less than a space for everything except a message.
 */

import type { Bytes } from 'busbar/bus';

export const ASK = 1;
export const TELL = 2;
export const SYNC = 3;
export const INTEREST = 4;
export const DONE = 5;
/** First kind of the stream. */
export const STREAM_MIN = 0x10;
export const SERVE = 0x10;
export const FENCE = 0x11;
export const BYE = 0x12;
/** Smallest first byte of a message. */
export const MESSAGE_MIN = 0x20;

const WORD_BYTES = 4;
export const SIGN_BYTES: number = WORD_BYTES;
export const ASK_BYTES: number = 2 * WORD_BYTES;
export const TELL_BYTES: number = 3 * WORD_BYTES;
export const DONE_BYTES: number = 4 * WORD_BYTES;
const INTEREST_HEAD_BYTES = 4 * WORD_BYTES;
const SERVE_HEAD_BYTES = 3 * WORD_BYTES;

type View = DataView<ArrayBufferLike>;

/** Writes SYNC, FENCE or BYE, which have no fields. */
export function writeSign(view: View, at: number, kind: number): void {
  view.setInt32(at, kind, true);
}

export function writeAsk(view: View, at: number, epoch: number): void {
  view.setInt32(at, ASK, true);
  view.setInt32(at + WORD_BYTES, epoch, true);
}

export function writeTell(view: View, at: number, asker: number, teller: number): void {
  view.setInt32(at, TELL, true);
  view.setInt32(at + WORD_BYTES, asker, true);
  view.setInt32(at + 2 * WORD_BYTES, teller, true);
}

export function writeDone(
  view: View,
  at: number,
  interests: number,
  regions: number,
  bytes: number,
): void {
  view.setInt32(at, DONE, true);
  view.setInt32(at + WORD_BYTES, interests, true);
  view.setInt32(at + 2 * WORD_BYTES, regions, true);
  view.setInt32(at + 3 * WORD_BYTES, bytes, true);
}

/** The words after the kind. */
export function wordAt(view: View, at: number, index: number): number {
  return view.getInt32(at + index * WORD_BYTES, true);
}

export function interestBytes(subject: Bytes, queue: string): number {
  return INTEREST_HEAD_BYTES + subject.length + queue.length;
}

/** `queue` has one character per byte. */
export function writeInterest(
  view: View,
  bytes: Bytes,
  at: number,
  subject: Bytes,
  queue: string,
  weight: number,
): void {
  view.setInt32(at, INTEREST, true);
  view.setInt32(at + WORD_BYTES, subject.length, true);
  view.setInt32(at + 2 * WORD_BYTES, queue.length, true);
  view.setInt32(at + 3 * WORD_BYTES, weight, true);
  bytes.set(subject, at + INTEREST_HEAD_BYTES);
  writeText(bytes, at + INTEREST_HEAD_BYTES + subject.length, queue);
}

/** An interest of another executor's clients. */
export interface AnnouncedInterest {
  readonly subject: Bytes;
  readonly queue: string;
  readonly weight: number;
  /** Offset of the next one. */
  readonly end: number;
}

export function readInterest(view: View, bytes: Bytes, at: number): AnnouncedInterest {
  const subjectBegin = at + INTEREST_HEAD_BYTES;
  const subjectEnd = subjectBegin + wordAt(view, at, 1);
  const end = subjectEnd + wordAt(view, at, 2);
  return {
    subject: bytes.slice(subjectBegin, subjectEnd),
    queue: readText(bytes, subjectEnd, end),
    weight: wordAt(view, at, 3),
    end,
  };
}

export function serveBytes(names: readonly string[]): number {
  let length = SERVE_HEAD_BYTES;
  for (const name of names) length += name.length + 1;
  return length;
}

export function writeServe(
  view: View,
  bytes: Bytes,
  at: number,
  plain: boolean,
  names: readonly string[],
): void {
  view.setInt32(at, SERVE, true);
  view.setInt32(at + WORD_BYTES, plain ? 1 : 0, true);
  view.setInt32(at + 2 * WORD_BYTES, serveBytes(names) - SERVE_HEAD_BYTES, true);
  writeText(bytes, at + SERVE_HEAD_BYTES, names.map((name) => `${name} `).join(''));
}

/** Recipients of the messages that follow. */
export interface Service {
  readonly plain: boolean;
  readonly names: readonly string[];
  readonly end: number;
}

export function readServe(view: View, bytes: Bytes, at: number): Service {
  const begin = at + SERVE_HEAD_BYTES;
  const end = begin + wordAt(view, at, 2);
  const names = readText(bytes, begin, end).split(' ').slice(0, -1);
  return { plain: wordAt(view, at, 1) === 1, names, end };
}

function writeText(bytes: Bytes, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

function readText(bytes: Bytes, begin: number, end: number): string {
  return Buffer.from(bytes.slice(begin, end)).toString('latin1');
}
