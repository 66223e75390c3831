// SPDX-License-Identifier: MIT
/** Test program: starts a group, and exits by itself if the group lets it. */
import { ExecutorGroup } from 'busbar/executor';
import { BufferPool } from 'busbar/pool';

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 64 });
const words = new SharedArrayBuffer(256);
const how = process.argv[2];

async function begin(): Promise<void> {
  const module = new URL('./deeds.worker.js', import.meta.url);
  const group = await ExecutorGroup.start({ pool, module, count: 2, data: { words } });
  console.log('started');
  if (how === 'unref') group.unref();
  if (how === 'stop') await group.stop();
}

await begin();
const collector = setInterval(() => {
  globalThis.gc?.();
  if (pool.stats().threads.length === 1) clearInterval(collector);
}, 5);
if (how !== 'drop') clearInterval(collector);
