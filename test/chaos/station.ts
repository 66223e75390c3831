// SPDX-License-Identifier: MIT
/**
 * Test tool: what a thread of a chaos run does with a message: it checks it, then writes it to its
 * writer or passes it on. It records each step before it takes it.
 */
import type { PacketSender } from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { type BufferPool, NO_BUFFER } from 'busbar/pool';
import type { LocalWriter, SharedWriter } from 'busbar/writer';
import { Random } from '../../src/base/random.ts';
import {
  COMMITTING,
  FLUSHED,
  FLUSHING,
  IN_HAND,
  type Ledger,
  markOf,
  OPENING,
  PASSED,
  PASSING,
  type Place,
  READ,
  READING,
  RELEASING,
  RESERVING,
  TAKEN,
  TO_CLIENT,
  WAITING_ROOM,
  WRITING,
  WRITTEN,
} from './board.ts';
import {
  FILLER,
  faultOf,
  HEADER_BYTES,
  PATH_AT,
  PREFIX_BYTES,
  putHeader,
  SEQUENCE_AT,
  SOURCE_AT,
  SUM_AT,
} from './message.ts';
import { PacketQueue, sendOn } from './packet-queue.ts';

/** Where a message goes next; `sender` undefined: into the writer. */
export interface Way {
  readonly target: number;
  readonly sender: PacketSender | undefined;
  /** Made by the station: one way that is blocked stops no other. */
  queue: PacketQueue | undefined;
}

export const INTO_WRITER: Way = { target: TO_CLIENT, sender: undefined, queue: undefined };

export function wayTo(target: number, sender: PacketSender): Way {
  return { target, sender, queue: undefined };
}

export interface StationOptions {
  readonly pool: BufferPool;
  readonly place: Place;
  readonly ledger: Ledger;
  /** Opens the writer; called again when the station has closed the last one. */
  readonly openWriter: () => LocalWriter | SharedWriter;
  /** Called with each new writer; waits until its regions have a destination. */
  readonly announce: (writer: LocalWriter | SharedWriter) => Promise<void>;
  /** Of the length before each message. */
  readonly prefixBytes: () => number;
  readonly wayOf: (sequence: number, from: number) => Way;
}

/** Messages that are written before they are flushed, at most. */
const UNFLUSHED_MAX = 6;
/** Packets that are kept beyond their time, at most. */
const KEPT_MAX = 3;
const RETRY_MS = 1;

/** One thread's desk. One `take` after the other. */
export class Station {
  readonly #options: StationOptions;
  readonly #random: Random;
  readonly #unflushed: number[] = [];
  readonly #kept: Packet[] = [];
  #writer: LocalWriter | SharedWriter;
  #path: number;

  private constructor(options: StationOptions) {
    this.#options = options;
    options.place.act(OPENING);
    this.#path = options.place.openPath();
    this.#random = new Random(this.#path);
    this.#writer = options.openWriter();
  }

  static async open(options: StationOptions): Promise<Station> {
    const station = new Station(options);
    options.place.frenzy = () => station.#frenzy();
    await options.announce(station.#writer);
    return station;
  }

  /** First thing with every packet: from here on it is this thread's. */
  note(packet: Packet): void {
    const { place, ledger } = this.#options;
    ledger.set(this.#slotOf(packet), markOf(READ, TO_CLIENT, this.#path));
    place.add(IN_HAND, 1);
    place.add(TAKEN, 1);
  }

  /** Does with a packet what is to be done. It was noted before. */
  async take(packet: Packet, from: number): Promise<void> {
    const { place, pool } = this.#options;
    const { view } = pool;
    const at = packet.offset;
    place.act(READING);
    const fault = faultOf(view, pool.bytes, at, packet.length);
    if (fault !== '') throw new Error(`seat ${place.seat}: ${fault}`);
    const way = this.#options.wayOf(view.getUint32(at + SEQUENCE_AT), from);
    const { sender, target } = way;
    if (sender === undefined) {
      await this.#write(packet, this.#slotOf(packet));
    } else {
      way.queue ??= new PacketQueue((next) => this.#pass(next, sender, target));
      way.queue.push(packet);
    }
  }

  /** Nothing is there to be taken: everything leaves, nothing is kept. */
  async settle(): Promise<void> {
    const { place } = this.#options;
    place.act(RELEASING);
    for (const packet of this.#kept.splice(0)) packet.release();
    while (!this.#flush()) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    if ('releaseIdle' in this.#writer) this.#writer.releaseIdle();
  }

  /** Returns the bytes that could not be handed over. */
  close(): number {
    for (const packet of this.#kept.splice(0)) packet.release();
    return this.#writer.close();
  }

  #slotOf({ offset }: Packet): number {
    const { pool, ledger } = this.#options;
    const source = pool.view.getUint16(offset + SOURCE_AT);
    return ledger.indexOf(source, pool.view.getUint32(offset + SEQUENCE_AT));
  }

  async #pass(packet: Packet, sender: PacketSender, target: number): Promise<void> {
    const { place, ledger } = this.#options;
    ledger.set(this.#slotOf(packet), markOf(PASSED, target, this.#path));
    place.act(PASSING);
    await sendOn(sender, packet);
    place.add(IN_HAND, -1);
  }

  async #write(packet: Packet, slot: number): Promise<void> {
    const { place, ledger, pool } = this.#options;
    const whim = this.#random.below(256);
    if (whim < 24) await this.#abortOne();
    if (whim === 255) await this.#reopen();
    const sabotage = whim < 250 ? 'none' : place.board.sabotage;
    if (sabotage === 'lose') {
      place.add(IN_HAND, -1);
      packet.release();
      return;
    }
    const prefixBytes = this.#options.prefixBytes();
    const { length } = packet;
    place.act(RESERVING);
    const offset = await this.#reserve(prefixBytes + length);
    place.act(WRITING);
    const { view, bytes } = pool;
    const at = offset + prefixBytes;
    try {
      if (prefixBytes === 2) view.setUint16(offset, length);
      else view.setUint32(offset, length);
      bytes.copyWithin(at, packet.offset, packet.offset + length);
      view.setUint32(at + PATH_AT, this.#path);
      if (sabotage === 'change') bytes[at + SUM_AT] ^= 1;
      ledger.set(slot, markOf(WRITTEN, TO_CLIENT, this.#path));
      place.act(COMMITTING);
      if (whim < 40) this.#keep(this.#writer.commitPacket(offset, prefixBytes + length));
      else this.#writer.commit(offset, prefixBytes + length);
    } catch (error) {
      this.#endReservation(offset);
      throw error;
    }
    if (sabotage === 'repeat') this.#writer.tryWrite(bytes, offset, at + length);
    this.#unflushed.push(slot);
    place.act(RELEASING);
    if (whim < 64) this.#keep(packet.clone());
    packet.release();
    if (this.#unflushed.length >= UNFLUSHED_MAX) this.#flush();
  }

  async #reserve(length: number): Promise<number> {
    const writer = this.#writer;
    const offset = writer.tryReserve(length);
    if (offset >= 0) return offset;
    this.#options.place.act(WAITING_ROOM);
    const reservation = await writer.reserve(length);
    return reservation.offset;
  }

  /** Reserves for nothing. */
  async #abortOne(): Promise<void> {
    const offset = await this.#reserve(1 + this.#random.below(100));
    try {
      this.#writer.abort(offset);
    } catch (error) {
      this.#endReservation(offset);
      throw error;
    }
  }

  /** After an exception: what is committed behind an open reservation would never be flushed. */
  #endReservation(offset: number): void {
    try {
      this.#writer.abort(offset);
    } catch {
      // It had ended before the exception.
    }
  }

  /** The writer is closed, and another one opened in its place. */
  async #reopen(): Promise<void> {
    const { place, openWriter, announce } = this.#options;
    if (!this.#flush()) return;
    place.act(OPENING);
    const dropped = this.#writer.close();
    if (dropped > 0) throw new Error(`seat ${place.seat}: close dropped ${dropped} bytes`);
    this.#path = place.openPath();
    this.#writer = openWriter();
    await announce(this.#writer);
  }

  /** Calls in which to die: buffers, references, reservations, flushes. */
  #frenzy(): void {
    const { pool, prefixBytes } = this.#options;
    const id = pool.tryAcquire();
    if (id !== NO_BUFFER) {
      const packet = Packet.wrap(pool, id, pool.offsetOf(id), 8);
      packet.clone().release();
      packet.release();
    }
    const writer = this.#writer;
    const length = prefixBytes() + HEADER_BYTES;
    const at = writer.tryReserve(length);
    if (at < 0) return;
    // By UDP they would drive out others.
    if (prefixBytes() !== PREFIX_BYTES || this.#random.chance(0.5)) {
      writer.abort(at);
    } else {
      pool.view.setUint32(at, HEADER_BYTES);
      putHeader(pool.view, at + PREFIX_BYTES, FILLER, 0, 0, 0);
      writer.commit(at, length);
    }
    if (this.#random.chance(0.5)) writer.flush();
  }

  #keep(packet: Packet): void {
    this.#kept.push(packet);
    if (this.#kept.length > KEPT_MAX) this.#kept.shift()?.release();
  }

  #flush(): boolean {
    const { place, ledger } = this.#options;
    place.act(FLUSHING);
    if (!this.#writer.flush()) return false;
    const from = markOf(WRITTEN, TO_CLIENT, this.#path);
    const to = markOf(FLUSHED, TO_CLIENT, this.#path);
    for (const slot of this.#unflushed) ledger.move(slot, from, to);
    place.add(IN_HAND, -this.#unflushed.length);
    this.#unflushed.length = 0;
    return true;
  }
}
