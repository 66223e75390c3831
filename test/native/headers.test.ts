// SPDX-License-Identifier: MIT
/** The tables of the shim in C and in TypeScript have the same numbers. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROOT } from '../../scripts/files.mjs';
import { PATH_BYTES_MAX } from '../../src/link/udp/udp-native-socket.ts';
import * as listening from '../../src/native/reuse-port.ts';
import * as shim from '../../src/native/shim.ts';
import * as writes from '../../src/native/socket-writes.ts';
import * as udp from '../../src/native/udp.ts';

type Numbers = Readonly<Record<string, number>>;

/** Every enum of a header by its name; each member with its value. */
function enumsOf(header: string): ReadonlyMap<string, Numbers> {
  const text = readFileSync(`${ROOT}native/${header}`, 'utf8').replace(/\/\/.*/g, '');
  const known: Record<string, number> = {};
  const enums = new Map<string, Numbers>();
  for (const [, name = '', body = ''] of text.matchAll(/enum (\w+) \{([^}]*)\}/g)) {
    const members: Record<string, number> = {};
    let next = 0;
    for (const member of body.split(',').map((each) => each.trim())) {
      if (member === '') continue;
      const [, key = '', sum] = /^(\w+)(?:\s*=\s*(.+))?$/.exec(member) ?? [];
      if (sum !== undefined) next = sumOf(sum, known);
      members[key] = next;
      known[key] = next;
      next++;
    }
    enums.set(name, members);
  }
  return enums;
}

/** The value of a sum of numbers and earlier members. */
function sumOf(sum: string, known: Numbers): number {
  return sum.split('+').reduce((total, term) => {
    const value = known[term.trim()] ?? Number(term);
    if (!Number.isInteger(value)) throw new Error(`cannot read '${sum}'`);
    return total + value;
  }, 0);
}

/** The constants of a module whose names begin with a prefix, WORDS included. */
function constantsOf(module: object, prefix: string): Numbers {
  const found = Object.entries(module).filter(([key]) => key.startsWith(prefix));
  return Object.fromEntries(found.filter(([, value]) => typeof value === 'number'));
}

/** `{ BUS_UDP_OUT_OFFSET: 0 }` as `{ OUT_OFFSET: 0 }`. */
function renamed(numbers: Numbers, from: string, to: string): Numbers {
  const entries = Object.entries(numbers).map(([key, value]) => [key.replace(from, to), value]);
  return Object.fromEntries(entries);
}

/** `{ BUS_STEP_BIND: 3 }` as a list: 'bind' in place 3. */
function listed(numbers: Numbers, prefix: string): string[] {
  const list: string[] = [];
  for (const [key, at] of Object.entries(numbers))
    list[at] = key.slice(prefix.length).toLowerCase();
  return list;
}

const bus = enumsOf('bus.h');
const busUdp = enumsOf('bus_udp.h');

test('every enum of the headers is compared here', () => {
  expect([...bus.keys()].sort()).toEqual(['bus_step', 'bus_write']);
  expect([...busUdp.keys()].sort()).toEqual([
    'bus_udp_address',
    'bus_udp_config',
    'bus_udp_flags',
    'bus_udp_in',
    'bus_udp_option',
    'bus_udp_out',
    'bus_udp_sent',
    'bus_udp_state',
    'bus_udp_step',
  ]);
});

test('the version is the same', () => {
  const header = readFileSync(`${ROOT}native/bus.h`, 'utf8');
  expect(Number(/#define BUS_VERSION (\d+)/.exec(header)?.[1])).toBe(shim.SHIM_VERSION);
});

test('the longest path of a Unix socket is the same', () => {
  const header = readFileSync(`${ROOT}native/bus_udp.h`, 'utf8');
  const bytes = Number(/#define BUS_UNIX_PATH_BYTES (\d+)/.exec(header)?.[1]);
  expect(bytes).toBe(PATH_BYTES_MAX + 1);
});

test('the tables of words are the same, in both directions', () => {
  const tables: [string, Numbers, object, string, readonly string[]][] = [
    ['bus_write', bus.get('bus_write') ?? {}, writes, 'WRITE_', []],
    ['bus_udp_address', busUdp.get('bus_udp_address') ?? {}, udp, 'ADDRESS_', []],
    ['bus_udp_out', busUdp.get('bus_udp_out') ?? {}, udp, 'OUT_', []],
    ['bus_udp_sent', busUdp.get('bus_udp_sent') ?? {}, udp, 'SENT_', []],
    ['bus_udp_in', busUdp.get('bus_udp_in') ?? {}, udp, 'IN_', ['IN_TRUNCATED', 'IN_ECN_SHIFT']],
    ['bus_udp_config', busUdp.get('bus_udp_config') ?? {}, udp, 'CONFIG_', []],
    ['bus_udp_option', busUdp.get('bus_udp_option') ?? {}, udp, 'OPTION_', []],
    ['bus_udp_state', busUdp.get('bus_udp_state') ?? {}, udp, 'STATE_', []],
  ];
  for (const [name, numbers, module, prefix, others] of tables) {
    const inC =
      name === 'bus_udp_address' ? 'BUS_UDP_' : name === 'bus_write' ? 'BUS_' : 'BUS_UDP_';
    // BUS_UDP_ADDRESS_WORDS has the prefix already, unlike BUS_UDP_PORT.
    const expected =
      name === 'bus_udp_address'
        ? renamed(renamed(numbers, inC, prefix), `${prefix}ADDRESS_`, prefix)
        : renamed(numbers, inC, '');
    const actual = Object.entries(constantsOf(module, prefix)).filter(
      ([key]) => !others.includes(key),
    );
    expect(Object.fromEntries(actual), name).toEqual(expected);
  }
  const { REUSE_ADDRESS, REUSE_PORT, ONLY_V6, GRO } = udp;
  expect({ REUSE_ADDRESS, REUSE_PORT, ONLY_V6, GRO }).toEqual(
    renamed(busUdp.get('bus_udp_flags') ?? {}, 'BUS_UDP_', ''),
  );
});

test('the names of the steps are the same', () => {
  expect(listening.LISTEN_STEPS).toEqual(listed(bus.get('bus_step') ?? {}, 'BUS_STEP_'));
  expect(udp.OPEN_STEPS).toEqual(listed(busUdp.get('bus_udp_step') ?? {}, 'BUS_UDP_STEP_'));
});
