// SPDX-License-Identifier: MIT
/**
 * Test tool: the host of a chaos run: its sockets, and the paths from them to the threads and
 * back.
 *
 *   source 0 … 3 ═TCP═▶ link ─┐          ┌─▶ spsc ──▶ single ─────────────▶ writer of its own ─┐
 *                             ├─▶ routes ┼─▶ mpmc ──▶ twin 0, twin 1 ────▶ shared writer ──────┤
 *   source 4     ═UDP═▶ link ─┘          └─▶ group ─▶ exec 0, 1, 2 ──────▶ shared writer ──────┤
 *                                                     └─▶ mpsc ─▶ collector ▶ writer of its own┤
 *   all of them  ◀═════════════════════ links ◀── host ◀┘                                      │
 *                                         ◀────────────────── flusher ◀────────────────────────┘
 */
import { PacketChannel, type PacketSender } from 'busbar/channel';
import type { ExecutorGroup } from 'busbar/executor';
import { LengthPrefixCodec } from 'busbar/framer';
import { type TcpHandler, type TcpLink, TcpServer, UdpAddress, UdpLink } from 'busbar/link';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { SharedWriter, WriteFlusher } from 'busbar/writer';
import type { Random } from '../../src/base/random.ts';
import { Board, EXECUTORS, FLUSHED, FRAMED, Ledger, markOf, TO_SEAT } from './board.ts';
import {
  BY_GROUP,
  BY_MPMC,
  BY_SPSC,
  FENCE,
  FENCE_BACK,
  FILLER,
  HEADER_BYTES,
  HELLO,
  hashOf,
  KIND_AT,
  LANE_COUNT,
  MESSAGE,
  MESSAGE_BYTES_MAX,
  PREFIX_BYTES,
  putHeader,
  ROUTE_AT,
  SEQUENCE_AT,
  SOURCE_AT,
} from './message.ts';
import { PacketQueue, sendOn } from './packet-queue.ts';
import type { Watch } from './watch.ts';

export const TCP_SOURCES = 4;
/** Number of the source, and of the outlet, that is UDP. */
export const UDP: number = TCP_SOURCES;
export const SOURCES: number = TCP_SOURCES + 1;
/** Where shared writers' regions go. */
export const TWINS_OUTLET = 1;
export const EXECUTORS_OUTLET = 2;

const THREADS_MAX = 16;
const BATCH = 4;
/** Messages of one source in one lane that may be under way. */
export const WINDOW = 3;
/** In one event: at first, when a connection is back, when each victim is dead, when all are. */
const WINDOWS_OPENED = 5;
/** Each message may be in one buffer when it comes and in another when it goes. */
const BUFFERS_UNDER_WAY: number = SOURCES * LANE_COUNT * WINDOW * WINDOWS_OPENED * 2;
/** Free buffers in caches, beyond those the threads work with. */
const BUFFERS_CACHED: number = THREADS_MAX * BATCH * 2;
/** Segments of two shared writers, and what links and stations keep for a moment. */
const BUFFERS_KEPT = 100;
const WRITER_COUNT = 64;

/** How much room there is. */
export interface Sizes {
  readonly bufferSize: number;
  readonly regionCount: number;
  readonly capacity: number;
  readonly laneCapacity: number;
}

const USUAL_SIZES: Sizes = { bufferSize: 2048, regionCount: 8, capacity: 8, laneCapacity: 16 };

/** Large messages fill their buffers, and nothing fits a ring. */
function tinySizes(random: Random): Sizes {
  const capacity = 1 + random.below(2);
  return { bufferSize: 1024, regionCount: 2, capacity, laneCapacity: 1 + random.below(2) };
}

const HIGH_WATER_BYTES = 32 * 1024;
/** What stops a link: more than the system's buffers hold. */
const FILL_FRAMES_MAX = 20_000;

/** Where regions of writers go: one source's present connection, or UDP. */
interface Outlet {
  link: TcpLink | undefined;
  /** Writers whose regions go there. */
  readonly writerIds: Set<number>;
}

export class Hub {
  readonly pool: BufferPool;
  readonly flusher: WriteFlusher;
  readonly board: Board = new Board();
  readonly ledger: Ledger = new Ledger(SOURCES);
  /** To the single, to the twins, and from executors to the collector. */
  readonly spsc: PacketChannel;
  readonly mpmc: PacketChannel;
  readonly mpsc: PacketChannel;
  readonly twinsWriter: SharedWriter;
  readonly executorsWriter: SharedWriter;
  /** Round of the last fence that came in, and that came back, by source. */
  readonly fencesIn: number[] = new Array(SOURCES).fill(-1);
  readonly fencesBack: number[] = new Array(SOURCES).fill(-1);
  readonly sizes: Sizes;
  readonly #random: Random;
  readonly #watch: Watch;
  readonly #outlets: readonly Outlet[];
  readonly #outletOfPath = new Map<number, number>();
  readonly #routes: PacketQueue[] = [];
  readonly #answers: PacketQueue;
  #senders: PacketSender[] = [];
  /** Links that hold something, or may. */
  readonly openLinks: Set<TcpLink> = new Set();
  #group: ExecutorGroup | undefined;
  #server: TcpServer | undefined;
  #udp: UdpLink | undefined;
  #clientAddress: UdpAddress | undefined;

  constructor(random: Random, watch: Watch, isTiny: boolean) {
    this.sizes = isTiny ? tinySizes(random) : USUAL_SIZES;
    const { bufferSize, regionCount, capacity } = this.sizes;
    this.#random = random;
    this.#watch = watch;
    this.pool = BufferPool.create({
      bufferSize,
      bufferCount: BUFFERS_UNDER_WAY + BUFFERS_CACHED + BUFFERS_KEPT,
      batchSize: BATCH,
      maxThreads: THREADS_MAX,
      trackLeaks: false,
    });
    this.flusher = WriteFlusher.create(this.pool, { writerCount: WRITER_COUNT, regionCount });
    this.spsc = PacketChannel.create(this.pool, { kind: 'spsc', capacity });
    this.mpmc = PacketChannel.create(this.pool, { kind: 'mpmc', capacity });
    this.mpsc = PacketChannel.create(this.pool, { kind: 'mpsc', capacity });
    this.twinsWriter = SharedWriter.create(this.flusher);
    this.executorsWriter = SharedWriter.create(this.flusher);
    this.#outlets = Array.from({ length: SOURCES }, () => ({
      link: undefined,
      writerIds: new Set<number>(),
    }));
    this.#answers = new PacketQueue((packet) => this.#answer(packet));
  }

  /** Opens the sockets. `group` handles what goes to executors. */
  async open(group: ExecutorGroup): Promise<{ port: number; udpPort: number }> {
    const { pool, flusher } = this;
    this.#group = group;
    this.#senders = [this.spsc.sender(), this.mpmc.sender()];
    for (const channel of [BY_SPSC, BY_MPMC]) {
      const sender = this.#senders[channel] as PacketSender;
      this.#routes.push(new PacketQueue((packet) => sendOn(sender, packet)));
    }
    for (let index = 0; index < EXECUTORS; index++) {
      this.#routes.push(new PacketQueue((packet) => group.sendTo(index, packet)));
    }
    group.mailbox.handle((packet) => this.#answers.push(packet));
    this.#server = await TcpServer.listen(pool, {
      codec: () => new LengthPrefixCodec('u32'),
      handler: (link) => this.#handler(link),
      flusher,
      highWaterBytes: HIGH_WATER_BYTES,
      directReadBytes: 512,
      onError: (error) => this.#watch.fail(error),
    });
    this.#udp = await UdpLink.open(pool, {
      flusher,
      receiveBytes: 1 << 20,
      sendBytes: 1 << 20,
      handler: () => ({
        onMessage: (offset, length, _bufferId, link) => {
          this.#hear(offset, length, () => link.takePacket());
        },
        onError: (error) => this.#watch.fail(error),
      }),
    });
    return { port: this.#server.port, udpPort: this.#udp.local.port };
  }

  /** Once it is known where the clients are. */
  plugSharedWriters(clientsUdpPort: number): void {
    this.#clientAddress = UdpAddress.of('127.0.0.1', clientsUdpPort);
    this.#plugInto(TWINS_OUTLET, this.twinsWriter.id);
    this.#plugInto(EXECUTORS_OUTLET, this.executorsWriter.id);
  }

  get udp(): UdpLink {
    if (this.#udp === undefined) throw new Error('not open');
    return this.#udp;
  }

  get clientAddress(): UdpAddress {
    if (this.#clientAddress === undefined) throw new Error('not open');
    return this.#clientAddress;
  }

  linkOf(source: number): TcpLink | undefined {
    return this.#outlets[source]?.link;
  }

  /** This connection is going to end: the next one of the source is another. */
  disconnect(source: number): void {
    (this.#outlets[source] as Outlet).link = undefined;
  }

  /** Takes the regions of a writer of one path from now on; returns the outlet. */
  plug(writerId: number, path: number): number {
    const outlet = path % SOURCES;
    this.#outletOfPath.set(path, outlet);
    this.#plugInto(outlet, writerId);
    return outlet;
  }

  /** The writer is closed or dead: what it has flushed still goes where it went. */
  forget(writerId: number): void {
    for (const { writerIds } of this.#outlets) writerIds.delete(writerId);
  }

  /** Where what was written by a path goes to. */
  outletOf(path: number, seat: number): number {
    const own = this.#outletOfPath.get(path);
    if (own !== undefined) return own;
    return seat === 1 || seat === 2 ? TWINS_OUTLET : EXECUTORS_OUTLET;
  }

  /** True if nothing is with the host, or in a channel. */
  get isEmpty(): boolean {
    if (![this.#answers, ...this.#routes].every(({ isEmpty }) => isEmpty)) return false;
    if ([this.spsc, this.mpmc, this.mpsc].some((channel) => channel.stats().queued > 0)) {
      return false;
    }
    return this.#group?.stats().every(({ queued }) => queued === 0) ?? true;
  }

  /** Bytes that wait for one client. */
  bufferedBytes(outlet: number): number {
    return outlet === UDP ? this.udp.bufferedBytes : (this.linkOf(outlet)?.bufferedBytes ?? 0);
  }

  /** Says to all clients that nothing comes behind this in the round. */
  async fence(round: number): Promise<void> {
    for (let source = 0; source < TCP_SOURCES; source++) {
      const { writer } = this.linkOf(source) as TcpLink;
      const frame = await writer.reserve(PREFIX_BYTES + HEADER_BYTES);
      this.pool.view.setUint32(frame.offset, HEADER_BYTES);
      putHeader(this.pool.view, frame.offset + PREFIX_BYTES, FENCE, source, round, 0);
      frame.commit();
    }
    this.fenceUdp(round);
  }

  fenceUdp(round: number): void {
    const packet = Packet.tryFrom(this.pool, new Uint8Array(HEADER_BYTES));
    if (packet === undefined) return;
    putHeader(this.pool.view, packet.offset, FENCE, UDP, round, 0);
    if (!this.udp.trySend(packet, this.clientAddress)) packet.release();
  }

  /** Writes to a client whose reader has stopped, until the link says that it is too much. */
  async fill(source: number): Promise<boolean> {
    const { bytes, view } = this.pool;
    for (let i = 0; i < FILL_FRAMES_MAX; i++) {
      const link = this.linkOf(source);
      if (link === undefined) return false;
      if (!link.writable) return true;
      const at = link.writer.closed ? -1 : link.writer.tryReserve(PREFIX_BYTES + MESSAGE_BYTES_MAX);
      if (at < 0) {
        link.flush();
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      view.setUint32(at, MESSAGE_BYTES_MAX);
      putHeader(view, at + PREFIX_BYTES, FILLER, source, 0, 0);
      const begin = at + PREFIX_BYTES + HEADER_BYTES;
      bytes.fill(0xf1, begin, at + PREFIX_BYTES + MESSAGE_BYTES_MAX);
      link.writer.commit(at, PREFIX_BYTES + MESSAGE_BYTES_MAX);
    }
    return false;
  }

  /** Ends everything but the group; what the clients had sent has been dealt with. */
  async close(): Promise<void> {
    for (const sender of this.#senders) sender.close();
    await this.#server?.close();
    await this.#udp?.close();
  }

  #handler(link: TcpLink): TcpHandler {
    this.openLinks.add(link);
    return {
      onFrame: (offset, length) => {
        const isMessage = this.pool.view.getUint8(offset + KIND_AT) === MESSAGE;
        this.#hear(offset, length, () => link.framer.takePacket(), link);
        if (!isMessage || !this.#random.chance(0.005)) return;
        link.pause();
        setImmediate(() => link.resume());
      },
      onClose: () => {
        this.openLinks.delete(link);
        for (const outlet of this.#outlets) if (outlet.link === link) outlet.link = undefined;
      },
    };
  }

  #hear(offset: number, length: number, take: () => Packet, link?: TcpLink): void {
    const { view } = this.pool;
    if (length < HEADER_BYTES) throw new Error(`a frame of ${length} bytes came to the host`);
    const source = view.getUint16(offset + SOURCE_AT);
    const sequence = view.getUint32(offset + SEQUENCE_AT);
    switch (view.getUint8(offset + KIND_AT)) {
      case HELLO:
        this.#connect(source, link as TcpLink);
        break;
      case FENCE:
        this.fencesIn[source] = sequence;
        break;
      case FENCE_BACK:
        this.fencesBack[source] = sequence;
        break;
      case MESSAGE: {
        const route = view.getUint8(offset + ROUTE_AT);
        const slot = this.ledger.indexOf(source, sequence);
        this.ledger.set(slot, markOf(FRAMED, targetOfRoute(route), 0));
        this.#routes[route]?.push(take());
        break;
      }
      default:
        throw new Error('a frame of no known kind came to the host');
    }
  }

  #connect(source: number, link: TcpLink): void {
    const outlet = this.#outlets[source] as Outlet;
    outlet.link = link;
    for (const writerId of outlet.writerIds) this.#add(outlet, writerId);
  }

  #plugInto(number: number, writerId: number): void {
    const outlet = this.#outlets[number] as Outlet;
    outlet.writerIds.add(writerId);
    this.#add(outlet, writerId);
  }

  #add(outlet: Outlet, writerId: number): void {
    if (outlet === this.#outlets[UDP]) this.udp.addWriter(writerId, this.clientAddress);
    else outlet.link?.addWriter(writerId);
  }

  /** What an executor has sent to the host goes back from here: as it is, or copied. */
  async #answer(packet: Packet): Promise<void> {
    const { view, ledger } = this;
    const source = view.getUint16(packet.offset + SOURCE_AT);
    const sequence = view.getUint32(packet.offset + SEQUENCE_AT);
    const slot = ledger.indexOf(source, sequence);
    const outlet = hashOf(source, sequence) % SOURCES;
    const link = outlet === UDP ? undefined : this.linkOf(outlet);
    const mark = (): void => ledger.set(slot, markOf(FLUSHED, outlet, 0));
    if (link !== undefined && (await this.#answerBy(link, packet, mark))) {
      packet.release();
      return;
    }
    ledger.set(slot, markOf(FLUSHED, UDP, 0));
    while (!this.udp.trySend(packet, this.clientAddress)) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** False: the link was closed meanwhile. */
  async #answerBy({ writer }: TcpLink, packet: Packet, mark: () => void): Promise<boolean> {
    if (writer.closed) return false;
    const { bytes } = this.pool;
    const { length, offset } = packet;
    try {
      const frame = await writer.reserve(PREFIX_BYTES + length);
      // Throws if the connection has ended between the answer and here: the space is another's.
      const at = frame.offset;
      this.view.setUint32(at, length);
      bytes.copyWithin(at + PREFIX_BYTES, offset, offset + length);
      mark();
      frame.commit();
      return true;
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_BUSBAR_WRITER_CLOSED') throw error;
      return false;
    }
  }

  private get view(): DataView {
    return this.pool.view;
  }
}

function targetOfRoute(route: number): number {
  if (route === BY_SPSC) return TO_SEAT;
  if (route === BY_MPMC) return TO_SEAT + 1;
  return TO_SEAT + 4 + (route - BY_GROUP);
}
