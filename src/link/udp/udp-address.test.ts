// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect, test, vi } from 'vitest';
import { Random } from '../../base/random.ts';
import { UdpAddress } from '../index.ts';

vi.mock('node:os', async (original) => {
  const os = await original<typeof import('node:os')>();
  return { ...os, networkInterfaces: vi.fn(os.networkInterfaces) };
});

test('the zone of an interface is that of its local address, wherever it stands', () => {
  const v6 = { family: 'IPv6', netmask: '', mac: '', internal: false, cidr: null } as const;
  vi.mocked(networkInterfaces).mockReturnValueOnce({
    lan0: [
      { ...v6, address: 'fd00::2', scopeid: 0 },
      { ...v6, address: 'fe80::2', scopeid: 4 },
    ],
  });
  expect(UdpAddress.of('fe80::9%lan0', 1).host).toBe('fe80::9%4');
});

test('words whose class lies about their number are measured', () => {
  const address = UdpAddress.of('127.0.0.1', 9);
  const lying = new Int32Array(4);
  Object.defineProperty(lying, 'length', { get: () => new Uint8Array(8) });
  expect(() => UdpAddress.from(lying)).toThrow(/must have room for 8 words, got 4$/);
  const whole = Object.defineProperty(Int32Array.from(address.words), 'length', { value: 0 });
  expect(UdpAddress.from(whole).equals(address)).toBe(true);
});

test.runIf(process.platform === 'linux')('an interface without a zone has its number, too', () => {
  vi.mocked(networkInterfaces).mockReturnValueOnce({});
  const index = readFileSync('/sys/class/net/lo/ifindex', 'utf8').trim();
  expect(UdpAddress.of('::1%lo', 1).host).toBe(`::1%${index}`);
  for (const none of ['nosuchif0', '..', '../net/lo']) {
    vi.mocked(networkInterfaces).mockReturnValueOnce({});
    expect(() => UdpAddress.of(`::1%${none}`, 1)).toThrow(RangeError);
  }
});

test('IPv6 addresses are written as RFC 5952 wants them, whatever they were read from', () => {
  const pairs = [
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:1:0:0:0:0:0', '0:0:1::'],
    ['10:0:0:1:0:0:0:10', '10:0:0:1::10'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['::FFFF:102:304', '::ffff:1.2.3.4'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['fe80::1%7', 'fe80::1%7'],
  ];
  for (const [text, expected] of pairs) {
    expect(UdpAddress.of(text, 9).host).toBe(expected);
    expect(UdpAddress.of(text, 9).toString()).toBe(`[${expected}]:9`);
  }
});

test('any address comes back from its words', () => {
  const seed = 20_261_120;
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const groups = Array.from({ length: 8 }, () =>
      random.below(2) === 0 ? 0 : random.below(65_536),
    );
    const text = groups.map((group) => group.toString(16)).join(':');
    const address = UdpAddress.of(text, random.below(65_536));
    expect(isIPv6(address.host), address.host).toBe(true);
    expect(UdpAddress.of(address.host, address.port).equals(address), text).toBe(true);
    expect([...address.words.subarray(2, 6)]).toEqual(
      [0, 2, 4, 6].map((i) => (groups[i] << 16) | groups[i + 1]),
    );
  }
});

test('what is no address is refused', () => {
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4.5', '::1::', 'fe80::1%none', '[::1]']) {
    expect(() => UdpAddress.of(text, 1), text).toThrow(RangeError);
  }
  expect(() => UdpAddress.of(7 as never, 1)).toThrow(TypeError);
  expect(() => UdpAddress.of('::1', 65_536)).toThrow(RangeError);
});
