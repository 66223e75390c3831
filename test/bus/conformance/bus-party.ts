// SPDX-License-Identifier: MIT
/** Test tool: a party of the conformance suite, on a bus of this thread. */
import type { Bus, BusMessage, BusPayload, BusStats, BusSubscription } from 'busbar/bus';
import { Packet } from 'busbar/packet';
import type { Asking, Got, Outcome, Party, Sending, SubscriptionState, Wish } from './party.ts';

interface Held {
  readonly subscription: BusSubscription;
  readonly got: Got[];
  readonly failures: string[];
  readonly gate: PromiseWithResolvers;
  loop: AsyncIterator<BusMessage> | undefined;
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export class BusParty implements Party {
  readonly #bus: Bus;
  readonly #held: Map<string, Held> = new Map();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  async subscribe(id: string, pattern: string, wish: Wish = {}): Promise<Outcome> {
    const { kind = 'handler', respond, throws, ...options } = wish;
    const got: Got[] = [];
    const failures: string[] = [];
    const gate = opened();
    const handle = (message: BusMessage): void => {
      got.push(seen(message));
      if (throws === true) throw new Error('a bug of the handler');
      if (respond === undefined || message.reply === undefined) return;
      const text = `${respond}${message.text()}`;
      // Else it waits for room.
      if (!message.tryRespond(text)) void message.respond(text);
    };
    const handler =
      kind === 'gated'
        ? async (message: BusMessage): Promise<void> => {
            await gate.promise;
            handle(message);
          }
        : handle;
    const own = { ...options, onError: (error: unknown) => void failures.push(codeOf(error)) };
    try {
      const subscription =
        kind === 'loop'
          ? this.#bus.subscribe(pattern, own)
          : this.#bus.subscribe(pattern, own, handler);
      this.#held.set(id, { subscription, got, failures, gate, loop: undefined });
      await subscription.subscribed();
      return '';
    } catch (error) {
      return codeOf(error);
    }
  }

  async unsubscribe(id: string): Promise<void> {
    this.#find(id).subscription.close();
    await this.#bus.flush();
  }

  async drainOne(id: string): Promise<void> {
    await this.#find(id).subscription.drain();
  }

  async got(id: string): Promise<readonly Got[]> {
    return this.#find(id).got.slice();
  }

  async take(id: string, count: number): Promise<readonly (Got | Outcome)[]> {
    const held = this.#find(id);
    held.loop ??= held.subscription[Symbol.asyncIterator]();
    const taken: (Got | Outcome)[] = [];
    for (let i = 0; i < count; i++) {
      try {
        const { value, done } = await held.loop.next();
        taken.push(done === true ? 'done' : seen(value));
      } catch (error) {
        taken.push(codeOf(error));
      }
    }
    return taken;
  }

  async open(id: string): Promise<void> {
    this.#find(id).gate.resolve();
  }

  async state(id: string): Promise<SubscriptionState> {
    const { subscription, failures } = this.#find(id);
    const { state, delivered, dropped, held } = subscription;
    return { state, delivered, dropped, held, failures };
  }

  async tryPublish(subject: string, text: string, sending: Sending = {}): Promise<Outcome> {
    return this.#send(text, sending, async (payload, options) =>
      this.#bus.tryPublish(subject, payload, options) ? 'sent' : 'not now',
    );
  }

  async publish(subject: string, text: string, sending: Sending = {}): Promise<Outcome> {
    return this.#send(text, sending, async (payload, options) => {
      await this.#bus.publish(subject, payload, options);
      return 'sent';
    });
  }

  async publishNumbers(subject: string, from: number, to: number): Promise<Outcome> {
    const kinds = ['text', 'bytes', 'packet'] as const;
    for (let i = from; i < to; i++) {
      const outcome = await this.publish(subject, String(i), { as: kinds[i % 3] ?? 'text' });
      if (outcome !== 'sent') return outcome;
    }
    return 'sent';
  }

  async request(subject: string, text: string, asking: Asking = {}): Promise<Got | Outcome> {
    const { options, abort } = limits(asking);
    try {
      const asked = this.#bus.request(subject, text, options);
      abort();
      using answer = await asked;
      return seen(answer);
    } catch (error) {
      return codeOf(error);
    }
  }

  async replies(
    subject: string,
    text: string,
    asking: Asking = {},
  ): Promise<readonly (Got | Outcome)[]> {
    const { options, abort } = limits(asking);
    const all: (Got | Outcome)[] = [];
    try {
      for await (const reply of this.#bus.replies(subject, text, options)) {
        all.push(seen(reply));
        abort();
      }
    } catch (error) {
      all.push(codeOf(error));
    }
    return all;
  }

  async flush(): Promise<void> {
    await this.#bus.flush();
  }

  async drain(): Promise<void> {
    await this.#bus.drain();
  }

  async close(): Promise<void> {
    this.#bus.close();
  }

  async stats(): Promise<BusStats> {
    return this.#bus.stats();
  }

  async reset(): Promise<void> {
    for (const { subscription, gate } of this.#held.values()) {
      gate.resolve();
      subscription.close();
    }
    this.#held.clear();
    await this.#bus.flush();
  }

  async #send(
    text: string,
    { as = 'text', ...options }: Sending,
    send: (payload: BusPayload, options: Omit<Sending, 'as'>) => Promise<Outcome>,
  ): Promise<Outcome> {
    const payload =
      as === 'text'
        ? text
        : as === 'bytes'
          ? new TextEncoder().encode(text)
          : await Packet.from(this.#bus.pool, text);
    let outcome: Outcome;
    try {
      outcome = await send(payload, options);
    } catch (error) {
      outcome = codeOf(error);
    }
    if (!(payload instanceof Packet)) return outcome;
    // Whose it is must be as promised.
    const isOurs = !payload.released;
    if (isOurs) payload.release();
    return isOurs === (outcome === 'sent') ? `the packet is wrong after ${outcome}` : outcome;
  }

  #find(id: string): Held {
    const held = this.#held.get(id);
    if (held === undefined) throw new Error(`there is no subscription ${id}`);
    return held;
  }
}

function limits({ abort = false, ...rest }: Asking): {
  options: Omit<Asking, 'abort'> & { signal: AbortSignal };
  abort: () => void;
} {
  const controller = new AbortController();
  const doAbort = (): void => {
    if (abort) controller.abort(new Error('enough'));
  };
  return { options: { ...rest, signal: controller.signal }, abort: doAbort };
}

function seen(message: BusMessage): Got {
  const { subject, source, sequence, reply, headers, offset } = message;
  return { subject, text: message.text(), source, sequence, reply, headers, offset };
}

function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  return code ?? message;
}

function opened(): PromiseWithResolvers {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
