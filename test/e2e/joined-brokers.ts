// SPDX-License-Identifier: MIT
/**
 * End to end: several brokers of one mesh on one thread, with real sockets and with lanes that can
 * be slow, small, or cut.
 */

import { Board } from '../../broker/board.ts';
import { Broker } from '../../broker/broker.ts';
import { type BrokerOptions, resolveBrokerOptions } from '../../broker/broker-options.ts';
import type { Random } from '../../src/base/random.ts';
import type { PeerCarrier, PeerGroup, RegionReceiver } from '../../src/bus/index.ts';
import { type BufferId, BufferPool } from '../../src/pool/index.ts';

interface Region {
  readonly bufferId: BufferId;
  readonly offset: number;
  readonly length: number;
}

export interface JoinedOptions extends BrokerOptions {
  readonly count: number;
  readonly laneCapacity?: number;
  /** Decides how long regions stay in the lanes; default: until the end of the turn. */
  readonly random?: Random;
}

/** The lanes of all, and the brokers at their ends. */
export class JoinedBrokers {
  readonly brokers: Broker[] = [];
  readonly pool: BufferPool;
  /** Regions sent so far. */
  sentCount = 0;
  readonly #options: JoinedOptions;
  readonly #board: Board;
  readonly #lanes: Region[][][];
  readonly #receivers: (RegionReceiver | undefined)[] = [];
  /** Of the broker at each index, 0 if it is dead, and of the last one there. */
  readonly #epochs: number[] = [];
  readonly #starts: number[] = [];
  /** The executor that nothing reaches now. */
  #deaf: number | undefined = undefined;
  #isPumping = false;

  private constructor(options: JoinedOptions) {
    this.#options = options;
    this.#board = Board.create(options.count);
    const { bufferSize, bufferCount } = resolveBrokerOptions(this.#brokerOptions());
    this.pool = BufferPool.create({ bufferSize, bufferCount });
    const all = Array.from({ length: options.count }, (_, i) => i);
    this.#lanes = all.map(() => all.map(() => []));
  }

  static async start(options: JoinedOptions): Promise<JoinedBrokers> {
    const joined = new JoinedBrokers(options);
    const indices = Array.from({ length: options.count }, (_, i) => i);
    await Promise.all(indices.map((index) => joined.startOne(index)));
    return joined;
  }

  /** Starts the broker at `index`, or its successor. */
  async startOne(index: number): Promise<void> {
    const epoch = (this.#starts[index] ?? 0) + 1;
    this.#starts[index] = epoch;
    this.#epochs[index] = epoch;
    const { laneCapacity = 64 } = this.#options;
    const carrierTo = (to: number): PeerCarrier => ({
      capacity: laneCapacity,
      trySend: (bufferId, offset, length) => {
        const lane = this.#lanes[index][to];
        // One that was killed may still say something when its clients' sockets close.
        if (this.#epochs[index] !== epoch || lane.length >= laneCapacity) return 0;
        lane.push({ bufferId, offset, length });
        this.sentCount++;
        this.#pump();
        return 1;
      },
    });
    const peers: PeerGroup = {
      index,
      epoch,
      carriers: this.#lanes.map((_, to) => (to === index ? undefined : carrierTo(to))),
      onRegion: (receiver) => {
        this.#receivers[index] = receiver;
      },
    };
    const seat = { pool: this.pool, peers, board: this.#board, serverId: 'JOINED' };
    this.brokers[index] = new Broker(resolveBrokerOptions(this.#brokerOptions()), seat);
    await this.brokers[index].listen(() => ({ host: '127.0.0.1', port: 0 }));
  }

  /** Ends the broker at `index` as a crash would; `notice`: the others are told. */
  async kill(index: number, notice: boolean = true): Promise<void> {
    const epoch = this.#epochs[index];
    this.#epochs[index] = 0;
    this.#receivers[index] = undefined;
    const broker = this.brokers[index];
    for (const { link } of broker.connections) link.destroy();
    for (const lane of this.#lanes[index]) {
      for (const { bufferId } of lane.splice(0)) this.pool.release(bufferId);
    }
    await broker.drain();
    this.#board.clear(index);
    if (notice) {
      this.brokers.forEach((other, i) => {
        if (i !== index) other.mesh.lost(index, epoch);
      });
    }
  }

  /** Nothing reaches this executor, until `hear`. */
  deafen(index: number): void {
    this.#deaf = index;
  }

  hear(): void {
    this.#deaf = undefined;
    this.#pump();
  }

  /** Stops all of them in good order. */
  async drain(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.drain()));
    for (const lane of this.#lanes.flat()) {
      for (const { bufferId } of lane.splice(0)) this.pool.release(bufferId);
    }
  }

  #brokerOptions(): BrokerOptions {
    const { count: _c, laneCapacity: _l, random: _r, ...options } = this.#options;
    return options;
  }

  /** Regions arrive in later turns, each lane's in order. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      const { random } = this.#options;
      let isLeft = false;
      this.#lanes.forEach((row, from) => {
        row.forEach((lane, to) => {
          const receiver = this.#receivers[to];
          if (receiver === undefined || to === this.#deaf) return;
          let take = random === undefined ? lane.length : random.below(lane.length + 1);
          for (; take > 0 && lane.length > 0; take--) {
            const { bufferId, offset, length } = lane.shift() as Region;
            receiver(bufferId, offset, length, from);
          }
          if (lane.length > 0) isLeft = true;
        });
      });
      if (isLeft) this.#pump();
    });
  }
}
