// SPDX-License-Identifier: MIT
/** A message as a subscriber sees it: a region of the pool with its subject. */

import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { readText } from '../base/text.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import type { Headers, PublishOptions } from './envelope.ts';
import type { BusPayload } from './payloads.ts';

/** The part of a bus that a message uses to reply. */
export interface Responder {
  readonly pool: BufferPool;
  tryPublish(subject: string, payload: BusPayload, options?: PublishOptions): boolean;
  publish(subject: string, payload: BusPayload, options?: PublishOptions): Promise<void>;
}

/** Messages that came one after the other in one buffer. */
export interface BufferRun {
  bufferId: BufferId;
  /** How many of them a subscription holds, waiting and in hand. */
  held: number;
}

/**
 * One message. Its bytes are those that the publisher wrote: `[offset, offset + length)` of
 * `pool.bytes`.
 *
 * **Ownership** a handler and a loop borrow it: until the handler returns or its promise settles,
 * and until the loop asks for the next one. {@link keep} and {@link packet} last longer. What
 * `request` returns, and what `keep` returns, is the caller's to release; `using` does so.
 */
export class BusMessage implements Disposable {
  /** The subject as published. @readonly */
  subject: string = '';
  /** The subject for replies; undefined: no reply is expected. @readonly */
  reply: string | undefined = undefined;
  /** The publisher's headers; undefined: there are none. @readonly */
  headers: Headers | undefined = undefined;
  /** The bus of the publisher, by its name. @readonly */
  source: string = '';
  /** Counts the messages of this source, from 1. @readonly */
  sequence: number = 0;
  /** Where the bytes begin in `pool.bytes`. @readonly */
  offset: number = 0;
  /** How many bytes there are. @readonly */
  length: number = 0;
  /** The buffer; NO_BUFFER once the message is released, or borrowed no longer. @readonly */
  bufferId: BufferId = NO_BUFFER;
  /** @internal Its reference is the bus's, which calls handlers: they do not release it. */
  isLent: boolean = false;
  /** @internal That of the subscription which holds it. */
  run: BufferRun | undefined = undefined;
  readonly #bus: Responder;

  /** @internal */
  constructor(bus: Responder) {
    this.#bus = bus;
  }

  /** The pool with the bytes. */
  get pool(): BufferPool {
    return this.#bus.pool;
  }

  /** A view of the bytes. **Cost** one object: `pool.bytes` and `offset` need none. */
  get bytes(): Uint8Array<SharedArrayBuffer> {
    this.#check('bytes');
    return this.pool.bytes.subarray(this.offset, this.offset + this.length);
  }

  /** The bytes as text (UTF-8). */
  text(): string {
    this.#check('text');
    return readText(this.pool.bytes, this.offset, this.offset + this.length);
  }

  /** The bytes as a packet, with a reference of its own. **Ownership** the caller's. */
  packet(): Packet {
    this.#check('packet');
    return Packet.sharing(this.pool, this.bufferId, this.offset, this.length);
  }

  /** The same message for longer. **Ownership** the caller releases it. */
  keep(): BusMessage {
    this.#check('keep');
    const copy = this.#copy();
    this.pool.retain(this.bufferId);
    return copy;
  }

  /** @internal A copy that takes over the reference on the buffer. */
  handOver(): BusMessage {
    const copy = this.#copy();
    this.bufferId = NO_BUFFER;
    return copy;
  }

  /**
   * Publishes to {@link reply}. False: not now, and nothing was sent.
   *
   * **Throws** ERR_BUSBAR_BAD_SUBJECT if the message has no reply subject; as `tryPublish`.
   */
  tryRespond(payload: BusPayload, options?: PublishOptions): boolean {
    return this.#bus.tryPublish(this.#replySubject(), payload, options);
  }

  /** Like {@link tryRespond}, but waits. */
  async respond(payload: BusPayload, options?: PublishOptions): Promise<void> {
    await this.#bus.publish(this.#replySubject(), payload, options);
  }

  /** @internal Takes a reference of its own to the buffer; if that throws, it has none. */
  hold(bufferId: BufferId): void {
    this.pool.retain(bufferId);
    this.bufferId = bufferId;
  }

  /**
   * Releases a kept message. No effect the second time, and on one that a handler borrows which is
   * not asynchronous: others get it, too.
   */
  release(): void {
    const id = this.bufferId;
    if (id === NO_BUFFER || this.isLent) return;
    this.bufferId = NO_BUFFER;
    this.pool.release(id);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #copy(): BusMessage {
    const copy = new BusMessage(this.#bus);
    copy.subject = this.subject;
    copy.reply = this.reply;
    copy.headers = this.headers;
    copy.source = this.source;
    copy.sequence = this.sequence;
    copy.offset = this.offset;
    copy.length = this.length;
    copy.bufferId = this.bufferId;
    return copy;
  }

  #replySubject(): string {
    if (this.reply === undefined) {
      const detail = `a message on "${this.subject}" has no reply subject, look at its reply first`;
      throw new BusbarError('ERR_BUSBAR_BAD_SUBJECT', detail);
    }
    return this.reply;
  }

  #check(name: string): void {
    if (this.bufferId !== NO_BUFFER) return;
    throw new BusbarError(
      'ERR_BUSBAR_PACKET_RELEASED',
      `${name} of a borrowed message, keep() it in time`,
    );
  }
}

describeAs(BusMessage, 'BusMessage', ({ subject, reply, source, sequence, length, bufferId }) => ({
  subject,
  ...(reply === undefined ? {} : { reply }),
  source,
  sequence,
  length,
  held: bufferId !== NO_BUFFER,
}));
