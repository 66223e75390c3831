// SPDX-License-Identifier: MIT
/** `LoopbackUdpSocket`: the socket of a `UdpLink` on a `LoopbackNetwork`. */

import { constants } from 'node:os';
import { BusbarError } from '../../base/errors.ts';
import {
  ADDRESS_FAMILY,
  ADDRESS_PORT,
  ADDRESS_WORDS,
  CONFIG_BIND,
  CONFIG_CONNECT,
  CONFIG_FLAGS,
  CONFIG_RECEIVE_BYTES,
  CONFIG_SEND_BYTES,
  OUT_ADDRESS,
  OUT_LENGTH,
  OUT_OFFSET,
  OUT_WORDS,
  REUSE_PORT,
  SENT_CALLS,
  SENT_ERROR,
  SENT_RUN,
} from '../../native/udp.ts';
import type { PoolBytes } from '../../pool/pool-layout.ts';
import {
  BACKLOG_BYTES_DEFAULT,
  DATAGRAM_COST_BYTES,
  DatagramBacklog,
} from '../udp/datagram-backlog.ts';
import { hostOf, writeAddress } from '../udp/udp-address.ts';
import { UDP_BYTES_MAX } from '../udp/udp-options.ts';
import { AGAIN, type UdpSocket, type UdpSocketOwner } from '../udp/udp-socket.ts';

const { EMSGSIZE, ECONNREFUSED } = constants.errno;

/** The part of the network that a socket uses. */
export interface DatagramNetwork {
  /** Binds the socket to a port; 0: a free one. **Throws** ERR_BUSBAR_LINK_REFUSED. */
  bind(socket: LoopbackUdpSocket, port: number): number;
  unbind(socket: LoopbackUdpSocket): void;
  /** Sends bytes, which are kept; calls `socket.wasSent` when they have arrived or are lost. */
  sendDatagram(socket: LoopbackUdpSocket, host: string, port: number, bytes: Uint8Array): void;
}

/** A wildcard address stands for its loopback address. */
export const LOCAL_HOSTS: Readonly<Record<string, string>> = {
  '0.0.0.0': '127.0.0.1',
  '::': '::1',
};

const QUIET = 'quiet';
/** The owner waits for room to write. */
const WRITING = 'writing';
const CLOSED = 'closed';
type LoopbackState = typeof QUIET | typeof WRITING | typeof CLOSED;

/** A socket of a `LoopbackNetwork`, with bounded bytes in transit and a bounded backlog. */
export class LoopbackUdpSocket implements UdpSocket {
  readonly implementation: 'loopback' = 'loopback';
  readonly local: Int32Array = new Int32Array(ADDRESS_WORDS);
  readonly segmentsMax: number = 0;
  get refusesAtOnce(): boolean {
    return false;
  }
  readonly pendingCount: number = 0;
  readonly host: string;
  private readonly network: DatagramNetwork;
  private readonly bytes: PoolBytes;
  private readonly owner: UdpSocketOwner;
  private readonly backlog: DatagramBacklog;
  private readonly receiveBytes: number;
  private readonly sendBytes: number;
  private readonly peerHost: string;
  private readonly peerPort: number;
  private underWayBytes = 0;
  private state: LoopbackState = QUIET;

  /** **Throws** ERR_BUSBAR_LINK_REFUSED, ERR_BUSBAR_NATIVE_UNAVAILABLE for `reusePort`. */
  constructor(
    network: DatagramNetwork,
    bytes: PoolBytes,
    config: Int32Array,
    owner: UdpSocketOwner,
  ) {
    if ((config[CONFIG_FLAGS] & REUSE_PORT) !== 0) throw unavailable('reusePort');
    const host = hostOf(config, CONFIG_BIND);
    this.network = network;
    this.bytes = bytes;
    this.owner = owner;
    this.host = LOCAL_HOSTS[host] ?? host;
    this.receiveBytes = config[CONFIG_RECEIVE_BYTES] || BACKLOG_BYTES_DEFAULT;
    this.sendBytes = config[CONFIG_SEND_BYTES] || BACKLOG_BYTES_DEFAULT;
    this.backlog = new DatagramBacklog(bytes, owner, this.receiveBytes);
    const isConnected = config[CONFIG_CONNECT + ADDRESS_FAMILY] !== 0;
    this.peerHost = isConnected ? hostOf(config, CONFIG_CONNECT) : '';
    this.peerPort = config[CONFIG_CONNECT + ADDRESS_PORT];
    const port = network.bind(this, config[CONFIG_BIND + ADDRESS_PORT]);
    writeAddress('host', this.host, port, this.local, 0);
  }

  get port(): number {
    return this.local[ADDRESS_PORT];
  }

  /** Whether it accepts datagrams of this sender. */
  accepts(sender: LoopbackUdpSocket): boolean {
    if (this.peerHost === '') return true;
    return sender.host === this.peerHost && sender.port === this.peerPort;
  }

  /** Receives a datagram. */
  deliver(bytes: Uint8Array, sender: LoopbackUdpSocket): void {
    this.backlog.push(bytes, sender.local);
  }

  /** Called when a datagram of this many bytes is no longer in transit. */
  wasSent(bytes: number): void {
    this.underWayBytes -= bytes + DATAGRAM_COST_BYTES;
    const hasRoom = this.underWayBytes <= this.sendBytes >>> 1;
    if (hasRoom && this.state === WRITING) this.owner.writable();
  }

  /** Called when no socket accepted a datagram: only a connected socket reports that. */
  wasRefused(): void {
    if (this.state !== CLOSED && this.peerHost !== '') this.owner.failed(ECONNREFUSED);
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
    sent.fill(0);
    for (let i = 0; i < count; i++) {
      const row = i * OUT_WORDS;
      const offset = table[row + OUT_OFFSET];
      const length = table[row + OUT_LENGTH];
      const address = table[row + OUT_ADDRESS] * ADDRESS_WORDS;
      if (length > UDP_BYTES_MAX || this.underWayBytes >= this.sendBytes) {
        sent[SENT_ERROR] = length > UDP_BYTES_MAX ? EMSGSIZE : AGAIN;
        sent[SENT_RUN] = 1;
        return i;
      }
      sent[SENT_CALLS] = 1;
      this.underWayBytes += length + DATAGRAM_COST_BYTES;
      const host = address < 0 ? this.peerHost : hostOf(addresses, address);
      const port = address < 0 ? this.peerPort : addresses[address + ADDRESS_PORT];
      this.network.sendDatagram(this, host, port, this.bytes.slice(offset, offset + length));
    }
    return count;
  }

  watch(readable: boolean, writable: boolean): void {
    this.backlog.watch(readable);
    if (this.state !== CLOSED) this.state = writable ? WRITING : QUIET;
  }

  /** No effect: on an automatic network, data in transit keeps the event loop alive. */
  keepAlive(): void {}

  membership(): void {
    throw unavailable('multicast');
  }

  multicastInterface(): void {
    throw unavailable('multicast');
  }

  setOption(): void {
    throw unavailable('an option of a socket');
  }

  drops(): number {
    return this.backlog.dropped;
  }

  bufferBytes(): { readonly receive: number; readonly send: number } {
    return { receive: this.receiveBytes, send: this.sendBytes };
  }

  close(): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.backlog.close();
    this.network.unbind(this);
  }
}

/** The error for a feature that only sockets of the system have. */
export function unavailable(what: string): BusbarError {
  return new BusbarError('ERR_BUSBAR_NATIVE_UNAVAILABLE', `${what}, on a loopback network`);
}
