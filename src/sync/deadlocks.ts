// SPDX-License-Identifier: MIT
/** `Deadlocks`: finds threads that wait for each other, where the pool tracks leaks. */

import { fetchAdd, loadAcquire, loadSeqCst, storeSeqCst, type Words } from '../base/atomics.ts';
import { BusbarError } from '../base/errors.ts';
import {
  EDGE_WORDS,
  EDGES_MAX,
  STORY_BADGE,
  STORY_EDGE,
  STORY_EDGES,
  STORY_EDITION,
  STORY_LENGTH,
  STORY_MAY_MOVE,
  STORY_NEED,
  STORY_TEXT,
  STORY_WAIT,
  storyAt,
  TEXT_MAX,
} from '../pool/deadlock-layout.ts';
import { BufferPool } from '../pool/index.ts';
import { framesOf, warn } from '../pool/leak-tracker.ts';
import { BY_TICK } from '../pool/liveness.ts';

/** What a thread waits for. */
export interface Waited {
  /** Such as 'mutex 3'. */
  readonly label: string;
  /** True while this thread holds some of it. */
  readonly isHeldHere: boolean;
  /**
   * Calls `note` for each thread that holds some. Returns how much of that the caller needs; 0: it
   * is not known who could help.
   */
  holders(note: (badge: number, units: number) => void): number;
}

/** A call that waits. */
export interface Wait {
  readonly what: Waited;
  /** By a promise: other functions of the thread run meanwhile. */
  readonly mayMove: boolean;
  /** Its stack shows where the call was made. */
  readonly called: Error;
}

interface Edge {
  readonly badge: number;
  readonly units: number;
  readonly wait: number;
}

/** What a thread has published. */
interface Story {
  readonly slot: number;
  readonly badge: number;
  readonly wait: number;
  readonly mayMove: boolean;
  readonly need: number;
  readonly edges: readonly Edge[];
}

/** A warning comes after this many ticks in which none of the threads has moved: a second. */
const STILL_TICKS = 20;
/** Frames of a stack that a report shows. */
const FRAMES = 8;
/** The number of acquisitions remembered; above it, those given back are forgotten. */
const HELD_MAX = 64;

const ofPools = new WeakMap<BufferPool, Deadlocks>();

/**
 * The search for deadlocks in one thread of a pool. Only waits without a time limit are published.
 */
export class Deadlocks {
  readonly #pool: BufferPool;
  readonly #words: Words;
  readonly #first: number;
  readonly #slot: number;
  readonly #badge: number;
  readonly #story: number;
  /** Where this thread took what it holds. */
  readonly #held = new Map<Waited, Error>();
  readonly #waits: Wait[] = [];
  /** The wait that is published. */
  #told: Wait | undefined;
  /** The cycle that the last search found, and for how many ticks it has stood. */
  #cycle = '';
  #ticks = 0;

  /** That of the pool; undefined if it does not track leaks. */
  static of(pool: BufferPool): Deadlocks | undefined {
    const known = ofPools.get(pool);
    if (known !== undefined) return known;
    const block = pool.deadlockWords;
    if (block === undefined) return undefined;
    const made = new Deadlocks(pool, block.words, block.first);
    ofPools.set(pool, made);
    return made;
  }

  private constructor(pool: BufferPool, words: Words, first: number) {
    this.#pool = pool;
    this.#words = words;
    this.#first = first;
    this.#slot = pool.threadSlot;
    this.#badge = pool.badge;
    this.#story = storyAt(first, pool.threadSlot);
    // What an earlier thread of the slot has left.
    for (const word of [STORY_WAIT, STORY_EDITION]) {
      const at = this.#story + word;
      storeSeqCst(words, at, (loadAcquire(words, at) + 2) & ~1);
    }
    storeSeqCst(words, this.#story + STORY_BADGE, this.#badge);
  }

  /** A number for a new primitive. */
  number(): number {
    return fetchAdd(this.#words, this.#first, 1) + 1;
  }

  /** A call begins that may wait. `isForEver`: no limit ends it. */
  begin(what: Waited, mayMove: boolean, isForEver: boolean): Wait {
    const wait = { what, mayMove, called: new Error('called') };
    if (isForEver) this.#waits.push(wait);
    return wait;
  }

  end(wait: Wait, result: string): void {
    const index = this.#waits.indexOf(wait);
    if (index >= 0) this.#waits.splice(index, 1);
    if (this.#told === wait) this.#endStory();
    this.got(wait.what, result, wait.called);
  }

  /** A call has had that result. */
  got(what: Waited, result: unknown, called?: Error): void {
    if (result === 'acquired' || result === 'begun') this.acquired(what, called);
  }

  /** This thread has got some of it. */
  acquired(what: Waited, called: Error = new Error('called')): void {
    this.#held.set(what, called);
    if (this.#held.size < HELD_MAX) return;
    for (const one of this.#held.keys()) if (!one.isHeldHere) this.#held.delete(one);
  }

  /** Where this thread took it, for the text of an error. */
  storyOf(what: Waited): string {
    const called = this.#held.get(what);
    return called === undefined ? '' : `${what.label}, acquired\n${shown(called)}`;
  }

  /**
   * Called now and then while this thread waits. **Throws** ERR_BUSBAR_DEADLOCK in one of the
   * threads of a deadlock; if some of them wait by a promise, one of those warns.
   */
  tick(what: Waited): void {
    const wait = this.#waits.findLast((one) => one.what === what);
    if (wait === undefined) return;
    const told = this.#told;
    const { need, edges } = this.#look(what);
    if (told !== wait) {
      // Of several waits by promises, the last one for a known holder is published.
      const isLater = told === undefined || this.#waits.indexOf(wait) > this.#waits.indexOf(told);
      if (need === 0 || !isLater) return;
      this.#endStory();
      this.#told = wait;
    }
    this.#write(wait, need, edges, told !== wait);
    this.#search();
  }

  /** WAIT becomes even. */
  #endStory(): void {
    // SYNC(deadlock-wait): before anything that this thread does after its wait.
    if (this.#told !== undefined) fetchAdd(this.#words, this.#story + STORY_WAIT, 1);
    this.#told = undefined;
  }

  /** Who holds it, and their WAITs, each read while that thread held it. */
  #look(what: Waited): { need: number; edges: readonly Edge[] } {
    const seen: { badge: number; units: number }[] = [];
    const need = what.holders((badge, units) => seen.push({ badge, units }));
    const edges = seen.map(({ badge, units }) => ({ badge, units, wait: this.#waitOf(badge) }));
    let count = 0;
    let isSame = need <= 0 || seen.length <= EDGES_MAX;
    const again = what.holders((badge, units) => {
      const before = seen[count++];
      isSame &&= before?.badge === badge && before.units === units;
    });
    isSame &&= again === need && count === seen.length;
    return isSame && need > 0 ? { need, edges } : { need: 0, edges: [] };
  }

  /** The WAIT of that thread; 0 if it does not wait. */
  #waitOf(badge: number): number {
    const story = storyAt(this.#first, BufferPool.slotOf(badge));
    if (loadAcquire(this.#words, story + STORY_BADGE) !== badge) return 0;
    // SYNC(deadlock-wait): before another look at what it holds.
    const wait = loadSeqCst(this.#words, story + STORY_WAIT);
    return (wait & 1) === 0 ? 0 : wait;
  }

  #write(wait: Wait, need: number, edges: readonly Edge[], isNew: boolean): void {
    const words = this.#words;
    let at = this.#story;
    // SYNC(deadlock-edition): odd before the first change; pairs with #read().
    fetchAdd(words, at + STORY_EDITION, 1);
    storeSeqCst(words, at + STORY_MAY_MOVE, Number(wait.mayMove));
    storeSeqCst(words, at + STORY_NEED, need);
    storeSeqCst(words, at + STORY_EDGES, edges.length);
    at += STORY_EDGE;
    for (const edge of edges) {
      storeSeqCst(words, at, edge.badge);
      storeSeqCst(words, at + 1, edge.units);
      storeSeqCst(words, at + 2, edge.wait);
      at += EDGE_WORDS;
    }
    if (isNew) {
      this.#writeText(this.#textOf(wait));
      // Odd: with these edges, not with those of an earlier wait.
      fetchAdd(words, this.#story + STORY_WAIT, 1);
    }
    // SYNC(deadlock-edition): even after the last one.
    fetchAdd(words, this.#story + STORY_EDITION, 1);
  }

  #writeText(text: string): void {
    const length = Math.min(text.length, TEXT_MAX);
    storeSeqCst(this.#words, this.#story + STORY_LENGTH, length);
    for (let i = 0; i < length; i++) {
      storeSeqCst(this.#words, this.#story + STORY_TEXT + i, text.charCodeAt(i));
    }
  }

  #textOf({ what, called }: Wait): string {
    let text = `thread ${this.#slot} waits for ${what.label}\n${shown(called)}`;
    for (const one of this.#held.keys()) {
      if (one.isHeldHere) text += `\n  it holds ${this.storyOf(one)}`;
    }
    return text;
  }

  #search(): void {
    const self = this.#stuckStories().get(this.#badge);
    const circle = self === undefined ? [] : this.#circleOf(self.stuck, self.story);
    if (circle.length === 0) {
      this.#cycle = '';
      return;
    }
    const movable = circle.filter(({ mayMove }) => mayMove);
    // Only one thread reports: the one with the lowest slot.
    const reporters = movable.length > 0 ? movable : circle;
    if (Math.min(...reporters.map(({ slot }) => slot)) !== this.#slot) return;
    if (circle.some((one) => this.#isGone(one.badge))) return;
    const name = circle.map(({ slot, wait }) => `${slot}:${wait}`).join();
    this.#ticks = name === this.#cycle ? this.#ticks + 1 : 1;
    this.#cycle = name;
    const report = (): string => circle.map(({ slot }) => this.#readText(slot)).join('\n');
    if (movable.length === 0) throw new BusbarError('ERR_BUSBAR_DEADLOCK', `\n${report()}`);
    if (this.#ticks !== STILL_TICKS) return;
    const text = `threads wait for each other, perhaps for ever:\n${report()}`;
    warn(text, 'BusbarDeadlock', 'BUSBAR_DEADLOCK');
  }

  #isGone(badge: number): boolean {
    return badge !== this.#badge && this.#pool.isBadgeGone(badge, BY_TICK);
  }

  /** The published waits, by badge, of threads that only each other could help. */
  #stuckStories(): Map<number, { story: Story; stuck: Map<number, Story> }> {
    const stuck = new Map<number, Story>();
    for (let slot = 0; slot < this.#pool.maxThreads; slot++) {
      const story = this.#read(slot);
      if (story !== undefined) stuck.set(story.badge, story);
    }
    for (let before = -1; before !== stuck.size; ) {
      before = stuck.size;
      for (const { badge, need, edges } of Array.from(stuck.values())) {
        const hoped = edges.filter((edge) => !leadsInto(stuck, edge));
        if (hoped.reduce((sum, { units }) => sum + units, 0) >= need) stuck.delete(badge);
      }
    }
    return new Map(Array.from(stuck, ([badge, story]) => [badge, { story, stuck }]));
  }

  /** The shortest way through stuck threads from one back to it; empty if there is none. */
  #circleOf(stuck: ReadonlyMap<number, Story>, self: Story): readonly Story[] {
    const ways: (readonly Story[])[] = [[self]];
    const reached = new Set<number>();
    for (const way of ways) {
      for (const edge of (way.at(-1) as Story).edges) {
        if (!leadsInto(stuck, edge)) continue;
        // A thread that waits for itself by a promise: another function of it may be the holder.
        if (edge.badge === self.badge && !(way.length === 1 && self.mayMove)) return way;
        if (reached.has(edge.badge) || edge.badge === self.badge) continue;
        reached.add(edge.badge);
        ways.push([...way, stuck.get(edge.badge) as Story]);
      }
    }
    return [];
  }

  /** The story of a thread that waits for known holders. */
  #read(slot: number): Story | undefined {
    const words = this.#words;
    const at = storyAt(this.#first, slot);
    // SYNC(deadlock-edition): even, and the same after the last word was read.
    const edition = loadSeqCst(words, at + STORY_EDITION);
    if ((edition & 1) !== 0) return undefined;
    const badge = loadSeqCst(words, at + STORY_BADGE);
    const wait = loadSeqCst(words, at + STORY_WAIT);
    const need = loadSeqCst(words, at + STORY_NEED);
    if ((wait & 1) === 0 || need === 0) return undefined;
    const mayMove = loadSeqCst(words, at + STORY_MAY_MOVE) !== 0;
    const count = Math.min(loadSeqCst(words, at + STORY_EDGES), EDGES_MAX);
    const edges = Array.from({ length: count }, (_, i) => {
      const edge = at + STORY_EDGE + i * EDGE_WORDS;
      return {
        badge: loadSeqCst(words, edge),
        units: loadSeqCst(words, edge + 1),
        wait: loadSeqCst(words, edge + 2),
      };
    });
    if (loadSeqCst(words, at + STORY_EDITION) !== edition) return undefined;
    return { slot, badge, wait, mayMove, need, edges };
  }

  #readText(slot: number): string {
    const at = storyAt(this.#first, slot);
    const length = Math.min(loadSeqCst(this.#words, at + STORY_LENGTH), TEXT_MAX);
    let text = '';
    for (let i = 0; i < length; i++) {
      text += String.fromCharCode(loadSeqCst(this.#words, at + STORY_TEXT + i));
    }
    return text;
  }
}

function leadsInto(stuck: ReadonlyMap<number, Story>, edge: Edge): boolean {
  return edge.wait !== 0 && stuck.get(edge.badge)?.wait === edge.wait;
}

function shown(called: Error): string {
  return framesOf(called, 2, FRAMES);
}
