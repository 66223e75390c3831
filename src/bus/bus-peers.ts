// SPDX-License-Identifier: MIT
/** What a bus does with its peers: publishes to them, and delivers what comes from them. */

import { readText } from '../base/text.ts';
import { throwLater } from '../base/throw-later.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';
import { ArrivedSubjects } from './arrived-subjects.ts';
import type { BusMessage } from './bus-message.ts';
import type { BusSubscription } from './bus-subscription.ts';
import type { Delivery, MembersOf } from './delivery.ts';
import type { Envelope, Headers } from './envelope.ts';
import { FrameMemory } from './frame-memory.ts';
import type { MatchSet } from './match-set.ts';
import { type BusPayload, bytesOf, NOT_NOW } from './payloads.ts';
import type { Incoming } from './peer/incoming.ts';
import { FrameHead, type MessageFrame } from './peer/message-frame.ts';
import type { Outgoing } from './peer/outgoing.ts';
import type { PeerGroup } from './peer/peer-carrier.ts';
import { PASSED, PLAIN, padded } from './peer/peer-layout.ts';
import { Peers, type PeersHome } from './peer/peers.ts';
import type { Beyond, SpreadGroup } from './peer/remote-interest.ts';
import { Route } from './peer/route.ts';
import { INBOX, type PreparedSubject } from './prepared-subject.ts';
import type { SubscriptionIndex } from './subscription-index.ts';
import type { WaitingPublishers } from './waiting-publishers.ts';

export type BusBeyond = Beyond<BusSubscription, Outgoing>;
type BusSpread = SpreadGroup<BusSubscription, Outgoing>;
export type BusIndex = SubscriptionIndex<BusSubscription, BusBeyond>;
export type BusSubject = PreparedSubject<BusSubscription, BusBeyond>;

/** What it needs of the bus. */
export interface BusPeersHome {
  readonly pool: BufferPool;
  readonly name: string;
  readonly index: BusIndex;
  readonly delivery: Delivery;
  readonly publishers: WaitingPublishers;
  /** The subject of a message from a peer. */
  arriving(subject: string): BusSubject;
  /** A message to fill: handlers borrow it. */
  message(): BusMessage;
  /** Gives the message to the request with that reply subject. False: there is none. */
  answer(message: BusMessage): boolean;
  /** A message was sent. */
  notePublished(): void;
  /** A reply came too late. */
  noteUnmatched(): void;
}

/**
 * What may be with a peer that has not handled it: this number of regions, but no more than this
 * part of the pool has buffers; bytes of this part of the pool.
 */
const WINDOW_REGIONS_MAX = 512;
const WINDOW_REGIONS_PART = 4;
const WINDOW_BYTES_PART = 8;
const NO_PEERS: BusSpread['remote'] = [];
const NO_HEADERS: Headers | undefined = undefined;

export class BusPeers implements PeersHome {
  readonly name: string;
  readonly memory: FrameMemory;
  readonly windowRegions: number;
  readonly windowBytes: number;
  readonly peers: Peers<BusSubscription>;
  /** Subjects of replies to this bus begin with it. */
  readonly inbox: string;
  /** Messages for queue groups that had no members any more, or for a bus that has died. */
  lost: number = 0;
  readonly #home: BusPeersHome;
  readonly #pool: BufferPool;
  readonly #route: Route;
  readonly #head: FrameHead = new FrameHead();
  readonly #subjects: ArrivedSubjects<BusSubscription, BusBeyond>;
  readonly #closed: AbortController = new AbortController();
  #isAwaitingBuffer: boolean = false;
  /** Bytes of the payload that is published. */
  #size: number = 0;

  constructor(home: BusPeersHome, group: PeerGroup) {
    const { pool } = home;
    this.#home = home;
    this.#pool = pool;
    this.name = home.name;
    const { bufferCount, bufferSize } = pool;
    const share = Math.floor(bufferCount / WINDOW_REGIONS_PART);
    this.windowRegions = Math.max(2, Math.min(WINDOW_REGIONS_MAX, share));
    this.windowBytes = Math.floor((bufferCount * bufferSize) / WINDOW_BYTES_PART);
    this.#route = new Route(pool.bufferSize >>> 1);
    this.memory = new FrameMemory(pool);
    const { bytes, words } = this.memory;
    this.#subjects = new ArrivedSubjects(bytes, words, (text) => home.arriving(text));
    this.inbox = `${INBOX}${group.index}-${group.epoch}.`;
    this.peers = new Peers(this, group, home.index);
    const subject = new TextEncoder().encode(`${this.inbox}>`);
    this.peers.add({ subject, queue: '' });
    this.peers.flush();
  }

  /** A subscription has come. Those to own inboxes are known. */
  add(subscription: BusSubscription): void {
    if (!subscription.pattern.startsWith(this.inbox)) this.peers.add(subscription);
  }

  remove(subscription: BusSubscription): void {
    if (!subscription.pattern.startsWith(this.inbox)) this.peers.remove(subscription);
  }

  /** A subscription whose peers were told to wait may have room again. */
  roomed(subscription: BusSubscription): void {
    if (subscription.isStalled && subscription.isHalfEmpty) {
      this.peers.setStalled(subscription, false);
    }
  }

  /**
   * Whether it is the subject of a reply to a peer whose interests are known. Such a reply does not
   * wait until those of all are: a service that got false would have nothing to wait for.
   */
  hasAsked(subject: string, { beyond }: MatchSet<BusSubscription, BusBeyond>): boolean {
    const peers = beyond?.peers ?? [];
    return peers.some(({ index }) => subject.startsWith(`${INBOX}${index}-`));
  }

  /**
   * Publishes what matches `found` here and at peers. Returns the number of recipients, or NOT_NOW.
   */
  publish(
    subject: BusSubject,
    found: MatchSet<BusSubscription, BusBeyond>,
    payload: BusPayload,
    envelope: Envelope,
    sequence: number,
  ): number {
    const { delivery } = this.#home;
    const beyond = found.beyond as BusBeyond;
    this.#checkSize(subject, payload, envelope);
    if (beyond.isStalled || !delivery.hasRoom(found)) return NOT_NOW;
    const route = this.#route;
    route.begin(beyond.peers);
    let { picked } = delivery;
    const { groups } = beyond;
    if (groups.size > 0) {
      const more = picked.slice();
      for (const group of groups.values()) if (!this.#choose(group, more)) return NOT_NOW;
      picked = more;
    }
    if (!route.prepare()) return NOT_NOW;
    const here = found.plainCount + picked.length;
    const message = here === 0 ? undefined : this.#home.message();
    if (!this.#send(message, payload, sequence)) return NOT_NOW;
    this.#home.notePublished();
    if (message !== undefined) {
      message.subject = subject.text;
      message.reply = envelope.reply;
      message.headers = envelope.headers;
      message.source = this.name;
      message.sequence = sequence;
    }
    if (payload instanceof Packet) payload.release();
    if (message !== undefined && delivery.deliverTo(message, found, found.plainCount, picked)) {
      this.heard();
    }
    return here + route.count;
  }

  /** Resolves once all peers have handled everything so far. */
  fence(): Promise<void> {
    return this.peers.fence();
  }

  close(): void {
    this.peers.close();
    this.#closed.abort();
    this.memory.close();
  }

  /** Gives back what waits. */
  destroy(): void {
    this.peers.destroy();
    this.#closed.abort();
    this.memory.close();
  }

  // ── For the peers ─────────────────────────────────────────────────────────────────────

  heard(): void {
    if (this.#home.publishers.count > 0) this.#home.publishers.retry();
  }

  flushSoon(): void {
    queueMicrotask(this.#flush);
  }

  lacksBuffer(): void {
    if (this.#isAwaitingBuffer || this.#closed.signal.aborted) return;
    this.#isAwaitingBuffer = true;
    this.#pool.acquire({ signal: this.#closed.signal }).then(
      (bufferId) => {
        this.#pool.release(bufferId);
        this.#isAwaitingBuffer = false;
        this.peers.flush();
        this.#home.publishers.retry();
      },
      // The bus or the pool was closed.
      () => {},
    );
  }

  /** A goodbye to a peer that has asked after the end has taken a buffer. */
  flushed(): void {
    this.memory.close();
  }

  missed(): void {
    this.lost++;
  }

  arrived(frame: MessageFrame, from: Incoming, bufferId: BufferId): void {
    const { bytes } = this.memory;
    const { delivery } = this.#home;
    const subject = this.#subjects.lookup(frame.subjectAt, frame.subjectBytes);
    const message = this.#home.message();
    const { replyAt, replyBytes, headerBytes } = frame;
    const replyEnd = replyAt + replyBytes;
    message.subject = subject.text;
    message.reply = replyBytes === 0 ? undefined : readText(bytes, replyAt, replyEnd);
    message.headers = headerBytes === 0 ? NO_HEADERS : headersAt(bytes, replyEnd, headerBytes);
    message.source = from.name;
    message.sequence = frame.sequence;
    message.offset = frame.payloadAt;
    message.length = frame.payloadBytes;
    const found = subject.matches();
    const picked = from.serves === '' ? [] : this.#pickServed(found, frame, from, bufferId);
    message.hold(bufferId);
    if (subject.isInbox && subject.text.startsWith(this.inbox)) {
      if (this.#home.answer(message)) return;
      if (found.plainCount === 0) this.#home.noteUnmatched();
    }
    const { plain } = found;
    const plainCount = from.recipients === PLAIN ? found.plainCount : 0;
    try {
      if (delivery.deliverTo(message, found, plainCount, picked)) this.heard();
    } catch (error) {
      // The user's onError threw. The other messages of the region must come.
      throwLater(error);
    }
    if (delivery.queueCount === 0) return;
    for (let i = 0; i < plainCount; i++) this.#stallIfFull(plain[i]);
    for (const each of picked) this.#stallIfFull(each);
  }

  readonly #flush = (): void => void this.peers.flush();

  #stallIfFull(subscription: BusSubscription): void {
    if (subscription.hasRoom || subscription.isStalled || subscription.place < 0) return;
    this.peers.setStalled(subscription, true);
  }

  /** One member of each group that the message is for; if it has none, another peer gets it. */
  #pickServed(
    found: MatchSet<BusSubscription, BusBeyond>,
    frame: MessageFrame,
    from: Incoming,
    bufferId: BufferId,
  ): BusSubscription[] {
    const { delivery, index } = this.#home;
    const picked: BusSubscription[] = [];
    for (const name of from.serves.split(' ')) {
      const queue = index.queueNames.find(name);
      const spread = queue === undefined ? undefined : found.beyond?.groups.get(queue);
      const at = spread !== undefined || queue === undefined ? -1 : found.groupIndex(queue);
      const members = spread?.members ?? found.groups[at];
      if (members !== undefined && members.length > 0) {
        const member =
          spread === undefined
            ? delivery.pickAt(found, at)
            : delivery.pick(members, this.#nextHere(spread));
        picked.push(member ?? members[0]);
      } else if (from.recipients === PASSED) {
        this.lost++;
      } else {
        this.#passOn(spread, name, frame, bufferId);
      }
    }
    return picked;
  }

  #nextHere(spread: BusSpread): number {
    if (spread.turnHere < 0) spread.turnHere = this.#home.delivery.firstTurn();
    return spread.turnHere++;
  }

  #passOn(
    spread: BusSpread | undefined,
    name: string,
    { at, end, payloadBytes, isReference }: MessageFrame,
    bufferId: BufferId,
  ): void {
    const peer = spread?.remote[0]?.peer;
    if (peer === undefined || peer.listener === 0 || !peer.trySetRecipients(PASSED, name)) {
      this.lost++;
    } else if (isReference) {
      this.#passReference(at, end, payloadBytes, bufferId, peer);
    } else {
      peer.post(at, end, bufferId, payloadBytes, NO_BUFFER);
    }
  }

  /** The frame of a payload elsewhere is copied: its buffer is not known here. */
  #passReference(
    begin: number,
    end: number,
    payloadBytes: number,
    reference: BufferId,
    peer: Outgoing,
  ): void {
    const at = this.memory.tryReserve(end - begin);
    if (at < 0) {
      this.lost++;
      return;
    }
    this.#pool.copy(at, begin, end - begin);
    peer.post(at, at + end - begin, this.memory.bufferId, payloadBytes, reference);
  }

  /** Chooses a member of a group, here or at a peer, by the numbers of members. */
  #choose(group: BusSpread, picked: BusSubscription[]): boolean {
    const { members } = group;
    const { delivery } = this.#home;
    const remote = group.remoteWeight > 0 ? group.remote : NO_PEERS;
    let total = 0;
    for (let i = 0; i < members.length; i++) if (members[i].isReady) total++;
    const here = total;
    for (const { peer, weight } of remote) if (peer.hasRoom) total += weight;
    if (total === 0) {
      const lossy = members.length === 0 ? undefined : delivery.pick(members, 0);
      if (lossy !== undefined) picked.push(lossy);
      return lossy !== undefined;
    }
    if (group.turn < 0) group.turn = delivery.firstTurn();
    let at = group.turn++ % total;
    if (at < here) {
      picked.push(delivery.pick(members, at) as BusSubscription);
      return true;
    }
    at -= here;
    for (const { peer, weight } of remote) {
      if (!peer.hasRoom) continue;
      if (at < weight) {
        this.#route.addGroup(peer, group.name.text);
        return true;
      }
      at -= weight;
    }
    return false;
  }

  /** Measures the head and the payload. **Throws** TypeError, ERR_BUSBAR_MESSAGE_TOO_LARGE. */
  #checkSize(subject: BusSubject, payload: BusPayload, envelope: Envelope): void {
    const head = this.#head;
    this.#size = bytesOf(payload, this.#pool);
    head.check(subject, envelope, this.#pool);
  }

  /** Writes the frame, and sends it. Gives the message its bytes, with a reference. */
  #send(message: BusMessage | undefined, payload: BusPayload, sequence: number): boolean {
    const { memory } = this;
    const pool = this.#pool;
    const head = this.#head;
    const { bytes, words } = memory;
    if (!(payload instanceof Packet) && head.length + padded(this.#size) <= pool.bufferSize) {
      const size = this.#size;
      const length = head.length + padded(size);
      const at = memory.tryReserve(length);
      if (at < 0) return this.#lack();
      const offset = at + head.length;
      memory.put(offset, payload, size);
      head.write(bytes, words, at, sequence, size, -1);
      const { bufferId } = memory;
      this.lost += this.#route.send(at, at + length, bufferId, size, NO_BUFFER);
      if (message === undefined) return true;
      message.offset = offset;
      message.length = size;
      message.hold(bufferId);
      return true;
    }
    const held = message ?? this.#home.message();
    const isSent = this.#sendReference(held, payload, sequence);
    if (message === undefined) held.release();
    return isSent;
  }

  /** The payload stays where it is, or lies in a buffer of its own. */
  #sendReference(message: BusMessage, payload: BusPayload, sequence: number): boolean {
    const { memory } = this;
    const head = this.#head;
    if (payload instanceof Packet) {
      message.offset = payload.offset;
      message.length = payload.length;
      message.hold(payload.bufferId);
    } else {
      message.offset = memory.store(payload, this.#size);
      if (message.offset < 0) return this.#lack();
      message.length = this.#size;
      message.hold(memory.bufferId);
    }
    const at = memory.tryReserve(head.length);
    if (at < 0) {
      message.release();
      return this.#lack();
    }
    const { bytes, words } = memory;
    const { offset, length } = message;
    head.write(bytes, words, at, sequence, length, offset);
    const end = at + head.length;
    try {
      this.lost += this.#route.send(at, end, memory.bufferId, length, message.bufferId);
    } catch (error) {
      message.release();
      throw error;
    }
    return true;
  }

  #lack(): false {
    this.#home.publishers.noteLack();
    return false;
  }
}

/** Finds the members of a group on this thread, whether or not others have members, too. */
export function membersIn({ queueNames }: BusIndex): MembersOf {
  return (found, name) => {
    const queue = queueNames.find(name);
    if (queue === undefined) return [];
    const { beyond } = found as MatchSet<BusSubscription, BusBeyond>;
    return beyond?.groups.get(queue)?.members ?? found.groupMembers(queue) ?? [];
  };
}

export function headersAt(
  bytes: Uint8Array<ArrayBufferLike>,
  begin: number,
  length: number,
): Headers {
  return JSON.parse(readText(bytes, begin, begin + length)) as Headers;
}
