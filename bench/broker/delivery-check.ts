// SPDX-License-Identifier: MIT
/**
 * Compares every byte that a subscriber receives with the published ones, as fast as a memory
 * comparison.
 */

const PING = Buffer.from('PING\r\n');

/**
 * Expects a block of equally long messages over and over, with PINGs of the server anywhere
 * between two messages.
 *
 * **Cost.** One native comparison per chunk; looking at single messages happens only where a PING
 * came.
 */
export class DeliveryCheck {
  /** Bytes of messages that have arrived and were right. */
  messageBytes = 0;
  /** PINGs that have arrived complete and must be answered. */
  pings = 0;
  readonly #block: Buffer;
  readonly #messageSize: number;
  /** Where in the block the next byte belongs. */
  #position = 0;
  /** Bytes of a PING that have arrived so far. */
  #pingBytes = 0;

  /** `block` holds `count` messages of the same size. */
  constructor(block: Buffer, count: number) {
    this.#block = block;
    this.#messageSize = block.length / count;
  }

  /** Takes `bytes[begin, end)`. **Throws** when something arrived that was not published. */
  take(bytes: Buffer, begin: number, end: number): void {
    let offset = begin;
    if (this.#pingBytes > 0) offset = this.#takePing(bytes, offset, end);
    while (offset < end) {
      const size = Math.min(end - offset, this.#block.length - this.#position);
      if (!this.#matches(bytes, offset, size)) {
        this.#takeOneByOne(bytes, offset, end);
        return;
      }
      this.#advance(size);
      offset += size;
    }
  }

  #takeOneByOne(bytes: Buffer, begin: number, end: number): void {
    let offset = begin;
    while (offset < end) {
      const inMessage = this.#position % this.#messageSize;
      if (inMessage === 0 && bytes[offset] === PING[0]) {
        offset = this.#takePing(bytes, offset, end);
        continue;
      }
      const size = Math.min(end - offset, this.#messageSize - inMessage);
      if (!this.#matches(bytes, offset, size)) {
        const got = JSON.stringify(bytes.toString('latin1', offset, Math.min(end, offset + 64)));
        throw new Error(`byte ${this.messageBytes} of the messages is wrong; there came ${got}`);
      }
      this.#advance(size);
      offset += size;
    }
  }

  #takePing(bytes: Buffer, begin: number, end: number): number {
    const size = Math.min(end - begin, PING.length - this.#pingBytes);
    if (bytes.compare(PING, this.#pingBytes, this.#pingBytes + size, begin, begin + size) !== 0) {
      throw new Error(`neither MSG nor PING after ${this.messageBytes} bytes of messages`);
    }
    this.#pingBytes += size;
    if (this.#pingBytes === PING.length) {
      this.#pingBytes = 0;
      this.pings++;
    }
    return begin + size;
  }

  #matches(bytes: Buffer, offset: number, size: number): boolean {
    const position = this.#position;
    return bytes.compare(this.#block, position, position + size, offset, offset + size) === 0;
  }

  #advance(size: number): void {
    const position = this.#position + size;
    this.#position = position === this.#block.length ? 0 : position;
    this.messageBytes += size;
  }
}
