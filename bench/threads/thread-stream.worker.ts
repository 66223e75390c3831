// SPDX-License-Identifier: MIT
/** The receiving end of the thread-stream baseline: reads every byte of every message. */

import { EventEmitter } from 'node:events';
import { RECEIVED, WRONG } from './baseline-libraries.ts';
import { isMessage, MESSAGE_BYTES, nextNumber } from './message.ts';

/** What thread-stream writes to; it asks for no more of a stream than this. */
class Destination extends EventEmitter {
  private readonly counts: Int32Array;
  private rest = '';
  private number = 0;

  constructor(counts: Int32Array) {
    super();
    this.counts = counts;
  }

  write(text: string): boolean {
    const { counts } = this;
    const whole = this.rest + text;
    const messages = Math.floor(whole.length / MESSAGE_BYTES);
    const bytes = Buffer.from(whole, 'latin1');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < messages; i++) {
      if (!isMessage(view, i * MESSAGE_BYTES, this.number)) Atomics.add(counts, WRONG, 1);
      this.number = nextNumber(this.number);
    }
    this.rest = whole.slice(messages * MESSAGE_BYTES);
    Atomics.add(counts, RECEIVED, messages);
    return true;
  }

  end(): void {
    this.emit('close');
  }
}

export function createDestination({ counts }: { counts: Int32Array }): Destination {
  return new Destination(counts);
}
