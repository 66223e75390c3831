// SPDX-License-Identifier: MIT
/** A tool of tests: links that send numbered, checked datagrams, and note what arrives. */
import { expect } from 'vitest';
import { type UdpHandler, UdpLink, type UdpLinkOptions } from '../src/link/index.ts';
import { udpCalls } from '../src/native/udp.ts';
import { BufferPool } from '../src/pool/index.ts';

export type Implementation = 'auto' | 'dgram';

/** What the conformance tests run over: the shim if it is here, and always Node's own sockets. */
export const implementations: readonly Implementation[] =
  udpCalls() === undefined ? ['dgram'] : ['auto', 'dgram'];

/** Number, check sum, and bytes that follow from the number. At least 8 bytes. */
export function numbered(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (let i = 8; i < length; i++) bytes[i] = (number * 31 + i * 7) & 0xff;
  view.setUint32(0, number);
  view.setUint32(4, checkOf(bytes, 0, length));
  return bytes;
}

/** The number of a datagram; −1 if a single byte of it is not what it should be. */
export function numberOf(bytes: Uint8Array, offset: number, length: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  const number = view.getUint32(0);
  return view.getUint32(4) === checkOf(bytes, offset, length) ? number : -1;
}

function checkOf(bytes: Uint8Array, offset: number, length: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  let sum = Math.imul(length, 0x9e3779b1) ^ view.getUint32(0);
  for (let i = 8; i < length; i++) sum = (Math.imul(sum, 31) + view.getUint8(i)) | 0;
  return sum >>> 0;
}

/** Comes true, turn by turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

/** Turns of the event loop in which everything under way on this machine has arrived. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}

/** The links of one test on one pool, which must have every buffer back at the end. */
export class UdpPeers {
  readonly pool: BufferPool;
  readonly #implementation: Implementation;
  readonly #links: UdpLink[] = [];

  constructor(implementation: Implementation, bufferCount = 96, bufferSize = 65_536) {
    this.#implementation = implementation;
    this.pool = BufferPool.create({ bufferSize, bufferCount, maxThreads: 2 });
  }

  async open(
    handler: UdpHandler | ((link: UdpLink) => UdpHandler),
    options: Partial<UdpLinkOptions> = {},
  ): Promise<UdpLink> {
    const link = await UdpLink.open(this.pool, {
      implementation: this.#implementation,
      handler: typeof handler === 'function' ? handler : () => handler,
      ...options,
    });
    this.#links.push(link);
    return link;
  }

  /** A link that only sends to another. */
  sender(to: UdpLink, options: Partial<UdpLinkOptions> = {}): Promise<UdpLink> {
    const { host, port } = to.local;
    return this.open({ onMessage() {} }, { peer: { host, port }, ...options });
  }

  async close(): Promise<void> {
    for (const link of this.#links) await link.close();
    expect(this.pool.stats().held).toBe(0);
    const report = this.pool.close();
    expect(report).toEqual({ heldByThreads: 0, inTransit: 0, leaks: [] });
  }
}
