// SPDX-License-Identifier: MIT
/** The threads of the `postMessage` baselines: who posts, who counts, who echoes. */

import { type MessagePort, parentPort } from 'node:worker_threads';
import { Histogram } from '../histogram.ts';
import { Stopwatch } from '../latency.ts';
import { NOTHING, type Outcome } from './control.ts';
import { checkMessage, MESSAGE_BYTES, nextNumber, writeMessage } from './message.ts';
import type { Role } from './role.ts';

export interface PortData {
  /** Default: the port to the thread that started this one. */
  readonly port?: MessagePort;
}

export interface PingerData extends PortData {
  /** Where the latencies go. */
  readonly histogram: Int32Array<SharedArrayBuffer>;
}

/** What can be posted to: a port, or a worker from outside. */
export interface PostEnd {
  postMessage(message: Uint8Array): void;
  on(event: 'message', listener: (message: Uint8Array) => void): unknown;
}

/** Posts `ops` messages one after the other, each written afresh. */
export class PortSource {
  private readonly end: PostEnd;
  private readonly bytes = new Uint8Array(MESSAGE_BYTES);
  private readonly view = new DataView(this.bytes.buffer);

  constructor(end: PostEnd) {
    this.end = end;
  }

  post(ops: number): void {
    const { end, bytes, view } = this;
    for (let i = 0, number = 0; i < ops; i++, number = nextNumber(number)) {
      writeMessage(view, 0, number);
      end.postMessage(bytes);
    }
  }
}

/** Posts a message, waits for its echo, `ops` times. */
export class PortPinger {
  private readonly end: PostEnd;
  private readonly watch: Stopwatch;
  private readonly bytes = new Uint8Array(MESSAGE_BYTES);
  private readonly view = new DataView(this.bytes.buffer);
  private left = 0;
  private number = 0;
  private resolve: (() => void) | undefined;
  private reject: ((error: unknown) => void) | undefined;

  constructor(end: PostEnd, histogram: Histogram) {
    this.end = end;
    this.watch = new Stopwatch(histogram);
    end.on('message', (message) => this.receive(message));
  }

  ping(ops: number): Promise<void> {
    this.left = ops;
    this.number = 0;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.send();
    });
  }

  private send(): void {
    this.watch.begin();
    writeMessage(this.view, 0, this.number);
    this.end.postMessage(this.bytes);
  }

  private receive(message: Uint8Array): void {
    try {
      checkMessage(viewOf(message), 0, this.number);
    } catch (error) {
      this.reject?.(error);
      return;
    }
    this.watch.end();
    this.number = nextNumber(this.number);
    if (--this.left > 0) this.send();
    else this.resolve?.();
  }
}

export function createPortSource(data: PortData): Role {
  const port = portOf(data);
  const source = new PortSource(port);
  return {
    run(ops) {
      source.post(ops);
      return NOTHING;
    },
    close: () => port.close(),
  };
}

export function createPortSink(data: PortData): Role {
  const port = portOf(data);
  return answering(port, () => {});
}

export function createPortEcho(data: PortData): Role {
  const port = portOf(data);
  return answering(port, (message) => port.postMessage(message));
}

export function createPortPinger(data: PingerData): Role {
  const port = portOf(data);
  const pinger = new PortPinger(port, new Histogram(data.histogram));
  return {
    async run(ops) {
      await pinger.ping(ops);
      return NOTHING;
    },
    close: () => port.close(),
  };
}

/** Checks `ops` messages a turn and does something with each. */
function answering(port: MessagePort, answer: (message: Uint8Array) => void): Role {
  let left = 0;
  let number = 0;
  let resolve: ((outcome: Outcome) => void) | undefined;
  port.on('message', (message: Uint8Array) => {
    checkMessage(viewOf(message), 0, number);
    number = nextNumber(number);
    answer(message);
    if (--left === 0) resolve?.(NOTHING);
  });
  return {
    run(ops) {
      left = ops;
      number = 0;
      return new Promise((resolveTurn) => {
        resolve = resolveTurn;
      });
    },
    close: () => port.close(),
  };
}

function portOf({ port }: PortData): MessagePort {
  const found = port ?? parentPort;
  if (found === null) throw new Error('this role is for a worker');
  return found;
}

function viewOf(message: Uint8Array): DataView {
  return new DataView(message.buffer, message.byteOffset, message.byteLength);
}
