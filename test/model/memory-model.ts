// SPDX-License-Identifier: MIT
/**
 * ECMAScript's memory model (ECMA-262, Memory Model) for small programs, in the most obvious way:
 * it checks all candidate executions, one by one, against the axioms. It is independent of the
 * model checker, which is compared with it.
 *
 * All accesses have the range of one word. A candidate execution assigns each read the write that
 * it reads from. It is valid if happens-before is a strict partial order, if reads are coherent,
 * and if some memory-order makes its atomics sequentially consistent.
 */

import type { Access, Program } from './litmus.ts';

interface Event {
  readonly id: number;
  /** −1 for the initial values, the number of threads for what reads the last ones. */
  readonly thread: number;
  readonly access: Access;
  readonly word: number;
  readonly isAtomic: boolean;
  readonly reads: boolean;
  /** A compare-exchange writes if it succeeds, which depends on what it reads. */
  readonly mayWrite: boolean;
}

/** A relation: `[a][b]` for a before b. */
type Relation = boolean[][];

/** The values that the reads return, in the order of the text, of every valid execution. */
export function allowedOutcomes(program: Program, withLast = false): Set<string> {
  return new Candidates(program, withLast).outcomes();
}

class Candidates {
  readonly #events: Event[] = [];
  readonly #wordCount: number;
  readonly #withLast: boolean;
  readonly #outcomes = new Set<string>();
  /** Per read, the write that it reads from. */
  readonly #from: number[] = [];

  constructor(program: Program, withLast: boolean) {
    this.#wordCount = Math.max(...program.flat().map(({ word }) => word)) + 1;
    this.#withLast = withLast;
    for (let word = 0; word < this.#wordCount; word++) {
      this.#add(-1, { kind: 'write', word, value: 0 });
    }
    program.forEach((accesses, thread) => {
      for (const access of accesses) this.#add(thread, access);
    });
    if (!withLast) return;
    for (let word = 0; word < this.#wordCount; word++) {
      this.#add(program.length, { kind: 'read', word, value: 0 });
    }
  }

  #add(thread: number, access: Access): void {
    const { kind, word } = access;
    this.#events.push({
      id: this.#events.length,
      thread,
      access,
      word,
      isAtomic: kind !== 'read' && kind !== 'write',
      reads: kind !== 'write' && kind !== 'store',
      mayWrite: kind !== 'read' && kind !== 'load',
    });
  }

  outcomes(): Set<string> {
    this.#choose(0);
    return this.#outcomes;
  }

  /** Every way to give each read a write. */
  #choose(id: number): void {
    if (id === this.#events.length) {
      this.#judge();
      return;
    }
    const event = this.#events[id];
    if (!event.reads) {
      this.#choose(id + 1);
      return;
    }
    for (const write of this.#events) {
      if (!write.mayWrite || write.word !== event.word || write === event) continue;
      this.#from[id] = write.id;
      this.#choose(id + 1);
    }
  }

  #judge(): void {
    const values = this.#values();
    if (values === undefined) return;
    const writes = this.#events.map(
      (event) =>
        event.mayWrite && (event.access.kind !== 'cas' || values[event.id] === expected(event)),
    );
    for (const event of this.#events) {
      if (event.reads && !writes[this.#from[event.id]]) return;
    }
    const reads = this.#events.filter((event) => event.reads);
    const inOrder = this.#withLast ? reads : reads.filter(({ thread }) => thread >= 0);
    const outcome = inOrder.map((event) => values[event.id]).join();
    if (this.#outcomes.has(outcome)) return;
    const synchronizes = this.#synchronizes();
    const before = this.#happensBefore(synchronizes);
    if (before === undefined || !this.#isCoherent(before, writes)) return;
    if (this.#hasMemoryOrder(before, synchronizes, writes)) this.#outcomes.add(outcome);
  }

  /** What each read returns; undefined if values go round in a circle. */
  #values(): (number | undefined)[] | undefined {
    const values: (number | undefined)[] = [];
    const pending = new Set<number>();
    const left = (id: number): number | undefined => {
      const { access, reads } = this.#events[id];
      if (!reads) return access.value;
      const value = readOf(id);
      if (value === undefined) return undefined;
      return access.kind === 'add' ? value + access.value : access.value;
    };
    const readOf = (id: number): number | undefined => {
      if (values[id] !== undefined) return values[id];
      if (pending.has(id)) return undefined;
      pending.add(id);
      values[id] = left(this.#from[id]);
      pending.delete(id);
      return values[id];
    };
    for (const event of this.#events) {
      if (event.reads && readOf(event.id) === undefined) return undefined;
    }
    return values;
  }

  #synchronizes(): Relation {
    const relation = none(this.#events.length);
    for (const read of this.#events) {
      if (!read.reads || !read.isAtomic) continue;
      const write = this.#events[this.#from[read.id]];
      if (write.isAtomic) relation[write.id][read.id] = true;
    }
    return relation;
  }

  /** Undefined if it has a cycle. */
  #happensBefore(synchronizes: Relation): Relation | undefined {
    const last = Math.max(...this.#events.map(({ thread }) => thread));
    const relation = synchronizes.map((row) => row.slice());
    for (const a of this.#events) {
      for (const b of this.#events) {
        if (a.thread === b.thread ? a.id < b.id && a.thread >= 0 : a.thread < 0) {
          relation[a.id][b.id] = true;
        }
        if (this.#withLast && b.thread === last && a.thread !== last) relation[a.id][b.id] = true;
      }
    }
    const n = this.#events.length;
    for (let k = 0; k < n; k++) {
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) if (relation[i][k] && relation[k][j]) relation[i][j] = true;
      }
    }
    return relation.some((row, i) => row[i]) ? undefined : relation;
  }

  #isCoherent(before: Relation, writes: readonly boolean[]): boolean {
    for (const read of this.#events) {
      if (!read.reads) continue;
      const write = this.#from[read.id];
      if (before[read.id][write]) return false;
      for (const other of this.#events) {
        if (!writes[other.id] || other.word !== read.word) continue;
        if (before[write][other.id] && before[other.id][read.id]) return false;
      }
    }
    return true;
  }

  /** Tries orders of all events, as long as they break nothing. */
  #hasMemoryOrder(before: Relation, synchronizes: Relation, writes: readonly boolean[]): boolean {
    const events = this.#events;
    const place: (number | undefined)[] = [];
    const isAllowed = (read: Event): boolean => {
      const write = events[this.#from[read.id]];
      return !events.some((other) => {
        if (!writes[other.id] || !other.isAtomic || other.word !== read.word) return false;
        if (other === read || other === write) return false;
        const at = place[other.id];
        const wrote = place[write.id];
        if (at === undefined || wrote === undefined || at < wrote) return false;
        const readsIt = before[write.id][read.id];
        return (
          synchronizes[write.id][read.id] ||
          (readsIt && before[other.id][read.id] && write.isAtomic) ||
          (readsIt && before[write.id][other.id] && read.isAtomic)
        );
      });
    };
    const extend = (length: number): boolean => {
      if (length === events.length) return true;
      for (const event of events) {
        if (place[event.id] !== undefined) continue;
        if (events.some((e) => before[e.id][event.id] && place[e.id] === undefined)) continue;
        if (event.reads && !isAllowed(event)) continue;
        place[event.id] = length;
        if (extend(length + 1)) return true;
        place[event.id] = undefined;
      }
      return false;
    };
    return extend(0);
  }
}

function expected({ access }: Event): number {
  return access.expected ?? 0;
}

function none(n: number): Relation {
  return Array.from({ length: n }, () => new Array<boolean>(n).fill(false));
}
