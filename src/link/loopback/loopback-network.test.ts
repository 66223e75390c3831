// SPDX-License-Identifier: MIT
import { afterEach, expect, test } from 'vitest';
import { framed, numbered, numberOf, upTo } from '../../../test/numbered.ts';
import { until } from '../../../test/turns.ts';
import { LengthPrefixCodec } from '../../framer/index.ts';
import { BufferPool } from '../../pool/index.ts';
import {
  LoopbackNetwork,
  type LoopbackOptions,
  type TcpLink,
  type TcpLinkOptions,
  type UdpLink,
  type UdpLinkOptions,
} from '../index.ts';

const EAST = '10.0.0.1';
const WEST = '10.0.0.2';
const SOUTH = '10.0.0.3';
const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');

let pools: BufferPool[] = [];

function makePool(): BufferPool {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 256, maxThreads: 2 });
  pools.push(pool);
  return pool;
}

/** Every test closes its links and has every buffer back. */
afterEach(() => {
  for (const pool of pools) {
    expect(pool.stats().held).toBe(0);
    pool.close();
  }
  pools = [];
});

/** A link on one host that notes the numbers of what comes, and one on another that sends there. */
async function udpPair(network: LoopbackNetwork, pool: BufferPool) {
  const got: number[] = [];
  const server = await network.open(pool, {
    host: EAST,
    port: 53,
    receiveBytes: 1 << 24,
    handler: () => ({
      onMessage: (offset, length) => void got.push(numberOf(pool.bytes, offset, length)),
    }),
  });
  const client = await network.open(pool, {
    host: WEST,
    peer: { host: EAST, port: 53 },
    handler: () => ({ onMessage() {} }),
  });
  return { got, server, client };
}

/** Connected TCP links; `got` is what came to the server. */
async function tcpPair(network: LoopbackNetwork, pool: BufferPool, options: object = {}) {
  const got: number[] = [];
  const closings: unknown[] = [];
  const accepted: TcpLink[] = [];
  const server = await network.listen(pool, {
    host: EAST,
    port: 80,
    codec,
    handler: (link) => {
      accepted.push(link);
      return {
        onFrame: (offset, length) => void got.push(numberOf(pool.bytes, offset, length)),
        onClose: (_link, error) => void closings.push(error?.code),
      };
    },
  });
  const client = await network.connect(pool, {
    host: EAST,
    port: 80,
    localAddress: WEST,
    codec,
    handler: () => ({
      onFrame() {},
      onClose: (_link, error) => void closings.push(error?.code),
    }),
    ...options,
  });
  return { got, closings, accepted, server, client };
}

/** What happens on a network with everything going wrong, line by line. */
async function transcriptOf(options: LoopbackOptions): Promise<string[]> {
  const network = new LoopbackNetwork({
    delayMs: [1, 30],
    loss: 0.1,
    duplication: 0.1,
    reordering: 0.1,
    ...options,
  });
  const pool = makePool();
  const lines: string[] = [];
  const note = (what: string): void => void lines.push(`${network.nowMs.toFixed(6)} ${what}`);
  const open = (host: string, rest: Partial<UdpLinkOptions>): Promise<UdpLink> =>
    network.open(pool, {
      host,
      handler: (link) => ({
        onMessage(offset, length, bufferId) {
          note(`${host} gets ${numberOf(pool.bytes, offset, length)} of ${link.source()}`);
          if (link.peer !== undefined) return;
          pool.retain(bufferId);
          if (!link.tryReplyRegion(bufferId, offset, length)) pool.release(bufferId);
        },
      }),
      ...rest,
    });
  const links = [await open(EAST, { port: 53 })];
  for (const host of [WEST, SOUTH]) {
    links.push(await open(host, { peer: { host: EAST, port: 53 } }));
  }
  const stream = await tcpPair(network, pool);
  for (let n = 0; n < 300; n++) {
    for (const link of links.slice(1)) link.tryWrite(numbered(n, 8 + (n % 50)));
    stream.client.writer.tryWrite(framed(n, 8 + (n % 50)));
    if (n === 100) network.part(EAST, [WEST]);
    if (n === 120) network.heal();
    if (n % 10 === 0) await network.run(5);
    const last = stream.got.at(-1);
    if (n % 10 === 0) note(`stream at ${last}`);
  }
  await network.run();
  note(`stream at ${stream.got.at(-1)}`);
  lines.push(JSON.stringify(network.stats()));
  const closed = [...links.map((link) => link.close()), stream.client.close()];
  await network.run();
  await Promise.all(closed);
  await stream.server.close();
  return lines;
}

test('the same seed brings the same, in the same order; another does not', async () => {
  const first = await transcriptOf({ seed: 7, automatic: false });
  const second = await transcriptOf({ seed: 7, automatic: false });
  const other = await transcriptOf({ seed: 8, automatic: false });
  expect(first.length).toBeGreaterThan(500);
  expect(second).toEqual(first);
  expect(other).not.toEqual(first);
});

test('the same holds for a network that goes on by itself', async () => {
  const first = await transcriptOf({ seed: 7 });
  expect(await transcriptOf({ seed: 7 })).toEqual(first);
});

test('as much goes wrong as was asked for, and every datagram is accounted for', async () => {
  const chances = { loss: 0.1, duplication: 0.05, reordering: 0.02 };
  const network = new LoopbackNetwork({ seed: 1, delayMs: 1, automatic: false, ...chances });
  const pool = makePool();
  const { got, server, client } = await udpPair(network, pool);
  const count = 20_000;
  for (let n = 0; n < count; n++) {
    while (!client.tryWrite(numbered(n, 8))) await network.run(0.5);
  }
  await network.run();
  const stats = network.stats();
  expect(stats.sent).toBe(count);
  expect(stats.delivered).toBe(count + stats.duplicated - stats.lost);
  expect(got.length).toBe(stats.delivered);
  expect(server.stats().dropped).toBe(0);
  expect(network.underWay).toBe(0);
  // Within five standard deviations.
  const about = (expected: number): [number, number] => [
    expected - 5 * Math.sqrt(expected),
    expected + 5 * Math.sqrt(expected),
  ];
  const isAbout = (value: number, expected: number): void => {
    const [least, most] = about(expected);
    expect(value).toBeGreaterThan(least);
    expect(value).toBeLessThan(most);
  };
  isAbout(stats.lost, count * chances.loss);
  isAbout(stats.duplicated, count * (1 - chances.loss) * chances.duplication);
  isAbout(stats.reordered, count * (1 - chances.loss) * chances.reordering);
  // What was counted is what was seen.
  let latest = -1;
  let late = 0;
  for (const n of got) {
    if (n < latest) late++;
    else latest = n;
  }
  expect(late).toBe(stats.reordered);
  expect(got).not.toContain(-1);
  expect(got.length - new Set(got).size).toBe(stats.duplicated);
  await Promise.all([client.close(), server.close()]);
});

test('nothing arrives before it is let, and the clock jumps to where something does', async () => {
  const network = new LoopbackNetwork({ delayMs: 3_600_000, automatic: false });
  const pool = makePool();
  const { got, server, client } = await udpPair(network, pool);
  client.tryWrite(numbered(0, 20));
  client.flush();
  await network.run(3_599_999);
  expect([got.length, network.nowMs, network.underWay]).toEqual([0, 3_599_999, 1]);
  client.tryWrite(numbered(1, 20));
  client.flush();
  expect(network.step()).toBe(true);
  expect([got, network.nowMs]).toEqual([[0], 3_600_000]);
  expect(network.step()).toBe(true);
  expect([got, network.nowMs]).toEqual([[0, 1], 7_199_999]);
  expect(network.step()).toBe(false);
  await network.run();
  expect(network.nowMs).toBe(7_199_999);
  await Promise.all([client.close(), server.close()]);
});

test('what a handler throws comes out of step, and the rest arrives with the next', async () => {
  const network = new LoopbackNetwork({ automatic: false });
  const pool = makePool();
  const { got, server, client } = await udpPair(network, pool);
  const failing = await network.open(pool, {
    host: EAST,
    port: 54,
    handler: () => ({
      onMessage() {
        throw new Error('a bug');
      },
    }),
  });
  const sender = await network.open(pool, { handler: () => ({ onMessage() {} }), host: WEST });
  const id = pool.tryAcquire();
  pool.bytes.set(numbered(5, 9), pool.offsetOf(id));
  expect(sender.trySendRegion(id, pool.offsetOf(id), 9, failing.local)).toBe(true);
  sender.flush();
  client.tryWrite(numbered(1, 9));
  client.flush();
  expect(() => network.step()).toThrow('a bug');
  expect(failing.error?.cause).toMatchObject({ message: 'a bug' });
  expect(network.step()).toBe(true);
  expect(got).toEqual([1]);
  await Promise.all([client.close(), server.close(), sender.close()]);
});

test('hosts that are apart: datagrams are lost, streams wait and go on', async () => {
  const network = new LoopbackNetwork({ delayMs: [1, 5], automatic: false });
  const pool = makePool();
  const udp = await udpPair(network, pool);
  const tcp = await tcpPair(network, pool);
  const send = (n: number): void => {
    udp.client.tryWrite(numbered(n, 30));
    tcp.client.writer.tryWrite(framed(n, 30));
    udp.client.flush();
    tcp.client.flush();
  };
  send(0);
  // Under way when they part, and sent while they are apart.
  network.part([EAST, SOUTH], WEST);
  send(1);
  await network.run();
  send(2);
  await network.run();
  expect([udp.got, tcp.got]).toEqual([[], []]);
  expect(network.stats()).toMatchObject({ sent: 3, parted: 3, delivered: 0 });
  network.heal(SOUTH, WEST);
  await network.run();
  expect(tcp.got).toEqual([]);
  network.heal(WEST, EAST);
  send(3);
  await network.run();
  expect([udp.got, tcp.got]).toEqual([[3], upTo(4)]);
  const closing = [udp.client.close(), udp.server.close(), tcp.client.close()];
  await network.run();
  await Promise.all([...closing, tcp.server.close()]);
  expect(tcp.closings).toEqual([undefined, undefined]);
});

test('a reset ends connections at both ends, and only those that are meant', async () => {
  const network = new LoopbackNetwork({ delayMs: 1, automatic: false });
  const pool = makePool();
  const { got, closings, accepted, server, client } = await tcpPair(network, pool);
  await network.run();
  client.writer.tryWrite(framed(0, 30));
  client.flush();
  expect(network.reset(EAST, SOUTH)).toBe(0);
  expect(network.reset(EAST, WEST)).toBe(1);
  await until(() => client.closed && accepted[0].closed);
  await network.run();
  expect(got).toEqual([]);
  expect(closings).toEqual(['ERR_BUSBAR_LINK_FAILED', 'ERR_BUSBAR_LINK_FAILED']);
  expect(client.error?.cause).toMatchObject({ code: 'ECONNRESET' });
  expect(network.stats()).toMatchObject({ connections: 1, resets: 1 });
  await server.close();
});

test('a link that is destroyed answers what still comes with a reset', async () => {
  const network = new LoopbackNetwork({ delayMs: 1, automatic: false });
  const pool = makePool();
  const { closings, accepted, server, client } = await tcpPair(network, pool, {
    allowHalfOpen: true,
  });
  await network.run();
  accepted[0].destroy();
  client.writer.tryWrite(framed(0, 30));
  await network.run();
  await until(() => client.closed);
  expect(closings).toEqual([undefined, 'ERR_BUSBAR_LINK_FAILED']);
  await server.close();
});

test('a server has as many links as it wants, and forgets those that go', async () => {
  const network = new LoopbackNetwork();
  const pool = makePool();
  const server = await network.listen(pool, {
    maxLinks: 1,
    codec,
    handler: () => ({ onFrame() {} }),
  });
  expect([server.host, server.port]).toEqual(['127.0.0.1', 49_152]);
  const options = { port: server.port, codec, handler: () => ({ onFrame() {} }) };
  const first = await network.connect(pool, options);
  const second = await network.connect(pool, options);
  await until(() => second.closed);
  expect([server.accepted, server.links.size]).toEqual([1, 1]);
  await first.close();
  expect(server.links.size).toBe(0);
  const third = await network.connect(pool, options);
  await network.run();
  expect(server.links.size).toBe(1);
  await server.close();
  await until(() => third.closed);
  expect([server.host, server.port]).toEqual(['', 0]);
});

test('who cannot be reached is refused with the system’s codes', async () => {
  const network = new LoopbackNetwork();
  const pool = makePool();
  const options: TcpLinkOptions = { codec, handler: () => ({ onFrame() {} }) };
  const nobody = network.connect(pool, { host: EAST, port: 80, ...options });
  const refusal = (code: string) => ({ code: 'ERR_BUSBAR_LINK_REFUSED', cause: { code } });
  await expect(nobody).rejects.toMatchObject(refusal('ECONNREFUSED'));
  const server = await network.listen(pool, { host: EAST, port: 80, ...options });
  const taken = network.listen(pool, { host: EAST, port: 80, ...options });
  await expect(taken).rejects.toMatchObject(refusal('EADDRINUSE'));
  network.part('127.0.0.1', EAST);
  const apart = network.connect(pool, { host: EAST, port: 80, ...options });
  await expect(apart).rejects.toMatchObject(refusal('EHOSTUNREACH'));
  const errors: string[] = [];
  const handler = () => ({
    onMessage() {},
    onError: (error: { readonly code: string }) => void errors.push(error.code),
  });
  const link = await network.open(pool, { host: WEST, peer: { host: EAST, port: 9 }, handler });
  link.tryWrite(numbered(0, 9));
  await until(() => errors.length > 0);
  expect(errors).toEqual(['ERR_BUSBAR_DATAGRAM_REFUSED']);
  const again = network.open(pool, { host: WEST, port: link.local.port, handler });
  await expect(again).rejects.toMatchObject(refusal('EADDRINUSE'));
  const unavailable = expect.objectContaining({ code: 'ERR_BUSBAR_NATIVE_UNAVAILABLE' });
  expect(() => link.join('239.1.2.3')).toThrow(unavailable);
  expect(() => link.setTtl(3)).toThrow(unavailable);
  const shared = network.open(pool, { reusePort: true, handler });
  await expect(shared).rejects.toEqual(unavailable);
  const aborted = { ...options, signal: AbortSignal.abort(new Error('no')) };
  await expect(network.connect(pool, { port: 80, host: EAST, ...aborted })).rejects.toThrow('no');
  await Promise.all([link.close(), server.close()]);
});

test('wrong options are named', async () => {
  const make = (options: object) => () => new LoopbackNetwork(options);
  expect(make({ seed: -1 })).toThrow(/seed must be .* got -1/);
  expect(make({ delay: 1 })).toThrow(/no option "delay"/);
  expect(make({ delayMs: -1 })).toThrow(/delayMs must be zero or more/);
  expect(make({ delayMs: [5, 1] })).toThrow(/delayMs must be \[min, max\] with min <= max/);
  expect(make({ delayMs: Infinity })).toThrow(/delayMs must be finite/);
  expect(make({ loss: 1.1 })).toThrow(/loss must be a number from 0 to 1, got 1.1/);
  expect(make({ duplication: '1' })).toThrow(/duplication must be a number/);
  expect(make({ automatic: 1 })).toThrow(/automatic must be true or false/);
  const network = new LoopbackNetwork();
  expect(() => network.setFaults({ seed: 1 } as object)).toThrow(/no option "seed"/);
  expect(() => network.part('east', WEST)).toThrow(/host must be an IPv4 or IPv6 address/);
  await expect(network.run(-1)).rejects.toThrow(/durationMs/);
  const pool = makePool();
  const options = { codec, handler: () => ({ onFrame() {} }) };
  const connect = (rest: object) => network.connect(pool, { port: 1, ...options, ...rest });
  await expect(connect({ port: 0 })).rejects.toThrow(/port must be .* got 0/);
  await expect(connect({ path: 'x' })).rejects.toThrow(/no option "path"/);
  await expect(connect({ localAddress: 5 })).rejects.toThrow(/localAddress must be a string/);
  await expect(network.listen(pool, { ...options, host: 'x' })).rejects.toThrow(/host must be/);
  const listenOn = { ...options, path: 'x' } as object as TcpLinkOptions;
  await expect(network.listen(pool, listenOn)).rejects.toThrow(/no option "path"/);
});

test('a second listener at a place is refused; its signal is not that of the first', async () => {
  const pool = makePool();
  const network = new LoopbackNetwork();
  const options = { port: 7000, codec, handler: () => ({ onFrame() {} }) };
  const server = await network.listen(pool, options);
  const abort = new AbortController();
  await expect(network.listen(pool, { ...options, signal: abort.signal })).rejects.toMatchObject({
    code: 'ERR_BUSBAR_LINK_REFUSED',
    cause: { code: 'EADDRINUSE' },
  });
  abort.abort();
  const link = await network.connect(pool, options);
  await link.close();
  await server.close();
});

test('a handler may step the network: what is left of the instant happens once', async () => {
  const pool = makePool();
  const network = new LoopbackNetwork({ automatic: false });
  const got: number[] = [];
  const server = await network.open(pool, {
    handler: () => ({
      onMessage(offset) {
        got.push(pool.bytes[offset]);
        if (got.length === 1) network.step();
      },
    }),
  });
  const { host, port } = server.local;
  const client = await network.open(pool, {
    peer: { host, port },
    handler: () => ({ onMessage() {} }),
  });
  for (let n = 0; n < 3; n++) client.tryWrite(Uint8Array.of(n));
  client.flush();
  expect(network.step()).toBe(true);
  expect(network.underWay).toBe(0);
  await until(() => got.length === 3);
  expect(got).toEqual([0, 1, 2]);
  await Promise.all([client.close(), server.close()]);
});

test('a server takes readBuffersMax, as over TCP', async () => {
  const network = new LoopbackNetwork();
  const pool = makePool();
  const server = await network.listen(pool, { codec, readBuffersMax: 1 });
  await server.close();
  const listening = network.listen(pool, { codec, readBuffersMax: 0 });
  await expect(listening).rejects.toThrow(/readBuffersMax must be an integer from 1 to 256/);
});

test('a delay that is neither a number nor a pair is refused by name', () => {
  for (const delayMs of [null, {}, 'ab', [1]]) {
    expect(() => new LoopbackNetwork({ delayMs } as never)).toThrow(/^delayMs must be/);
  }
});
