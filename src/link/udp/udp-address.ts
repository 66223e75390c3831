// SPDX-License-Identifier: MIT
/** `UdpAddress`: an IP address and a port, as text and as numbers. */

import { readFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { checkInteger, checkMade, checkWords, show } from '../../base/check.ts';
import { isWords, lengthOf } from '../../base/views.ts';
import {
  ADDRESS_FAMILY,
  ADDRESS_HOST,
  ADDRESS_PORT,
  ADDRESS_SCOPE,
  ADDRESS_WORDS,
} from '../../native/udp.ts';
import { isHostName, type LookupOptions, lookUpHost } from './udp-lookup.ts';

export const PORT_MAX = 65_535;

/**
 * An address and a port, parsed once: sending to it needs no lookup and no parsing.
 *
 * Its eight words: family (4 or 6), port, four words of the address, big-endian (an IPv4 address
 * has one), the interface's number for link-local addresses, 0.
 */
export class UdpAddress {
  readonly family: 4 | 6;
  readonly host: string;
  readonly port: number;
  /** The eight words. Do not change them. */
  readonly words: Int32Array;

  private constructor(words: Int32Array) {
    checkMade(isWords(words), new.target);
    this.words = words;
    this.family = words[ADDRESS_FAMILY] === 6 ? 6 : 4;
    this.host = hostOf(words, 0);
    this.port = words[ADDRESS_PORT];
  }

  /**
   * Parses an address, not a name: '127.0.0.1', '::1', 'fe80::1%eth0'. For names: {@link lookup}.
   * **Throws** TypeError, RangeError.
   */
  static of(host: string, port: number): UdpAddress {
    const words = new Int32Array(ADDRESS_WORDS);
    writeAddress('host', host, port, words, 0);
    return new UdpAddress(words);
  }

  /**
   * Looks up a name; a numeric address needs no lookup, and must be of `family` if that is given.
   * Asks the operating system each time: there is no cache.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause;
   * ERR_BUSBAR_TIMEOUT, `signal.reason`; TypeError or RangeError.
   */
  static async lookup(
    host: string,
    port: number,
    options: LookupOptions = {},
  ): Promise<UdpAddress> {
    checkInteger('port', port, 0, PORT_MAX);
    const found = UdpAddress.of(await lookUpHost(host, options), port);
    const { family = found.family } = options;
    if (found.family === family) return found;
    throw new RangeError(`host must be an IPv${family} address or a name, got ${show(host)}`);
  }

  /** Reads an address from `words`, from `index` on. **Throws** TypeError, RangeError. */
  static from(words: Int32Array, index: number = 0): UdpAddress {
    checkAddressWords('words', words, index);
    // A copy by a loop: methods of the argument's class may be its own.
    const own = new Int32Array(ADDRESS_WORDS);
    for (let i = 0; i < ADDRESS_WORDS; i++) own[i] = words[index + i];
    return new UdpAddress(own);
  }

  equals(other: UdpAddress): boolean {
    if (!(other instanceof UdpAddress)) {
      throw new TypeError(`other must be a UdpAddress, got ${show(other)}`);
    }
    return this.words.every((word, i) => word === other.words[i]);
  }

  /** '127.0.0.1:53', '[::1]:53'. */
  toString(): string {
    return this.family === 6 ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }
}

/** Checks that there are eight words from `index` on. **Throws** TypeError, RangeError. */
export function checkAddressWords(name: string, words: Int32Array, index: number): void {
  const count = lengthOf(checkWords(name, words));
  if (count < ADDRESS_WORDS) {
    throw new RangeError(`${name} must have room for ${ADDRESS_WORDS} words, got ${count}`);
  }
  checkInteger('index', index, 0, count - ADDRESS_WORDS);
}

/** Writes an address into eight words of `target`. **Throws** TypeError, RangeError. */
export function writeAddress(
  name: string,
  host: string,
  port: number,
  target: Int32Array,
  index: number,
): void {
  if (typeof host !== 'string') throw new TypeError(`${name} must be a string, got ${show(host)}`);
  for (let i = 0; i < ADDRESS_WORDS; i++) target[index + i] = 0;
  target[index + ADDRESS_PORT] = checkInteger('port', port, 0, PORT_MAX);
  if (isIPv4(host)) {
    target[index + ADDRESS_FAMILY] = 4;
    target[index + ADDRESS_HOST] = wordOf(host);
    return;
  }
  if (!isIPv6(host)) {
    const hint = isHostName(host) ? ', a name: UdpAddress.lookup finds its address' : '';
    throw new RangeError(`${name} must be an IPv4 or IPv6 address, got ${show(host)}${hint}`);
  }
  const [address, zone] = host.split('%');
  target[index + ADDRESS_FAMILY] = 6;
  target[index + ADDRESS_SCOPE] = zone === undefined ? 0 : interfaceNumber(zone);
  writeV6(address, target, index + ADDRESS_HOST);
}

/** Formats the address in eight words. */
export function hostOf(words: Int32Array, index: number): string {
  const at = index + ADDRESS_HOST;
  if (words[index + ADDRESS_FAMILY] !== 6) return textOf(words[at]);
  const groups: string[] = [];
  for (let i = 0; i < 4; i++) {
    groups.push((words[at + i] >>> 16).toString(16), (words[at + i] & 0xffff).toString(16));
  }
  const scope = words[index + ADDRESS_SCOPE];
  const mapped = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff;
  const text = mapped ? `::ffff:${textOf(words[at + 3])}` : compress(groups);
  return scope === 0 ? text : `${text}%${scope}`;
}

function wordOf(text: string): number {
  return text.split('.').reduce((word, part) => (word << 8) | Number(part), 0);
}

function textOf(word: number): string {
  return [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff).join('.');
}

/** An interface's name: not a path, and as short as the system's names. */
const LINUX_NAME = /^(?!\.)[\w.@:-]{1,15}$/;

/** The number of an interface, by name or number; on Windows Node already uses numbers. */
function interfaceNumber(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  for (const each of networkInterfaces()[zone] ?? []) {
    // Global addresses have no scope.
    if (each.family === 'IPv6' && each.scopeid > 0) return each.scopeid;
  }
  const index = LINUX_NAME.test(zone) ? linuxInterfaceNumber(zone) : 0;
  if (index > 0) return index;
  throw new RangeError(`the zone of an address must be an interface's name or number, got ${zone}`);
}

/** For interfaces without link-local addresses, such as `lo`, to which Node gives no number. */
function linuxInterfaceNumber(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  } catch {
    return 0;
  }
}

function writeV6(address: string, target: Int32Array, at: number): void {
  const v4 = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  let text = address;
  if (v4 !== null) {
    const word = wordOf(v4[2]);
    text = `${v4[1]}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
  }
  const [head, tail] = text.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...before, ...Array(8 - before.length - after.length).fill('0'), ...after];
  for (let i = 0; i < 4; i++) {
    const high = Number.parseInt(groups[2 * i], 16);
    target[at + i] = (high << 16) | Number.parseInt(groups[2 * i + 1], 16);
  }
}

/** RFC 5952: the longest run of zeros, two or more, becomes '::'. */
function compress(groups: readonly string[]): string {
  const text = groups.join(':');
  let longest = '';
  for (const [run] of text.matchAll(/(?<![\da-f])0(?::0)+(?![\da-f])/g)) {
    if (run.length > longest.length) longest = run;
  }
  if (longest === '') return text;
  const at = text.search(new RegExp(`(?<![\\da-f])${longest}(?![\\da-f])`));
  const head = text.slice(0, at).replace(/:$/, '');
  const tail = text.slice(at + longest.length).replace(/^:/, '');
  return `${head}::${tail}`;
}
