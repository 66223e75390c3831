// SPDX-License-Identifier: MIT
/** Handler and options of a `UdpLink`: checks them and applies the defaults. */

import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  show,
} from '../../base/check.ts';
import type { BusbarError } from '../../base/errors.ts';
import {
  ADDRESS_FAMILY,
  ADDRESS_PORT,
  ADDRESS_WORDS,
  CONFIG_BIND,
  CONFIG_CONNECT,
  CONFIG_FAMILY,
  CONFIG_FLAGS,
  CONFIG_RECEIVE_BYTES,
  CONFIG_SEND_BYTES,
  CONFIG_WORDS,
  GRO,
  ONLY_V6,
  REUSE_ADDRESS,
  REUSE_PORT,
} from '../../native/udp.ts';
import type { Packet } from '../../packet/index.ts';
import { checkPool } from '../../pool/check-pool.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import {
  checkHandlerMembers,
  noHandler,
  type ResolvedSharedOptions,
  resolveSharedOptions,
  SHARED_OPTION_KEYS,
  type SharedLinkOptions,
} from '../shared-options.ts';
import { PORT_MAX, UdpAddress, writeAddress } from './udp-address.ts';

/**
 * Callbacks of a UDP link of class `L`. They run on the link's thread, with this object as `this`,
 * never after `onClose`. An exception closes the link and is rethrown. A plain object may have no
 * other members; an instance of a class may.
 */
export interface UdpHandlerOf<L> {
  /**
   * A message has arrived: `[offset, offset + length)` of `pool.bytes`, borrowed until this
   * returns. To keep it, call `link.takePacket()` or `pool.retain(bufferId)`. `link.sourceHost`,
   * `link.source()` and others tell its source. Exactly one of `onMessage` and `onPacket` is
   * required.
   */
  onMessage?(offset: number, length: number, bufferId: BufferId, link: L): void;
  /** A message has arrived, as a packet, which the handler releases. */
  onPacket?(packet: Packet, link: L): void;
  /**
   * Datagrams were lost: refused at their destination (ERR_BUSBAR_DATAGRAM_REFUSED), too long, or
   * not sent. The link stays open.
   */
  onError?(error: BusbarError, link: L): void;
  /** After `link.writable` was false, at most `lowWaterBytes` bytes wait now. */
  onDrained?(link: L): void;
  /** The link has ended and holds no buffer. `error`: the reason; undefined if in good order. */
  onClose?(link: L, error: BusbarError | undefined): void;
}

/** A host and a port. Only the option `peer` may have a host name; otherwise it is an address. */
export interface UdpPeer {
  readonly host: string;
  readonly port: number;
}

/** The Unix socket at a path. */
export interface UnixPeer {
  readonly path: string;
}

/** Options of a UDP link of class `L`. */
export interface UdpLinkOptionsOf<L> extends SharedLinkOptions {
  /**
   * Called once, before the first datagram. It returns the link's callbacks; or it is an async
   * function, which reads the link itself, as with `TcpLink`: by `for await (const datagram of
   * link)`, `link.handle` or `link.receive`. Without it the program does so.
   */
  readonly handler?: (link: L) => UdpHandlerOf<L> | undefined | Promise<void>;
  /**
   * Local address, or a name of this host, to bind to. Default '127.0.0.1'; with `peer`, all local
   * addresses. Use '0.0.0.0' or '::' to be reachable from outside.
   */
  readonly host?: string;
  /** 0 … 65535; 0, the default, lets the system choose: see `link.local`. */
  readonly port?: number;
  /**
   * Instead of `host` and `port`: path of a Unix datagram socket to bind to. Its file is removed
   * when the link ends; one that a dead process has left is replaced. Needs the shim.
   */
  readonly path?: string;
  /**
   * The address to connect to: the link's own writer sends there, and only its datagrams arrive. A
   * name is looked up once, when the link is opened. A path: the Unix socket that is there now.
   */
  readonly peer?: UdpPeer | UdpAddress | UnixPeer;
  /**
   * The contents of a datagram. `'message'`, the default: one message. `'packed'`: as many as fit,
   * each preceded by its length in two bytes, high byte first. Both sides must agree.
   */
  readonly mode?: 'message' | 'packed';
  /**
   * Most bytes of a packed datagram (a longer message gets its own). Default 1472, which Ethernet
   * carries unfragmented; 1452 with IPv6.
   */
  readonly datagramBytes?: number;
  /**
   * In mode 'message': writers take messages of exactly this many bytes, one after another, without
   * lengths. At most the pool's buffer size. The fastest way to send small messages.
   * `link.tryWrite` checks the length; what a program writes into a writer itself is cut after
   * every `messageBytes`, and the rest is sent as a shorter datagram. Default: messages have
   * lengths.
   */
  readonly messageBytes?: number;
  /** Whether several sockets may share the port; datagrams are spread over them. Needs the shim. */
  readonly reusePort?: boolean;
  /** Whether several sockets may share the address, as for multicast receivers. Default false. */
  readonly reuseAddress?: boolean;
  /** Whether an IPv6 socket neither sends nor receives IPv4. Default false. */
  readonly ipv6Only?: boolean;
  /** SO_RCVBUF, the size of the system's receive buffer. The system may grant less. */
  readonly receiveBytes?: number;
  /** SO_SNDBUF, the size of the system's send buffer. The system may grant less. */
  readonly sendBytes?: number;
  /**
   * Whether the kernel may segment and coalesce datagrams (GSO, GRO). Receiving needs buffers of
   * 65535 bytes or more. Default true.
   */
  readonly offload?: boolean;
  /** 'auto', the default: the shim if available. `link.implementation` tells which it is. */
  readonly implementation?: 'auto' | 'dgram';
}

/** Names of the options. */
export const UDP_OPTION_KEYS: readonly string[] = [
  'handler',
  'host',
  'port',
  'path',
  'peer',
  'mode',
  'datagramBytes',
  'messageBytes',
  'reusePort',
  'reuseAddress',
  'ipv6Only',
  'receiveBytes',
  'sendBytes',
  'offload',
  'implementation',
  ...SHARED_OPTION_KEYS,
];

/** Two paths of Unix sockets, or ''. */
export interface UnixPaths {
  readonly path: string;
  readonly peer: string;
}

/** Options with every default applied. */
export interface ResolvedUdpOptions<L> extends ResolvedSharedOptions {
  readonly handler: (link: L) => UdpHandlerOf<L> | undefined | Promise<void>;
  /** The shim's configuration of the socket. */
  readonly config: Int32Array;
  readonly peer: UdpAddress | undefined;
  /** Where a Unix socket is bound and connected, '' for nowhere; undefined for other sockets. */
  readonly paths: UnixPaths | undefined;
  readonly isConnected: boolean;
  readonly packed: boolean;
  /** Most bytes of a packed datagram, or the bytes of each message; 0: messages with lengths. */
  readonly datagramBytes: number;
  readonly offload: boolean;
  readonly implementation: 'auto' | 'dgram';
}

/** The part of the options that does not depend on the class of the link. */
export type ResolvedUdpSettings = Omit<ResolvedUdpOptions<never>, 'handler'>;

/** The longest payload of a UDP datagram over IPv4. */
export const UDP_BYTES_MAX = 65_507;
/** Largest message that GRO can coalesce. */
const GRO_BYTES_MAX = 65_535;
const ETHERNET_BYTES_V4 = 1472;
const ETHERNET_BYTES_V6 = 1452;
const BYTES_MAX = 2 ** 30;

/** Checks the options and applies the defaults. */
export function resolveUdpOptions<L>(
  pool: BufferPool,
  options: UdpLinkOptionsOf<L>,
): ResolvedUdpOptions<L> {
  checkPool(pool);
  const own = checkOptions('options', options, UDP_OPTION_KEYS);
  const paths = pathsOf(own);
  const peer =
    own.peer === undefined || paths !== undefined
      ? undefined
      : checkUdpAddress('peer', own.peer as UdpPeer);
  const mode = checkOneOf('mode', own.mode ?? 'message', ['message', 'packed'] as const);
  const config = configOf(pool, own, peer);
  const packed = mode === 'packed';
  if (packed && own.messageBytes !== undefined) {
    throw new TypeError("options must not have messageBytes in mode 'packed'");
  }
  if (!packed && own.datagramBytes !== undefined) {
    throw new TypeError("options must not have datagramBytes in mode 'message'");
  }
  const ethernet = config[CONFIG_FAMILY] === 6 ? ETHERNET_BYTES_V6 : ETHERNET_BYTES_V4;
  // A message must fit a buffer; a packed datagram may be longer.
  const messageBytesMax = Math.min(UDP_BYTES_MAX, pool.bufferSize);
  const datagramBytes = packed
    ? checkInteger('datagramBytes', own.datagramBytes ?? ethernet, 1, UDP_BYTES_MAX)
    : own.messageBytes === undefined
      ? 0
      : checkInteger('messageBytes', own.messageBytes, 1, messageBytesMax);
  const implementation = own.implementation ?? 'auto';
  return Object.freeze({
    ...resolveSharedOptions(pool, own),
    handler: checkFunction('handler', own.handler ?? noHandler),
    config,
    peer,
    paths,
    isConnected: own.peer !== undefined,
    packed,
    datagramBytes,
    offload: checkBoolean('offload', own.offload ?? true),
    implementation: checkOneOf('implementation', implementation, ['auto', 'dgram'] as const),
  });
}

/**
 * Returns an address of either form. **Throws** TypeError, RangeError.
 *
 * A `UdpAddress` may have port 0: a sender can forge that, and a handler that replies to
 * `link.source()` must not fail because of it. The system refuses to send there.
 */
export function checkUdpAddress(name: string, value: UdpPeer | UdpAddress): UdpAddress {
  if (value instanceof UdpAddress) return value;
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`${name} must be an object with host and port, got ${show(value)}`);
  }
  checkOptions(name, value, ['host', 'port']);
  const words = new Int32Array(ADDRESS_WORDS);
  writeAddress(`${name}.host`, value.host, 0, words, 0);
  words[ADDRESS_PORT] = checkInteger(`${name}.port`, value.port, 1, PORT_MAX);
  return UdpAddress.from(words);
}

/** Whether a peer is given by a path. */
export function isUnixPeer(peer: unknown): peer is UnixPeer {
  return typeof peer === 'object' && peer !== null && 'path' in peer;
}

/** The paths, if there is one. **Throws** TypeError, RangeError. */
function pathsOf<L>(options: UdpLinkOptionsOf<L>): UnixPaths | undefined {
  const { path, peer } = options;
  if (path === undefined && !isUnixPeer(peer)) return undefined;
  const to = peer === undefined ? '' : checkPath('peer.path', checkUnixPeer(peer).path);
  for (const name of ['host', 'port', 'ipv6Only', 'reuseAddress', 'reusePort'] as const) {
    if (options[name] === undefined) continue;
    throw new TypeError(`options must not have ${name} with the path of a Unix socket`);
  }
  return { path: path === undefined ? '' : checkPath('path', path), peer: to };
}

function checkUnixPeer(peer: unknown): UnixPeer {
  if (!isUnixPeer(peer)) {
    throw new TypeError(`peer must be an object with a path, as the link has, got ${show(peer)}`);
  }
  return checkOptions('peer', peer, ['path']);
}

function checkPath(name: string, path: unknown): string {
  if (typeof path !== 'string') throw new TypeError(`${name} must be a string, got ${show(path)}`);
  if (path !== '' && !path.includes('\0')) return path;
  throw new RangeError(`${name} must be neither empty nor have a zero, got ${show(path)}`);
}

function configOf<L>(
  pool: BufferPool,
  options: UdpLinkOptionsOf<L>,
  peer: UdpAddress | undefined,
): Int32Array {
  const config = new Int32Array(CONFIG_WORDS);
  const onlyV6 = checkBoolean('ipv6Only', options.ipv6Only ?? false);
  const any = peer?.family === 6 ? '::' : '0.0.0.0';
  const own = onlyV6 ? '::1' : '127.0.0.1';
  const host = options.host ?? (peer === undefined ? own : any);
  writeAddress('host', host, options.port ?? 0, config, CONFIG_BIND);
  const family = config[CONFIG_BIND + ADDRESS_FAMILY];
  config[CONFIG_FAMILY] = family;
  if (onlyV6 && family !== 6) {
    throw new RangeError(`host must be an IPv6 address with ipv6Only, got ${show(host)}`);
  }
  if (peer !== undefined) {
    if (peer.family !== family) {
      throw new RangeError(`peer must be of the same family as host, got ${peer} and ${host}`);
    }
    if (peer.port === 0) throw new RangeError('peer must have a port, got 0');
    for (let i = 0; i < ADDRESS_WORDS; i++) config[CONFIG_CONNECT + i] = peer.words[i];
  }
  const flag = (name: 'reusePort' | 'reuseAddress', bit: number): number =>
    checkBoolean(name, options[name] ?? false) ? bit : 0;
  const bytes = (name: 'receiveBytes' | 'sendBytes'): number =>
    options[name] === undefined ? 0 : checkInteger(name, options[name], 1, BYTES_MAX);
  config[CONFIG_FLAGS] =
    flag('reusePort', REUSE_PORT) |
    flag('reuseAddress', REUSE_ADDRESS) |
    (onlyV6 ? ONLY_V6 : 0) |
    ((options.offload ?? true) && pool.bufferSize >= GRO_BYTES_MAX ? GRO : 0);
  config[CONFIG_RECEIVE_BYTES] = bytes('receiveBytes');
  config[CONFIG_SEND_BYTES] = bytes('sendBytes');
  return config;
}

/** Checks a handler: it takes messages in exactly one way. */
export function checkUdpHandler<L>(handler: UdpHandlerOf<L>): UdpHandlerOf<L> {
  const others = ['onError', 'onDrained', 'onClose'] as const;
  return checkHandlerMembers(handler, ['onMessage', 'onPacket'], others);
}
