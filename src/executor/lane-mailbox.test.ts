// SPDX-License-Identifier: MIT
/** A mailbox over a lane of one thread: what comes just as it looks, and when it is busy. */

import { expect, test } from 'vitest';
import { expectAllHome } from '../../test/pool-expectations.ts';
import { NO_LIMITS } from '../base/wait-guard.ts';
import { PacketChannel } from '../channel/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { ExecutorGroup } from './executor-group.ts';
import { LaneMailbox } from './lane-mailbox.ts';
import { Requests, replyTag } from './requests.ts';

function setUp() {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 16, maxThreads: 2 });
  const channel = PacketChannel.create(pool, { kind: 'spsc', capacity: 8 });
  const [sender, lane] = [channel.sender(), channel.receiver()];
  let wakes = 0;
  const mailbox = new LaneMailbox(pool, [lane], () => void wakes++);
  const requests = new Requests();
  mailbox.requests = requests;
  const send = (text: string, tag: number): void => {
    const packet = Packet.tryFrom(pool, text) as Packet;
    packet.tag = tag;
    expect(sender.trySend(packet)).toBe(true);
  };
  /** A request to lane 0, which has taken it. */
  const ask = () => {
    const request = requests.begin(0, {});
    request.isSent = true;
    const answer = request.wait(NO_LIMITS).then((reply) => {
      using own = reply;
      return own.toString();
    });
    return { answer, tag: replyTag(request.tag) };
  };
  const finish = (): void => {
    mailbox.close();
    sender.close();
    expectAllHome(pool);
  };
  return { pool, lane, mailbox, requests, send, ask, finish, wakes: () => wakes };
}

test.each(['tryReceive', 'receive'] as const)(
  'a reply that comes just as %s looks at its lane goes to its request',
  async (how) => {
    const { lane, mailbox, send, ask, finish } = setUp();
    const { answer, tag } = ask();
    const taken = lane.tryReceive.bind(lane);
    lane.tryReceive = () => {
      lane.tryReceive = taken;
      // Nothing was there at any look before.
      send('reply', tag);
      return taken();
    };
    const aborter = new AbortController();
    const gone = new Error('gone');
    if (how === 'tryReceive') {
      expect(mailbox.tryReceive()).toBeUndefined();
    } else {
      const received = mailbox.receive({ signal: aborter.signal });
      await Promise.resolve();
      aborter.abort(gone);
      await expect(received).rejects.toBe(gone);
    }
    expect(await answer).toBe('reply');
    finish();
  },
);

test('a packet with a tag of its own that comes then is the reader’s', () => {
  const { lane, mailbox, send, finish } = setUp();
  const taken = lane.tryReceive.bind(lane);
  lane.tryReceive = () => {
    lane.tryReceive = taken;
    send('own', 7);
    return taken();
  };
  const packet = mailbox.tryReceive() as Packet;
  expect([packet.toString(), packet.tag]).toEqual(['own', 7]);
  packet.release();
  finish();
});

test('a pass for a waiting reader that takes replies alone has done something', async () => {
  const { mailbox, send, ask, finish } = setUp();
  const { answer, tag } = ask();
  const received = mailbox.receive();
  await Promise.resolve();
  send('reply', tag);
  // After 0 the loop would park without asking its lanes to wake it.
  expect(mailbox.pump()).toBe(1);
  expect(await answer).toBe('reply');
  send('own', 7);
  expect(mailbox.pump()).toBe(1);
  (await received)?.release();
  finish();
});

test('a loop that parked while its handler was busy wakes for a request', async () => {
  const { mailbox, send, ask, finish, wakes } = setUp();
  let end = (): void => {};
  mailbox.handle((packet) => {
    packet.release();
    return new Promise<void>((resolve) => {
      end = resolve;
    });
  });
  send('first', 1);
  mailbox.pump();
  const parked = wakes();
  // The handler is busy, and no reply is awaited: it parks, and no lane wakes it.
  expect(mailbox.arm()).toBe(true);
  const { answer, tag } = ask();
  send('reply', tag);
  expect(wakes()).toBe(parked);
  mailbox.expectReply();
  expect(wakes()).toBe(parked + 1);
  expect(mailbox.pump()).toBe(1);
  expect(await answer).toBe('reply');
  end();
  await Promise.resolve();
  finish();
});

test.each([true, false])(
  'a request says that a reply is expected; sent at once: %s',
  async (now) => {
    const { pool, mailbox, requests, finish } = setUp();
    const seen: string[] = [];
    mailbox.expectReply = () => void seen.push('expected');
    const sender = {
      trySend: (packet: Packet) => {
        if (now) packet.release();
        seen.push('tried');
        return now;
      },
      send: async (packet: Packet) => {
        packet.release();
        seen.push('sent');
      },
    };
    const group = Object.assign(Object.create(ExecutorGroup.prototype), {
      pool,
      state: { mailbox, requests },
      senders: [sender],
      count: 1,
    }) as ExecutorGroup;
    const reply = group.requestTo(0, Packet.tryFrom(pool, 'ask') as Packet);
    for (let i = 0; i < 8; i++) await Promise.resolve();
    expect(seen).toEqual(now ? ['tried', 'expected'] : ['tried', 'sent', 'expected']);
    requests.close();
    await expect(reply).rejects.toMatchObject({ code: 'ERR_BUSBAR_EXECUTOR_STOPPED' });
    finish();
  },
);

test('errors name a mailbox by its thread', async () => {
  const { pool, mailbox, finish } = setUp();
  pool.nameThread('parser-0');
  await expect(mailbox.receive({ timeoutMs: 1 })).rejects.toThrow(
    /: receive, 1 ms; mailbox of parser-0$/,
  );
  expect(() => mailbox.handle((packet) => packet.release())).toThrow(
    'this side is taken already: mailbox of parser-0 is read by receive()',
  );
  finish();
});
