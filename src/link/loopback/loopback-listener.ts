// SPDX-License-Identifier: MIT
/** `LoopbackListener`: the listening side of a server on a `LoopbackNetwork`. */

import { EventEmitter } from 'node:events';
import type { LoopbackStream } from './loopback-stream.ts';

/** A listener on the network, in place of a `net.Server`. Emits 'connection' and 'close'. */
export class LoopbackListener extends EventEmitter {
  maxConnections: number = Infinity;
  readonly #host: string;
  readonly #port: number;
  readonly #onClose: () => void;
  #connections = 0;
  #closed = false;

  constructor(host: string, port: number, onClose: () => void) {
    super();
    this.#host = host;
    this.#port = port;
    this.#onClose = onClose;
  }

  accept(stream: LoopbackStream): void {
    if (this.#connections >= this.maxConnections) {
      stream.destroy();
      return;
    }
    this.#connections++;
    stream.once('close', () => this.#connections--);
    this.emit('connection', stream);
  }

  address(): { readonly address: string; readonly port: number } | null {
    return this.#closed ? null : { address: this.#host, port: this.#port };
  }

  close(onClosed?: () => void): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#onClose();
      this.emit('close');
    }
    onClosed?.();
  }

  ref(): void {}
  unref(): void {}
}
