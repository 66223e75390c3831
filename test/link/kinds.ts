// SPDX-License-Identifier: MIT
/** Test tool: creates every kind of link in one way, for one suite over all of them. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { LengthPrefixCodec } from 'busbar/framer';
import {
  type Link,
  LoopbackNetwork,
  type SharedLinkOptions,
  type TcpHandler,
  TcpLink,
  type TcpLinkOptions,
  TcpServer,
  type UdpHandler,
  UdpLink,
  type UdpLinkOptions,
} from 'busbar/link';
import { native } from 'busbar/native';
import type { BufferPool } from 'busbar/pool';

/** What a test does with what happens to a link. */
export interface Events {
  onMessage(offset: number, length: number, link: Link): void;
  onEnd?(link: Link): void;
  onDrained?(link: Link): void;
  /** Of links of messages. */
  onError?(link: Link, error: unknown): void;
  onClose?(link: Link, error: unknown): void;
}

/** One end of a pair. `allowHalfOpen` is for streams, `sendBytes` for messages. */
export interface End extends SharedLinkOptions {
  readonly pool: BufferPool;
  /** Undefined: the test reads the link itself. */
  readonly events: Events | undefined;
  readonly allowHalfOpen?: boolean;
}

/** Two links; what `near` writes comes to `far`. */
export interface Pair {
  readonly near: Link;
  readonly far: Link;
  /** The other side of `near` ends at once, whatever it is doing. Streams only. */
  cut(): void;
  /** Whatever else there is. Both links are closed by then. */
  close(): Promise<void>;
}

/** One kind of link. What is written is messages behind their lengths in two bytes. */
export interface LinkKind {
  readonly name: string;
  readonly isStream: boolean;
  /** Whether many messages leave in one call of the system. */
  readonly batches: boolean;
  /** Whether an open link keeps the event loop alive. */
  readonly keepsAlive: boolean;
  open(near: End, far: End): Promise<Pair>;
}

const codec = (): LengthPrefixCodec => new LengthPrefixCodec('u16');

function streamOptions({ pool: _pool, events, ...options }: End): TcpLinkOptions {
  if (events === undefined) return { codec, ...options };
  const handler = (): TcpHandler => ({
    onFrame: (offset, length, _id, link) => events.onMessage(offset, length, link),
    onEnd: (link) => events.onEnd?.(link),
    onDrained: (link) => events.onDrained?.(link),
    onClose: (link, error) => events.onClose?.(link, error),
  });
  return { codec, handler, ...options };
}

function messageOptions({
  pool: _pool,
  events,
  allowHalfOpen: _a,
  ...options
}: End): UdpLinkOptions {
  if (events === undefined) return options;
  const handler = (): UdpHandler => ({
    onMessage: (offset, length, _id, link) => events.onMessage(offset, length, link),
    onError: (error, link) => events.onError?.(link, error),
    onDrained: (link) => events.onDrained?.(link),
    onClose: (link, error) => events.onClose?.(link, error),
  });
  return { handler, ...options };
}

/** Listens, connects, and waits for the far end to be there. */
async function openStreams(
  far: End,
  listen: (options: ReturnType<typeof streamOptions>) => Promise<TcpServer>,
  connectTo: (server: TcpServer) => Promise<TcpLink>,
  cut: (far: TcpLink) => void,
): Promise<Pair> {
  const server = await listen(streamOptions(far));
  // Only links are to keep anything alive.
  server.unref();
  try {
    const link = await connectTo(server);
    while (server.links.size === 0) await new Promise(setImmediate);
    const [accepted] = server.links;
    return {
      near: link,
      far: accepted,
      cut: () => cut(accepted),
      close: () => server.close(),
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}

function tcp(ingest: 'direct' | 'copy'): LinkKind['open'] {
  return (near, far) =>
    openStreams(
      far,
      (options) => TcpServer.listen(far.pool, { ...options, ingest }),
      ({ port }) => TcpLink.connect(near.pool, { ...streamOptions(near), port, ingest }),
      (link) => (link.socket as Socket).resetAndDestroy(),
    );
}

const unix: LinkKind['open'] = async (near, far) => {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-'));
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${folder}` : join(folder, 'socket');
  const pair = await openStreams(
    far,
    (options) => TcpServer.listen(far.pool, { ...options, path }),
    () => TcpLink.connect(near.pool, { ...streamOptions(near), path }),
    (link) => link.socket.destroy(),
  ).catch((error) => {
    rmSync(folder, { recursive: true });
    throw error;
  });
  return {
    ...pair,
    async close() {
      await pair.close();
      rmSync(folder, { recursive: true });
    },
  };
};

/** A key that both sides know: TLS without certificates. */
const psk = Buffer.from('6275736261722d627573626172', 'hex');
const tlsOptions = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

const tls: LinkKind['open'] = async (near, far) => {
  const server = createServer({ ...tlsOptions, pskCallback: () => psk, allowHalfOpen: true });
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  const accepted = once(server, 'secureConnection').then(([socket]) => socket as TLSSocket);
  const socket = connect({
    ...tlsOptions,
    port: (server.address() as { port: number }).port,
    host: '127.0.0.1',
    pskCallback: () => ({ psk, identity: 'test' }),
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  const served = await accepted;
  return {
    near: TcpLink.adopt(near.pool, socket, streamOptions(near)),
    far: TcpLink.adopt(far.pool, served, streamOptions(far)),
    cut: () => served.destroy(),
    close: () => closed(server),
  };
};

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** A pair of streams on a network of the caller's. */
export function openLoopbackStreams(network: LoopbackNetwork, near: End, far: End): Promise<Pair> {
  return openStreams(
    far,
    (options) => network.listen(far.pool, options),
    ({ port }) => network.connect(near.pool, { ...streamOptions(near), port }),
    () => network.reset('127.0.0.1', '127.0.0.1'),
  );
}

type OpenUdp = typeof UdpLink.open;

/** As much as the system lets wait: what is lost for want of room is another test's. */
const RECEIVE_BYTES = 1 << 22;

async function openMessages(near: End, far: End, open: OpenUdp): Promise<Pair> {
  const receiver = await open(far.pool, { ...messageOptions(far), receiveBytes: RECEIVE_BYTES });
  const { host, port } = receiver.local;
  try {
    const sender = await open(near.pool, { ...messageOptions(near), peer: { host, port } });
    return { near: sender, far: receiver, cut() {}, async close() {} };
  } catch (error) {
    await receiver.close();
    throw error;
  }
}

function udp(implementation: 'auto' | 'dgram'): LinkKind['open'] {
  const open: OpenUdp = (pool, options) => UdpLink.open(pool, { implementation, ...options });
  return (near, far) => openMessages(near, far, open);
}

/** A pair of message links on a network of the caller's. */
export function openLoopbackMessages(network: LoopbackNetwork, near: End, far: End): Promise<Pair> {
  // Little may be under way, so that the sender has to wait.
  return openMessages(near, far, (pool, options) => {
    return network.open(pool, { sendBytes: 16 * 1024, ...options });
  });
}

const loopback =
  (open: typeof openLoopbackStreams): LinkKind['open'] =>
  (near, far) =>
    open(new LoopbackNetwork({ delayMs: [0, 2] }), near, far);

const stream = { isStream: true, batches: true, keepsAlive: true };
const messages = { isStream: false, batches: true, keepsAlive: true };

/** Every kind that this machine has. */
export const linkKinds: readonly LinkKind[] = [
  { name: 'TCP', ...stream, open: tcp('direct') },
  { name: 'TCP, copied', ...stream, open: tcp('copy') },
  { name: 'Unix socket', ...stream, open: unix },
  { name: 'TLS', ...stream, open: tls },
  { name: 'loopback stream', ...stream, keepsAlive: false, open: loopback(openLoopbackStreams) },
  ...(native.features.udp.available ? [{ name: 'UDP, shim', ...messages, open: udp('auto') }] : []),
  { name: 'UDP, dgram', ...messages, batches: false, open: udp('dgram') },
  {
    name: 'loopback messages',
    ...messages,
    keepsAlive: false,
    open: loopback(openLoopbackMessages),
  },
];
