// SPDX-License-Identifier: MIT
/** A codec for HTTP requests: the head up to its empty line, and a body of content-length bytes. */
import { ByteFinder, type Codec } from 'busbar/framer';

export class HttpCodec implements Codec {
  readonly payloadSkip = 0;
  readonly payloadTrim = 0;
  readonly #finder = new ByteFinder(10);

  measure(bytes: Uint8Array, begin: number, end: number, scanned: number): number {
    let at = this.#finder.find(bytes, begin + Math.max(0, scanned - 3), end);
    while (at >= 0 && !(bytes[at - 1] === 13 && bytes[at - 2] === 10)) {
      at = this.#finder.find(bytes, at + 1, end);
    }
    if (at < 0) return 0;
    const head = Buffer.from(bytes.slice(begin, at)).toString('latin1');
    return at + 1 - begin + Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  }
}
