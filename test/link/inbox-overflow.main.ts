// SPDX-License-Identifier: MIT
/**
 * Test program: calls `receive` of an inbox with no stack left, then with more and more. Ends with
 * 1 if a packet is lost, or a caller that went is still served.
 *
 * A promise that is rejected where the stack is full makes V8 print that Node's callback for
 * rejections has failed, thousands of times here: so it has a process of its own.
 */
import assert from 'node:assert/strict';
import { Inbox } from '../../src/link/inbox.ts';
import { Packet } from '../../src/packet/index.ts';
import { BufferPool } from '../../src/pool/index.ts';
import { INBOX_OWNER } from './inbox-owner.ts';

const ROUNDS = 20;
/** Calls of one round, each with a little more stack. */
const CALLS = 200;
const PENDING = Symbol('pending');
const OPEN = Promise.resolve(PENDING);

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 256, maxThreads: 1 });
const inbox = new Inbox(1 << 20, INBOX_OWNER);

function push(): void {
  inbox.push(Packet.tryFrom(pool, 'one') as Packet);
}

/** Calls until `CALLS` calls have returned; counts those that threw. */
function callAll(calls: Promise<Packet | undefined>[]): number {
  let overflows = 0;
  const dive = (): void => {
    try {
      dive();
    } catch {}
    if (calls.length === CALLS) return;
    try {
      calls[calls.length] = inbox.receive();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      overflows++;
    }
  };
  dive();
  return overflows;
}

let overflows = 0;
for (let round = 0; round < ROUNDS; round++) {
  const calls: Promise<Packet | undefined>[] = [];
  // With a packet, which the first call takes that returns, and then without.
  if (round % 2 === 0) push();
  overflows += callAll(calls);
  const outcomes = calls.map((call) => call.catch((error: unknown) => error));
  for (let i = 0; i < 8; i++) await Promise.resolve();
  const isOpen = await Promise.all(outcomes.map((each) => Promise.race([each, OPEN])));
  for (const each of isOpen) if (each === PENDING) push();
  for (const each of await Promise.all(outcomes)) {
    if (each instanceof Packet) each.release();
    else {
      assert(each instanceof RangeError, `rejected with ${each}`);
      overflows++;
    }
  }
  assert.equal(inbox.tryReceive(), undefined, 'a caller that went was served');
}
inbox.destroy();
assert.equal(pool.close().heldByThreads, 0);
console.log(`${overflows} overflows`);
