// SPDX-License-Identifier: MIT
/**
 * Buses as peers under chance: they start, die at any send, say goodbye, subscribe, publish, over
 * lanes that wait and refuse. `BUSBAR_SEED=n npx vitest run test/bus/peer/simulation` plays the
 * world n alone, `BUSBAR_WORLDS=n` the first n.
 *
 * Held: of one publisher each subscription gets messages in order, none twice; of a queue group at
 * most one member gets each; who was known by a fence gets all that is published from then on by
 * buses that live on; no window is less than nothing; no buffer is lost.
 */
import { expect, test } from 'vitest';
import { Random } from '../../../src/base/random.ts';
import type { BusMessage } from '../../../src/bus/bus-message.ts';
import type { BusSubscription } from '../../../src/bus/bus-subscription.ts';
import { Packet } from '../../../src/packet/index.ts';
import { BufferPool } from '../../../src/pool/index.ts';
import { expectAllHome } from '../../pool-expectations.ts';
import { Death, PeerNetwork } from './network.ts';

const SEEDS = Number(process.env.BUSBAR_WORLDS ?? 60);
const STEPS = 250;
const SUBJECTS = ['a', 'b', 'a.x', 'a.y', 'b.x.y'] as const;
const PATTERNS = ['a', 'b', 'a.*', 'a.>', '*', 'b.>', 'a.x'] as const;

/** A subscription under watch. */
interface Watched {
  readonly at: string;
  readonly pattern: string;
  readonly queue: string;
  readonly subscription: BusSubscription;
  /** By publisher, the last sequence. */
  readonly last: Map<string, number>;
  readonly got: Set<string>;
  /** What it must get, unless one of the two dies. */
  readonly due: Map<string, string>;
  isKnown: boolean;
}

class World {
  readonly network: PeerNetwork;
  readonly random: Random;
  readonly wrong: string[] = [];
  readonly #watched: Watched[] = [];
  /** By message and queue group, who got it. */
  readonly #served: Map<string, string> = new Map();
  readonly #dead: Set<string> = new Set();

  constructor(seed: number, pool: BufferPool) {
    this.random = new Random(seed);
    this.network = new PeerNetwork(pool, 2 + this.random.below(3), 4 << this.random.below(4));
  }

  async play(): Promise<void> {
    const { network, random } = this;
    for (let i = 0; i < network.count; i++) this.#begin(i);
    for (let step = 0; step < STEPS; step++) {
      const index = random.below(network.count);
      if (random.below(12) === 0) network.sendsToDeath = random.below(6);
      try {
        this.#act(index);
        network.members[index]?.flush();
      } catch (error) {
        if (!(error instanceof Death)) throw error;
        this.#die(index);
      }
      network.sendsToDeath = -1;
      for (const member of network.members) {
        if (member !== undefined && member.bus.stats().regionsOut < 0) {
          this.wrong.push('a window is less than nothing');
        }
      }
      if (random.below(4) === 0) await turn();
    }
    await this.#rest();
  }

  /** All that is on its way arrives. */
  async #rest(): Promise<void> {
    const { network } = this;
    network.room.clear();
    for (let i = 0; i < network.count; i++) if (network.members[i] === undefined) this.#begin(i);
    for (let i = 0; i < 4; i++) {
      network.settle();
      await turn();
    }
    for (const each of this.#watched) {
      if (this.#dead.has(each.at) || each.subscription.state !== 'open') continue;
      for (const [message, publisher] of each.due) {
        if (this.#dead.has(publisher) || each.got.has(message)) continue;
        this.wrong.push(`${each.at} ${each.pattern} did not get ${message}`);
      }
    }
  }

  #act(index: number): void {
    const { network, random } = this;
    const member = network.members[index];
    if (member === undefined) {
      this.#begin(index);
      return;
    }
    const other = random.below(network.count);
    if (this.#dead.has(member.bus.name)) {
      // It has said goodbye. Its place is taken again later.
      if (random.below(8) === 0) this.#die(index);
      else if (other !== index) network.deliver(other, index);
      return;
    }
    const what = random.below(100);
    if (what < 45) {
      if (other !== index) network.deliver(other, index);
    } else if (what < 70) {
      this.#publish(index);
    } else if (what < 82) {
      this.#subscribe(index);
    } else if (what < 88) {
      const own = this.#watched.filter(({ at }) => at === member.bus.name);
      if (own.length > 0) own[random.below(own.length)]?.subscription.close();
    } else if (what < 93) {
      const lane = `${index}>${other}`;
      if (network.room.has(lane)) network.room.delete(lane);
      else network.room.set(lane, random.below(3));
    } else if (what < 96) {
      this.#die(index);
    } else if (what < 97) {
      this.#dead.add(member.bus.name);
      member.bus.close();
    }
  }

  #begin(index: number): void {
    // One that dies before it is there has said nothing.
    this.network.sendsToDeath = -1;
    this.network.start(index, { name: `${index}:${this.network.nextEpoch(index)}` });
  }

  #die(index: number): void {
    const { network, random } = this;
    const name = network.bus(index).name;
    this.#dead.add(name);
    network.sendsToDeath = -1;
    const epoch = network.kill(index);
    if (random.below(2) === 0) return;
    for (const member of network.members) {
      if (member !== undefined && random.below(3) > 0) member.gone(index, epoch);
    }
  }

  #publish(index: number): void {
    const { network, random } = this;
    const { bus } = network.member(index);
    const subject = SUBJECTS[random.below(SUBJECTS.length)] as string;
    const text = 'x'.repeat(random.below(40));
    const isPacket = random.below(3) === 0;
    const packet = isPacket ? Packet.tryFrom(network.pool, text) : undefined;
    const before = bus.stats().published;
    const known = this.#watched.filter((each) => each.isKnown && each.subscription.place >= 0);
    let isSent = false;
    try {
      isSent = bus.tryPublish(subject, packet ?? text);
    } finally {
      if (packet !== undefined && !packet.released) packet.release();
    }
    if (!isSent) return;
    const message = `${bus.name}#${before + 1}`;
    for (const each of known) {
      if (each.queue === '' && matches(each.pattern, subject)) each.due.set(message, bus.name);
    }
  }

  #subscribe(index: number): void {
    const { random } = this;
    const { bus } = this.network.member(index);
    const pattern = PATTERNS[random.below(PATTERNS.length)] as string;
    const queue = random.below(3) === 0 ? `g${random.below(2)}` : '';
    const options = queue === '' ? {} : { queue };
    const subscription = bus.subscribe(pattern, options, (message) => this.#note(watched, message));
    const watched: Watched = {
      at: bus.name,
      pattern,
      queue,
      subscription,
      last: new Map(),
      got: new Set(),
      due: new Map(),
      isKnown: false,
    };
    this.#watched.push(watched);
    void subscription.subscribed().then(() => {
      // A fence of a bus that has ended says nothing.
      if (!this.#dead.has(watched.at)) watched.isKnown = true;
    });
  }

  #note(watched: Watched, { source, sequence, subject }: BusMessage): void {
    const message = `${source}#${sequence}`;
    const { at, last, got, pattern, queue } = watched;
    if (got.has(message)) this.wrong.push(`${at} ${pattern} got ${message} twice`);
    if (!matches(pattern, subject)) this.wrong.push(`${at} ${pattern} got ${subject}`);
    got.add(message);
    if (queue === '') {
      if ((last.get(source) ?? 0) >= sequence) this.wrong.push(`${at} got ${message} late`);
      last.set(source, sequence);
      return;
    }
    const key = `${message} ${queue}`;
    const other = this.#served.get(key);
    if (other !== undefined) this.wrong.push(`${queue} got ${message} at ${other} and ${at}`);
    this.#served.set(key, at);
  }
}

/** The slow, obvious matcher. */
function matches(pattern: string, subject: string): boolean {
  const want = pattern.split('.');
  const have = subject.split('.');
  for (const [i, token] of want.entries()) {
    if (token === '>') return have.length > i;
    if (have[i] === undefined || (token !== '*' && token !== have[i])) return false;
  }
  return want.length === have.length;
}

async function turn(): Promise<void> {
  for (let i = 0; i < 6; i++) await Promise.resolve();
}

const only = process.env.BUSBAR_SEED;
const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)];

test(`${seeds.length} worlds of buses that die keep every promise`, async () => {
  for (const seed of seeds) {
    const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 1024 });
    const world = new World(seed, pool);
    await world.play();
    world.network.end();
    await turn();
    expect(world.wrong, `seed ${seed}`).toEqual([]);
    expectAllHome(pool);
    pool.close();
  }
});
