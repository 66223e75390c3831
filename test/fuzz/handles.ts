// SPDX-License-Identifier: MIT
/**
 * Fuzz target: handles of other pools, kinds and versions, forged and damaged ones, and invented
 * packets in transit. Each is rejected as documented, or is as good as the genuine one.
 */
import { type ChannelHandle, PacketChannel, WordChannel } from 'busbar/channel';
import { Packet, type SendPacket } from 'busbar/packet';
import { BufferPool, type BufferPoolHandle } from 'busbar/pool';
import {
  Barrier,
  type BarrierHandle,
  Countdown,
  type CountdownHandle,
  Event,
  type EventHandle,
  Gate,
  type GateHandle,
  Mutex,
  type MutexHandle,
  Once,
  type OnceHandle,
  ReadLock,
  type ReadLockHandle,
  RwLock,
  type RwLockHandle,
  Semaphore,
  type SemaphoreHandle,
  SignalTree,
  type SignalTreeHandle,
  WaitGroup,
  type WaitGroupHandle,
} from 'busbar/sync';
import {
  SharedWriter,
  type SharedWriterHandle,
  WriteFlusher,
  type WriteFlusherHandle,
} from 'busbar/writer';
import { Random } from '../../src/base/random.ts';
import { auditPool } from '../pool-audit.ts';
import { FROM_GETTER, hostileValue, isNoPrimitive } from './hostile-values.ts';
import { insist, type SeedTarget } from './target.ts';

interface Kind {
  readonly handle: object;
  readonly attach: (handle: never) => unknown;
}

/** The first words of every block say what it is; further ones are state. */
const HEADER_WORDS = 8;
/** MAGIC and VERSION: no block with others is taken. */
const IDENTITY_WORDS = 2;

/** A pool with everything on it that has a handle. */
function makeKinds(): { pool: BufferPool; kinds: Kind[] } {
  const shape = { bufferSize: 64, bufferCount: 6, batchSize: 1, maxThreads: 1000 };
  const pool = BufferPool.create(shape);
  const flusher = WriteFlusher.create(pool, { writerCount: 4, regionCount: 4 });
  const packets = PacketChannel.create(pool, { kind: 'mpmc', capacity: 4 });
  const words = WordChannel.create(pool, { kind: 'spsc', capacity: 4 });
  const writer = SharedWriter.create(flusher);
  const mutex = Mutex.create(pool);
  const rwLock = RwLock.create(pool);
  const semaphore = Semaphore.create(pool, { permits: 2, owned: true });
  const kinds: Kind[] = [
    {
      handle: pool.handle,
      attach: (handle: BufferPoolHandle) => BufferPool.attach(handle).detach(),
    },
    {
      handle: packets.handle,
      attach: (handle: ChannelHandle) => PacketChannel.attach(pool, handle),
    },
    { handle: words.handle, attach: (handle: ChannelHandle) => WordChannel.attach(pool, handle) },
    {
      handle: mutex.handle,
      attach: (handle: MutexHandle) => Mutex.attach(pool, handle).tryLock(),
    },
    {
      handle: semaphore.handle,
      attach: (handle: SemaphoreHandle) => Semaphore.attach(pool, handle),
    },
    {
      handle: Countdown.create(pool, 9).handle,
      attach: (handle: CountdownHandle) => Countdown.attach(pool, handle).add(),
    },
    {
      handle: WaitGroup.create(pool).handle,
      attach: (handle: WaitGroupHandle) => WaitGroup.attach(pool, handle).add(),
    },
    {
      handle: Barrier.create(pool).handle,
      attach: (handle: BarrierHandle) => Barrier.attach(pool, handle).cancel(),
    },
    {
      handle: Gate.create(pool).handle,
      attach: (handle: GateHandle) => Gate.attach(pool, handle).open(),
    },
    {
      handle: Once.create(pool).handle,
      attach: (handle: OnceHandle) => Once.attach(pool, handle).tryBegin(),
    },
    {
      handle: rwLock.handle,
      attach: (handle: RwLockHandle) => RwLock.attach(pool, handle).tryRead(),
    },
    {
      handle: rwLock.readOnly.handle,
      attach: (handle: ReadLockHandle) => ReadLock.attach(pool, handle).tryRead(),
    },
    {
      handle: Event.create(pool).handle,
      attach: (handle: EventHandle) => Event.attach(pool, handle),
    },
    {
      handle: SignalTree.create(pool, { signals: 99 }).handle,
      attach: (handle: SignalTreeHandle) => SignalTree.attach(pool, handle).tryTake(),
    },
    {
      handle: flusher.handle,
      attach: (handle: WriteFlusherHandle) => WriteFlusher.attach(pool, handle),
    },
    {
      handle: writer.handle,
      attach: (handle: SharedWriterHandle) => SharedWriter.attach(flusher, handle).close(),
    },
  ];
  return { pool, kinds };
}

const { pool, kinds } = makeKinds();
const foreign = makeKinds();

/** A handle that is not the true one; `mayPass`: nothing tells it from one that is. */
function forge(random: Random, at: number): { handle: unknown; mayPass: boolean } {
  const true_ = kinds[at].handle as Record<string, unknown>;
  const keys = Object.keys(true_);
  const key = keys[random.below(keys.length)];
  const other = kinds[(at + 1 + random.below(kinds.length - 1)) % kinds.length].handle;
  // A view of a lock takes the lock's handle as well, and lies in the same block.
  const isSameLock = (other as ChannelHandle).control === true_.control;
  switch (random.below(8)) {
    case 0:
      return { handle: hostileValue(random), mayPass: false };
    case 1:
      return { handle: foreign.kinds[at].handle, mayPass: at === 0 };
    case 2:
      return { handle: other, mayPass: isSameLock };
    case 3:
      return {
        handle: { ...true_, control: (other as ChannelHandle).control },
        mayPass: isSameLock,
      };
    case 4: {
      const { [key]: _, ...rest } = true_;
      return { handle: rest, mayPass: false };
    }
    case 5:
      return { handle: { ...true_, [key]: hostileValue(random) }, mayPass: key === 'options' };
    case 6:
      return { handle: structuredClone(true_), mayPass: true };
    default:
      return damage(random, true_);
  }
}

/** The true handle with a copy of its block that is too short, too long or not what it says. */
function damage(
  random: Random,
  true_: Record<string, unknown>,
): { handle: unknown; mayPass: boolean } {
  const words = new Int32Array(true_.control as SharedArrayBuffer);
  const count = random.chance(0.7) ? words.length : random.below(words.length + 64);
  const copy = new Int32Array(new SharedArrayBuffer(4 * count));
  copy.set(words.subarray(0, count));
  const at = random.below(HEADER_WORDS);
  const before = copy[at];
  copy[at] = random.chance(0.5) ? copy[at] ^ (1 << random.below(32)) : random.next();
  const isKnown = before === copy[at] || at >= IDENTITY_WORDS;
  return { handle: { ...true_, control: copy.buffer }, mayPass: count === words.length && isKnown };
}

function tryHandle(random: Random): void {
  const at = random.below(kinds.length);
  const { handle, mayPass } = forge(random, at);
  try {
    kinds[at].attach(handle as never);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (error === FROM_GETTER || code === 'ERR_BUSBAR_BAD_HANDLE') return;
    // The engine throws this for any use of the argument.
    if (/proxy that has been revoked/.test(message)) return;
    // A forged block may show any state that a block can have.
    if (mayPass && code?.startsWith('ERR_BUSBAR_')) return;
    insist(mayPass && error instanceof TypeError, `kind ${at}: ${code ?? ''} ${message}`);
    return;
  }
  insist(mayPass, `kind ${at} accepted ${JSON.stringify(handle)}`);
}

/** What was sent, with one number changed. */
function tryPacket(random: Random): void {
  const packet = Packet.tryFrom(pool, new Uint8Array(8));
  if (packet === undefined) throw new Error('a buffer did not come home');
  const { bufferId } = packet;
  const sent = packet.moveOut();
  const keys = ['buffer', 'offset', 'length', 'contribution'] as const;
  const key = keys[random.below(keys.length)];
  const value = random.chance(0.5) ? hostileValue(random) : random.next() | 0;
  // The shares in the low half belong to the packet: their true number is unknown.
  const forged = { ...sent, [key]: value, ...(random.chance(0.2) ? { contribution: 0 } : {}) };
  const isRefused =
    key !== 'contribution' ||
    ((Number.isInteger(value) ? Number(value) : 0) ^ sent.contribution) >>> 16 !== 0;
  const good = isRefused ? receiveForged(forged as SendPacket, bufferId) : undefined;
  const received = Packet.moveIn(pool, good ?? sent);
  insist(received.bufferId === bufferId, 'another buffer was received');
  received.release();
}

/** The packet as it was sent again, if the forged one was as good as the true one. */
function receiveForged(forged: SendPacket, bufferId: number): SendPacket | undefined {
  let received: Packet;
  try {
    received = Packet.moveIn(pool, forged);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const isKnown = code === 'ERR_BUSBAR_BAD_SEND_PACKET' || error === FROM_GETTER;
    const isNone = Object.values(forged).some(isNoPrimitive);
    insist(isKnown || isNone, `received: ${code ?? ''} ${message}`);
    return undefined;
  }
  // Another region of the same buffer is a packet as good as the first.
  insist(received.bufferId === bufferId, 'a packet of another buffer came out');
  return received.moveOut();
}

export const handles: SeedTarget = {
  name: 'handles',
  execution: 'one forged handle, or one forged packet in transit',
  executionsInTests: 5_000,
  run(seed) {
    const random = new Random(seed);
    if (random.chance(0.7)) tryHandle(random);
    else tryPacket(random);
    if (seed % 64 === 0) {
      const wrong = auditPool(pool);
      insist(wrong.length === 0, wrong.join('; '));
    }
  },
};
