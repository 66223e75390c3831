// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, test } from 'vitest';
import { numbered, numberOf } from '../../../test/numbered.ts';
import { turn, until } from '../../../test/turns.ts';
import { UdpPeers } from '../../../test/udp-peers.ts';
import { udpCalls } from '../../native/udp.ts';
import { LoopbackNetwork } from '../index.ts';
import { PATH_BYTES_MAX } from './udp-native-socket.ts';

const FOLDER: string = mkdtempSync(join(tmpdir(), 'busbar-'));
const WORKER = fileURLToPath(new URL('../../../build/test/native/udp.worker.js', import.meta.url));
const HAS_SHIM: boolean = udpCalls() !== undefined;
const withShim = (name: string, run: () => Promise<void> | void): void => {
  if (HAS_SHIM) test(name, run);
};
let files = 0;

afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

function place(name = `socket-${files++}`): string {
  return join(FOLDER, name);
}

/** A file that no socket is bound to any more, as a process leaves it that was killed. */
async function stale(peers: UdpPeers, path: string): Promise<void> {
  const elsewhere = `${FOLDER}/s`;
  const link = await peers.open({ onMessage() {} }, { path: elsewhere });
  renameSync(elsewhere, path);
  await link.close();
  expect(statSync(path).isSocket()).toBe(true);
}

withShim(
  'datagrams arrive as they were and in order, and none is lost while one waits',
  async () => {
    const peers = new UdpPeers('auto');
    const path = place();
    const got: number[] = [];
    const server = await peers.open(
      { onMessage: (offset, length) => void got.push(numberOf(peers.pool.bytes, offset, length)) },
      { path },
    );
    expect(server.path).toBe(path);
    expect(`${server.local}`).toBe('0.0.0.0:0');
    expect(server.implementation).toBe('native');
    const client = await peers.open({ onMessage() {} }, { peer: { path } });
    expect([client.path, client.peer]).toEqual([undefined, undefined]);
    server.pause();
    const count = 2000;
    for (let n = 0; n < count; n++) {
      await client.write(numbered(n, 64 + (n % 1000)));
      if (n === 600) server.resume();
    }
    client.flush();
    await until(() => got.length === count);
    expect(got).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(client.stats()).toMatchObject({ datagramsWritten: count, lostDatagrams: 0, errors: 0 });
    await peers.close();
  },
);

withShim('packed datagrams come from a socket that has a path, too', async () => {
  const peers = new UdpPeers('auto');
  const [path, own] = [place(), place()];
  const got: string[] = [];
  const onMessage = (at: number, length: number) =>
    void got.push(`${peers.pool.bytes.slice(at, at + length)}`);
  const server = await peers.open({ onMessage }, { path, mode: 'packed' });
  const client = await peers.open(
    { onMessage() {} },
    { path: own, peer: { path }, mode: 'packed' },
  );
  for (const n of [1, 2, 3]) client.tryWrite(Uint8Array.of(n, n));
  client.flush();
  await until(() => got.length === 3);
  expect(got).toEqual(['1,1', '2,2', '3,3']);
  expect(server.stats()).toMatchObject({ datagramsRead: 1, messages: 3 });
  // It is connected: nobody but its peer can send to it.
  await expect(peers.open({ onMessage() {} }, { peer: { path: own } })).rejects.toMatchObject({
    cause: { code: 'EPERM' },
  });
  await client.close();
  expect([existsSync(path), existsSync(own)]).toEqual([true, false]);
  await peers.close();
});

withShim('each refused datagram is reported once', async () => {
  const peers = new UdpPeers('auto');
  const path = place();
  const errors: string[] = [];
  const server = await peers.open({ onMessage() {} }, { path });
  const client = await peers.open(
    { onMessage() {}, onError: (error) => void errors.push(error.code) },
    { peer: { path } },
  );
  await server.close();
  for (let n = 1; n <= 5; n++) {
    client.tryWrite(Uint8Array.of(n));
    client.flush();
    await until(() => errors.length >= n);
  }
  for (let i = 0; i < 5; i++) await turn();
  expect(errors).toEqual(Array(5).fill('ERR_BUSBAR_DATAGRAM_REFUSED'));
  expect(client.stats()).toMatchObject({ lostDatagrams: 5, datagramsWritten: 0, errors: 5 });
  await peers.close();
});

withShim('a file that a dead process left is replaced, and nothing else', async () => {
  const peers = new UdpPeers('auto');
  const open = (path: string) => peers.open({ onMessage() {} }, { path });
  const taken = { code: 'ERR_BUSBAR_LINK_REFUSED', cause: { code: 'EADDRINUSE' } };
  const left = place();
  await stale(peers, left);
  const link = await open(left);
  await expect(open(left)).rejects.toMatchObject(taken);
  expect(existsSync(left)).toBe(true);
  await link.close();
  expect(existsSync(left)).toBe(false);

  const file = place();
  writeFileSync(file, 'text');
  await expect(open(file)).rejects.toMatchObject(taken);
  expect(readFileSync(file, 'utf8')).toBe('text');

  const [target, symbolic] = [place(), place()];
  await stale(peers, target);
  symlinkSync(target, symbolic);
  await expect(open(symbolic)).rejects.toMatchObject(taken);
  expect(existsSync(target)).toBe(true);

  const stream = place();
  const server = createServer().listen(stream);
  await once(server, 'listening');
  await expect(open(stream)).rejects.toMatchObject(taken);
  expect(existsSync(stream)).toBe(true);
  server.close();

  const absent = place('no/folder/here');
  await expect(open(absent)).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  const nobody = { peer: { path: absent }, path: place() };
  await expect(peers.open({ onMessage() {} }, nobody)).rejects.toMatchObject({
    code: 'ERR_BUSBAR_LINK_REFUSED',
    message: /connect: ENOENT/,
  });
  expect(existsSync(nobody.path)).toBe(false);
  await peers.close();
});

withShim('of many that replace a file at once, one has it', async () => {
  const peers = new UdpPeers('auto', 256);
  const path = place();
  await stale(peers, path);
  const all = await Promise.allSettled(
    Array.from({ length: 12 }, () => peers.open({ onMessage() {} }, { path })),
  );
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  await peers.close();
});

withShim('the file of another is not removed', async () => {
  const peers = new UdpPeers('auto');
  const path = place();
  const first = await peers.open({ onMessage() {} }, { path });
  rmSync(path);
  const second = await peers.open({ onMessage() {} }, { path });
  await first.close();
  expect(existsSync(path)).toBe(true);
  first.destroy();
  second.destroy();
  await until(() => second.closed);
  expect(existsSync(path)).toBe(false);
  await peers.close();
});

withShim('paths have at most 107 bytes, and a relative one is made absolute', async () => {
  const peers = new UdpPeers('auto');
  const open = (options: object) => peers.open({ onMessage() {} }, options);
  const longest = join(FOLDER, 'x'.repeat(PATH_BYTES_MAX - FOLDER.length - 1));
  expect(longest).toHaveLength(107);
  await stale(peers, longest);
  const link = await open({ path: longest });
  const client = await open({ peer: { path: longest } });
  for (const options of [{ path: `${longest}x` }, { peer: { path: `${longest.slice(0, -1)}é` } }]) {
    await expect(open(options)).rejects.toMatchObject({
      code: 'ERR_BUSBAR_LINK_REFUSED',
      cause: { code: 'ENAMETOOLONG' },
    });
  }
  await link.close();
  await client.close();
  const path = place();
  if (relative('', path).length > 0) {
    const near = await open({ path: relative('', path) });
    expect(existsSync(path)).toBe(true);
    await near.close();
    expect(existsSync(path)).toBe(false);
  }
  await peers.close();
});

withShim('a worker that is terminated leaves no file', async () => {
  const path = place();
  for (let round = 0; round < 2; round++) {
    const worker = new Worker(WORKER, { workerData: path });
    expect(await once(worker, 'message')).toEqual(['native']);
    expect(existsSync(path)).toBe(true);
    await worker.terminate();
    expect(existsSync(path)).toBe(false);
  }
});

withShim('what needs an address is refused with a reason', async () => {
  const peers = new UdpPeers('auto');
  const path = place();
  let replied: unknown;
  const link = await peers.open(
    (self) => ({
      onMessage(offset, length, bufferId) {
        try {
          self.tryReplyRegion(bufferId, offset, length);
        } catch (error) {
          replied = error;
        }
        expect([self.sourceHost, self.sourcePort, `${self.source()}`]).toEqual([0, 0, '0.0.0.0:0']);
      },
    }),
    { path },
  );
  const to = { host: '127.0.0.1', port: 9 };
  for (const call of [() => link.writerTo(to), () => link.addWriter(0, to)]) {
    expect(call).toThrow(new TypeError('a link on a Unix socket sends only to its peer'));
  }
  expect(() => link.writer).toThrow(/without a peer/);
  for (const call of [() => link.join('224.0.0.1'), () => link.setTtl(1)]) {
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_BUSBAR_NATIVE_FAILED' }));
  }
  const client = await peers.open({ onMessage() {} }, { peer: { path } });
  expect(() => client.writerTo(to)).toThrow(/sends only to that peer/);
  client.tryWrite('x');
  client.flush();
  await until(() => replied !== undefined);
  expect(String(replied)).toMatch(/a link on a Unix socket sends only to its peer/);
  await peers.close();
});

test('wrong options are named, and without the shim there is a reason', async () => {
  const peers = new UdpPeers('dgram');
  const open = (options: object) => peers.open({ onMessage() {} }, options);
  const path = place();
  for (const name of ['host', 'port', 'ipv6Only', 'reuseAddress', 'reusePort']) {
    await expect(open({ path, [name]: true })).rejects.toThrow(
      new TypeError(`options must not have ${name} with the path of a Unix socket`),
    );
  }
  await expect(open({ path: 1 })).rejects.toThrow(/^path must be a string, got 1$/);
  await expect(open({ path: '' })).rejects.toThrow(/^path must be neither empty nor/);
  await expect(open({ peer: { path: 'a\0b' } })).rejects.toThrow(/^peer.path must be neither/);
  await expect(open({ peer: { path, port: 1 } })).rejects.toThrow(/"port"/);
  await expect(open({ path, peer: { host: '127.0.0.1', port: 1 } })).rejects.toThrow(
    /^peer must be an object with a path/,
  );
  for (const options of [{ path }, { peer: { path } }]) {
    await expect(open(options)).rejects.toMatchObject({ code: 'ERR_BUSBAR_NATIVE_UNAVAILABLE' });
  }
  const network = new LoopbackNetwork();
  await expect(network.open(peers.pool, { path })).rejects.toThrow(/path, on a loopback network/);
  await peers.close();
});
