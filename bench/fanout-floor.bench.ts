// SPDX-License-Identifier: MIT
/** The least that a fan-out over TCP costs: the system calls, and next to nothing else. */

import { createRequire } from 'node:module';
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { BenchCase } from './bench-case.ts';
import { type Echo, listening, prepareRoom, ROOM_UNIT } from './idiom.bench.ts';

/** Words of a row of the shim's table: descriptor, offset, length, result. */
const ROW_WORDS = 4;

type WriteSockets = (bytes: Uint8Array, table: Int32Array, count: number) => number;

export const fanoutFloorCases: readonly BenchCase[] = [
  {
    id: 'idiom/fanout-sendmsg',
    what: 'the least: what came to each socket by sendmsg, in one call; no framing, no queue',
    unit: ROOM_UNIT,
    threads: 1,
    prepare: () => prepareRoom(listenBare),
  },
];

/** The shim's call; undefined where there is none. */
function loadCall(): WriteSockets | undefined {
  try {
    const require = createRequire(import.meta.url);
    return require('node-gyp-build')(fileURLToPath(new URL('../../', import.meta.url)))
      .writeSockets;
  } catch {
    return undefined;
  }
}

async function listenBare(): Promise<Echo> {
  const call = loadCall();
  const bytes = new Uint8Array(new SharedArrayBuffer(65_536));
  const sockets = new Set<Socket>();
  let table = new Int32Array(0);
  const fanOut = (data: Buffer): void => {
    bytes.set(data);
    let rows = 0;
    for (const { _handle: handle } of sockets as Iterable<Socket & { _handle?: { fd?: number } }>) {
      table.set([handle?.fd ?? -1, 0, data.length, 0], ROW_WORDS * rows++);
    }
    call?.(bytes, table, rows);
    for (let at = ROW_WORDS - 1; at < ROW_WORDS * rows; at += ROW_WORDS) {
      if (table[at] !== data.length) throw new Error('a socket was full');
    }
  };
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    table = new Int32Array(ROW_WORDS * sockets.size);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', (data) => {
      if (call !== undefined) fanOut(data);
      else for (const other of sockets) other.write(data);
    });
  });
  return listening(server, sockets);
}
