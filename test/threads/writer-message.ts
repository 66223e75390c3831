// SPDX-License-Identifier: MIT
/** Test tool: numbered messages of which every byte can be checked. */

/** thread u16, number u32, length of the rest u16. */
export const HEADER_BYTES = 8;

type SharedBytes = Uint8Array<ArrayBufferLike>;

/** Writes message `number` of `thread`, `length` bytes in all. */
export function putMessage(
  bytes: SharedBytes,
  offset: number,
  length: number,
  thread: number,
  number: number,
): void {
  const rest = length - HEADER_BYTES;
  const header = [
    thread,
    thread >> 8,
    number,
    number >> 8,
    number >> 16,
    number >> 24,
    rest,
    rest >> 8,
  ];
  for (let i = 0; i < HEADER_BYTES; i++) bytes[offset + i] = header[i] & 255;
  for (let i = 0; i < rest; i++)
    bytes[offset + HEADER_BYTES + i] = (thread * 31 + number + i) & 255;
}

/** Checks a stream of messages: of each thread in order, whole, and right to the last byte. */
export class MessageChecker {
  /** Number of the last message, and how many there were, by thread. */
  readonly last: Map<number, number> = new Map();
  readonly counts: Map<number, number> = new Map();
  total = 0;

  /** Checks a region: a run of whole messages. */
  take(bytes: SharedBytes, offset: number, length: number): void {
    const end = offset + length;
    let at = offset;
    while (at < end) at += this.#takeOne(bytes, at, end);
    if (at !== end) throw new Error(`a message reaches ${at - end} bytes out of its region`);
  }

  #takeOne(bytes: SharedBytes, at: number, end: number): number {
    if (at + HEADER_BYTES > end) throw new Error('a region ends within a header');
    const thread = bytes[at] | (bytes[at + 1] << 8);
    const number =
      bytes[at + 2] | (bytes[at + 3] << 8) | (bytes[at + 4] << 16) | (bytes[at + 5] << 24);
    const rest = bytes[at + 6] | (bytes[at + 7] << 8);
    for (let i = 0; i < rest; i++) {
      if (bytes[at + HEADER_BYTES + i] !== ((thread * 31 + number + i) & 255)) {
        throw new Error(`message ${number} of thread ${thread} is wrong at byte ${i} of ${rest}`);
      }
    }
    const last = this.last.get(thread) ?? -1;
    if (number <= last) throw new Error(`message ${number} of thread ${thread} after ${last}`);
    this.last.set(thread, number);
    this.counts.set(thread, (this.counts.get(thread) ?? 0) + 1);
    this.total++;
    return HEADER_BYTES + rest;
  }
}
