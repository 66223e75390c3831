// SPDX-License-Identifier: MIT
/** Test tool: UDP links on every kind of socket, with a check that they leave nothing behind. */
import { expect, test } from 'vitest';
import {
  LoopbackNetwork,
  type UdpHandler,
  UdpLink,
  type UdpLinkOptions,
} from '../src/link/index.ts';
import { udpCalls } from '../src/native/udp.ts';
import { BufferPool } from '../src/pool/index.ts';

export type Implementation = 'auto' | 'dgram' | 'loopback';

/** Sockets of the system: the shim's if it is here, and always Node's own. */
export const systemSockets: readonly Implementation[] =
  udpCalls() === undefined ? ['dgram'] : ['auto', 'dgram'];

/** What the conformance tests run over. */
export const implementations: readonly Implementation[] = [...systemSockets, 'loopback'];

type Run = (implementation: Implementation) => Promise<void>;

/** A test that runs over the shim, over `node:dgram` and on a loopback network. */
export function each(
  name: string,
  run: Run,
  list: readonly Implementation[] = implementations,
): void {
  for (const implementation of list) {
    const over = implementation === 'auto' ? 'shim' : implementation;
    test(`${name} (${over})`, () => run(implementation));
  }
}

/** A test that only makes sense where there is a system. */
export function eachOfSystem(name: string, run: Run): void {
  each(name, run, systemSockets);
}

/** The links of one test on one pool, which must have every buffer back at the end. */
export class UdpPeers {
  readonly pool: BufferPool;
  readonly #implementation: Implementation;
  readonly #links: UdpLink[] = [];
  readonly #network = new LoopbackNetwork();

  constructor(implementation: Implementation, bufferCount = 96, bufferSize = 65_536) {
    this.#implementation = implementation;
    this.pool = BufferPool.create({ bufferSize, bufferCount, maxThreads: 2 });
  }

  async open(
    handler: UdpHandler | ((link: UdpLink) => UdpHandler),
    options: Partial<UdpLinkOptions> = {},
  ): Promise<UdpLink> {
    const all: UdpLinkOptions = {
      handler: typeof handler === 'function' ? handler : () => handler,
      ...options,
    };
    const implementation = this.#implementation;
    const link =
      implementation === 'loopback'
        ? await this.#network.open(this.pool, all)
        : await UdpLink.open(this.pool, { implementation, ...all });
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
    expect(report).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
  }
}
