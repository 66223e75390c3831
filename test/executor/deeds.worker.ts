// SPDX-License-Identifier: MIT
/** Test worker: an executor that executes the commands in the packets it receives. */
import type { ExecutorContext } from 'busbar/executor';
import { threadId } from 'busbar/native';
import { Packet } from 'busbar/packet';
import { atAccess, clearAccess, realAtomics } from '../accesses.ts';
import * as deeds from './deeds.ts';

let words: Int32Array;
const held: Packet[] = [];

/** A packet's text is a deed and its arguments. */
const DEEDS: Record<
  string,
  (context: ExecutorContext, packet: Packet, args: string[]) => void | Promise<void>
> = {
  drop: (_, packet) => packet.release(),
  hold: (_, packet) => void held.push(packet),
  echo: (context, packet) => void sendOrRelease(context.host, packet),
  /** Drops its own part and passes the rest on: `pass 1 pass 0 echo`. */
  pass: (context, packet, [to, ...rest]) => {
    packet.advance(`pass ${to} `.length);
    const steps = 1 + rest.filter((word) => word === 'pass').length;
    if (!sendOrRelease(context.peer(Number(to)), packet)) {
      Atomics.add(words, deeds.REFUSED, steps);
    }
  },
  /** Goes to and fro between executors 0 and 1 for ever. */
  bounce: (context, packet) => void sendOrRelease(context.peer(1 - context.index), packet),
  throw: () => {
    throw Object.assign(new TypeError(deeds.TOLD_TO_THROW), { code: 'TOLD' });
  },
  reject: (_, packet) => {
    packet.release();
    void Promise.reject(new TypeError(deeds.TOLD_TO_THROW));
  },
  exit: (_, __, [code]) => process.exit(Number(code)),
  exhaust: () => {
    const hoard: unknown[] = [];
    for (;;) hoard.push(new Array(100_000).fill({}));
  },
  /** Turns no more until the gate is opened. */
  block: (_, packet) => {
    packet.release();
    Atomics.add(words, deeds.AT_GATE, 1);
    Atomics.wait(words, deeds.GATE, 0);
  },
  /** Stops before its k-th access to shared memory from now on, until it is terminated. */
  stand: (_, packet, [count]) => {
    atAccess(Number(count), () => {
      realAtomics.add(words, deeds.AT_GATE, 1);
      realAtomics.wait(words, deeds.GATE, 0);
    });
    packet.release();
  },
  /** Throws at its k-th access to shared memory from now on. */
  stumble: (_, packet, [count]) => {
    atAccess(Number(count), () => {
      realAtomics.add(words, deeds.AT_GATE, 1);
      throw new RangeError(deeds.TOLD_TO_THROW);
    });
    packet.release();
  },
  /** Neither stops nor throws any more. */
  calm: (context, packet) => {
    clearAccess();
    sendOrRelease(context.host, packet);
  },
  /** Is busy without end. */
  spin: () => {
    Atomics.add(words, deeds.AT_GATE, 1);
    for (;;);
  },
  thread: (context, packet) => {
    packet.release();
    sendText(context, String(threadId()));
  },
  /** `count key number`: numbers of one key must rise by one. */
  count: (_, packet, [key, number]) => {
    packet.release();
    const at = deeds.LAST_OF_KEY + Number(key);
    if (words[at] !== Number(number) - 1) Atomics.add(words, deeds.ASTRAY, 1);
    words[at] = Number(number);
  },
};

export async function run(context: ExecutorContext): Promise<void> {
  const plan = context.data as deeds.Plan;
  words = new Int32Array(plan.words);
  Atomics.add(words, deeds.STARTS, 1);
  if (plan.who === undefined || plan.who === context.index) await begin(plan.start);
  context.signal.addEventListener('abort', () => {
    context.counters[deeds.ABORTED]++;
  });
  context.defer(() => {
    context.counters[deeds.DEFERRED]++;
  });
  if (plan.last === 'send') context.defer(() => sendText(context, 'bye'));
  if (plan.last === 'meet') context.defer(() => meet(context.count));
  if (plan.last === 'hang') context.defer(() => new Promise(() => {}));
  if (plan.last === 'throw') {
    context.defer(() => {
      throw new RangeError(deeds.TOLD_TO_THROW);
    });
  }
  read(context, plan.reads ?? 'handler');
}

/** Waits until this many executors have come to the gate. */
async function meet(count: number): Promise<void> {
  Atomics.add(words, deeds.AT_GATE, 1);
  while (Atomics.load(words, deeds.AT_GATE) < count) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function begin(how: deeds.Plan['start']): Promise<void> {
  if (how === 'throw') throw new RangeError(deeds.TOLD_TO_THROW);
  if (how === 'reject') await Promise.reject(new RangeError(deeds.TOLD_TO_THROW));
  if (how === 'hang') await new Promise(() => {});
  if (how === 'exit') process.exit(7);
}

function read(context: ExecutorContext, how: NonNullable<deeds.Plan['reads']>): void {
  const { mailbox } = context;
  if (how === 'handler') mailbox.handle((packet) => void perform(context, packet));
  if (how === 'loop') {
    const loop = async (): Promise<void> => {
      for await (const packet of mailbox) await perform(context, packet);
    };
    const done = loop();
    context.defer(() => done);
  }
  if (how === 'poll') {
    context.poll(() => {
      context.counters[deeds.POLLS]++;
      const packet = mailbox.tryReceive();
      if (packet !== undefined) void perform(context, packet);
      return packet === undefined ? 0 : 1;
    });
  }
}

function perform(context: ExecutorContext, packet: Packet): void | Promise<void> {
  Atomics.add(words, deeds.SEEN, 1);
  context.counters[deeds.HANDLED]++;
  const [name, ...args] = packet.toString().split(' ');
  return DEEDS[name as string]?.(context, packet, args);
}

function sendOrRelease(sender: ExecutorContext['host'], packet: Packet): boolean {
  let sent = false;
  try {
    sent = sender.trySend(packet);
  } finally {
    if (!sent) packet.release();
  }
  return sent;
}

function sendText(context: ExecutorContext, text: string): void {
  const packet = Packet.tryFrom(context.pool, new TextEncoder().encode(text));
  if (packet !== undefined) sendOrRelease(context.host, packet);
}
