// SPDX-License-Identifier: MIT
/** Bounded queues between threads: `PacketChannel` and `WordChannel`. */

import type { Words } from '../base/atomics.ts';
import { checkMade } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import type { BufferPool } from '../pool/index.ts';
import { BY_QUESTION } from '../pool/liveness.ts';
import { ChannelCore, type ChannelStats } from './channel-core.ts';
import type { ChannelKind, ChannelLoad } from './channel-layout.ts';
import {
  type ChannelHandle,
  type ChannelOptions,
  createChannelBlock,
  openChannelBlock,
} from './channel-options.ts';
import { PacketReceiver } from './packet-receiver.ts';
import { PacketSender } from './packet-sender.ts';
import { eachTaken } from './spsc-ring.ts';
import { WordReceiver } from './word-receiver.ts';
import { WordSender } from './word-sender.ts';

/** What both kinds of channel share. One object per thread, used by that thread only. */
abstract class Channel<S, R> {
  protected readonly core: ChannelCore;

  protected constructor(core: ChannelCore) {
    checkMade(core instanceof ChannelCore, new.target);
    this.core = core;
  }

  /** Lets another thread {@link PacketChannel.attach}; structured-cloneable. */
  get handle(): ChannelHandle {
    return this.core.handle;
  }

  /** The option `name`; '' without one. */
  get name(): string {
    return this.core.name;
  }

  get kind(): ChannelKind {
    return this.core.kind;
  }

  /** Messages that fit. */
  get capacity(): number {
    return this.core.capacity;
  }

  /** True once any thread has closed the channel. */
  get closed(): boolean {
    return this.core.isClosed;
  }

  /**
   * Joins the senders. Takes over from a sender that died, where the kind allows only one.
   *
   * **Throws** ERR_BUSBAR_CHANNEL_ROLE if the kind allows one sender and there is a living one.
   */
  abstract sender(): S;

  /**
   * Joins the receivers. Takes over from a receiver that died, where the kind allows only one.
   *
   * **Throws** ERR_BUSBAR_CHANNEL_ROLE if the kind allows one receiver and there is a living one.
   */
  abstract receiver(): R;

  /**
   * Closes the channel for all threads: from now on sending throws; receivers drain what is queued
   * and then end. Idempotent.
   */
  close(): void {
    this.core.pool.checkAttached();
    this.core.close();
  }

  /**
   * Cleans up after dead threads: ends their unfinished claims and frees their seats. Returns the
   * number of seats freed. Waiting ends do this at intervals; call it when a worker has exited.
   */
  recover(): number {
    this.core.pool.checkAttached();
    return this.core.recover(BY_QUESTION);
  }

  /**
   * Closes the channel and, if no living thread receives, releases what is queued. Returns the
   * number of messages released.
   */
  destroy(): number {
    this.core.pool.checkAttached();
    return this.core.destroy();
  }

  /** Counters, read without stopping any thread. **Cost** a few loads per seat and per slot. */
  stats(): ChannelStats {
    return this.core.stats();
  }
}

/**
 * A bounded queue of packets between threads. It moves references; the bytes stay where they are.
 *
 * Three kinds with one contract: 'spsc' (one thread sends, one receives; the fastest), 'mpsc' and
 * 'mpmc'. Messages of one sender arrive in order, each at one receiver. "Full" and "empty" are
 * return values, not errors. A closed channel accepts nothing more and loses nothing.
 *
 * @example
 * ```ts
 * import { PacketChannel } from 'busbar/channel';
 * import { Packet } from 'busbar/packet';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64 });
 * const channel = PacketChannel.create(pool, { kind: 'spsc', capacity: 16 });
 * // Elsewhere: PacketChannel.attach(BufferPool.attach(poolHandle), channelHandle).receiver()
 * const receiver = channel.receiver();
 * const sender = channel.sender();
 *
 * const packet = Packet.tryFrom(pool, new TextEncoder().encode('hello'));
 * if (packet !== undefined && !sender.trySend(packet)) packet.release(); // full: still ours
 * sender.close();
 * for await (using received of receiver) console.log(received.toString());
 * ```
 */
export class PacketChannel extends Channel<PacketSender, PacketReceiver> {
  /**
   * Creates a channel between threads of a pool. **Cost** 20 bytes (spsc) or 32 per slot, and 128
   * per seat. **Throws** TypeError or RangeError naming the option.
   */
  static create(pool: BufferPool, options: ChannelOptions): PacketChannel {
    return new PacketChannel(new ChannelCore(pool, createChannelBlock(pool, PACKETS, options)));
  }

  /** @internal {@link create} in a carrier: words of the pool's own block. */
  static createAt(pool: BufferPool, options: ChannelOptions, begin: number): PacketChannel {
    const words = createChannelBlock(pool, PACKETS, options, begin);
    return new PacketChannel(new ChannelCore(pool, words));
  }

  /** Joins a channel by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: ChannelHandle): PacketChannel {
    return new PacketChannel(new ChannelCore(pool, openChannelBlock(pool, PACKETS, handle)));
  }

  /** @internal Kind 'spsc': see `eachTaken` of spsc-ring.ts. */
  eachTaken(callback: (words: Words, at: number) => void): void {
    eachTaken(this.core, (at) => callback(this.core.words, at));
  }

  /** @internal While no other thread uses the channel. */
  eachTag(visit: (tag: number) => void): void {
    this.core.eachTag(visit);
  }

  override sender(): PacketSender {
    return new PacketSender(this.core);
  }

  override receiver(): PacketReceiver {
    return new PacketReceiver(this.core);
  }
}

/**
 * A bounded queue of 32-bit integers between threads, with {@link PacketChannel}'s contract. Use it
 * for indices or descriptors of anything else that threads share.
 */
export class WordChannel extends Channel<WordSender, WordReceiver> {
  /**
   * Creates a channel between threads of a pool. **Cost** 4 bytes (spsc) or 8 per slot, and 128 per
   * seat. **Throws** TypeError or RangeError naming the option.
   */
  static create(pool: BufferPool, options: ChannelOptions): WordChannel {
    return new WordChannel(new ChannelCore(pool, createChannelBlock(pool, WORDS, options)));
  }

  /** Joins a channel by its handle. **Throws** ERR_BUSBAR_BAD_HANDLE, ERR_BUSBAR_DETACHED. */
  static attach(pool: BufferPool, handle: ChannelHandle): WordChannel {
    return new WordChannel(new ChannelCore(pool, openChannelBlock(pool, WORDS, handle)));
  }

  override sender(): WordSender {
    return new WordSender(this.core);
  }

  override receiver(): WordReceiver {
    return new WordReceiver(this.core);
  }
}

const PACKETS: ChannelLoad = 'packets';
const WORDS: ChannelLoad = 'words';

describeAs(PacketChannel, 'PacketChannel', (channel) => ({
  name: channel.name,
  kind: channel.kind,
  capacity: channel.capacity,
  closed: channel.closed,
  ...channel.stats(),
}));

describeAs(WordChannel, 'WordChannel', (channel) => ({
  name: channel.name,
  kind: channel.kind,
  capacity: channel.capacity,
  closed: channel.closed,
  ...channel.stats(),
}));
