// SPDX-License-Identifier: MIT
/** Test tool: a thread that performs random operations on buffers and checks each of them. */
import { Packet } from 'busbar/packet';
import { type BufferId, type BufferPool, NO_BUFFER } from 'busbar/pool';
import type { Random } from '../../src/base/random.ts';
import type { Letter, Mailboxes } from './mailboxes.ts';

/** A lane does not hoard: pools are small. */
const HELD_MAX = 10;

/** Differs for every word of every buffer, so that no two stamps look alike anywhere. */
function stampedWord(stamp: number, at: number): number {
  return (Math.imul(stamp, 0x9e3779b1) + Math.imul(at, 0x85ebca6b)) | 0;
}

/** Holds references, numbers and packets, and never trusts what it reads. */
export class Traveller {
  readonly #pool: BufferPool;
  readonly #boxes: Mailboxes;
  readonly #lane: number;
  readonly #random: Random;
  readonly #held: Letter[] = [];
  readonly #mayDie: boolean;

  /**
   * A lane that `mayDie` sends through shared memory only: a reference on its way in the thread's
   * own memory would die with it.
   */
  constructor(pool: BufferPool, boxes: Mailboxes, lane: number, random: Random, mayDie: boolean) {
    this.#pool = pool;
    this.#boxes = boxes;
    this.#lane = lane;
    this.#random = random;
    this.#mayDie = mayDie;
  }

  get heldCount(): number {
    return this.#held.length;
  }

  /** One random deed. */
  step(): void {
    const random = this.#random;
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        if (this.#held.length < HELD_MAX) this.take(this.#pool.tryAcquire());
        break;
      case 3:
        this.#retain();
        break;
      case 4:
      case 5:
        this.#release();
        break;
      case 6:
      case 7:
        this.#send();
        break;
      case 8:
      case 9:
        this.receive(random.below(this.#boxes.lanes));
        break;
      case 10:
        this.#usePackets();
        break;
      default:
        if (random.chance(0.05)) this.#acquireSync();
        else this.#rewrite();
    }
  }

  /** Stamps a buffer that was just acquired. */
  take(id: BufferId): void {
    if (id === NO_BUFFER) return;
    const stamp = this.#random.next() | 0;
    const offset = this.#pool.offsetOf(id);
    this.#write(offset, stamp);
    this.#held.push({ id, offset, length: this.#pool.bufferSize, stamp });
  }

  /** Keeps what came from elsewhere. */
  keep(letter: Letter): void {
    this.#verify(letter);
    this.#held.push(letter);
  }

  /** Takes one letter of a lane; false if there is none. */
  receive(from: number): boolean {
    const letter = this.#boxes.receive(this.#pool, from, this.#lane);
    if (letter === undefined) return false;
    this.keep(letter);
    return true;
  }

  /** Receives all letters there are, releases all it holds; returns how many letters it found. */
  clear(): number {
    let count = 0;
    for (let from = 0; from < this.#boxes.lanes; from++) {
      while (this.receive(from)) count++;
    }
    this.releaseAll();
    return count;
  }

  releaseAll(): void {
    for (const letter of this.#held.splice(0)) this.#letGo(letter);
  }

  /** Hands out one held letter, chosen at random, with its reference. */
  pick(): Letter | undefined {
    const index = this.#random.below(this.#held.length || 1);
    return this.#held.splice(index, 1)[0];
  }

  #retain(): void {
    const letter = this.pick();
    if (letter === undefined) return;
    this.#verify(letter);
    this.#held.push(letter);
    if (this.#held.length >= HELD_MAX) return;
    this.#pool.retain(letter.id);
    this.#held.push(this.#part(letter));
  }

  #release(): void {
    const letter = this.pick();
    if (letter !== undefined) this.#letGo(letter);
  }

  #letGo(letter: Letter): void {
    this.#verify(letter);
    this.#pool.release(letter.id);
  }

  #send(): void {
    const letter = this.pick();
    if (letter === undefined) return;
    this.#verify(letter);
    const to = this.#random.below(this.#boxes.lanes);
    if (!this.#boxes.send(this.#pool, this.#lane, to, letter)) this.#held.push(letter);
  }

  #acquireSync(): void {
    if (this.#held.length >= HELD_MAX) return;
    try {
      this.take(this.#pool.acquireSync(this.#random.below(3)));
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_BUSBAR_TIMEOUT') throw error;
    }
  }

  /** The only holder may write. */
  #rewrite(): void {
    const letter = this.pick();
    if (letter === undefined) return;
    this.#verify(letter);
    if (!this.#pool.isSoleHolder(letter.id)) {
      this.#held.push(letter);
      return;
    }
    const stamp = this.#random.next() | 0;
    this.#write(this.#pool.offsetOf(letter.id), stamp);
    this.#held.push({ ...letter, stamp });
  }

  /** The same reference counts with objects. */
  #usePackets(): void {
    const letter = this.pick();
    if (letter === undefined) return;
    const pool = this.#pool;
    const part = this.#part(letter);
    const whole = Packet.wrap(pool, letter.id, letter.offset, letter.length);
    const slice = whole.slice(
      part.offset - letter.offset,
      part.offset - letter.offset + part.length,
    );
    const clone = slice.clone();
    const cut = this.#random.below(part.length + 1);
    const pieces = clone.shatter([cut, cut]);
    for (const packet of [whole, slice, ...pieces]) {
      this.#verify({ ...letter, offset: packet.offset, length: packet.length & ~3 });
    }
    for (const piece of pieces) piece.release();
    if (this.#mayDie) {
      slice.release();
    } else {
      const sent = slice.moveOut();
      Packet.moveIn(pool, sent).release();
    }
    pool.retain(letter.id);
    whole.release();
    this.#held.push(letter);
  }

  /** A random part of a letter, in whole words. */
  #part(letter: Letter): Letter {
    const words = letter.length >>> 2;
    const begin = this.#random.below(words + 1);
    const end = this.#random.between(begin, words);
    return { ...letter, offset: letter.offset + 4 * begin, length: 4 * (end - begin) };
  }

  #write(offset: number, stamp: number): void {
    const { view, bufferSize } = this.#pool;
    for (let at = offset; at < offset + bufferSize; at += 4) {
      view.setInt32(at, stampedWord(stamp, at));
    }
  }

  #verify({ id, offset, length, stamp }: Letter): void {
    const { view } = this.#pool;
    const first = (offset + 3) & ~3;
    for (let at = first; at + 4 <= offset + length; at += 4) {
      if (view.getInt32(at) === stampedWord(stamp, at)) continue;
      throw new Error(`lane ${this.#lane} holds buffer ${id}, but byte ${at} was overwritten`);
    }
  }
}
