// SPDX-License-Identifier: MIT
/** Example statsd: what comes to one executor, line by line, into the table of this interval. */

import { type Bytes, IGNORED, LineParser, MALFORMED } from './line-parser.ts';
import { MetricTable } from './metric-table.ts';
import { emptyTally, type Tally } from './snapshot.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** What was gathered in one interval. */
export interface Harvest {
  /** To be cleared by whoever has read it: it is used again then. */
  readonly table: MetricTable;
  readonly tally: Tally;
}

/** Two tables take turns: one is filled while the other one is being told to the host. */
export class Gatherer {
  readonly #parser: LineParser = new LineParser();
  readonly #clock: () => number;
  #table: MetricTable;
  #spare: MetricTable;
  #tally: Tally = emptyTally();

  /** `clock`: milliseconds, the same for all executors. */
  constructor(capacity: number, seed: number, clock: () => number) {
    this.#clock = clock;
    this.#table = new MetricTable(capacity, seed);
    this.#spare = new MetricTable(capacity, seed);
  }

  /**
   * Takes a datagram: `bytes[begin, end)`. Lines end where it ends or at a line feed; a
   * carriage return before that belongs to the line's end.
   */
  take(bytes: Bytes, begin: number, end: number): void {
    const nowMs = this.#clock();
    const table = this.#table;
    const parser = this.#parser;
    const tally = this.#tally;
    tally.datagrams++;
    for (let at = begin; at < end; ) {
      let lineEnd = at;
      while (lineEnd < end && bytes[lineEnd] !== LINE_FEED) lineEnd++;
      const textEnd =
        lineEnd > at && bytes[lineEnd - 1] === CARRIAGE_RETURN ? lineEnd - 1 : lineEnd;
      if (textEnd > at) {
        tally.lines++;
        const outcome = parser.parse(bytes, at, textEnd);
        if (outcome === MALFORMED) tally.malformed++;
        else if (outcome === IGNORED) tally.ignored++;
        else table.add(parser, bytes, nowMs);
      }
      at = lineEnd + 1;
    }
  }

  /** Begins the next interval; what the one before it has brought is told. */
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
