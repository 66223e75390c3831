// SPDX-License-Identifier: MIT
/** Example tcp-echo, tests: what clients with plain sockets get back. */

import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../../src/base/random.ts';
import { buildPrograms, killPrograms, Program } from '../../test/program.ts';

const SEED = Number(process.env.BUSBAR_SEED ?? arbitrarySeed());
const FRAME_BYTES_MAX = 65_536;

beforeAll(buildPrograms);
afterAll(killPrograms);

async function start(...args: string[]): Promise<{ echo: Program; port: number }> {
  const echo = new Program('build/examples/tcp-echo/main.js', ['--port', '0', ...args]);
  const [, port] = await echo.line(/^Echo on 127\.0\.0\.1:(\d+)$/);
  return { echo, port: Number(port) };
}

/** A length in four bytes and `payload` random bytes. */
function frame(random: Random, payload: number): Buffer {
  const bytes = Buffer.alloc(4 + payload);
  bytes.writeUInt32BE(payload);
  for (let i = 4; i < bytes.length; i++) bytes[i] = random.below(256);
  return bytes;
}

function frames(random: Random, count: number, payloadMax: number): Buffer {
  const list = Array.from({ length: count }, () => frame(random, random.below(payloadMax + 1)));
  return Buffer.concat(list);
}

/** Collects received bytes until there are so many. */
function echoed(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= bytes) resolve(Buffer.concat(chunks));
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${length} bytes of ${bytes}`)));
  });
}

test('frames that are cut anywhere, and many in one write, come back as they were', async () => {
  const random = new Random(SEED);
  const { echo, port } = await start();
  for (const chunkBytesMax of [3, 100, 100_000]) {
    const sent = frames(random, chunkBytesMax === 3 ? 20 : 200, chunkBytesMax === 3 ? 40 : 2000);
    const socket = connect({ port, noDelay: true });
    const back = echoed(socket, sent.length);
    for (let at = 0; at < sent.length; ) {
      const end = Math.min(sent.length, at + 1 + random.below(chunkBytesMax));
      await new Promise<void>((resolve) => socket.write(sent.subarray(at, end), () => resolve()));
      at = end;
    }
    expect(Buffer.compare(await back, sent), `BUSBAR_SEED=${SEED}`).toBe(0);
    socket.destroy();
  }
  expect(await echo.stop()).toBe(0);
});

test('messages of no byte and of the most come back; one more cuts the client off', async () => {
  const random = new Random(SEED);
  const { echo, port } = await start();
  const sent = Buffer.concat([frame(random, 0), frame(random, FRAME_BYTES_MAX - 4)]);
  const socket = connect(port);
  const back = echoed(socket, sent.length);
  socket.write(sent);
  expect(Buffer.compare(await back, sent)).toBe(0);

  const other = connect(port);
  other.on('error', () => {}); // what it still had to say is refused: a reset
  const closed = new Promise((resolve) => other.on('close', resolve));
  other.resume();
  other.write(frame(random, FRAME_BYTES_MAX - 3));
  await closed;
  await echo.line(
    /^A client was cut off: the frame is longer than allowed: 65537 bytes, at most 65536$/,
  );
  const again = echoed(socket, 4);
  socket.write(frame(random, 0));
  expect((await again).length).toBe(4);
  expect(await echo.stop('SIGINT')).toBe(0);
});

test('a client that does not read holds up nobody, and misses nothing in the end', async () => {
  const random = new Random(SEED);
  const { echo, port } = await start();
  const sent = frames(random, 1000, 60_000);
  const slow = connect(port);
  slow.pause();
  slow.write(sent);
  const quick = connect(port);
  const some = sent.subarray(0, 1_000_000);
  const head = some.subarray(0, wholeFrames(some));
  const back = echoed(quick, head.length);
  quick.write(head);
  expect(Buffer.compare(await back, head), `BUSBAR_SEED=${SEED}`).toBe(0);
  const all = echoed(slow, sent.length);
  slow.resume();
  expect(Buffer.compare(await all, sent), `BUSBAR_SEED=${SEED}`).toBe(0);
  expect(await echo.stop()).toBe(0);
});

/** Bytes of the complete frames. */
function wholeFrames(bytes: Buffer): number {
  let at = 0;
  for (;;) {
    const next = at + 4 <= bytes.length ? at + 4 + bytes.readUInt32BE(at) : Infinity;
    if (next > bytes.length) return at;
    at = next;
  }
}

test('it listens on a Unix socket, explains itself, and refuses what makes no sense', async () => {
  const path = join(tmpdir(), `busbar-echo-${process.pid}.sock`);
  const echo = new Program('build/examples/tcp-echo/main.js', ['--path', path]);
  await echo.line(/^Echo on /);
  const socket = connect(path);
  const back = echoed(socket, 9);
  socket.write('\0\0\0\x05hello');
  expect((await back).toString()).toBe('\0\0\0\x05hello');
  expect(await echo.stop()).toBe(0);

  const help = new Program('build/examples/tcp-echo/main.js', ['--help']);
  expect(await help.ended).toBe(0);
  expect(help.lines.join('\n')).toContain('Usage: npm run example:tcp-echo');
  for (const [args, complaint] of [
    [['--port', 'x'], 'port must be an integer from 0 to 65535, got NaN'],
    [['--prot', '1'], "Unknown option '--prot'"],
  ] as const) {
    const wrong = new Program('build/examples/tcp-echo/main.js', args);
    expect(await wrong.ended).toBe(2);
    expect(wrong.lines.join('\n')).toContain(complaint);
  }
});
