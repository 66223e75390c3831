// SPDX-License-Identifier: MIT
/** Buses as peers over streams of bytes, one stream for each pair. */

import { BusbarError } from '../../base/errors.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import {
  NOT_NOW,
  type PeerCarrier,
  type PeerGroup,
  type RegionReceiver,
  type SendResult,
} from './peer-carrier.ts';
import { type RegionSink, StreamReader } from './stream-reader.ts';
import { type ByteSink, StreamWriter } from './stream-writer.ts';

/** Regions that may be on their way in a stream, and in the memory below it. */
const CAPACITY = 1024;

/** The place of one peer: streams to it come and go. */
class StreamPlace implements PeerCarrier {
  readonly capacity: number = CAPACITY;
  stream: PeerStream | undefined = undefined;
  /** The epoch of the peer's last start. */
  epoch: number = 0;

  trySend(bufferId: BufferId, offset: number, length: number): SendResult {
    return this.stream?.writer.trySend(bufferId, offset, length) ?? NOT_NOW;
  }
}

/** A stream from its beginning to its end. */
export class PeerStream implements RegionSink {
  readonly writer: StreamWriter;
  readonly #group: StreamGroup;
  readonly #reader: StreamReader;
  #index: number = -1;
  #isClosed: boolean = false;

  constructor(group: StreamGroup, sink: ByteSink) {
    this.#group = group;
    this.writer = new StreamWriter(group.pool, sink, group.index, group.epoch);
    this.#reader = new StreamReader(group.pool, this);
    this.writer.flush();
  }

  /** As `StreamReader.read`; a stream that was closed reads nothing more. */
  read(bytes: Uint8Array, begin: number, end: number): number {
    return this.#isClosed ? end : this.#reader.read(bytes, begin, end);
  }

  /** The stream takes bytes again. */
  drained(): void {
    if (!this.#isClosed && this.writer.flush()) this.#group.flush();
  }

  /** The stream has ended, and the bus at its other end. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.writer.close();
    this.#reader.close();
    this.#group.closed(this, this.#index);
  }

  greeted(index: number, epoch: number): void {
    this.#group.greeted(this, index, epoch);
    this.#index = index;
    this.#group.flush();
  }

  received(bufferId: BufferId, offset: number, length: number): void {
    try {
      this.#group.take(bufferId, offset, length, this.#index);
    } catch (cause) {
      // Headers that are not JSON.
      if (!(cause instanceof SyntaxError)) throw cause;
      throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', 'headers', { cause });
    }
  }
}

export class StreamGroup implements PeerGroup {
  readonly pool: BufferPool;
  readonly index: number;
  readonly epoch: number;
  readonly carriers: readonly (StreamPlace | undefined)[];
  #receiver: RegionReceiver | undefined = undefined;
  #flush: (() => number) | undefined = undefined;
  #gone: ((index: number, epoch: number) => void) | undefined = undefined;

  /** The bus with this index among `count`. */
  constructor(pool: BufferPool, index: number, epoch: number, count: number) {
    this.pool = pool;
    this.index = index;
    this.epoch = epoch;
    const places = Array.from({ length: count }, () => new StreamPlace());
    this.carriers = places.map((place, at) => (at === index ? undefined : place));
  }

  onRegion(receiver: RegionReceiver): void {
    this.#receiver = receiver;
  }

  poll(flush: () => number): void {
    this.#flush = flush;
  }

  onGone(listener: (index: number, epoch: number) => void): void {
    this.#gone = listener;
  }

  /** A stream to one of the peers, which says which one it is. */
  open(sink: ByteSink): PeerStream {
    return new PeerStream(this, sink);
  }

  flush(): void {
    this.#flush?.();
  }

  /** **Throws** ERR_BUSBAR_FRAME_MALFORMED. */
  greeted(stream: PeerStream, index: number, epoch: number): void {
    const place = this.carriers[index];
    if (place === undefined || epoch <= place.epoch) {
      const text = `bus ${index} of epoch ${epoch} is not expected`;
      throw new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', text);
    }
    // Of a predecessor whose end was not seen.
    place.stream?.close();
    place.epoch = epoch;
    place.stream = stream;
  }

  take(bufferId: BufferId, offset: number, length: number, from: number): void {
    this.#receiver?.(bufferId, offset, length, from);
  }

  closed(stream: PeerStream, index: number): void {
    const place = this.carriers[index];
    if (place?.stream !== stream) return;
    place.stream = undefined;
    this.#gone?.(index, place.epoch);
  }
}
