// SPDX-License-Identifier: MIT
/** Test worker: an executor whose bus does what requests to `ctl.<index>` say. */
import { Bus, type BusMessage, type BusSubscription } from 'busbar/bus';
import type { ExecutorContext } from 'busbar/executor';
import { Packet } from 'busbar/packet';
import type { Command, Received } from './party.ts';

const received: Received[] = [];
const subscriptions: Map<string, BusSubscription> = new Map();

export function run(context: ExecutorContext): void {
  const bus = Bus.join(context);
  bus.subscribe(`ctl.${context.index}`, { concurrency: 64 }, async (message) => {
    const answer = await obey(bus, JSON.parse(message.text()) as Command);
    await message.respond(JSON.stringify(answer ?? null));
  });
  const { data } = context;
  if (data === 'load') load(bus, context);
}

async function obey(bus: Bus, command: Command): Promise<unknown> {
  switch (command.kind) {
    case 'subscribe': {
      const { pattern, options } = command;
      const subscription = bus.subscribe(pattern, options, (message) => {
        received.push(describe(pattern, message));
        if (message.reply !== undefined) message.tryRespond(`${bus.name}: ${message.text()}`);
      });
      subscriptions.set(pattern, subscription);
      await subscription.subscribed();
      return undefined;
    }
    case 'unsubscribe':
      subscriptions.get(command.pattern)?.close();
      await bus.flush();
      return undefined;
    case 'publish': {
      const { subject, texts, headers, isPacket } = command;
      for (const text of texts) {
        const payload = isPacket === true ? await Packet.from(bus.pool, text) : text;
        await bus.publish(subject, payload, headers === undefined ? {} : { headers });
      }
      await bus.flush();
      return undefined;
    }
    case 'request': {
      try {
        using answer = await bus.request(command.subject, command.text);
        return answer.text();
      } catch (error) {
        return (error as { code?: string }).code;
      }
    }
    case 'received':
      return received;
    case 'count':
      return count(bus, command.subject, command.messages);
    case 'number':
      return number(bus, command.subject, command.messages);
    case 'hold': {
      const options = { concurrency: 2 };
      const never = (): Promise<void> => new Promise(() => {});
      await bus.subscribe(command.pattern, options, never).subscribed();
      return undefined;
    }
    case 'fall':
      await bus.subscribe(command.subject, () => process.exit(1)).subscribed();
      return undefined;
    case 'die':
      process.exit(1);
  }
}

function describe(pattern: string, message: BusMessage): Received {
  const { subject, source, sequence, headers } = message;
  const text = message.text();
  return {
    pattern,
    subject,
    source,
    sequence,
    text,
    ...(headers === undefined ? {} : { headers }),
  };
}

/** Publishes messages of 64 bytes that are numbered. */
async function number(bus: Bus, subject: string, messages: number): Promise<number> {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  for (let i = 1; i <= messages; i++) {
    view.setInt32(0, i, true);
    bytes.fill(i & 0xff, 4);
    if (!bus.tryPublish(subject, bytes)) await bus.publish(subject, bytes);
  }
  await bus.flush();
  return messages;
}

/** Resolves once this number of messages has come; returns how many bytes or numbers are wrong. */
async function count(bus: Bus, subject: string, messages: number): Promise<number> {
  let next = 1;
  let wrong = 0;
  const { bytes, view } = bus.pool;
  await new Promise<void>((resolve) => {
    const subscription = bus.subscribe(subject, ({ offset, length }) => {
      if (view.getInt32(offset, true) !== next) wrong++;
      for (let at = 4; at < length; at++) if (bytes[offset + at] !== (next & 0xff)) wrong++;
      if (next++ !== messages) return;
      subscription.close();
      resolve();
    });
    void subscription.subscribed().then(() => bus.tryPublish(`${subject}.ready`, ''));
  });
  return wrong;
}

/**
 * Publishes without end, and looks whether what comes from each bus is in order. The counters say
 * how much came, and how much of it was wrong.
 */
function load(bus: Bus, context: ExecutorContext): void {
  const last: Map<string, number> = new Map();
  const { counters, index } = context;
  bus.subscribe('load.*', (message) => {
    const [source, number] = message.text().split(' ') as [string, string];
    if ((last.get(source) ?? 0) >= Number(number)) counters[1]++;
    last.set(source, Number(number));
    counters[0]++;
  });
  bus.subscribe('job', { queue: 'workers', concurrency: 8 }, async (message) => {
    counters[2]++;
    // Not tryRespond: under this load it is often "not now".
    if (message.reply !== undefined) await message.respond('done');
  });
  let next = 1;
  const source = `${index}-${context.restarts}`;
  const step = async (): Promise<void> => {
    while (!context.signal.aborted) {
      for (let i = 0; i < 20; i++) {
        const text = `${source} ${next}`;
        const payload = next % 3 === 0 ? Packet.tryFrom(bus.pool, text) : text;
        if (payload === undefined) break;
        if (!bus.tryPublish(`load.${index}`, payload)) {
          if (typeof payload !== 'string') payload.release();
          break;
        }
        next++;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  void step();
}
