// SPDX-License-Identifier: MIT
/** Test worker: one traveller of the traffic tests, until it has done enough or is killed. */
import { parentPort, workerData } from 'node:worker_threads';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { Random } from '../../src/base/random.ts';
import { turn } from '../turns.ts';
import * as crew from './crew.ts';
import { Mailboxes } from './mailboxes.ts';
import { Traveller } from './traveller.ts';

const { handle, lane, lanes, perPair, seed, deeds, post, ...shared } =
  workerData as crew.Assignment;
const board = new Int32Array(shared.board);
const boxes = new Mailboxes(lanes, perPair, shared.boxes);
const random = new Random(seed + 0x9e37 * lane);

let pool = attach();
let traveller = new Traveller(pool, boxes, lane, random, !post);

if (post) parentPort?.on('message', receivePosted);
for (let i = 0; i < deeds && obey(); i++) {
  traveller.step();
  Atomics.add(board, crew.DEEDS + lane, 1);
  if (random.chance(1 / 256)) await rest();
  if (post && random.chance(1 / 64)) sendPosted();
}
traveller.releaseAll();
Atomics.add(board, crew.FINISHED, 1);
// A traveller that is not finished may still send; a finished one does not.
while (!isOver()) {
  traveller.clear();
  await turn();
}
traveller.clear();
pool.detach();
parentPort?.off('message', receivePosted);

function attach(): BufferPool {
  const attached = BufferPool.attach(handle);
  Atomics.store(board, crew.SLOTS + lane, attached.threadSlot + 1);
  return attached;
}

function obey(): boolean {
  const order = Atomics.load(board, crew.ORDERS + lane);
  if (order === crew.EXIT) process.exit(3);
  if (order === crew.THROW) throw new Error(crew.TOLD_TO_THROW);
  return order !== crew.STOP;
}

function isOver(): boolean {
  if (Atomics.load(board, crew.FINISHED) < lanes) return false;
  return Atomics.load(board, crew.POSTED) === Atomics.load(board, crew.RECEIVED);
}

/** What needs the event loop: waiting for buffers, leaving the pool and coming back. */
async function rest(): Promise<void> {
  const kind = random.below(4);
  if (kind === 0) await turn();
  if (kind === 1) await acquire({ timeoutMs: random.below(4) });
  if (kind === 2) {
    const aborter = new AbortController();
    const wait = acquire({ signal: aborter.signal });
    await turn();
    aborter.abort();
    await wait;
  }
  if (kind === 3 && random.chance(0.2)) {
    traveller.releaseAll();
    pool.detach();
    pool = attach();
    traveller = new Traveller(pool, boxes, lane, random, !post);
  }
}

async function acquire(options: { timeoutMs?: number; signal?: AbortSignal }): Promise<void> {
  try {
    traveller.take(await pool.acquire(options));
  } catch (error) {
    const { code, name } = error as { code?: unknown; name?: unknown };
    if (code !== 'ERR_BUSBAR_TIMEOUT' && name !== 'AbortError') throw error;
  }
}

function sendPosted(): void {
  const letter = traveller.pick();
  if (letter === undefined) return;
  const packet = Packet.wrap(pool, letter.id, letter.offset, letter.length).moveOut();
  Atomics.add(board, crew.POSTED, 1);
  const posted: crew.Posted = { to: random.below(lanes), stamp: letter.stamp, packet };
  parentPort?.postMessage(posted);
}

function receivePosted({ stamp, packet: sent }: crew.Posted): void {
  const packet = Packet.moveIn(pool, sent);
  const { bufferId: id, offset, length } = packet;
  pool.retain(id);
  packet.release();
  traveller.keep({ id, offset, length, stamp });
  Atomics.add(board, crew.RECEIVED, 1);
}
