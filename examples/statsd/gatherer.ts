// SPDX-License-Identifier: MIT
/** Example statsd: adds the lines that one executor receives to the table of this interval. */

import { type Bytes, IGNORED, LineParser, MALFORMED } from './line-parser.ts';
import { MetricTable } from './metric-table.ts';
import { emptyTally, type Tally } from './snapshot.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** The result of one interval. */
export interface Harvest {
  /** The reader clears it; it is then used again. */
  readonly table: MetricTable;
  readonly tally: Tally;
}

/** Fills one table while the other is sent to the host. */
export class Gatherer {
  readonly #parser: LineParser = new LineParser();
  readonly #clock: () => number;
  #table: MetricTable;
  #spare: MetricTable;
  #tally: Tally = emptyTally();
  #nowMs: number = 0;

  /** `clock` returns milliseconds, the same for all executors. */
  constructor(capacity: number, seed: number, clock: () => number) {
    this.#clock = clock;
    this.#table = new MetricTable(capacity, seed);
    this.#spare = new MetricTable(capacity, seed);
  }

  /**
   * Takes a datagram: `bytes[begin, end)`. A line ends at a line feed or at the end of the
   * datagram; a carriage return before that is not part of it.
   */
  take(bytes: Bytes, begin: number, end: number): void {
    this.#tally.datagrams++;
    this.#nowMs = this.#clock();
    for (let at = begin; at < end; ) {
      let lineEnd = at;
      while (lineEnd < end && bytes[lineEnd] !== LINE_FEED) lineEnd++;
      this.#takeOne(bytes, at, lineEnd);
      at = lineEnd + 1;
    }
  }

  /** Takes one line of a stream, without its line feed. False: it is malformed. */
  takeLine(bytes: Bytes, begin: number, end: number): boolean {
    this.#nowMs = this.#clock();
    return this.#takeOne(bytes, begin, end);
  }

  #takeOne(bytes: Bytes, begin: number, lineEnd: number): boolean {
    const hasReturn = lineEnd > begin && bytes[lineEnd - 1] === CARRIAGE_RETURN;
    const end = hasReturn ? lineEnd - 1 : lineEnd;
    if (end === begin) return true;
    const tally = this.#tally;
    const parser = this.#parser;
    tally.lines++;
    const outcome = parser.parse(bytes, begin, end);
    if (outcome === MALFORMED) tally.malformed++;
    else if (outcome === IGNORED) tally.ignored++;
    else this.#table.add(parser, bytes, this.#nowMs);
    return outcome !== MALFORMED;
  }

  /** The counters of this interval. */
  get tally(): Tally {
    return this.#tally;
  }

  /** Begins the next interval; returns the result of the last one. */
  next(): Harvest {
    const harvest = { table: this.#table, tally: this.#tally };
    if (this.#spare.count > 0) throw new Error('the table of the last interval is not cleared');
    harvest.tally.refused = harvest.table.refused;
    this.#table = this.#spare;
    this.#spare = harvest.table;
    this.#tally = emptyTally();
    return harvest;
  }
}
