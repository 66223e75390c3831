// SPDX-License-Identifier: MIT
/**
 * Example statsd: parses a line of the protocol in place, into positions and numbers, not strings.
 *
 *   api.hits:3:4|c|@0.5|#region:eu,tier:1
 *   ╰─name─╯ ╰┬╯ │ ╰┬╯   ╰─────tags─────╯
 *          values type rate
 *
 * Several values may be packed with colons, except those of a set, which are text. A gauge's value
 * with a sign is a change. Fields after the type begin with `@` (the fraction of values that was
 * sent) or `#` (tags); others (a container, a time) are ignored.
 */

import { COUNTER, GAUGE, type MetricKind, SET, TIMER } from './metric-kinds.ts';

export type Bytes = Uint8Array<ArrayBufferLike>;

/** Kinds of lines. */
export const MALFORMED = 0;
export const METRIC = 1;
/** An event or a service check of DogStatsD: valid, but not aggregated. */
export const IGNORED = 2;
export type Outcome = typeof MALFORMED | typeof METRIC | typeof IGNORED;

/** Bytes of a name, of all tags, and of a set's value, at most. */
export const TEXT_BYTES_MAX = 4096;
/** As many as fit the longest datagram. */
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

/** Powers of ten that are exact numbers: a product or quotient with one is rounded once. */
const POWERS: Float64Array = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
/** Integers of up to this many digits are exact. */
const DIGITS_MAX = 15;
const EXPONENT_MAX = 9999;

/** Parses one line after another; its fields describe the last one that was a metric. */
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
  /** Values of the other kinds, the first `valueCount`. */
  readonly values: Float64Array = new Float64Array(VALUES_MAX);
  /** 1: a gauge's value is a change. */
  readonly changes: Uint8Array = new Uint8Array(VALUES_MAX);
  valueCount: number = 0;
  /**
   * One number: how many values each value stands for, 1 or more. An array, since a field with a
   * fraction may be allocated on the heap.
   */
  readonly weight: Float64Array = new Float64Array(1);

  /**
   * Parses the line `bytes[begin, end)`, without its line end. Unless it returns METRIC, the fields
   * are undefined. **Cost** no allocation, unless a number has more than 15 digits.
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

  /** Parses the fields after the type; `begin` is the end of the type. */
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

/** Offset of the next `stop`, or `end`; −1 if a control character comes first. */
function fieldEnd(bytes: Bytes, begin: number, end: number, stop: number): number {
  for (let at = begin; at < end; at++) {
    const byte = bytes[at];
    if (byte === stop) return at;
    if (byte < LOWER || byte === DELETE) return -1;
  }
  return end;
}

/** True for `_e{…` and `_sc|…`. */
function isNotice(bytes: Bytes, begin: number, end: number): boolean {
  if (end - begin < 4) return false;
  if (bytes[begin + 1] === E) return bytes[begin + 2] === BRACE;
  return bytes[begin + 1] === S && bytes[begin + 2] === C && bytes[begin + 3] === BAR;
}

/**
 * Parses all of `bytes[begin, end)` as a decimal number into `target[index]`, as JavaScript's
 * Number does. False unless it is a finite number.
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
