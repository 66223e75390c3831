// SPDX-License-Identifier: MIT
/**
 * Test worker: the clients of a chaos run. They are plain sockets that send numbered messages and
 * check everything that comes back.
 */
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { LEDGER_SLOTS, Ledger, markOf, REST_WORDS, SENT, TO_HOST } from './board.ts';
import {
  FENCE,
  FENCE_BACK,
  FILLER,
  faultOf,
  HEADER_BYTES,
  HELLO,
  KIND_AT,
  LANE_COUNT,
  laneOf,
  MESSAGE,
  MESSAGE_BYTES_MAX,
  PATH_AT,
  PREFIX_BYTES,
  putHeader,
  putMessage,
  SEQUENCE_AT,
  SESSION_AT,
  SOURCE_AT,
  streamOf,
} from './message.ts';

export interface ClientsTask {
  readonly port: number;
  readonly udpPort: number;
  /** Sources 0 … this − 1 are TCP connections, the one behind is UDP. */
  readonly tcpSources: number;
  readonly ledger: SharedArrayBuffer;
  /** Messages sent and received; then for each connection {@link REST_WORDS}. */
  readonly counts: SharedArrayBuffer;
  /** Messages of one source in one lane that may be under way. */
  readonly window: number;
}

/** How a client ends its connection. */
export type ResetKind = 'reset' | 'destroy' | 'end';

/** What the clients are told. */
export type ClientsOrder =
  | { readonly kind: 'run' }
  /** What was under way may be lost: room for as much again. */
  | { readonly kind: 'reopen' }
  | { readonly kind: 'stop'; readonly round: number }
  | { readonly kind: 'reset'; readonly source: number; readonly how: ResetKind }
  | { readonly kind: 'mute' | 'unmute'; readonly source: number }
  | { readonly kind: 'close' };

/** What the clients say. */
export type ClientsNews =
  | { readonly kind: 'ready'; readonly udpPort: number }
  | { readonly kind: 'wrong'; readonly what: string };

const task = workerData as ClientsTask;
const port = parentPort as NonNullable<typeof parentPort>;
const ledger = new Ledger(task.tcpSources + 1, task.ledger);
const counts = new Int32Array(task.counts);
/** Every path keeps the order of each session of a source. */
const lastOf = new Map<string, number>();
const FILLER_BYTES: Buffer = Buffer.alloc(MESSAGE_BYTES_MAX, 0xf1);
let isRunning = false;
let round = 0;
let isClosing = false;

function tell(news: ClientsNews): void {
  port.postMessage(news);
}

/** One source of messages, whatever carries them. */
abstract class Source {
  readonly number: number;
  protected session = 0;
  readonly #underWay = new Map<number, number>();
  readonly #room: number[] = new Array(LANE_COUNT).fill(task.window);
  #next = 0;

  constructor(number: number) {
    this.number = number;
  }

  abstract sendBytes(bytes: Buffer): void;
  abstract get isOpen(): boolean;

  /** What was under way until now has been settled. */
  forget(): void {
    this.#underWay.clear();
    this.reopen();
  }

  reopen(): void {
    this.#room.fill(task.window);
  }

  /** Sends as much as the windows allow. */
  pump(): void {
    for (let i = 0; isRunning && this.isOpen && i < 64; i++) {
      const sequence = this.#next;
      const lane = laneOf(this.number, sequence);
      if (this.#room[lane] === 0) {
        // Another lane may have room: its next number is among the next ones.
        if (!this.#room.some((room) => room > 0)) return;
        this.#next++;
        continue;
      }
      const [oldest] = this.#underWay.keys();
      if (oldest !== undefined && sequence - oldest >= LEDGER_SLOTS - 1) return;
      this.#next++;
      this.#room[lane]--;
      this.#underWay.set(sequence, lane);
      ledger.set(ledger.indexOf(this.number, sequence), markOf(SENT, TO_HOST, 0));
      Atomics.add(counts, 0, 1);
      const bytes = Buffer.alloc(PREFIX_BYTES + MESSAGE_BYTES_MAX);
      const length = putMessage(
        viewOf(bytes),
        bytes,
        PREFIX_BYTES,
        this.number,
        sequence,
        this.session,
      );
      this.sendBytes(withPrefix(bytes, length));
    }
  }

  take(sequence: number): boolean {
    const lane = this.#underWay.get(sequence);
    if (lane === undefined) return false;
    this.#underWay.delete(sequence);
    this.#room[lane] = Math.min(task.window, this.#room[lane] + 1);
    ledger.set(ledger.indexOf(this.number, sequence), 0);
    Atomics.add(counts, 1, 1);
    return true;
  }

  /** Says that nothing comes behind this. */
  fence(): void {
    this.control(FENCE, round);
  }

  control(kind: number, sequence: number): void {
    if (!this.isOpen) return;
    const bytes = Buffer.alloc(PREFIX_BYTES + HEADER_BYTES);
    putHeader(viewOf(bytes), PREFIX_BYTES, kind, this.number, sequence, this.session);
    this.sendBytes(withPrefix(bytes, HEADER_BYTES));
  }
}

class TcpSource extends Source {
  #socket: Socket | undefined;
  #rest: Buffer = Buffer.alloc(0);
  /** What came last and was whole: where the stream was still right. */
  #last: Buffer = Buffer.alloc(0);

  open(): void {
    const socket = connect({ port: task.port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    socket.on('connect', () => {
      this.#socket = socket;
      this.#rest = Buffer.alloc(0);
      this.session++;
      this.control(HELLO, 0);
      if (isRunning) reopenAll();
      else this.fence();
    });
    socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    socket.on('close', () => {
      this.#socket = undefined;
      if (!isClosing) this.open();
    });
  }

  get isOpen(): boolean {
    return this.#socket !== undefined && !this.#socket.destroyed && this.#socket.writable;
  }

  sendBytes(bytes: Buffer): void {
    this.#socket?.write(bytes);
  }

  reset(how: ResetKind): void {
    if (how === 'reset') this.#socket?.resetAndDestroy();
    else if (how === 'destroy') this.#socket?.destroy();
    else this.#socket?.end();
  }

  mute(): void {
    this.#socket?.pause();
  }

  unmute(): void {
    this.#socket?.resume();
  }

  close(): void {
    this.#socket?.end();
  }

  #hear(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    let length = 0;
    while (bytes.length - at >= PREFIX_BYTES) {
      length = bytes.readUInt32BE(at);
      // Else it would wait for ever for the rest of a frame that was never sent.
      if (length > MESSAGE_BYTES_MAX) {
        this.#lose(bytes.subarray(at));
        return;
      }
      if (bytes.length - at < PREFIX_BYTES + length) break;
      at += PREFIX_BYTES;
      this.#last = bytes.subarray(at, at + length);
      hear(this.#last, this);
      at += length;
    }
    this.#rest = bytes.subarray(at);
    const words = 2 + REST_WORDS * this.number;
    Atomics.store(counts, words, this.#rest.length);
    Atomics.store(counts, words + 1, length);
    pumpAll();
  }

  /** The stream has lost its frames. */
  #lose(bytes: Buffer): void {
    const show = (part: Buffer): string => part.subarray(0, 96).toString('hex');
    wrong(`to source ${this.number}: no frame begins ${show(bytes)}, after ${show(this.#last)}`);
    this.#socket?.pause();
  }
}

class UdpSource extends Source {
  readonly #socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });

  open(onOpen: (port: number) => void): void {
    this.#socket.on('message', (bytes) => {
      hear(bytes, this);
      pumpAll();
    });
    this.#socket.bind(0, '127.0.0.1', () => onOpen(this.#socket.address().port));
  }

  get isOpen(): boolean {
    return true;
  }

  sendBytes(bytes: Buffer): void {
    this.#socket.send(bytes.subarray(PREFIX_BYTES), task.udpPort, '127.0.0.1');
  }

  close(): void {
    this.#socket.close();
  }
}

const tcpSources = Array.from({ length: task.tcpSources }, (_, number) => new TcpSource(number));
const udpSource = new UdpSource(task.tcpSources);
const sources: readonly Source[] = [...tcpSources, udpSource];

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function withPrefix(bytes: Buffer, length: number): Buffer {
  bytes.writeUInt32BE(length);
  return bytes.subarray(0, PREFIX_BYTES + length);
}

function pumpAll(): void {
  if (isRunning) for (const source of sources) source.pump();
}

/** Something was lost, and is not to keep others from being sent. */
function reopenAll(): void {
  for (const source of sources) source.reopen();
  pumpAll();
}

/** Looks at what has come, on whatever connection. */
function hear(bytes: Buffer, by: Source): void {
  const view = viewOf(bytes);
  const kind = bytes.length < HEADER_BYTES ? 0 : view.getUint8(KIND_AT);
  if (kind === FENCE) {
    by.control(FENCE_BACK, view.getUint32(SEQUENCE_AT));
    return;
  }
  if (kind === FILLER) {
    const filler = FILLER_BYTES.subarray(0, bytes.length - HEADER_BYTES);
    if (!bytes.subarray(HEADER_BYTES).equals(filler)) wrong('a filler came back changed');
    return;
  }
  const isMessage = kind === MESSAGE;
  const fault = isMessage ? faultOf(view, bytes, 0, bytes.length) : `no kind of frame is ${kind}`;
  if (fault !== '') {
    const head = bytes.subarray(0, 64).toString('hex');
    wrong(`to source ${by.number}, ${bytes.length} bytes, ${fault}: ${head}`);
    return;
  }
  const source = view.getUint16(SOURCE_AT);
  const sequence = view.getUint32(SEQUENCE_AT);
  if (!sources[source]?.take(sequence)) {
    wrong(`message ${source}/${sequence} came twice, or was taken for lost`);
    return;
  }
  const path = view.getUint32(PATH_AT);
  // What goes by UDP has no order.
  if (path === 0 || source === udpSource.number || by === udpSource) return;
  const stream = `${streamOf(source, sequence, view.getUint32(SESSION_AT))} by ${path}`;
  const last = lastOf.get(stream) ?? -1;
  if (sequence <= last) wrong(`${sequence} came behind ${last} of ${stream}`);
  lastOf.set(stream, sequence);
}

function wrong(what: string): void {
  tell({ kind: 'wrong', what });
}

port.on('message', (order: ClientsOrder) => {
  switch (order.kind) {
    case 'run':
      isRunning = true;
      lastOf.clear();
      for (const source of sources) source.forget();
      pumpAll();
      break;
    case 'reopen':
      reopenAll();
      break;
    case 'stop':
      isRunning = false;
      round = order.round;
      for (const source of sources) source.fence();
      break;
    case 'reset':
      tcpSources[order.source]?.reset(order.how);
      break;
    case 'mute':
      tcpSources[order.source]?.mute();
      break;
    case 'unmute':
      tcpSources[order.source]?.unmute();
      break;
    case 'close':
      isClosing = true;
      for (const source of [...tcpSources, udpSource]) source.close();
      port.close();
      break;
  }
});

udpSource.open((udpPort) => {
  for (const source of tcpSources) source.open();
  tell({ kind: 'ready', udpPort });
});
