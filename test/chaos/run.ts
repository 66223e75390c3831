// SPDX-License-Identifier: MIT
/**
 * Test tool: one chaos run, event after event.
 *
 *   load ▸ [dry, a reader stops, a connection ends, threads are killed] ▸ buried ▸ survivors go on
 *        ▸ seats filled again ▸ rest: nothing is sent, all that lives arrives ▸ audit ▸ load …
 */
import { Worker } from 'node:worker_threads';
import { Random } from '../../src/base/random.ts';
import { auditAtRest, undeliveredBytes } from './audit.ts';
import {
  ACT,
  ACTS,
  type Aim,
  EXECUTOR,
  EXECUTORS,
  FAIL,
  GENERATION,
  HOARDER,
  IN_HAND,
  LEDGER_SLOTS,
  PATH,
  REST_WORDS,
  type Sabotage,
  SEAT_COUNT,
  SEATS,
  SLOT,
  TAKEN,
  TERMINATE,
} from './board.ts';
import type { ClientsNews, ClientsOrder, ClientsTask, ResetKind } from './clients.worker.ts';
import { Hub, SOURCES, TCP_SOURCES, UDP, WINDOW } from './hub.ts';
import { describeMark, judge, type Losses, noLosses, type Period, SIDES } from './judge.ts';
import { type ChaosEvent, RESETS, Schedule } from './schedule.ts';
import { describeWords } from './snapshot.ts';
import { Watch } from './watch.ts';
import { type Death, Workforce } from './workforce.ts';

const CLIENTS = new URL('./clients.worker.js', import.meta.url);
const CLIENT_RESETS: readonly ResetKind[] = ['reset', 'destroy', 'end'];
/** How often a fence by UDP is sent again, should it be lost. */
const UDP_LOOKS = 200;

/** What a run has done. */
export interface ChaosResult {
  readonly events: number;
  readonly deaths: readonly Death[];
  readonly executorRestarts: number;
  readonly sent: number;
  readonly received: number;
  readonly losses: Losses;
  readonly resets: Record<string, number>;
  readonly dries: number;
  readonly stalls: number;
  readonly audits: number;
}

export class ChaosRun {
  readonly #hub: Hub;
  readonly #workforce: Workforce;
  readonly #watch: Watch;
  readonly #schedule: Schedule;
  readonly #counts = new Int32Array(new SharedArrayBuffer(4 * (2 + REST_WORDS * TCP_SOURCES)));
  readonly #losses = noLosses();
  readonly #resets: Record<string, number> = {};
  #clients: Worker | undefined;
  #events = 0;
  #dries = 0;
  #stalls = 0;
  #audits = 0;
  #round = 0;
  #dropped = 0;
  #settledDeaths = 0;
  #generations: number[] = new Array(SEAT_COUNT).fill(0);
  readonly #reset = new Set<number>();
  /** What happens at present, for the report of a failure. */
  #event: ChaosEvent | undefined;

  constructor(seed: number, sabotage: Sabotage, aims: readonly Aim[]) {
    const random = new Random(seed);
    this.#watch = new Watch(() => this.#progress());
    this.#schedule = new Schedule(random, aims);
    const isTiny = aims.includes('tiny');
    this.#hub = new Hub(new Random(random.next()), this.#watch, isTiny);
    this.#hub.board.sabotage = sabotage;
    this.#workforce = new Workforce(this.#hub, this.#watch);
  }

  get events(): number {
    return this.#events;
  }

  get kills(): number {
    return this.#workforce.deaths.length;
  }

  async start(): Promise<void> {
    process.on('uncaughtException', (error) => this.#watch.fail(error));
    const group = await this.#workforce.start();
    const { port, udpPort } = await this.#hub.open(group);
    await this.#startClients(port, udpPort);
    this.#workforce.startPlain();
    await this.#untilAllSit();
    await this.#rest();
  }

  /** One event, and the accounts behind it. */
  async next(killsLeft: number): Promise<void> {
    const event = this.#schedule.next(killsLeft);
    this.#event = event;
    this.#events++;
    this.#tell({ kind: 'run' });
    await this.#afterMessages(event.warmUp);
    if (event.isDry) await this.#dryOut();
    if (event.mutedSource !== undefined) await this.#mute(event.mutedSource);
    const { reset } = event;
    if (reset !== undefined) this.#resetOne(reset.source, reset.how);
    await this.#kill(event);
    if (event.isDry && this.#workforce.isReady(HOARDER)) {
      this.#workforce.orderHoarder({ kind: 'give' });
      await this.#watch.until('the hoarder gives back', () => this.#workforce.hoard === 'none');
    }
    this.#workforce.hoard = 'none';
    if (event.mutedSource !== undefined) this.#tell({ kind: 'unmute', source: event.mutedSource });
    await this.#untilConnected();
    this.#tell({ kind: 'reopen' });
    await this.#untilSurvivorsGoOn(event);
    await this.#fillSeats(event);
    await this.#rest();
  }

  /** Ends everything, and checks that nothing is left. */
  async end(): Promise<void> {
    this.#workforce.expectEnd();
    this.#tell({ kind: 'close' });
    await this.#hub.close();
    await this.#workforce.end();
    const { pool, flusher, twinsWriter, executorsWriter } = this.#hub;
    const dropped = twinsWriter.close() + executorsWriter.close();
    flusher.drain((_writerId, _offset, _length, id) => pool.release(id));
    flusher.close();
    const { heldByThreads, inTransit } = pool.close();
    if (heldByThreads + inTransit + dropped > 0) {
      throw new Error(`at the end: ${JSON.stringify({ heldByThreads, inTransit, dropped })}`);
    }
    this.#watch.check();
  }

  result(): ChaosResult {
    return {
      events: this.#events,
      deaths: this.#workforce.deaths,
      executorRestarts: this.#workforce.restarts,
      sent: this.#counts[0] as number,
      received: this.#counts[1] as number,
      losses: this.#losses,
      resets: this.#resets,
      dries: this.#dries,
      stalls: this.#stalls,
      audits: this.#audits,
    };
  }

  /** What everybody is at. */
  describe(): string {
    const { board, ledger, pool } = this.#hub;
    const lines = [JSON.stringify(this.#event)];
    for (let seat = 0; seat < SEAT_COUNT; seat++) {
      const get = (field: number): number => board.get(seat, field);
      const state = this.#workforce.isReady(seat) ? 'ready' : 'not ready';
      lines.push(
        `${SEATS[seat]} #${get(GENERATION)}, slot ${get(SLOT) - 1}, ${state}: ` +
          `${ACTS[get(ACT)]}, ${get(TAKEN)} taken, ${get(IN_HAND)} in hand, path ${get(PATH)}`,
      );
    }
    const marks = new Map<string, number>();
    for (let i = 0; i < SOURCES * LEDGER_SLOTS; i++) {
      const mark = ledger.get(i);
      if (mark === 0) continue;
      const what = describeMark(this.#hub, mark);
      marks.set(what, (marks.get(what) ?? 0) + 1);
    }
    for (const [what, count] of marks) lines.push(`${count} messages ${what}`);
    for (const link of this.#hub.openLinks) {
      const state = `${link.writable ? '' : 'stalled, '}${link.paused ? 'paused, ' : ''}`;
      const holds = `frames in buffer ${link.framer.frameBufferId}`;
      lines.push(`link, ${state}${holds}, ${JSON.stringify(link.stats())}`);
    }
    const { threads, ...rest } = pool.stats();
    lines.push(`udp ${JSON.stringify(this.#hub.udp.stats())}`, JSON.stringify(rest));
    for (const thread of threads) lines.push(JSON.stringify(thread));
    lines.push(JSON.stringify(this.#hub.flusher.stats()));
    for (const name of ['spsc', 'mpmc', 'mpsc'] as const) {
      lines.push(`${name} ${JSON.stringify(this.#hub[name].stats())}`);
    }
    for (let source = 0; source < TCP_SOURCES; source++) {
      const [rest, length] = this.#counts.slice(2 + REST_WORDS * source);
      lines.push(`client ${source} has ${rest} bytes of a frame of ${length}`);
    }
    lines.push(`round ${this.#round}`, ...describeWords(this.#hub));
    return lines.join('\n');
  }

  async #startClients(port: number, udpPort: number): Promise<void> {
    const task: ClientsTask = {
      port,
      udpPort,
      tcpSources: TCP_SOURCES,
      ledger: this.#hub.ledger.memory,
      counts: this.#counts.buffer,
      window: WINDOW,
    };
    const clients = new Worker(CLIENTS, { workerData: task });
    this.#clients = clients;
    let isReady = false;
    clients.on('message', (news: ClientsNews) => {
      if (news.kind === 'wrong') return this.#watch.fail(new Error(`a client: ${news.what}`));
      this.#hub.plugSharedWriters(news.udpPort);
      isReady = true;
    });
    clients.on('error', (error: Error) => this.#watch.fail(error));
    await this.#watch.until('the clients are there', () => isReady);
    await this.#untilConnected();
  }

  #tell(order: ClientsOrder): void {
    this.#clients?.postMessage(order);
  }

  #progress(): number {
    let sum = Atomics.load(this.#counts, 0) + Atomics.load(this.#counts, 1) + this.kills;
    for (let seat = 0; seat < SEAT_COUNT; seat++) sum += this.#hub.board.get(seat, TAKEN);
    return sum;
  }

  async #afterMessages(count: number): Promise<void> {
    const until = Atomics.load(this.#counts, 1) + count;
    await this.#watch.until('messages go through', () => {
      return Atomics.load(this.#counts, 1) >= until;
    });
  }

  async #dryOut(): Promise<void> {
    this.#dries++;
    this.#workforce.orderHoarder({ kind: 'take' });
    await this.#watch.until('the pool is dry', () => this.#workforce.hoard === 'dry');
    // Some have come to where they need a buffer.
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  async #mute(source: number): Promise<void> {
    this.#tell({ kind: 'mute', source });
    if (await this.#hub.fill(source)) this.#stalls++;
  }

  #resetOne(source: number, how: number): void {
    const name = RESETS[how] as string;
    const link = this.#hub.linkOf(source);
    // It is there until it holds nothing any more; a new one is there when both are true.
    this.#hub.disconnect(source);
    this.#resets[name] = (this.#resets[name] ?? 0) + 1;
    this.#reset.add(source);
    const byClient = CLIENT_RESETS[how];
    if (byClient !== undefined) this.#tell({ kind: 'reset', source, how: byClient });
    else if (RESETS[how] === 'destroyed by host') link?.destroy();
    else void link?.close({ deadlineMs: 20 });
  }

  /** A connection that ended has a successor. */
  async #untilConnected(): Promise<void> {
    await this.#watch.until('all clients are connected', () => {
      for (let source = 0; source < TCP_SOURCES; source++) {
        const link = this.#hub.linkOf(source);
        if (link === undefined || link.writer.closed) return false;
      }
      return this.#hub.openLinks.size === TCP_SOURCES;
    });
  }

  async #kill({ killings }: ChaosEvent): Promise<void> {
    const { deaths } = this.#workforce;
    const before = deaths.length;
    for (const killing of killings) this.#workforce.strike(killing);
    const plain = new Set(killings.map(({ seat }) => seat).filter(isPlain));
    let seen = before;
    await this.#watch.until('the victims are dead', () => {
      this.#workforce.finishDoomed();
      // What they had is lost, and must not keep the next one from getting where it is to die.
      if (deaths.length > seen) this.#tell({ kind: 'reopen' });
      seen = deaths.length;
      for (const seat of plain) {
        if (this.#workforce.isAlive(seat)) continue;
        plain.delete(seat);
        this.#workforce.bury(seat);
      }
      return deaths.length - before === killings.length;
    });
  }

  /** Only the dead threads stand still. */
  async #untilSurvivorsGoOn({ progress }: ChaosEvent): Promise<void> {
    const { board } = this.#hub;
    const taken = (side: readonly number[]): number =>
      side.reduce((sum, seat) => sum + board.get(seat, TAKEN), 0);
    const living = SIDES.filter((side) => side.some((seat) => this.#workforce.isReady(seat)));
    const targets = living.map((side) => taken(side) + progress);
    await this.#watch.until('survivors go on', () =>
      living.every((side, i) => taken(side) >= (targets[i] as number)),
    );
  }

  async #fillSeats({ killings, birthTurns, isQuietStart }: ChaosEvent): Promise<void> {
    if (isQuietStart) this.#tell({ kind: 'stop', round: this.#round + 1 });
    for (const { seat } of killings) if (isPlain(seat)) this.#workforce.launch(seat);
    const [first] = killings;
    if (birthTurns !== undefined && first !== undefined) {
      for (let i = 0; i < birthTurns; i++) await new Promise((resolve) => setImmediate(resolve));
      await this.#kill({
        killings: [{ ...first, way: TERMINATE }],
      } as unknown as ChaosEvent);
      if (isPlain(first.seat)) this.#workforce.launch(first.seat);
    }
    await this.#untilAllSit();
  }

  async #untilAllSit(): Promise<void> {
    await this.#watch.until('all seats are taken', () => this.#workforce.allReady);
  }

  /** Nothing more is sent; what lives arrives; what is not there then was lost. */
  async #rest(): Promise<void> {
    const round = ++this.#round;
    const { fencesIn, fencesBack } = this.#hub;
    this.#tell({ kind: 'stop', round });
    await this.#untilFenced('all has come in', fencesIn, () => this.#tell({ kind: 'stop', round }));
    await this.#untilQuiet();
    // What a dead thread left in a shared writer the host delivers when the lane has room.
    await this.#watch.until('all is flushed', () => {
      const { flusher, twinsWriter, executorsWriter } = this.#hub;
      const left = undeliveredBytes(twinsWriter) + undeliveredBytes(executorsWriter);
      return left === 0 && flusher.stats().waitingRegions === 0;
    });
    await this.#hub.fence(round);
    await this.#untilFenced('all has come back', fencesBack, () => this.#hub.fenceUdp(round));
    await this.#watch.until('nothing waits for clients', () =>
      Array.from({ length: SOURCES }, (_, outlet) => outlet).every(
        (outlet) => this.#hub.bufferedBytes(outlet) === 0,
      ),
    );
    this.#settle();
  }

  async #untilFenced(what: string, fences: readonly number[], again: () => void): Promise<void> {
    let looks = 0;
    await this.#watch.until(what, () => {
      if (fences[UDP] !== this.#round && ++looks % UDP_LOOKS === 0) again();
      return fences.every((round) => round === this.#round);
    });
  }

  /**
   * Waits until twice no channel holds a message, no thread holds one, and none has taken one in
   * between: then no message is in flight.
   */
  async #untilQuiet(): Promise<void> {
    for (;;) {
      const before = await this.#look();
      if (before >= 0 && (await this.#look()) === before) return;
      await this.#watch.until('channels are empty', () => this.#hub.isEmpty);
    }
  }

  /** Messages taken so far; −1 if a thread holds one. */
  async #look(): Promise<number> {
    if (!this.#hub.isEmpty) return -1;
    await this.#workforce.ping();
    const { board } = this.#hub;
    let taken = 0;
    for (let seat = 0; seat < SEAT_COUNT; seat++) {
      if (board.get(seat, IN_HAND) > 0) return -1;
      taken += board.get(seat, TAKEN);
    }
    return this.#hub.isEmpty ? taken : -1;
  }

  #settle(): void {
    this.#watch.check();
    this.#audits++;
    const { board, udp } = this.#hub;
    const dropped = udp.stats().dropped;
    const generations = generationsOf(board);
    const dead = new Map<number, number>();
    for (const [seat, generation] of generations.entries()) {
      const deaths = generation - (this.#generations[seat] ?? 0);
      if (deaths > 0) dead.set(seat, deaths);
    }
    const failed = new Map<number, number>();
    for (const { seat, way } of this.#workforce.deaths.slice(this.#settledDeaths)) {
      if (way === FAIL) failed.set(seat, (failed.get(seat) ?? 0) + 1);
    }
    this.#settledDeaths = this.#workforce.deaths.length;
    const period: Period = {
      dead,
      failed,
      generations: this.#generations,
      reset: this.#reset,
      dropped: dropped - this.#dropped,
    };
    const { losses, wrong } = judge(this.#hub, period);
    wrong.push(...auditAtRest(this.#hub));
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
    for (const key of Object.keys(losses) as (keyof Losses)[]) this.#losses[key] += losses[key];
    this.#generations = generations;
    this.#dropped = dropped;
    this.#reset.clear();
  }
}

function generationsOf(board: Hub['board']): number[] {
  return Array.from({ length: SEAT_COUNT }, (_, seat) => board.get(seat, GENERATION));
}

function isPlain(seat: number): boolean {
  return seat < EXECUTOR || seat >= EXECUTOR + EXECUTORS;
}
