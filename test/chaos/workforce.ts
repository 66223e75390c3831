// SPDX-License-Identifier: MIT
/** Test tool: starts the threads of a chaos run, kills them, and cleans up after them. */
import { Worker } from 'node:worker_threads';
import type { PacketChannel } from 'busbar/channel';
import { ExecutorGroup } from 'busbar/executor';
import {
  ACCESS,
  ACT,
  ACTS,
  COLLECTOR,
  DOOMED,
  EXECUTOR,
  EXECUTORS,
  FAIL,
  GENERATION,
  HOARDER,
  IN_HAND,
  ORDER,
  orderOf,
  PATH,
  SEAT_COUNT,
  SINGLE,
  SLOT,
  STARTING,
  TAKEN,
  TERMINATE,
  THREAD_ID,
  TOLD_TO_THROW,
  TWIN,
} from './board.ts';
import type { ExecutorTask } from './executor.worker.ts';
import type { HoarderNews, HoarderOrder, HoarderTask } from './hoarder.worker.ts';
import { type Hub, SOURCES } from './hub.ts';
import type { StationNews, StationOrder, StationTask } from './station.worker.ts';
import type { Watch } from './watch.ts';

const STATION = new URL('./station.worker.js', import.meta.url);
const HOARDER_PROGRAM = new URL('./hoarder.worker.js', import.meta.url);
const EXECUTOR_MODULE = new URL('./executor.worker.js', import.meta.url);

/** How a thread is to die. */
export interface Killing {
  readonly seat: number;
  readonly way: number;
  /** Where, and on which arrival there; not for TERMINATE. */
  readonly act: number;
  readonly times: number;
  /** For STAND and FAIL: the number of the access from there. */
  readonly access: number;
  /** Whether its channels are recovered before its buffers are reclaimed, or afterwards. */
  readonly channelsFirst: boolean;
}

/** What a death has cost, and what came back. */
export interface Death {
  readonly seat: number;
  readonly way: number;
  /** What the victim said it was doing. */
  readonly doing: string;
  readonly channelSeats: number;
  readonly buffers: number;
}

interface Seat {
  worker: Worker | undefined;
  isAlive: boolean;
  isReady: boolean;
  /** It has been told to die, or will be terminated. */
  isDoomed: boolean;
  writerId: number;
  way: number;
  channelsFirst: boolean;
}

export class Workforce {
  readonly deaths: Death[] = [];
  /** Executors that the group has started again. */
  restarts = 0;
  /** Called when the hoarder has taken everything, or given it back. */
  hoard: 'none' | 'dry' = 'none';
  readonly #hub: Hub;
  readonly #watch: Watch;
  readonly #seats: Seat[];
  readonly #pongs = new Map<number, () => void>();
  /** Executors whose threads are about to be made, in their order. */
  readonly #heirs: number[] = [];
  readonly #plain = new Set<Worker>();
  #pings = 0;
  #group: ExecutorGroup | undefined;
  readonly #onWorker: (worker: Worker) => void;

  constructor(hub: Hub, watch: Watch) {
    this.#hub = hub;
    this.#watch = watch;
    this.#seats = Array.from({ length: SEAT_COUNT }, () => ({
      worker: undefined,
      isAlive: false,
      isReady: false,
      isDoomed: false,
      writerId: -1,
      way: TERMINATE,
      channelsFirst: false,
    }));
    // The group keeps its threads to itself; the process does not.
    this.#onWorker = (worker) => {
      if (this.#plain.has(worker)) return;
      const index = this.#heirs.shift();
      if (index !== undefined) this.#seat(EXECUTOR + index).worker = worker;
    };
    process.on('worker', this.#onWorker);
  }

  async start(): Promise<ExecutorGroup> {
    const { pool, flusher, board, ledger, executorsWriter, mpsc } = this.#hub;
    for (let index = 0; index < EXECUTORS; index++) this.#heirs.push(index);
    const data: ExecutorTask = {
      flusher: flusher.handle,
      writer: executorsWriter.handle,
      channel: mpsc.handle,
      board: board.memory,
      ledger: ledger.memory,
      sources: SOURCES,
    };
    this.#group = await ExecutorGroup.start({
      pool,
      module: EXECUTOR_MODULE,
      count: EXECUTORS,
      pin: 'none',
      laneCapacity: this.#hub.sizes.laneCapacity,
      data,
      restart: { maxRestarts: Number.MAX_SAFE_INTEGER },
      onDeath: (index, threadSlot) => this.#recoverWriters(EXECUTOR + index, threadSlot),
      onCrash: (index, crash) => this.#executorCrashed(index, crash),
      onRestart: (index) => {
        this.restarts++;
        this.#sitDown(EXECUTOR + index);
      },
    });
    for (let index = 0; index < EXECUTORS; index++) this.#sitDown(EXECUTOR + index);
    return this.#group;
  }

  /** Starts the threads that are no executors; they are ready some time later. */
  startPlain(): void {
    for (const seat of [SINGLE, TWIN, TWIN + 1, COLLECTOR, HOARDER]) this.launch(seat);
  }

  isReady(seat: number): boolean {
    return this.#seat(seat).isReady;
  }

  isAlive(seat: number): boolean {
    return this.#seat(seat).isAlive;
  }

  get allReady(): boolean {
    return this.#seats.every(({ isReady }) => isReady);
  }

  /** Puts a new thread on a seat that is no executor's. */
  launch(seat: number): void {
    const { pool, board } = this.#hub;
    const place = this.#seat(seat);
    const program = seat === HOARDER ? HOARDER_PROGRAM : STATION;
    const hoarderTask: HoarderTask = { pool: pool.handle, board: board.memory };
    const workerData = seat === HOARDER ? hoarderTask : this.#stationTask(seat);
    const worker = new Worker(program, { workerData });
    this.#plain.add(worker);
    Object.assign(place, { worker, isAlive: true, isReady: false, isDoomed: false, writerId: -1 });
    let crash: Error | undefined;
    worker.on('message', (news: StationNews | HoarderNews) => this.#hear(seat, news));
    worker.on('error', (error: Error) => {
      crash = error;
    });
    worker.on('exit', () => {
      this.#plain.delete(worker);
      place.isAlive = false;
      place.isReady = false;
      const isExpected = crash === undefined || isTold(crash, place.way);
      if (isExpected && (place.isDoomed || this.#isEnding)) return;
      this.#watch.fail(crash ?? new Error(`seat ${seat} has ended by itself`));
    });
  }

  /** Gives the order, or terminates at once. */
  strike({ seat, way, act, times, access, channelsFirst }: Killing): void {
    const place = this.#seat(seat);
    Object.assign(place, { isDoomed: true, isReady: false, way, channelsFirst });
    if (way === TERMINATE) void place.worker?.terminate();
    else {
      this.#hub.board.set(seat, ACCESS, access);
      this.#hub.board.set(seat, ORDER, orderOf(way, act, times));
    }
  }

  /** Terminates those who are where they were told to die. */
  finishDoomed(): void {
    for (const [seat, place] of this.#seats.entries()) {
      if (this.#hub.board.get(seat, DOOMED) === 0) continue;
      this.#hub.board.set(seat, DOOMED, 0);
      void place.worker?.terminate();
    }
  }

  /** Cleans up after a dead thread that was not an executor. */
  bury(seat: number): void {
    const { pool, board } = this.#hub;
    const slot = board.get(seat, SLOT) - 1;
    const { channelsFirst, way } = this.#seat(seat);
    let channelSeats = 0;
    let buffers = 0;
    if (channelsFirst) channelSeats += this.#recoverChannels();
    if (slot >= 0) {
      this.#recoverWriters(seat, slot);
      if (board.sabotage !== 'leak') buffers += pool.reclaim(slot);
    } else {
      // It died before it could say which slot it had.
      for (const { freed } of pool.reclaimDead()) buffers += freed;
    }
    if (!channelsFirst) channelSeats += this.#recoverChannels();
    this.#note(seat, way, channelSeats, buffers);
  }

  orderHoarder(order: HoarderOrder): void {
    this.#seat(HOARDER).worker?.postMessage(order);
  }

  /** Resolves when every living thread has answered from its event loop. */
  async ping(): Promise<void> {
    let waiting = 0;
    for (let seat = 0; seat < EXECUTOR; seat++) {
      const id = this.#pings++;
      waiting++;
      this.#pongs.set(id, () => waiting--);
      this.#seat(seat).worker?.postMessage({ kind: 'ping', id } satisfies StationOrder);
    }
    for (let index = 0; index < EXECUTORS; index++) {
      waiting++;
      this.#group?.ping(index).then(
        () => waiting--,
        (error) => this.#watch.fail(error),
      );
    }
    await this.#watch.until('all have answered', () => waiting === 0);
  }

  /** From now on threads may end by themselves. */
  expectEnd(): void {
    this.#isEnding = true;
  }

  /** Ends all threads in good order. */
  async end(): Promise<void> {
    await this.#group?.stop();
    this.orderHoarder({ kind: 'end' });
    await this.#watch.until('all have ended', () =>
      this.#seats.every(({ isAlive }, seat) => (seat >= EXECUTOR && seat !== HOARDER) || !isAlive),
    );
    process.off('worker', this.#onWorker);
  }

  #isEnding = false;

  #stationTask(seat: number): StationTask {
    const { pool, flusher, board, ledger, spsc, mpmc, mpsc, twinsWriter } = this.#hub;
    const isTwin = seat === TWIN || seat === TWIN + 1;
    const channel: PacketChannel = isTwin ? mpmc : seat === SINGLE ? spsc : mpsc;
    return {
      seat,
      pool: pool.handle,
      flusher: flusher.handle,
      channel: channel.handle,
      ...(isTwin ? { writer: twinsWriter.handle } : {}),
      board: board.memory,
      ledger: ledger.memory,
      sources: SOURCES,
    };
  }

  #hear(seat: number, news: StationNews | HoarderNews): void {
    const place = this.#seat(seat);
    switch (news.kind) {
      case 'ready':
        if (!place.isDoomed) place.isReady = true;
        break;
      case 'pong':
        this.#pongs.get(news.id)?.();
        this.#pongs.delete(news.id);
        break;
      case 'dry':
        this.hoard = 'dry';
        break;
      case 'given':
        this.hoard = 'none';
        break;
      case 'writer': {
        const { writerId, path } = news;
        if (place.writerId >= 0) this.#hub.forget(place.writerId);
        place.writerId = writerId;
        const prefixBytes = this.#hub.plug(writerId, path) === SOURCES - 1 ? 2 : 4;
        const order: StationOrder = { kind: 'plugged', writerId, prefixBytes };
        place.worker?.postMessage(order);
        break;
      }
    }
  }

  #executorCrashed(index: number, crash: Error): void {
    const place = this.#seat(EXECUTOR + index);
    const cause = crash.cause as Error | undefined;
    if (!place.isDoomed || (cause !== undefined && !isTold(cause, place.way))) {
      this.#watch.fail(cause ?? crash);
    }
    place.isAlive = false;
    place.isReady = false;
    place.isDoomed = false;
    this.#heirs.push(index);
    this.#note(EXECUTOR + index, place.way, this.#recoverChannels(), 0);
  }

  #sitDown(seat: number): void {
    const place = this.#seat(seat);
    place.isAlive = true;
    if (!place.isDoomed) place.isReady = true;
  }

  #recoverWriters(seat: number, slot: number): void {
    const { twinsWriter, executorsWriter, flusher } = this.#hub;
    if (seat === TWIN || seat === TWIN + 1) twinsWriter.recover(slot);
    if (seat >= EXECUTOR && seat < HOARDER) executorsWriter.recover(slot);
    flusher.recover(slot);
    const { writerId } = this.#seat(seat);
    if (writerId >= 0) this.#hub.forget(writerId);
  }

  #recoverChannels(): number {
    const { spsc, mpmc, mpsc } = this.#hub;
    return spsc.recover() + mpmc.recover() + mpsc.recover();
  }

  /** Records a death, and marks the seat's words as vacant. */
  #note(seat: number, way: number, channelSeats: number, buffers: number): void {
    const { board } = this.#hub;
    const doing = ACTS[board.get(seat, ACT)] ?? '?';
    this.deaths.push({ seat, way, doing, channelSeats, buffers });
    board.add(seat, GENERATION, 1);
    for (const field of [PATH, SLOT, IN_HAND, ORDER, DOOMED, THREAD_ID, TAKEN]) {
      board.set(seat, field, 0);
    }
    board.set(seat, ACT, STARTING);
  }

  #seat(seat: number): Seat {
    return this.#seats[seat] as Seat;
  }
}

/** It died as it was told to; after an exception within a step, of any consequence of that. */
function isTold({ message }: Error, way: number): boolean {
  return message === TOLD_TO_THROW || way === FAIL;
}
