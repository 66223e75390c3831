// SPDX-License-Identifier: MIT
/** The peers that get one message, and for whom there. */

import type { BufferId } from '../../pool/index.ts';
import type { Outgoing } from './outgoing.ts';
import { GROUPS, PLAIN } from './peer-layout.ts';

/** Filled anew for each message. */
export class Route {
  readonly #namesMax: number;
  #count: number = 0;
  readonly #peers: Outgoing[] = [];
  readonly #recipients: number[] = [];
  /** Queue groups, with spaces between. */
  readonly #names: string[] = [];

  /** Names in one dispatch have at most this many bytes, unless it is one name. */
  constructor(namesMax: number) {
    this.#namesMax = namesMax;
  }

  get count(): number {
    return this.#count;
  }

  /** Begins with the plain subscriptions of these peers. */
  begin(peers: readonly Outgoing[]): void {
    const { length } = peers;
    for (let i = 0; i < length; i++) {
      this.#peers[i] = peers[i];
      this.#recipients[i] = PLAIN;
      this.#names[i] = '';
    }
    this.#count = length;
  }

  /** Adds one member of a queue group at a peer. */
  addGroup(peer: Outgoing, name: string): void {
    for (let i = 0; i < this.#count; i++) {
      if (this.#peers[i] !== peer) continue;
      const names = this.#names[i] === '' ? name : `${this.#names[i]} ${name}`;
      if (names.length > this.#namesMax && this.#names[i] !== '') continue;
      this.#names[i] = names;
      return;
    }
    const i = this.#count++;
    this.#peers[i] = peer;
    this.#recipients[i] = GROUPS;
    this.#names[i] = name;
  }

  /** Whether all have room now; tells them whom the message is for. */
  prepare(): boolean {
    for (let i = 0; i < this.#count; i++) if (!this.#peers[i].hasRoom) return false;
    for (let i = 0; i < this.#count; i++) {
      if (!this.#isFirst(i)) continue;
      if (!this.#peers[i].trySetRecipients(this.#recipients[i], this.#names[i])) return false;
    }
    return true;
  }

  /**
   * Sends to all of them the message `[begin, end)` of a buffer, whose payload may
   * lie in the buffer `reference`. Returns how many queue groups lost it: of a peer with more
   * groups than one dispatch names, if there is no memory to name them.
   */
  send(
    begin: number,
    end: number,
    bufferId: BufferId,
    payloadBytes: number,
    reference: BufferId,
  ): number {
    let lost = 0;
    for (let i = 0; i < this.#count; i++) {
      const peer = this.#peers[i];
      if (this.#isFirst(i) || peer.trySetRecipients(this.#recipients[i], this.#names[i])) {
        peer.post(begin, end, bufferId, payloadBytes, reference);
      } else {
        lost += this.#names[i].split(' ').length;
      }
    }
    return lost;
  }

  #isFirst(at: number): boolean {
    for (let i = 0; i < at; i++) if (this.#peers[i] === this.#peers[at]) return false;
    return true;
  }
}
