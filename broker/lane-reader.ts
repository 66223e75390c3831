// SPDX-License-Identifier: MIT
/** The broker: reads the messages of another executor, which are as they came from its clients. */

import type { MessageReader } from 'busbar/bus';
import type { BufferPool } from 'busbar/pool';
import { Message } from './message.ts';
import { OP_HPUB, OP_PUB, ProtocolCodec, type ProtocolLimits } from './protocol.ts';

export class LaneReader implements MessageReader<Message> {
  subjectBegin: number = 0;
  subjectEnd: number = 0;
  subjectHash: number = 0;
  isRepeated: boolean = false;
  readonly #pool: BufferPool;
  readonly #codec: ProtocolCodec;
  readonly #message: Message;

  constructor(pool: BufferPool, limits: ProtocolLimits) {
    this.#pool = pool;
    this.#codec = new ProtocolCodec(pool.view, limits);
    this.#message = new Message(pool, this.#codec);
  }

  read(begin: number, end: number): Message {
    const codec = this.#codec;
    const length = codec.measure(this.#pool.bytes, begin, end, 0);
    const isMessage = codec.op === OP_PUB || codec.op === OP_HPUB;
    if (!isMessage || begin + length > end) throw new Error('no message in the lane');
    this.subjectBegin = begin + codec.subjectBegin;
    this.subjectEnd = begin + codec.subjectEnd;
    this.subjectHash = codec.subjectHash;
    this.isRepeated = codec.isRepeated;
    this.#message.set(begin, begin + length);
    return this.#message;
  }
}
