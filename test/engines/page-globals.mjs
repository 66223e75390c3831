// SPDX-License-Identifier: MIT
/** What the tests themselves use of Node, in a page. busbar does not see it. */
const { port1, port2 } = new MessageChannel();
const waiting = [];
port1.onmessage = () => waiting.shift()?.();

export function setImmediate(act, ...args) {
  waiting.push(() => act(...args));
  port2.postMessage(undefined);
}

export const process = { env: { BUSBAR_FUZZ_RUNS: '20000' }, platform: 'page' };

/** The few calls of Buffer that tests make. */
export class Buffer extends Uint8Array {
  static from(source, begin, length) {
    if (typeof source === 'string') {
      if (begin === 'latin1') return Buffer.from([...source].map((each) => each.charCodeAt(0)));
      return Buffer.from(new TextEncoder().encode(source));
    }
    const isMemory = source instanceof ArrayBuffer || source instanceof SharedArrayBuffer;
    if (isMemory) return new Buffer(source, begin, length);
    return new Buffer(Array.from(source));
  }

  static alloc(length, value = 0) {
    return new Buffer(length).fill(typeof value === 'string' ? value.charCodeAt(0) : value);
  }

  static concat(list) {
    return Buffer.from(list.flatMap((each) => [...each]));
  }

  static compare(one, other) {
    for (let i = 0; i < Math.min(one.length, other.length); i++) {
      if (one[i] !== other[i]) return one[i] < other[i] ? -1 : 1;
    }
    return Math.sign(one.length - other.length);
  }

  equals(other) {
    return Buffer.compare(this, other) === 0;
  }

  toString(encoding = 'utf8') {
    const bytes = Array.from(this);
    if (encoding === 'latin1') return String.fromCharCode(...bytes);
    if (encoding === 'hex') return bytes.map((each) => each.toString(16).padStart(2, '0')).join('');
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }
}
