// SPDX-License-Identifier: MIT
/** The messages that an executor's bus may have had in hand when the executor crashed. */

import { readText } from '../base/text.ts';
import { throwLater } from '../base/throw-later.ts';
import type { TakenRegion } from '../executor/in-hand.ts';
import { type BufferId, NO_BUFFER } from '../pool/index.ts';
import { BusMessage, type Responder } from './bus-message.ts';
import type { BusOptions } from './bus-options.ts';
import { headersAt } from './bus-peers.ts';
import type { LaneGroup } from './peer/lane-group.ts';
import { MessageFrame } from './peer/message-frame.ts';
import { WORD_BYTES } from './peer/peer-layout.ts';

/** Tells `onCrash` of crashes in a group, and of the messages; see `BusOptions.onCrash`. */
export function reportCrashes(
  group: LaneGroup,
  bus: Responder,
  onCrash: NonNullable<BusOptions['onCrash']>,
  nameOf: (index: number) => string,
): void {
  const messages = new MessagesInHand(bus, nameOf);
  group.onCrash((index, taken) => messages.lend(taken, (all) => onCrash(index, all)));
}

/**
 * Reads messages out of regions whose buffers the thread had not given back. A payload that lies
 * elsewhere came as a region of length 0; its frame came next, and was given back: what lies there
 * now counts only if it refers to that payload.
 */
class MessagesInHand {
  readonly #bus: Responder;
  readonly #nameOf: (index: number) => string;
  readonly #words: Int32Array<ArrayBufferLike>;
  readonly #frame: MessageFrame = new MessageFrame();

  /** `nameOf`: the name of the bus with that index. */
  constructor(bus: Responder, nameOf: (index: number) => string) {
    this.#bus = bus;
    this.#nameOf = nameOf;
    const { bytes } = bus.pool;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }

  /** Calls `listener` with the messages, which it borrows. */
  lend(taken: readonly TakenRegion[], listener: (messages: readonly BusMessage[]) => void): void {
    const messages = taken.flatMap((each) => this.#read(each));
    for (const message of messages) message.isLent = true;
    try {
      listener(messages);
    } catch (error) {
      // The other listeners must hear of the crash.
      throwLater(error);
    }
    for (const message of messages) message.bufferId = NO_BUFFER;
  }

  #read({ from, bufferId, offset, length, next }: TakenRegion): BusMessage[] {
    const source = this.#nameOf(from);
    if (length === 0) return [this.#readReference(source, bufferId, offset, next)];
    const frame = this.#frame;
    const end = offset + length;
    const found: BusMessage[] = [];
    for (let at = offset; at < end; ) {
      if (!frame.read(this.#words, at, end)) {
        at += WORD_BYTES;
        continue;
      }
      if (!frame.isReference) found.push(this.#message(source, bufferId));
      at = frame.end;
    }
    return found;
  }

  #readReference(
    source: string,
    bufferId: BufferId,
    begin: number,
    next: TakenRegion['next'],
  ): BusMessage {
    const { pool } = this.#bus;
    const frame = this.#frame;
    const { offset = 0, length = 0 } = next ?? {};
    const end = offset + length;
    const isInside = offset > 0 && length > 0 && (offset & 3) === 0 && end <= pool.bytes.length;
    const isKnown =
      isInside &&
      frame.read(this.#words, offset, end) &&
      frame.isReference &&
      frame.payloadAt >= begin &&
      frame.payloadAt + frame.payloadBytes <= begin + pool.bufferSize;
    try {
      if (isKnown) return this.#message(source, bufferId);
    } catch {
      // Another frame has taken the place of its headers.
    }
    const message = new BusMessage(this.#bus);
    message.bufferId = bufferId;
    message.source = source;
    message.offset = begin;
    return message;
  }

  #message(source: string, bufferId: BufferId): BusMessage {
    const { bytes } = this.#bus.pool;
    const { subjectAt, subjectBytes, replyAt, replyBytes, headerBytes } = this.#frame;
    const { sequence, payloadAt, payloadBytes } = this.#frame;
    const message = new BusMessage(this.#bus);
    const replyEnd = replyAt + replyBytes;
    message.subject = readText(bytes, subjectAt, subjectAt + subjectBytes);
    if (replyBytes > 0) message.reply = readText(bytes, replyAt, replyEnd);
    if (headerBytes > 0) message.headers = headersAt(bytes, replyEnd, headerBytes);
    message.source = source;
    message.sequence = sequence;
    message.offset = payloadAt;
    message.length = payloadBytes;
    message.bufferId = bufferId;
    return message;
  }
}
