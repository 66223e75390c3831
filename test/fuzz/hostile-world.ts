// SPDX-License-Identifier: MIT
/**
 * Fuzz tool: a small world for each execution: a pool, an object to call on it, and the state to
 * compare before and after.
 */
import { Duplex } from 'node:stream';
import { Bus, type BusMessage } from 'busbar/bus';
import { PacketChannel, WordChannel } from 'busbar/channel';
import { Framer, LengthPrefixCodec } from 'busbar/framer';
import { Datagram, IncomingFrame, LoopbackNetwork, TcpLink, UdpAddress } from 'busbar/link';
import { Monitor } from 'busbar/metrics';
import { Packet, PacketWriter } from 'busbar/packet';
import { type BufferId, BufferPool } from 'busbar/pool';
import {
  Barrier,
  Countdown,
  Event,
  Gate,
  type Guard,
  Mutex,
  Once,
  RwLock,
  Semaphore,
  SeqLock,
  SignalTree,
  WaitGroup,
} from 'busbar/sync';
import { LocalWriter, Reservation, SharedWriter, WriteFlusher } from 'busbar/writer';
import type { Random } from '../../src/base/random.ts';
import { LaneMailbox } from '../../src/executor/lane-mailbox.ts';
import { Inbox } from '../../src/link/inbox.ts';
import { INBOX_OWNER } from '../link/inbox-owner.ts';
import { auditPool } from '../pool-audit.ts';

/** What became of the object before it is called. */
export const STAGES = ['open', 'closed', 'detached'] as const;
export type Stage = (typeof STAGES)[number];

export const BUFFER_SIZE = 64;
const KINDS = ['spsc', 'mpsc', 'mpmc'] as const;

export class World {
  readonly random: Random;
  readonly pool: BufferPool;
  /** Another thread of the pool, as far as the pool can tell. */
  readonly other: BufferPool;
  /** A buffer that this thread holds. */
  readonly held: BufferId;
  readonly #blocks: SharedArrayBuffer[];
  readonly #ends: (() => unknown)[] = [];

  constructor(random: Random) {
    this.random = random;
    this.pool = BufferPool.create({
      bufferSize: BUFFER_SIZE,
      bufferCount: 12,
      batchSize: 1,
      maxThreads: 4,
    });
    this.#blocks = [this.pool.handle.control];
    this.other = BufferPool.attach(this.pool.handle);
    this.held = this.pool.tryAcquire();
    this.#ends.push(() => this.pool.release(this.held));
  }

  packet(): Packet {
    const packet = Packet.tryFrom(this.pool, new Uint8Array(this.random.below(BUFFER_SIZE + 1)));
    if (packet === undefined) throw new Error('the pool is too small for this');
    packet.tag = this.random.below(3) - 1;
    this.atEnd(() => packet.release());
    return packet;
  }

  flusher(): WriteFlusher {
    const flusher = WriteFlusher.create(this.pool, { writerCount: 4, regionCount: 4 });
    this.#blocks.push(flusher.handle.control);
    this.atEnd(() => flusher.close());
    return flusher;
  }

  localWriter(): LocalWriter {
    const writer = new LocalWriter(this.flusher());
    this.atEnd(() => writer.close());
    return writer;
  }

  sharedWriter(): SharedWriter {
    const writer = SharedWriter.create(this.flusher());
    this.#blocks.push(writer.handle.control);
    this.atEnd(() => writer.close());
    return writer;
  }

  packetChannel(): PacketChannel {
    const kind = KINDS[this.random.below(3)];
    const survives = this.random.below(2) === 0;
    const channel = PacketChannel.create(this.pool, { kind, capacity: 4, survives });
    this.#blocks.push(channel.handle.control);
    this.atEnd(() => channel.destroy());
    return channel;
  }

  wordChannel(): WordChannel {
    const kind = KINDS[this.random.below(3)];
    const survives = this.random.below(2) === 0;
    const channel = WordChannel.create(this.pool, { kind, capacity: 4, survives });
    this.#blocks.push(channel.handle.control);
    this.atEnd(() => channel.destroy());
    return channel;
  }

  mutex(): Mutex {
    const mutex = Mutex.create(this.pool);
    this.#blocks.push(mutex.handle.control);
    return mutex;
  }

  /** Remembers the block of a primitive. */
  shares<One extends { readonly handle: { readonly control: SharedArrayBuffer } }>(one: One): One {
    this.#blocks.push(one.handle.control);
    return one;
  }

  mailbox(): LaneMailbox {
    const channel = this.packetChannel();
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    const mailbox = new LaneMailbox(this.pool, [receiver], () => {});
    mailbox.laneTo = () => sender;
    if (this.random.chance(0.7)) sender.trySend(this.packet());
    this.atEnd(() => sender.close());
    this.atEnd(() => mailbox.close());
    return mailbox;
  }

  bus(): Bus {
    const bus = new Bus(this.pool);
    this.atEnd(() => bus.close());
    return bus;
  }

  busMessage(): BusMessage {
    const bus = this.bus();
    const kept: BusMessage[] = [];
    bus.subscribe('a', (message) => {
      kept.push(message.keep());
    });
    bus.tryPublish('a', 'text', { reply: 'b' });
    this.atEnd(() => kept[0].release());
    return kept[0];
  }

  packetWriter(): PacketWriter {
    const writer = new PacketWriter(this.pool);
    this.atEnd(() => writer.close());
    return writer;
  }

  rwLock(): RwLock {
    const lock = RwLock.create(this.pool);
    this.#blocks.push(lock.handle.control);
    return lock;
  }

  semaphore(): Semaphore {
    const semaphore = Semaphore.create(this.pool, { permits: 2, max: 4 });
    this.#blocks.push(semaphore.handle.control);
    return semaphore;
  }

  event(): Event {
    const event = Event.create(this.pool, { reset: 'auto' });
    this.#blocks.push(event.handle.control);
    return event;
  }

  framer(): Framer {
    const framer = new Framer(this.pool, new LengthPrefixCodec('u8'));
    framer.feed(Uint8Array.of(2, 1, 2, 3, 9));
    if (this.random.chance(0.5)) framer.next();
    this.atEnd(() => framer.close());
    return framer;
  }

  tcpLink(): TcpLink {
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const link = TcpLink.adopt(this.pool, stream, {
      codec: () => new LengthPrefixCodec('u8'),
      handler: () => ({ onFrame() {} }),
      flusher: this.flusher(),
    });
    this.atEnd(() => link.destroy());
    return link;
  }

  incomingFrame(): IncomingFrame {
    const inbox = new Inbox(64, INBOX_OWNER);
    const packet = this.packet();
    const frame = new IncomingFrame(inbox, packet);
    inbox.push(packet);
    this.atEnd(() => inbox.close());
    return frame;
  }

  datagram(): Datagram {
    const packet = this.packet();
    const { pool, bufferId, offset, length } = packet;
    packet.markMoved();
    const arrival = { table: new Int32Array(16), sourceAt: 4, isTruncated: false };
    const datagram = new Datagram(pool, bufferId, offset, length, arrival);
    this.atEnd(() => datagram[Symbol.dispose]());
    return datagram;
  }

  atEnd(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** Every word that threads share, as it is now. */
  words(): Int32Array[] {
    return this.#blocks.map((block) => new Int32Array(block).slice());
  }

  /** Ends all there is, in good order; returns what contradicts the pool's accounts. */
  finish(): string[] {
    for (const end of this.#ends.reverse()) quietly(end);
    quietly(() => this.pool.close());
    const wrong = auditPool(this.pool);
    quietly(() => this.other.detach());
    quietly(() => this.pool.detach());
    return wrong;
  }
}

export function quietly(call: () => unknown): void {
  try {
    call();
  } catch {
    // It is closed already, or was never open.
  }
}

type Make = (world: World) => object;

/** One object of each class that has methods, as good as new but not empty. */
export const SUBJECTS: Readonly<Record<string, Make>> = {
  BufferPool: (world) => world.pool,
  Packet: (world) => world.packet(),
  Framer: (world) => world.framer(),
  LocalWriter: (world) => world.localWriter(),
  SharedWriter: (world) => world.sharedWriter(),
  WriteFlusher: (world) => {
    const writer = world.localWriter();
    const { flusher } = writer;
    flusher.becomeReceiver();
    writer.tryWrite(new Uint8Array(3));
    writer.flush();
    return flusher;
  },
  Reservation: (world) => {
    const writer = world.random.chance(0.5) ? world.localWriter() : world.sharedWriter();
    return new Reservation(writer, writer.tryReserve(8), 8);
  },
  PacketChannel: (world) => world.packetChannel(),
  WordChannel: (world) => world.wordChannel(),
  PacketSender: (world) => {
    const channel = world.packetChannel();
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    world.atEnd(() => [sender.close(), receiver.close()]);
    return sender;
  },
  PacketReceiver: (world) => {
    const channel = world.packetChannel();
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    if (world.random.chance(0.7)) sender.trySend(world.packet());
    world.atEnd(() => [sender.close(), receiver.close()]);
    return receiver;
  },
  WordSender: (world) => {
    const channel = world.wordChannel();
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    world.atEnd(() => [sender.close(), receiver.close()]);
    return sender;
  },
  WordReceiver: (world) => {
    const channel = world.wordChannel();
    const [sender, receiver] = [channel.sender(), channel.receiver()];
    if (world.random.chance(0.7)) sender.trySend(7);
    world.atEnd(() => [sender.close(), receiver.close()]);
    return receiver;
  },
  Mutex: (world) => world.mutex(),
  Countdown: (world) => world.shares(Countdown.create(world.pool, 3)),
  WaitGroup: (world) => world.shares(WaitGroup.create(world.pool)),
  Barrier: (world) => world.shares(Barrier.create(world.pool)),
  Once: (world) => world.shares(Once.create(world.pool)),
  Gate: (world) => world.shares(Gate.create(world.pool)),
  SeqLock: (world) => SeqLock.create(world.pool, { words: 2 }),
  SignalTree: (world) => world.shares(SignalTree.create(world.pool, { signals: 40 })),
  Signal: (world) => world.shares(SignalTree.create(world.pool, { signals: 40 })).signal(1),
  Bus: (world) => world.bus(),
  Mailbox: (world) => world.mailbox(),
  Monitor: () => new Monitor(),
  BusSubscription: (world) => world.bus().subscribe('a'),
  BusMessage: (world) => world.busMessage(),
  PacketWriter: (world) => world.packetWriter(),
  RwLock: (world) => world.rwLock(),
  ReadLock: (world) => world.rwLock().readOnly,
  Event: (world) => world.event(),
  Semaphore: (world) => world.semaphore(),
  Guard: (world) => world.mutex().guardSync(),
  TcpLink: (world) => world.tcpLink(),
  IncomingFrame: (world) => world.incomingFrame(),
  Datagram: (world) => world.datagram(),
  UdpAddress: () => UdpAddress.of('127.0.0.1', 4222),
  LoopbackNetwork: () => new LoopbackNetwork({ automatic: false }),
};

/** How an object of the class comes to its end; default: `close()`. */
const ENDS: Readonly<Record<string, (subject: never) => void>> = {
  Packet: (packet: Packet) => packet.release(),
  Reservation: (reservation: Reservation) => reservation.abort(),
  Monitor: () => {},
  Mutex: () => {},
  Countdown: () => {},
  WaitGroup: () => {},
  Barrier: (barrier: Barrier) => barrier.cancel(),
  Once: () => {},
  Gate: (gate: Gate) => gate.close(),
  RwLock: () => {},
  SeqLock: () => {},
  SignalTree: () => {},
  Signal: () => {},
  BusMessage: (message: BusMessage) => message.release(),
  ReadLock: () => {},
  Event: () => {},
  Semaphore: (semaphore: Semaphore) => semaphore.disable(),
  Guard: (guard: Guard) => guard.release(),
  TcpLink: (link: TcpLink) => link.destroy(),
  IncomingFrame: () => {},
  Datagram: (datagram: Datagram) => datagram.release(),
  UdpAddress: () => {},
  LoopbackNetwork: () => {},
};

export function bringTo(stage: Stage, world: World, name: string, subject: object): void {
  if (stage === 'open') return;
  const end = ENDS[name] as ((subject: object) => void) | undefined;
  if (stage === 'closed' || world.random.chance(0.5)) {
    if (end === undefined) (subject as { close(): void }).close();
    else end(subject);
  }
  if (stage === 'closed') return;
  quietly(() => world.pool.release(world.held));
  quietly(() => world.pool.detach());
}
