// SPDX-License-Identifier: MIT
/** `UdpDgramSocket`: a UDP socket on `node:dgram`, for systems without the shim. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { constants } from 'node:os';
import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import { throwLater } from '../../base/throw-later.ts';
import {
  ADDRESS_FAMILY,
  ADDRESS_HOST,
  ADDRESS_PORT,
  ADDRESS_SCOPE,
  ADDRESS_WORDS,
  CONFIG_BIND,
  CONFIG_CONNECT,
  CONFIG_FAMILY,
  CONFIG_FLAGS,
  CONFIG_RECEIVE_BYTES,
  CONFIG_SEND_BYTES,
  ONLY_V6,
  OPTION_BROADCAST,
  OPTION_MULTICAST_LOOP,
  OPTION_MULTICAST_TTL,
  OPTION_TRAFFIC_CLASS,
  OPTION_TTL,
  OUT_ADDRESS,
  OUT_LENGTH,
  OUT_OFFSET,
  OUT_WORDS,
  REUSE_ADDRESS,
  REUSE_PORT,
  SENT_CALLS,
  SENT_ERROR,
} from '../../native/udp.ts';
import type { PoolBytes } from '../../pool/pool-layout.ts';
import { BACKLOG_BYTES_DEFAULT, DatagramBacklog } from './datagram-backlog.ts';
import { hostOf, writeAddress } from './udp-address.ts';
import { AGAIN, INVALID, type UdpSocket, type UdpSocketOwner } from './udp-socket.ts';

/** Limits of the datagrams that Node is sending. */
const PENDING_COUNT_MAX = 1024;
const PENDING_BYTES_MAX = 256 * 1024;

/** Each datagram has its own destination. */
const BOUND = 'bound';
/** All datagrams go to one peer. */
const CONNECTED = 'connected';
const CLOSED = 'closed';
type DgramState = typeof BOUND | typeof CONNECTED | typeof CLOSED;

type Lookup = (host: string, family: unknown, done: LookupDone) => void;
type LookupDone = (error: Error | null, address: string, family: number) => void;

/** Node's socket with the interface of the shim's. Copies every datagram once more. */
export class UdpDgramSocket implements UdpSocket {
  readonly implementation: 'dgram' = 'dgram';
  readonly local: Int32Array = new Int32Array(ADDRESS_WORDS);
  readonly segmentsMax: number = 0;
  readonly refusesAtOnce: boolean = false;
  private readonly socket: Socket;
  private readonly bytes: PoolBytes;
  private readonly owner: UdpSocketOwner;
  private readonly backlog: DatagramBacklog;
  private state: DgramState = BOUND;
  private pending = 0;
  private pendingBytes = 0;
  private writing = false;
  private source: Int32Array = new Int32Array(ADDRESS_WORDS);
  private sourceHost = '';

  private constructor(bytes: PoolBytes, config: Int32Array, owner: UdpSocketOwner) {
    const flags = config[CONFIG_FLAGS];
    const family = config[CONFIG_FAMILY];
    // Addresses are numeric already. Node's own lookup would take another turn of the event loop.
    const lookup: Lookup = (host, _family, done) => done(null, host, family);
    this.bytes = bytes;
    this.owner = owner;
    this.backlog = new DatagramBacklog(bytes, owner, BACKLOG_BYTES_DEFAULT);
    this.socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      reuseAddr: (flags & REUSE_ADDRESS) !== 0,
      ipv6Only: (flags & ONLY_V6) !== 0,
      lookup: lookup as never,
      ...sized('recvBufferSize', config[CONFIG_RECEIVE_BYTES]),
      ...sized('sendBufferSize', config[CONFIG_SEND_BYTES]),
    });
  }

  /** Opens, binds and connects. **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED. */
  static async open(
    bytes: PoolBytes,
    config: Int32Array,
    owner: UdpSocketOwner,
  ): Promise<UdpDgramSocket> {
    if ((config[CONFIG_FLAGS] & REUSE_PORT) !== 0) {
      throw new BusbarError('ERR_BUSBAR_NATIVE_UNAVAILABLE', 'reusePort needs the shim');
    }
    const opened = new UdpDgramSocket(bytes, config, owner);
    const { socket } = opened;
    try {
      await step(socket, (done) => {
        const port = config[CONFIG_BIND + ADDRESS_PORT];
        socket.bind({ port, address: hostOf(config, CONFIG_BIND), exclusive: true }, done);
      });
      if (config[CONFIG_CONNECT + ADDRESS_FAMILY] !== 0) {
        await step(socket, (done) => {
          socket.connect(
            config[CONFIG_CONNECT + ADDRESS_PORT],
            hostOf(config, CONFIG_CONNECT),
            done,
          );
        });
        opened.state = CONNECTED;
      }
    } catch (error) {
      socket.close();
      const { code, message } = error as NodeJS.ErrnoException;
      throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', message, { cause: { code } });
    }
    opened.listen();
    return opened;
  }

  get pendingCount(): number {
    return this.pending;
  }

  receive(table: Int32Array, count: number): number {
    return this.backlog.receive(table, count);
  }

  send(
    table: Int32Array,
    count: number,
    addresses: Int32Array,
    _segments: number,
    sent: Int32Array,
  ): number {
    assert(this.state !== CLOSED, 'a closed socket sends nothing');
    sent.fill(0);
    for (let i = 0; i < count; i++) {
      if (this.pending >= PENDING_COUNT_MAX || this.pendingBytes >= PENDING_BYTES_MAX) {
        sent[SENT_ERROR] = AGAIN;
        return i;
      }
      const row = i * OUT_WORDS;
      const offset = table[row + OUT_OFFSET];
      const datagram = this.bytes.slice(offset, offset + table[row + OUT_LENGTH]);
      this.pending++;
      this.pendingBytes += datagram.length;
      sent[SENT_CALLS]++;
      this.sendOne(datagram, table[row + OUT_ADDRESS] * ADDRESS_WORDS, addresses);
    }
    return count;
  }

  watch(readable: boolean, writable: boolean): void {
    this.backlog.watch(readable);
    this.writing = writable;
  }

  keepAlive(wanted: boolean): void {
    if (wanted) this.socket.ref();
    else this.socket.unref();
  }

  membership(group: Int32Array, networkInterface: Int32Array, join: boolean): void {
    const host = interfaceOf(group, networkInterface);
    attempt(join ? 'join' : 'leave', () => {
      if (join) this.socket.addMembership(hostOf(group, 0), host);
      else this.socket.dropMembership(hostOf(group, 0), host);
    });
  }

  multicastInterface(networkInterface: Int32Array): void {
    const host = interfaceOf(networkInterface, networkInterface) ?? '0.0.0.0';
    attempt('multicastInterface', () => this.socket.setMulticastInterface(host));
  }

  setOption(option: number, value: number): void {
    const { socket } = this;
    if (option === OPTION_TRAFFIC_CLASS) {
      throw new BusbarError('ERR_BUSBAR_NATIVE_UNAVAILABLE', 'the traffic class needs the shim');
    }
    attempt('setOption', () => {
      if (option === OPTION_TTL) socket.setTTL(value);
      else if (option === OPTION_MULTICAST_TTL) socket.setMulticastTTL(value);
      else if (option === OPTION_MULTICAST_LOOP) socket.setMulticastLoopback(value !== 0);
      else if (option === OPTION_BROADCAST) socket.setBroadcast(value !== 0);
    });
  }

  drops(): number {
    return this.backlog.dropped;
  }

  bufferBytes(): { readonly receive: number; readonly send: number } {
    if (this.state === CLOSED) return { receive: 0, send: 0 };
    return { receive: this.socket.getRecvBufferSize(), send: this.socket.getSendBufferSize() };
  }

  close(): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.backlog.close();
    this.socket.close();
  }

  private listen(): void {
    const { socket } = this;
    const { address, port } = socket.address();
    writeAddress('address', address, port, this.local, 0);
    socket.on('message', (bytes, from) => {
      try {
        this.backlog.push(bytes, this.sourceOf(from));
      } catch (error) {
        throwLater(error); // Bun would take it for an error of the socket
      }
    });
    socket.on('error', (error) => this.owner.failed(errnoOf(error)));
  }

  /** The source in eight words; consecutive datagrams of one source share them. */
  private sourceOf({ address, port }: RemoteInfo): Int32Array {
    if (address !== this.sourceHost || port !== this.source[ADDRESS_PORT]) {
      this.source = new Int32Array(ADDRESS_WORDS);
      writeAddress('address', address, port, this.source, 0);
      this.sourceHost = address;
    }
    return this.source;
  }

  private sendOne(datagram: Uint8Array, at: number, addresses: Int32Array): void {
    const done = (error: Error | null): void => {
      assert(this.pending > 0, 'a datagram is called back once');
      this.pending--;
      this.pendingBytes -= datagram.length;
      if (error !== null && error !== undefined) {
        this.owner.sendFailed(errnoOf(error), datagram.length);
      }
      if (this.writing && this.pending <= PENDING_COUNT_MAX / 2) this.owner.writable();
    };
    try {
      if (this.state === CONNECTED) this.socket.send(datagram, done);
      else this.socket.send(datagram, addresses[at + ADDRESS_PORT], hostOf(addresses, at), done);
    } catch (error) {
      // Not from here: the caller is within its send.
      queueMicrotask(() => done(error as Error));
    }
  }
}

function sized(name: string, bytes: number): object {
  return bytes > 0 ? { [name]: bytes } : {};
}

function step(socket: Socket, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    const done = (error?: Error): void => {
      socket.off('error', reject);
      if (error === undefined || error === null) resolve();
      else reject(error);
    };
    start(done);
  });
}

/** The interface as Node expects it: an address for IPv4, '::%1' for IPv6. */
function interfaceOf(group: Int32Array, networkInterface: Int32Array): string | undefined {
  if (group[ADDRESS_FAMILY] === 6) {
    const number = networkInterface[ADDRESS_SCOPE];
    return number === 0 ? undefined : `::%${number}`;
  }
  return networkInterface[ADDRESS_HOST] === 0 ? undefined : hostOf(networkInterface, 0);
}

function errnoOf(error: Error): number {
  const { code } = error as NodeJS.ErrnoException;
  return (constants.errno as Record<string, number>)[code ?? ''] ?? INVALID;
}

function attempt(what: string, call: () => void): void {
  try {
    call();
  } catch (cause) {
    throw new BusbarError('ERR_BUSBAR_NATIVE_FAILED', `${what}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
