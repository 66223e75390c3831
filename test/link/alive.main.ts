// SPDX-License-Identifier: MIT
/** Test program: prints which links keep it alive, and exits by itself once all are gone. */
import { BufferPool } from 'busbar/pool';
import { type LinkKind, linkKinds, type Pair } from './kinds.ts';

/** Nothing but links keeps the event loop alive until then. */
const PATIENCE_MS = 20;

const pool = BufferPool.create({ bufferSize: 8192, bufferCount: 64 });

function open(kind: LinkKind): Promise<Pair> {
  const end = { pool, events: { onMessage() {} } };
  return kind.open(end, end);
}

const alive: string[] = [];
const kinds = linkKinds.filter(({ keepsAlive }) => keepsAlive);
for (const kind of kinds) {
  const pair = await open(kind);
  // An immediate would keep the loop alive itself.
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref());
  alive.push(kind.name);
  await Promise.all([pair.near.close(), pair.far.close()]);
  await pair.close();
}
console.log(JSON.stringify(alive));
process.exitCode = 1;
process.on('beforeExit', () => {
  process.exitCode = 0;
});
for (const kind of linkKinds) {
  const { near, far, close } = await open(kind);
  near.unref();
  far.unref();
  near.ref();
  near.unref();
  void close;
}
