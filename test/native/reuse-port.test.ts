// SPDX-License-Identifier: MIT
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { type BusbarError, listenReusePort } from 'busbar';
import { afterEach, expect, test } from 'vitest';
import { isShimBuilt } from './built-shim.ts';
import { NativeHand } from './native-hand.ts';

/** Far more than it takes: each goes to one of two listeners as if by a coin. */
const CONNECTIONS_MAX = 400;

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

const hands: NativeHand[] = [];

afterEach(async () => {
  await Promise.all(hands.splice(0).map((hand) => hand.terminate()));
});

function hire(name: string): NativeHand {
  const hand = new NativeHand(name);
  hands.push(hand);
  return hand;
}

/** Connects and reads until the other side ends. */
function askName(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let name = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      name += text;
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(name));
  });
}

function failureOf(host: string, port: number): BusbarError {
  try {
    closeSync(listenReusePort({ host, port }).fd);
  } catch (error) {
    return error as BusbarError;
  }
  throw new Error(`listening on ${host}:${port} should have failed`);
}

const hasIPv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === '::1'),
);

if (isShimBuilt()) {
  const places = [
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ...(hasIPv6
      ? [
          ['::1', '::1'],
          ['::', '127.0.0.1'],
          ['::', '::1'],
        ]
      : []),
  ] as const;

  for (const [host, from] of places) {
    test(`two workers share a port of ${host} and both get connections of ${from}`, async () => {
      const [left, right] = [hire('left'), hire('right')];
      const port = await left.ask<number>('serve', host, 0);
      expect(port).toBeGreaterThan(0);
      expect(await right.ask('serve', host, port)).toBe(port);
      const counts = new Map<string, number>();
      for (let i = 0; i < CONNECTIONS_MAX && (i < 40 || counts.size < 2); i++) {
        const name = await askName(from, port);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      expect([...counts.keys()].sort()).toEqual(['left', 'right']);
    });
  }

  test('when one of two workers ends, the other gets every connection', async () => {
    const [left, right] = [hire('left'), hire('right')];
    const port = await left.ask<number>('serve', '127.0.0.1', 0);
    await right.ask('serve', '127.0.0.1', port);
    await left.terminate();
    for (let i = 0; i < 40; i++) expect(await askName('127.0.0.1', port)).toBe('right');
  });

  test('the descriptor does not block and is not inherited', () => {
    const { fd, port } = listenReusePort({ host: '127.0.0.1', port: 0, backlog: 1 });
    const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
    const flags = Number.parseInt(/^flags:\s*(\d+)$/m.exec(info)?.[1] ?? '0', 8);
    expect(flags & O_NONBLOCK).toBe(O_NONBLOCK);
    expect(flags & O_CLOEXEC).toBe(O_CLOEXEC);
    const listening = readFileSync('/proc/self/net/tcp', 'utf8');
    const place = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
    expect(listening).toContain(place);
    closeSync(fd);
  });

  test('a failure names its step and the error of the kernel, and keeps no descriptor', () => {
    const before = openDescriptors();
    expect(failureOf('192.0.2.1', 0)).toMatchObject({
      code: 'ERR_BUSBAR_NATIVE_FAILED',
      message: expect.stringMatching(/listenReusePort: bind: EADDRNOTAVAIL$/),
    });
    expect(failureOf('fe80::1%no-such-place', 0).message).toMatch(/address: EINVAL$/);
    expect(openDescriptors()).toBe(before);
  });
} else {
  test('without the shim a listener is refused', () => {
    expect(failureOf('127.0.0.1', 0)).toMatchObject({ code: 'ERR_BUSBAR_NATIVE_UNAVAILABLE' });
  });
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

test('misuse is refused before the kernel is asked', () => {
  const listen = (options: object) => () => listenReusePort(options as never);
  expect(listen({ host: 'localhost', port: 0 })).toThrow(/host must be an IPv4 or IPv6 address/);
  expect(listen({ host: 7, port: 0 })).toThrow(TypeError);
  expect(listen({ host: '::1', port: 65_536 })).toThrow(/port must be an integer from 0 to 65535/);
  expect(listen({ host: '::1', port: '0' })).toThrow(TypeError);
  expect(listen({ host: '::1', port: 0, backlog: 0 })).toThrow(/backlog/);
  expect(listen({ host: '::1', port: 0, backlogs: 9 })).toThrow(/no option "backlogs"/);
});
