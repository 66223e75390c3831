// SPDX-License-Identifier: MIT
/** `LoopbackNetwork`: a simulated network with faults, for tests of links within one thread. */

import { checkInteger, show } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { BusbarError } from '../../base/errors.ts';
import { Random } from '../../base/random.ts';
import type { BufferPool } from '../../pool/index.ts';
import { connectAgain, resolveRetry } from '../tcp/connect-retry.ts';
import { readAddress, TCP_ADDRESS_KEYS, type TcpAddress } from '../tcp/tcp-connect.ts';
import { TcpLink, type TcpLinkOptions } from '../tcp/tcp-link.ts';
import { readTcpOptions, resolveTcpOptions } from '../tcp/tcp-options.ts';
import { TcpServer, type TcpServerOptions } from '../tcp/tcp-server.ts';
import { UdpAddress } from '../udp/udp-address.ts';
import { UdpLink, type UdpLinkOptions } from '../udp/udp-link.ts';
import {
  type LoopbackFaults,
  type LoopbackOptions,
  type ResolvedFaults,
  resolveFaults,
  resolveLoopbackOptions,
} from './loopback-faults.ts';
import { LoopbackListener } from './loopback-listener.ts';
import { LoopbackSchedule } from './loopback-schedule.ts';
import { LoopbackStream, type StreamNetwork } from './loopback-stream.ts';
import {
  type DatagramNetwork,
  LOCAL_HOSTS,
  LoopbackUdpSocket,
  unavailable,
} from './loopback-udp-socket.ts';

/** Counters of a network. */
export interface LoopbackStats {
  /** Datagrams sent. */
  readonly sent: number;
  /** Datagrams duplicated. */
  readonly duplicated: number;
  /** Datagrams lost at random. */
  readonly lost: number;
  /** Datagrams lost because their hosts were parted. */
  readonly parted: number;
  /** Datagrams that arrived where no socket accepts them. */
  readonly unclaimed: number;
  /** Datagrams that reached a socket; its link's `stats().dropped` counts those without room. */
  readonly delivered: number;
  /** Delivered datagrams that arrived after a later one between the same hosts. */
  readonly reordered: number;
  /** Connections opened. */
  readonly connections: number;
  /** Connections ended by `reset()`. */
  readonly resets: number;
}

/** The address to connect to. `timeoutMs` has no effect: an attempt takes no time. */
export interface LoopbackAddress
  extends Pick<TcpAddress, 'host' | 'localAddress' | 'timeoutMs' | 'retry'> {
  /** 1 … 65535. */
  readonly port: number;
}

/** Where to listen on a loopback network, and the options of accepted links. */
export type LoopbackServerOptions = Omit<TcpServerOptions, 'path' | 'fd' | 'backlog'>;

const CONNECT_KEYS = TCP_ADDRESS_KEYS.filter((key) => key !== 'path');
const LISTEN_KEYS = ['host', 'port', 'maxLinks', 'readBuffersMax', 'onError'];
const HOST_DEFAULT = '127.0.0.1';
const PORT_MAX = 65_535;
/** The first ephemeral port. */
const PORT_FREE_MIN = 49_152;
/** Additional delay of a datagram that is held back. */
const HOLD_MS_MIN = 1;
const HOLD_MS_MAX = 10;
/** Probability that a piece of a stream is cut in two. */
const CUT_CHANCE = 0.25;

/** Datagrams from one host to another. */
interface Route {
  /** Arrival of the last datagram that is not held back. */
  lastMs: number;
  sent: number;
  /** Highest number among the datagrams that have arrived. */
  latest: number;
}

/**
 * A simulated network within one thread, for tests. Its links are ordinary `TcpLink`s and
 * `UdpLink`s, from their handlers to their back-pressure; only their sockets are simulated.
 *
 *   TcpLink ── stream ──▶ ┌─────────┐ ──▶ stream ── TcpLink    in order; delay, parting, reset
 *                         │ network │
 *   UdpLink ── socket ──▶ └─────────┘ ──▶ socket ── UdpLink    and loss, duplication, reordering
 *
 * Hosts are addresses that you invent; ports are as usual. All randomness comes from one seed, and
 * all time from the network's own clock, which jumps to the next event. So nothing sleeps, and a
 * deterministic program with the same seed sees the same events in the same order. (Deadlines of
 * links, however, run in real time.)
 *
 * With `automatic`, the default, data arrives in later turns of the event loop; without it, in
 * {@link step} and {@link run}.
 *
 * **Threads** the one that created it.
 */
export class LoopbackNetwork {
  /** Seed of all randomness. */
  readonly seed: number;
  readonly #random: Random;
  readonly #schedule: LoopbackSchedule;
  readonly #inside: StreamNetwork & DatagramNetwork;
  #faults: ResolvedFaults;
  readonly #listeners = new Map<string, LoopbackListener>();
  readonly #sockets = new Map<string, LoopbackUdpSocket>();
  readonly #streams = new Set<LoopbackStream>();
  readonly #routes = new Map<string, Route>();
  readonly #parted = new Set<string>();
  #nextPort = PORT_FREE_MIN;
  readonly #stats = {
    sent: 0,
    duplicated: 0,
    lost: 0,
    parted: 0,
    unclaimed: 0,
    delivered: 0,
    reordered: 0,
    connections: 0,
    resets: 0,
  };

  /** **Throws** TypeError or RangeError naming the option. */
  constructor(options: LoopbackOptions = {}) {
    const { faults, seed, automatic } = resolveLoopbackOptions(options);
    this.seed = seed;
    this.#random = new Random(seed);
    this.#faults = faults;
    this.#schedule = new LoopbackSchedule(automatic);
    this.#inside = {
      later: (earliestMs, happen) => this.#later(earliestMs, happen),
      cutAt: (length) => (this.#random.chance(CUT_CHANCE) ? this.#random.below(length) : 0),
      isParted: (a, b) => this.#isParted(a, b),
      forget: (stream) => void this.#streams.delete(stream),
      bind: (socket, port) => this.#bind(socket, port),
      unbind: (socket) => void this.#sockets.delete(placeOf(socket.host, socket.port)),
      sendDatagram: (socket, host, port, bytes) => this.#sendDatagram(socket, host, port, bytes),
    };
  }

  // ── Links ─────────────────────────────────────────────────────────────────────────────────────

  /** As `TcpServer.listen`, with the same errors; port 0, the default, takes a free one. */
  async listen(pool: BufferPool, options: LoopbackServerOptions): Promise<TcpServer> {
    const own = readTcpOptions(options, LISTEN_KEYS);
    const host = checkHost('host', own.host ?? HOST_DEFAULT);
    const port = checkInteger('port', own.port ?? 0, 0, PORT_MAX) || this.#freePort(host);
    const place = placeOf(host, port);
    // Before there is a server: closing it, as a signal may, would remove the other listener.
    if (this.#listeners.has(place)) throw refused(`${place}, listen`, 'EADDRINUSE');
    const listener = new LoopbackListener(host, port, () => void this.#listeners.delete(place));
    const { host: _h, port: _p, ...rest } = own;
    const server = TcpServer.over(pool, listener, rest);
    this.#listeners.set(place, listener);
    return server;
  }

  /**
   * As `TcpLink.connect`, from the host `localAddress`. The connection opens at once; the listener
   * accepts it after the latency. Waits between attempts are in real time.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED if nothing listens there, or if the hosts are
   * parted; `signal.reason`; TypeError or RangeError naming the option.
   */
  async connect(pool: BufferPool, options: LoopbackAddress & TcpLinkOptions): Promise<TcpLink> {
    const own = readTcpOptions(options, CONNECT_KEYS);
    const { signal } = resolveTcpOptions(pool, own, CONNECT_KEYS);
    readAddress(own);
    const { host, port, localAddress, retry, timeoutMs: _t, ...rest } = own;
    const near = checkHost('localAddress', localAddress ?? HOST_DEFAULT);
    const far = checkHost('host', host ?? HOST_DEFAULT);
    const attempt = async (): Promise<TcpLink> => {
      signal?.throwIfAborted();
      return TcpLink.adopt(pool, this.#connect(near, far, port), rest);
    };
    return connectAgain(attempt, resolveRetry(retry), signal);
  }

  /** **Throws** ERR_BUSBAR_LINK_REFUSED. */
  #connect(host: string, peerHost: string, port: number): LoopbackStream {
    const place = placeOf(peerHost, port);
    if (this.#isParted(host, peerHost)) throw refused(`${place}, connect`, 'EHOSTUNREACH');
    if (!this.#listeners.has(place)) throw refused(`${place}, connect`, 'ECONNREFUSED');
    const [near, far] = LoopbackStream.connect(this.#inside, host, peerHost, (accepted) => {
      const listener = this.#listeners.get(place);
      if (listener === undefined) accepted.destroy();
      else listener.accept(accepted);
    });
    this.#streams.add(near).add(far);
    this.#stats.connections++;
    return near;
  }

  /** As `UdpLink.open`, with the same errors, but without multicast, `reusePort` and paths. */
  open(pool: BufferPool, options: UdpLinkOptions): Promise<UdpLink> {
    return UdpLink.openOn(pool, options, ({ config, paths }, owner) => {
      if (paths !== undefined) throw unavailable('path');
      return new LoopbackUdpSocket(this.#inside, pool.bytes, config, owner);
    });
  }

  // ── Faults ────────────────────────────────────────────────────────────────────────────────────

  /** Changes the faults for everything sent from now on; those not named stay as they are. */
  setFaults(faults: LoopbackFaults): void {
    this.#faults = resolveFaults(faults, this.#faults);
  }

  /**
   * Cuts the network between hosts of one side and hosts of the other: datagrams sent or arriving
   * from now on are lost, bytes of streams wait.
   */
  part(a: string | readonly string[], b: string | readonly string[]): void {
    for (const pair of pairsOf(a, b)) this.#parted.add(pair);
  }

  /** Undoes {@link part} for these hosts, or for all. Waiting bytes are sent. */
  heal(a?: string | readonly string[], b?: string | readonly string[]): void {
    if (a === undefined && b === undefined) this.#parted.clear();
    else for (const pair of pairsOf(a, b)) this.#parted.delete(pair);
    for (const stream of this.#streams) {
      if (!this.#isParted(stream.host, stream.peerHost)) stream.release();
    }
  }

  /**
   * Ends every connection between hosts of one side and hosts of the other, at both ends with
   * ECONNRESET; data in transit is lost. Returns the number of connections.
   */
  reset(a: string | readonly string[], b: string | readonly string[]): number {
    const pairs = new Set(pairsOf(a, b));
    let count = 0;
    for (const stream of [...this.#streams]) {
      if (stream.destroyed || !pairs.has(pairOf(stream.host, stream.peerHost))) continue;
      stream.reset();
      count++;
    }
    this.#stats.resets += count;
    return count;
  }

  // ── Time ──────────────────────────────────────────────────────────────────────────────────────

  /** The network's clock, in milliseconds; it begins at 0. */
  get nowMs(): number {
    return this.#schedule.nowMs;
  }

  /** Number of arrivals in transit. */
  get underWay(): number {
    return this.#schedule.count;
  }

  /**
   * Sets the clock to the next arrival and delivers everything that arrives at that instant. False:
   * nothing is in transit.
   *
   * Links send at the end of a turn of the event loop: call their `flush()` first, or use
   * {@link run}. Exceptions of handlers are rethrown.
   */
  step(): boolean {
    return this.#schedule.step();
  }

  /**
   * Steps until nothing is in transit or `durationMs` of the network's clock have passed, with a
   * few turns of the event loop in between for links to reply. With a duration, the clock has
   * advanced by it when this resolves.
   */
  async run(durationMs: number = Infinity): Promise<void> {
    await this.#schedule.run(durationMs);
  }

  /** A snapshot of the network's counters. */
  stats(): LoopbackStats {
    return { ...this.#stats };
  }

  // ── Private ───────────────────────────────────────────────────────────────────────────────────

  #freePort(host: string): number {
    for (let tries = PORT_FREE_MIN; tries <= PORT_MAX; tries++) {
      const port = this.#nextPort;
      this.#nextPort = port === PORT_MAX ? PORT_FREE_MIN : port + 1;
      const place = placeOf(host, port);
      if (!this.#sockets.has(place) && !this.#listeners.has(place)) return port;
    }
    throw refused('bind', 'EADDRNOTAVAIL');
  }

  #isParted(a: string, b: string): boolean {
    return this.#parted.size > 0 && this.#parted.has(pairOf(a, b));
  }

  #delayMs(): number {
    const { delayMsMin, delayMsMax } = this.#faults;
    if (delayMsMin === delayMsMax) return delayMsMin;
    return delayMsMin + (this.#random.next() / 2 ** 32) * (delayMsMax - delayMsMin);
  }

  #later(earliestMs: number, happen: () => void): number {
    const atMs = Math.max(earliestMs, this.nowMs + this.#delayMs());
    this.#schedule.add(atMs, happen);
    return atMs;
  }

  #bind(socket: LoopbackUdpSocket, wanted: number): number {
    const port = wanted === 0 ? this.#freePort(socket.host) : wanted;
    const place = placeOf(socket.host, port);
    if (this.#sockets.has(place)) throw refused('bind', 'EADDRINUSE');
    this.#sockets.set(place, socket);
    return port;
  }

  #sendDatagram(from: LoopbackUdpSocket, host: string, port: number, bytes: Uint8Array): void {
    const random = this.#random;
    const { loss, duplication } = this.#faults;
    const route = this.#routeOf(from.host, host);
    const number = route.sent++;
    this.#stats.sent++;
    const isParted = this.#isParted(from.host, host);
    if (isParted || (loss > 0 && random.chance(loss))) {
      if (isParted) this.#stats.parted++;
      else this.#stats.lost++;
      // Not from here: the caller is within its send.
      this.#schedule.add(this.nowMs, () => from.wasSent(bytes.length));
      return;
    }
    const arrive = (): void => this.#arrive(from, host, port, bytes, route, number);
    this.#launch(route, () => {
      from.wasSent(bytes.length);
      arrive();
    });
    if (duplication === 0 || !random.chance(duplication)) return;
    this.#stats.duplicated++;
    this.#launch(route, arrive);
  }

  /** Schedules an arrival: in order, unless it is held back. */
  #launch(route: Route, happen: () => void): void {
    const { reordering } = this.#faults;
    if (reordering > 0 && this.#random.chance(reordering)) {
      this.#later(this.nowMs + this.#random.between(HOLD_MS_MIN, HOLD_MS_MAX), happen);
    } else {
      route.lastMs = this.#later(route.lastMs, happen);
    }
  }

  #arrive(
    from: LoopbackUdpSocket,
    host: string,
    port: number,
    bytes: Uint8Array,
    route: Route,
    number: number,
  ): void {
    const stats = this.#stats;
    if (this.#isParted(from.host, host)) {
      stats.parted++;
      return;
    }
    const socket = this.#sockets.get(placeOf(host, port));
    if (socket === undefined || !socket.accepts(from)) {
      stats.unclaimed++;
      this.#later(0, () => {
        if (!this.#isParted(from.host, host)) from.wasRefused();
      });
      return;
    }
    stats.delivered++;
    if (number < route.latest) stats.reordered++;
    else route.latest = number;
    socket.deliver(bytes, from);
  }

  #routeOf(from: string, to: string): Route {
    const name = `${from} ${to}`;
    let route = this.#routes.get(name);
    if (route === undefined) {
      route = { lastMs: 0, sent: 0, latest: -1 };
      this.#routes.set(name, route);
    }
    return route;
  }
}

function checkHost(name: string, host: unknown): string {
  if (typeof host !== 'string') throw new TypeError(`${name} must be a string, got ${show(host)}`);
  const { host: canonical } = UdpAddress.of(host, 0);
  return LOCAL_HOSTS[canonical] ?? canonical;
}

function placeOf(host: string, port: number): string {
  return `${host} ${port}`;
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function pairsOf(
  a: string | readonly string[] | undefined,
  b: string | readonly string[] | undefined,
): string[] {
  const left = [a].flat().map((host) => checkHost('a', host));
  const right = [b].flat().map((host) => checkHost('b', host));
  return left.flatMap((one) => right.map((other) => pairOf(one, other)));
}

function refused(what: string, code: string): BusbarError {
  return new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${what}: ${code}`, { cause: { code } });
}

describeAs(LoopbackNetwork, 'LoopbackNetwork', (network) => ({
  nowMs: network.nowMs,
  underWay: network.underWay,
  ...network.stats(),
}));
