// SPDX-License-Identifier: MIT
/** Test tool: two links that follow a script, and a record of their events. */
import { type Link, LoopbackNetwork, TcpLink, type UdpLink } from 'busbar/link';
import { Packet } from 'busbar/packet';
import { type BufferId, BufferPool } from 'busbar/pool';
import { LocalWriter, WriteFlusher } from 'busbar/writer';
import { framed, numbered, numberOf } from '../../numbered.ts';
import { auditPool } from '../../pool-audit.ts';
import { turn } from '../../turns.ts';
import {
  type Events,
  type LinkKind,
  openLoopbackMessages,
  openLoopbackStreams,
  type Pair,
} from '../kinds.ts';

const ENDS = ['near', 'far'] as const;
type EndName = (typeof ENDS)[number];

/** Messages that `fill` writes at most: a stream of more than a system keeps, and few datagrams. */
const FILL_COUNT_MAX = { stream: 20_000, messages: 300 };
/** Turns without progress after which nothing moves any more. */
const FILL_TURNS = 300;

const BUFFERS = { bufferSize: 8192, bufferCount: 96, maxThreads: 3 };

/** What is looked at, in this order. What is as it was is not printed. */
type State = Record<string, string | number | boolean>;

const QUIET: State = {
  closed: false,
  error: 'none',
  writable: true,
  paused: false,
  buffered: 0,
  written: 0,
  lost: 0,
  read: 0,
  stalls: 0,
  pauses: 0,
  exhaustions: 0,
  held: 0,
  writes: 0,
  reads: 0,
};

/** Numbers that depend on how the system cuts, or on how much it takes. */
const ONLY_EXACT = ['writes', 'reads'];
const SOME = ['stalls', 'exhaustions'];
const SOME_WHEN_VAGUE = ['buffered', 'written', 'lost', 'read', 'held'];

/** What happens to a link the next time that something does. */
interface Reaction {
  readonly event: string;
  readonly command: string;
}

/** One of the two. */
class Actor {
  readonly pool: BufferPool = BufferPool.create(BUFFERS);
  readonly abort: AbortController = new AbortController();
  readonly reactions: Reaction[] = [];
  readonly events: string[] = [];
  flusher: WriteFlusher | undefined;
  helper: LocalWriter | undefined;
  link: Link | undefined;
  reserved = -1;
  hoard: BufferId[] = [];
  before: State = QUIET;
}

/** A pair of links of one kind, from opening to the last look at its pools. */
export class Stage {
  readonly #kind: LinkKind;
  /** What happens depends on nothing outside of this process. */
  readonly #network: LoopbackNetwork | undefined;
  readonly #actors: Readonly<Record<EndName, Actor>> = { near: new Actor(), far: new Actor() };
  readonly #uncaught: string[] = [];
  readonly #otherListeners = process.listeners('uncaughtException');
  #pair: Pair | undefined;
  #holds = false;
  /** How much has gone where is the system's affair, except on a loopback network. */
  #isVague = false;

  constructor(kind: LinkKind) {
    this.#kind = kind;
    const isLoopback = kind.name.startsWith('loopback');
    this.#network = isLoopback ? new LoopbackNetwork({ automatic: false, seed: 1 }) : undefined;
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => this.#uncaught.push(error.message));
  }

  /** Gives the commands of one block, and returns without waiting for what comes of them. */
  async play(commands: readonly string[]): Promise<void> {
    for (const command of commands) {
      const [first, ...rest] = command.split(' ');
      if (first === 'open') await this.#open(rest);
      else if (first === 'cut') this.#pair?.cut();
      else if (first === 'hold') this.#holds = true;
      else if (first === 'release') this.#holds = false;
      else if (first === 'turn') await turn();
      else if (first === 'on') this.#react(rest);
      else if (rest[0] === 'fill') await this.#fill(nameOf(first), Number(rest[1]));
      else this.#do(command);
    }
  }

  /** Lets happen what happens in this process. */
  async go(turns: number): Promise<void> {
    if (!this.#holds) await this.#network?.run();
    for (let i = 0; i < turns; i++) await turn();
  }

  /** What was seen since {@link next}. */
  seen(): string[] {
    const lines: string[] = [];
    for (const name of ENDS) {
      const actor = this.#actors[name];
      const told = this.#isTorn(name) ? actor.events.filter((e) => e !== 'onEnd') : actor.events;
      const events = joined(told, this.#isExact || !this.#isVague);
      if (events.length > 0) lines.push(`${name}: ${events.join(', ')}`);
      const changes = this.#changes(actor, this.#isTorn(name));
      if (changes.length > 0) lines.push(`${name} is ${changes.join(', ')}`);
    }
    if (this.#uncaught.length > 0) lines.push(`uncaught: ${this.#uncaught.join(', ')}`);
    return lines;
  }

  /** The next block begins. */
  next(): void {
    for (const name of ENDS) {
      const actor = this.#actors[name];
      actor.before = this.#stateOf(actor);
      actor.events.length = 0;
    }
    this.#uncaught.length = 0;
  }

  /** Ends what has not ended, and returns what is wrong then: nothing, as a rule. */
  async end(): Promise<string[]> {
    this.#holds = false;
    const actors = ENDS.map((name) => this.#actors[name]);
    for (const { link, hoard, pool } of actors) {
      for (const id of hoard) pool.release(id);
      link?.destroy();
    }
    while (actors.some(({ link }) => link?.closed === false)) await this.go(1);
    await this.#pair?.close();
    await this.go(5);
    for (const { helper, flusher } of actors) {
      if (helper?.closed === false) helper.close();
      flusher?.close();
    }
    process.removeAllListeners('uncaughtException');
    for (const listener of this.#otherListeners) process.on('uncaughtException', listener);
    return actors.flatMap(({ pool, link }) => {
      const wrong = [...auditPool(pool)];
      if (pool.stats().held > 0) wrong.push(`${pool.stats().held} buffers held`);
      if (link?.stats().queuedBytes !== 0) wrong.push(`${link?.stats().queuedBytes} bytes queued`);
      const { leaks } = pool.close();
      if (leaks !== 'off' && leaks.length > 0) wrong.push('leaks');
      return wrong;
    });
  }

  get #isExact(): boolean {
    return this.#network !== undefined;
  }

  // ── Commands ──────────────────────────────────────────────────────────────────────────────────

  /** `near.highWaterBytes=1000`, `far.allowHalfOpen`, `near.flusher`: options of one end. */
  async #open(words: readonly string[]): Promise<void> {
    const options: Record<EndName, Record<string, unknown>> = { near: {}, far: {} };
    for (const word of words) {
      const [, name, key, value] = /^(near|far)\.(\w+)(?:=(\d+))?$/.exec(word) ?? [];
      const end = nameOf(name);
      const actor = this.#actors[end];
      if (key === 'flusher') {
        actor.flusher = WriteFlusher.create(actor.pool, { writerCount: 8, regionCount: 4 });
        options[end].flusher = actor.flusher;
      } else if (key === 'signal') {
        options[end].signal = actor.abort.signal;
      } else {
        options[end][key] = value === undefined ? true : Number(value);
      }
    }
    const [near, far] = ENDS.map((name) => {
      const { pool } = this.#actors[name];
      return { pool, events: this.#eventsOf(name), ...options[name] };
    });
    const { isStream } = this.#kind;
    const network = this.#network;
    let isOpen = network === undefined;
    const open = isStream ? openLoopbackStreams : openLoopbackMessages;
    const opening = network === undefined ? this.#kind.open(near, far) : open(network, near, far);
    const pair = opening.finally(() => {
      isOpen = true;
    });
    while (!isOpen) {
      network?.step();
      await turn();
    }
    this.#pair = await pair;
    this.#actors.near.link = this.#pair.near;
    this.#actors.far.link = this.#pair.far;
  }

  /** `far message 3: near close`: at that event, once. */
  #react(words: readonly string[]): void {
    const [left, command] = words.join(' ').split(': ');
    const [name, ...event] = left.split(' ');
    this.#actors[nameOf(name)].reactions.push({ event: event.join(' '), command });
  }

  #eventsOf(name: EndName): Events {
    const note = (event: string): void => this.#happened(name, event);
    return {
      onMessage: (offset, length, link) => {
        note(`message ${numberOf(link.pool.bytes, offset, length)}`);
      },
      onEnd: () => note('onEnd'),
      onDrained: () => note('onDrained'),
      onError: (_link, error) => {
        // Which datagram a refusal meets depends on when it comes.
        if (wordOf(error) === 'ERR_BUSBAR_DATAGRAM_REFUSED') this.#isVague = true;
        note(`onError ${wordOf(error)}`);
      },
      onClose: () => note('onClose'),
    };
  }

  #happened(name: EndName, event: string): void {
    const { events, reactions } = this.#actors[name];
    events.push(event);
    const index = reactions.findIndex((reaction) => event.startsWith(reaction.event));
    if (index === -1) return;
    const [{ command }] = reactions.splice(index, 1);
    if (command === 'throw') throw new Error(`thrown at ${name} ${event}`);
    this.#do(command);
  }

  /** `near close 100`. What it throws is what is seen. */
  #do(command: string): void {
    const [name, verb, ...words] = command.split(' ');
    const actor = this.#actors[nameOf(name)];
    try {
      const result = this.#act(actor, verb, words);
      if (result !== undefined) actor.events.push(`${verb} ${result}`);
    } catch (error) {
      actor.events.push(`${verb} throws ${wordOf(error)}`);
    }
  }

  #act(actor: Actor, verb: string, words: readonly string[]): unknown {
    const link = actor.link as Link;
    switch (verb) {
      case 'write':
        return writeRange(link.writer, words);
      case 'flush':
        return link.flush();
      case 'packet':
        return this.#sendPacket(actor, Number(words[0]), Number(words[1]));
      case 'reserve':
        actor.reserved = link.writer.tryReserve(Number(words[0]));
        return actor.reserved >= 0;
      case 'commit':
        link.writer.abort(actor.reserved);
        return undefined;
      case 'garbage':
        // The length of more than there may be.
        return link.writer.tryWrite(new Uint8Array(20).fill(0xff));
      case 'begin':
        return link.writer.tryWrite(framed(0, Number(words[0])).subarray(0, 20));
      case 'closeWriter':
        return link.writer.close();
      case 'closeFlusher':
        return actor.flusher?.close();
      case 'pause':
        return void link.pause();
      case 'resume':
        return void link.resume();
      case 'end':
        return link instanceof TcpLink ? void link.end() : 'is for streams';
      case 'close':
        return void link
          .close(words.length === 0 ? {} : { deadlineMs: Number(words[0]) })
          .then(() => actor.events.push('closing resolved'));
      case 'destroy':
        return void link.destroy();
      case 'abort':
        return void actor.abort.abort(new Error('enough'));
      case 'hoard':
        for (let id = actor.pool.tryAcquire(); id >= 0; id = actor.pool.tryAcquire()) {
          actor.hoard.push(id);
        }
        return undefined;
      case 'unhoard':
        for (const id of actor.hoard.splice(0)) actor.pool.release(id);
        return undefined;
      case 'add':
        actor.helper ??= new LocalWriter(actor.flusher as WriteFlusher);
        return void link.addWriter(actor.helper.id);
      case 'remove':
        return void link.removeWriter((actor.helper as LocalWriter).id);
      case 'help': {
        const helper = actor.helper as LocalWriter;
        const result = writeRange(helper, words);
        helper.flush();
        return result;
      }
      case 'closeHelper':
        return actor.helper?.close();
      default:
        throw new Error(`unknown command ${verb}`);
    }
  }

  #sendPacket(actor: Actor, n: number, length: number): boolean {
    const { pool } = actor;
    const bytes = this.#kind.isStream ? framed(n, length) : numbered(n, length);
    const id = pool.tryAcquire();
    const offset = pool.offsetOf(id);
    pool.bytes.set(bytes, offset);
    const packet = Packet.wrap(pool, id, offset, bytes.length);
    try {
      const wasSent = (actor.link as TcpLink | UdpLink).trySend(packet);
      if (!wasSent) packet.release();
      return wasSent;
    } catch (error) {
      packet.release();
      throw error;
    }
  }

  /** Writes until nothing moves any more. */
  async #fill(name: EndName, length: number): Promise<void> {
    this.#isVague = true;
    const { events, link } = this.#actors[name];
    const { writer } = link as Link;
    const before = events.length;
    const countMax = FILL_COUNT_MAX[this.#kind.isStream ? 'stream' : 'messages'];
    let n = 0;
    for (let still = 0; still < FILL_TURNS && n < countMax && !writer.closed; still++) {
      const written = link?.stats().bytesWritten;
      while (n < countMax && writer.tryWrite(framed(n, length))) {
        n++;
        still = 0;
      }
      link?.flush();
      await turn();
      if (link?.stats().bytesWritten !== written) still = 0;
    }
    // How often it stalled meanwhile is the system's affair.
    if (!this.#isExact) events.length = before;
    const isFull = n < countMax;
    const count = this.#isExact ? ` 0-${n - 1}` : '';
    events.push(isFull ? `filled${count}, then not now` : 'filled, and never full');
  }

  // ── What is seen ──────────────────────────────────────────────────────────────────────────────

  #stateOf({ link, pool, hoard }: Actor): State {
    if (link === undefined) return QUIET;
    const stats = link.stats();
    const { error } = link;
    return {
      closed: link.closed,
      error: error === undefined ? 'none' : wordOf(error),
      writable: link.writable,
      paused: link.paused,
      buffered: link.bufferedBytes,
      written: stats.bytesWritten,
      lost: stats.lostBytes,
      read: stats.bytesRead,
      stalls: stats.stalls,
      pauses: stats.pauses,
      exhaustions: stats.exhaustions,
      held: pool.stats().held - hoard.length,
      writes: stats.writes,
      reads: stats.reads,
    };
  }

  /**
   * Whether the other end failed with bytes on their way. A reset that comes with the last of them
   * is an error to libuv from 1.52 on, and a clean end to older ones (Node 20 and 22).
   */
  #isTorn(name: EndName): boolean {
    const other = this.#actors[name === 'near' ? 'far' : 'near'].link;
    const isReset = other?.error !== undefined && !wordOf(other.error).endsWith('(aborted)');
    return !this.#isExact && this.#isVague && isReset;
  }

  #changes(actor: Actor, isTorn: boolean): string[] {
    const now = this.#stateOf(actor);
    const isExact = this.#isExact;
    const show = (key: string, value: unknown): string => {
      if (typeof value === 'boolean') return value ? key : `not ${key}`;
      if (typeof value === 'string') {
        // Where the system cuts a stream that is broken off.
        const isCut = !isExact && this.#isVague && value.startsWith('ERR_BUSBAR_LINK_TRUNCATED');
        const isReset = isTorn && value === 'ERR_BUSBAR_LINK_FAILED';
        return `${key} ${isCut || isReset ? 'none' : value}`;
      }
      const isSome = SOME.includes(key) || (this.#isVague && SOME_WHEN_VAGUE.includes(key));
      return `${key} ${!isExact && isSome && value !== 0 ? 'some' : value}`;
    };
    // Whether anything is left at that moment is the system's affair.
    const hidden = actor.events.includes('onDrained') ? [...ONLY_EXACT, 'lost'] : ONLY_EXACT;
    return Object.keys(now)
      .filter((key) => isExact || !hidden.includes(key))
      .filter((key) => show(key, now[key]) !== show(key, actor.before[key]))
      .map((key) => show(key, now[key]));
  }
}

function nameOf(word: string): EndName {
  if (word === 'near' || word === 'far') return word;
  throw new Error(`neither near nor far: ${word}`);
}

/** `0-3 100`: messages number 0 to 3 of 100 bytes. */
function writeRange(writer: LocalWriter, [range, length]: readonly string[]): string {
  const [first, last = first] = range.split('-').map(Number);
  for (let n = first; n <= last; n++) {
    if (!writer.tryWrite(framed(n, Number(length)))) return `not now at ${n}`;
  }
  return range;
}

/** Codes are the same on every machine; the texts of systems are not. */
function wordOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message: string };
  if (typeof code !== 'string') return message;
  const [, detail] = /: (.*)/.exec(message) ?? [];
  const isOurs = detail !== undefined && !/\b[A-Z]{4,}\b/.test(detail);
  return isOurs ? `${code} (${detail})` : code;
}

/**
 * Messages that follow each other are told in one word; without `counts`, only their order, and
 * what else happens only once.
 */
function joined(events: readonly string[], counts: boolean): string[] {
  const result: string[] = [];
  let first = 0;
  let last = -2;
  for (const event of events) {
    const n = event.startsWith('message ') ? Number(event.slice(8)) : -2;
    const follows = n >= 0 && (n === last + 1 || (!counts && n > last && last >= 0));
    if (!follows) first = n;
    if (!counts && n < 0 && result.includes(event)) continue;
    const range = counts ? `message ${first}${n > first ? `-${n}` : ''}` : 'messages in order';
    if (follows) result[result.length - 1] = range;
    else result.push(n >= 0 ? range : event);
    last = n;
  }
  return result;
}
