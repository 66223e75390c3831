// SPDX-License-Identifier: MIT
/**
 * Example statsd: one line of the protocol, read in place: positions and numbers, no strings.
 *
 *   api.hits:3:4|c|@0.5|#region:eu,tier:1
 *   ╰─name─╯ ╰┬╯ │ ╰┬╯   ╰─────tags─────╯
 *          values type rate
 *
 * Values of one type may be packed with colons, except those of a set, which are text. A gauge's
 * value with a sign is a change. Fields behind the type begin with `@` (the part of the values that
 * was sent) or `#` (tags); other ones (a container, a time) say nothing that is needed here.
 */

import { COUNTER, GAUGE, type MetricKind, SET, TIMER } from './metric-kinds.ts';

export type Bytes = Uint8Array<ArrayBufferLike>;

/** What a line is. */
export const MALFORMED = 0;
export const METRIC = 1;
/** An event or a service check of DogStatsD: right, but nothing to be aggregated. */
export const IGNORED = 2;
export type Outcome = typeof MALFORMED | typeof METRIC | typeof IGNORED;

/** Bytes of a name, of all tags, and of a set's value, at most. */
export const TEXT_BYTES_MAX = 4096;
/** As many as the longest datagram has room for. */
const VALUES_MAX = 1 << 15;

const COLON = 0x3a;
const BAR = 0x7c;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const AT = 0x40;
const HASH = 0x23;
const UNDERSCORE = 0x5f;
const LOWER = 0x20;
const DELETE = 0x7f;
const letter = (text: string): number => text.charCodeAt(0);
const [C, D, E, G, H, M, S] = ['c', 'd', 'e', 'g', 'h', 'm', 's'].map(letter);
const BRACE = letter('{');

/** Powers of ten that are numbers exactly: a quotient or product with one is rounded once. */
const POWERS: Float64Array = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
/** So many digits are an integer exactly. */
const DIGITS_MAX = 15;
const EXPONENT_MAX = 9999;

/** Reads one line after the other; the fields are those of the last one that was a metric. */
export class LineParser {
  kind: MetricKind = COUNTER;
  nameBegin: number = 0;
  nameEnd: number = 0;
  /** The tags without `#`; empty: none. */
  tagsBegin: number = 0;
  tagsEnd: number = 0;
  /** A set's value. */
  memberBegin: number = 0;
  memberEnd: number = 0;
  /** What the others' values are, the first `valueCount`. */
  readonly values: Float64Array = new Float64Array(VALUES_MAX);
  /** 1: a gauge's value is a change. */
  readonly changes: Uint8Array = new Uint8Array(VALUES_MAX);
  valueCount: number = 0;
  /**
   * One number: how many values each one stands for, from 1 on. In an array, as a fraction in a
   * field may be an object on the heap.
   */
  readonly weight: Float64Array = new Float64Array(1);

  /**
   * Reads the line `bytes[begin, end)`, which has no line end. What is not METRIC leaves the fields
   * in any state. **Cost** allocates nothing, unless a number has more than 15 digits.
   */
  parse(bytes: Bytes, begin: number, end: number): Outcome {
    const nameEnd = fieldEnd(bytes, begin, end, COLON);
    if (bytes[begin] === UNDERSCORE && isNotice(bytes, begin, end)) return IGNORED;
    if (nameEnd < 0 || nameEnd === end || nameEnd === begin) return MALFORMED;
    if (nameEnd - begin > TEXT_BYTES_MAX) return MALFORMED;
    if (fieldEnd(bytes, begin, nameEnd, BAR) !== nameEnd) return MALFORMED;
    const valueEnd = fieldEnd(bytes, nameEnd + 1, end, BAR);
    if (valueEnd < 0 || valueEnd === end) return MALFORMED;
    const typeEnd = fieldEnd(bytes, valueEnd + 1, end, BAR);
    if (typeEnd < 0) return MALFORMED;
    this.nameBegin = begin;
    this.nameEnd = nameEnd;
    const isKnown =
      this.readType(bytes, valueEnd + 1, typeEnd) &&
      this.readValues(bytes, nameEnd + 1, valueEnd, bytes[valueEnd + 1] === M) &&
      this.readFields(bytes, typeEnd, end);
    return isKnown ? METRIC : MALFORMED;
  }

  private readType(bytes: Bytes, begin: number, end: number): boolean {
    const first = bytes[begin];
    if (end - begin === 2) {
      this.kind = TIMER;
      return first === M && bytes[begin + 1] === S;
    }
    if (end - begin !== 1) return false;
    if (first === C) this.kind = COUNTER;
    else if (first === G) this.kind = GAUGE;
    else if (first === H || first === D) this.kind = TIMER;
    else if (first === S) this.kind = SET;
    else return false;
    return true;
  }

  private readValues(bytes: Bytes, begin: number, end: number, isTime: boolean): boolean {
    this.valueCount = 0;
    if (this.kind === SET) {
      this.memberBegin = begin;
      this.memberEnd = end;
      return end > begin && end - begin <= TEXT_BYTES_MAX;
    }
    for (let at = begin; at <= end; ) {
      const next = fieldEnd(bytes, at, end, COLON);
      const index = this.valueCount++;
      if (!readNumber(bytes, at, next, this.values, index)) return false;
      if (isTime && this.values[index] < 0) return false;
      this.changes[index] = bytes[at] === PLUS || bytes[at] === MINUS ? 1 : 0;
      at = next + 1;
    }
    return true;
  }

  /** Fields behind the type; `begin` is where the type ends. */
  private readFields(bytes: Bytes, begin: number, end: number): boolean {
    this.weight[0] = 1;
    this.tagsBegin = this.tagsEnd = begin;
    let isSampled = false;
    let isTagged = false;
    for (let at = begin; at < end; ) {
      const from = at + 1;
      at = fieldEnd(bytes, from, end, BAR);
      if (at <= from) return false;
      if (bytes[from] === AT) {
        if (isSampled || !this.readRate(bytes, from + 1, at)) return false;
        isSampled = true;
      } else if (bytes[from] === HASH) {
        if (isTagged || at - from > TEXT_BYTES_MAX) return false;
        isTagged = true;
        this.tagsBegin = from + 1;
        this.tagsEnd = at;
      }
    }
    return true;
  }

  private readRate(bytes: Bytes, begin: number, end: number): boolean {
    const { weight } = this;
    if (!readNumber(bytes, begin, end, weight, 0) || !(weight[0] > 0 && weight[0] <= 1)) {
      return false;
    }
    weight[0] = 1 / weight[0];
    return Number.isFinite(weight[0]);
  }
}

/** Where the next `stop` is, or `end`; −1: a control character comes first. */
function fieldEnd(bytes: Bytes, begin: number, end: number, stop: number): number {
  for (let at = begin; at < end; at++) {
    const byte = bytes[at];
    if (byte === stop) return at;
    if (byte < LOWER || byte === DELETE) return -1;
  }
  return end;
}

/** `_e{…` or `_sc|…`. */
function isNotice(bytes: Bytes, begin: number, end: number): boolean {
  if (end - begin < 4) return false;
  if (bytes[begin + 1] === E) return bytes[begin + 2] === BRACE;
  return bytes[begin + 1] === S && bytes[begin + 2] === C && bytes[begin + 3] === BAR;
}

/**
 * Reads a decimal number, all of `bytes[begin, end)`, into `target[index]`; false: it is none, or
 * none that is finite. The same number as JavaScript makes of the text.
 */
export function readNumber(
  bytes: Bytes,
  begin: number,
  end: number,
  target: Float64Array,
  index: number,
): boolean {
  let at = begin;
  const isNegative = bytes[at] === MINUS;
  if (at < end && (isNegative || bytes[at] === PLUS)) at++;
  let mantissa = 0;
  let significant = 0;
  let digits = 0;
  let exponent = 0;
  let isFraction = false;
  for (; at < end; at++) {
    const byte = bytes[at];
    if (byte === DOT && !isFraction) {
      isFraction = true;
      continue;
    }
    if (byte < ZERO || byte > NINE) break;
    digits++;
    if (isFraction) exponent--;
    if (significant > 0 || byte > ZERO) significant++;
    if (significant <= DIGITS_MAX) mantissa = mantissa * 10 + (byte - ZERO);
  }
  if (digits === 0) return false;
  if (at < end) {
    if ((bytes[at] | LOWER) !== E) return false;
    const isDown = bytes[++at] === MINUS;
    if (at < end && (isDown || bytes[at] === PLUS)) at++;
    if (at >= end) return false;
    let power = 0;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (byte < ZERO || byte > NINE) return false;
      power = Math.min(EXPONENT_MAX, power * 10 + (byte - ZERO));
    }
    exponent += isDown ? -power : power;
  }
  if (significant > DIGITS_MAX || exponent > 22 || exponent < -22) {
    target[index] = Number(String.fromCharCode(...bytes.subarray(begin, end)));
    return Number.isFinite(target[index]);
  }
  const size = exponent < 0 ? mantissa / POWERS[-exponent] : mantissa * POWERS[exponent];
  target[index] = isNegative ? -size : size;
  return true;
}
