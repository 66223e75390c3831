// SPDX-License-Identifier: MIT
/** Example broker: one subscription of one connection. */

import type { Bytes, Indexed } from 'busbar/bus';

const WORD_BYTES = 4;

/** Made by a client's SUB. `Owner` is the connection that gets the messages. */
export class Subscription<Owner> implements Indexed {
  readonly owner: Owner;
  readonly subject: Bytes;
  /** The queue group's name, or an empty string. */
  readonly queue: string;
  /** The client's id. */
  readonly sid: string;
  /** The same and a space, as they stand in every message line. */
  readonly sidAndSpace: Bytes;
  readonly sidAndSpaceLength: number;
  readonly textBytes: number;
  /** The same in one or two little-endian words; 0 words when it is longer than that. */
  readonly sidWordCount: number;
  readonly sidLow: number;
  readonly sidHigh: number;
  deliveredCount: number = 0;
  /** The subscription ends after this many messages; 0 means never. */
  deliveredCountMax: number = 0;
  /** True if its owner has no room, and other executors were told. */
  isStalled: boolean = false;
  /** Its node in the index, and its place in a list there, or -1. Only for the index. */
  node: object | undefined = undefined;
  place: number = -1;

  constructor(owner: Owner, subject: Bytes, queue: string, sid: string) {
    this.owner = owner;
    this.subject = subject;
    this.queue = queue;
    this.sid = sid;
    this.sidAndSpace = new Uint8Array(Buffer.from(`${sid} `, 'latin1'));
    this.sidAndSpaceLength = sid.length + 1;
    this.textBytes = subject.length + queue.length + sid.length + 1;
    const wordCount = (sid.length + WORD_BYTES) >>> 2;
    this.sidWordCount = wordCount <= 2 ? wordCount : 0;
    const words = Buffer.alloc(2 * WORD_BYTES);
    words.set(this.sidAndSpace.subarray(0, words.length));
    this.sidLow = words.readInt32LE(0);
    this.sidHigh = words.readInt32LE(WORD_BYTES);
  }
}
