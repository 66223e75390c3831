// SPDX-License-Identifier: MIT
/**
 * Test tool: two links of one kind, what they receive, and a check that they leave nothing behind.
 */
import type { Link } from 'busbar/link';
import { BufferPool } from 'busbar/pool';
import { expect } from 'vitest';
import { framed, numberOf } from '../numbered.ts';
import { auditPool } from '../pool-audit.ts';
import type { End, Events, LinkKind, Pair } from './kinds.ts';

/** What a trial may change about its ends. */
export interface TrialOptions {
  readonly near?: Partial<End>;
  readonly far?: Partial<End>;
  readonly bufferCount?: number;
  /** Called for each message that came to `far`, after its number was noted. */
  readonly onMessage?: (link: Link) => void;
  readonly nearEvents?: Partial<Events>;
  readonly farEvents?: Partial<Events>;
}

/** A pool of its own for each end, so that it is known who holds what. */
export class Trial {
  readonly nearPool: BufferPool;
  readonly farPool: BufferPool;
  /** The numbers of the messages that came to `far`; −1 for spoilt ones. */
  readonly got: number[] = [];
  /** Errors that `near` and `far` were closed with. */
  readonly closings: { readonly link: Link; readonly error: unknown }[] = [];
  drained = 0;
  /** Bytes that `near` was given to send, lengths and all. */
  written = 0;
  #pair: Pair | undefined;

  private constructor(bufferCount: number) {
    const make = (): BufferPool =>
      BufferPool.create({ bufferSize: 8192, bufferCount, maxThreads: 3 });
    this.nearPool = make();
    this.farPool = make();
  }

  static async open(kind: LinkKind, options: TrialOptions = {}): Promise<Trial> {
    const { near, far, bufferCount = 96, onMessage, nearEvents, farEvents } = options;
    const trial = new Trial(bufferCount);
    const onClose = (link: Link, error: unknown): void => {
      trial.closings.push({ link, error });
    };
    trial.#pair = await kind.open(
      {
        pool: trial.nearPool,
        events: { onMessage() {}, onDrained: () => void trial.drained++, onClose, ...nearEvents },
        ...near,
      },
      {
        pool: trial.farPool,
        events: {
          onMessage(offset, length, link) {
            trial.got.push(numberOf(link.pool.bytes, offset, length));
            onMessage?.(link);
          },
          onClose,
          ...farEvents,
        },
        ...far,
      },
    );
    return trial;
  }

  get near(): Link {
    return (this.#pair as Pair).near;
  }

  get far(): Link {
    return (this.#pair as Pair).far;
  }

  cut(): void {
    this.#pair?.cut();
  }

  /** Writes message number n; false: not now. */
  send(n: number, length: number): boolean {
    if (!this.near.writer.tryWrite(framed(n, length))) return false;
    this.written += 2 + length;
    return true;
  }

  /** What a link's `onClose` was told; undefined if it was not called. */
  closing(link: Link): { readonly error: unknown } | undefined {
    return this.closings.find((each) => each.link === link);
  }

  /** Closes what is open, and looks whether every buffer is back. */
  async close(): Promise<void> {
    const { near, far } = this;
    await Promise.all([near.close(), far.close()]);
    await this.#pair?.close();
    expect([near.closed, far.closed]).toEqual([true, true]);
    await new Promise(setImmediate);
    for (const link of [near, far]) {
      expect(this.closings.filter((each) => each.link === link).length).toBe(1);
      expect(this.closing(link)?.error).toBe(link.error);
    }
    for (const pool of [this.nearPool, this.farPool]) {
      expect(pool.stats().held).toBe(0);
      expect(auditPool(pool)).toEqual([]);
      expect(pool.close()).toEqual({ heldByThreads: 0, inTransit: 0, leaks: 'off' });
    }
  }
}
