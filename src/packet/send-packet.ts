// SPDX-License-Identifier: MIT
/** SendPacket: a packet in transit as an object, for `postMessage`. */

import { checkInteger, checkWords, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { lengthOf } from '../base/views.ts';
import {
  TRANSIT_WORDS,
  type TransitLength,
  type TransitMark,
  type TransitOffset,
} from '../pool/transit-layout.ts';

/**
 * A packet in transit: the reference is in these numbers and belongs to their holder.
 *
 * Structured-cloneable, so it goes through `postMessage` as it is; each must be received exactly
 * once. One that is never received keeps its buffer; so does one that is lost in a MessagePort with
 * its thread. Where that matters, carry packets in shared memory (`pool.moveInto`), which outlives
 * threads.
 */
export interface SendPacket {
  /** BufferId. */
  readonly buffer: number;
  /** First byte, absolute in `pool.bytes`. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** The pool's tag and the shares of the buffer that travel along. */
  readonly contribution: number;
}

/** Words that a {@link SendPacket} fills: buffer, offset, length, contribution. */
export const SEND_PACKET_WORDS: 4 = TRANSIT_WORDS;

/**
 * Reads a SendPacket out of the words that `pool.moveInto` wrote. Only reads: the words still look
 * full. To take the packet out of them use `Packet.moveFrom`.
 */
export function readSendPacket(words: Int32Array<ArrayBufferLike>, index: number): SendPacket {
  checkPlace(words, index);
  return {
    buffer: words[index],
    offset: words[index + (1 satisfies TransitOffset)],
    length: words[index + (2 satisfies TransitLength)],
    contribution: words[index + (3 satisfies TransitMark)],
  };
}

/**
 * Writes a SendPacket into words that `pool.moveFrom` reads.
 *
 * **Throws** ERR_BUSBAR_BAD_SEND_PACKET for a field that is not a 32-bit integer, TypeError,
 * RangeError; nothing is written then.
 */
export function writeSendPacket(
  words: Int32Array<ArrayBufferLike>,
  index: number,
  packet: SendPacket,
): void {
  checkPlace(words, index);
  if (typeof packet !== 'object' || packet === null) {
    throw new TypeError(`packet must be a SendPacket, got ${show(packet)}`);
  }
  // Read all of them before the first write: a getter may call this function again, or throw.
  const buffer = wordOf('buffer', packet.buffer);
  const offset = wordOf('offset', packet.offset);
  const length = wordOf('length', packet.length);
  const contribution = wordOf('contribution', packet.contribution);
  words[index] = buffer;
  words[index + (1 satisfies TransitOffset)] = offset;
  words[index + (2 satisfies TransitLength)] = length;
  words[index + (3 satisfies TransitMark)] = contribution;
}

/** Checks that a word holds the value as it is: '7', 1.5 and undefined would change. */
function wordOf(name: string, value: number): number {
  if (typeof value === 'number' && (value | 0) === value) return value;
  throw new BusbarError('ERR_BUSBAR_BAD_SEND_PACKET', `${name} is ${show(value)}`);
}

function checkPlace(words: Int32Array<ArrayBufferLike>, index: number): void {
  checkInteger('index', index, 0, lengthOf(checkWords('words', words)) - SEND_PACKET_WORDS);
}

/**
 * Marks a SendPacket as received, so that the same object cannot be received twice. A copy
 * that was made before still can: do not copy SendPackets.
 */
export function useUp(packet: SendPacket): void {
  try {
    (packet as { contribution: number }).contribution = 0;
  } catch {
    // Frozen: it is received nevertheless.
  }
}
