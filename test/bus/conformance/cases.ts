// SPDX-License-Identifier: MIT
/** The contracts of a bus, numbered: each holds whatever carries the bus. */
import { expect } from 'vitest';
import { turn } from '../../turns.ts';
import { BUFFER_SIZE, type Got, type Outcome, type Party, type Stage } from './party.ts';

export interface Case {
  /** The contract in one sentence; the first word is its number. */
  readonly text: string;
  /** It ends a bus: it gets a stage of its own. */
  readonly isFinal?: boolean;
  /** Why it says nothing on some stages. */
  readonly needs?: 'several buses' | 'one pool' | 'deaths';
  run(stage: Roles): Promise<void>;
}

/** The parties by what most cases need: on groups and streams these are different buses. */
export interface Roles extends Stage {
  readonly publisher: Party;
  readonly subscriber: Party;
}

export function rolesOf(stage: Stage): Roles {
  const { parties } = stage;
  return { ...stage, publisher: parties[0] as Party, subscriber: parties.at(-1) as Party };
}

const texts = (got: readonly (Got | Outcome)[]): string[] =>
  got.map((each) => (typeof each === 'string' ? each : each.text));

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => String(from + i));

/** Publishes at one party, and waits until all is in the hands of subscribers. */
async function send(party: Party, subject: string, ...all: string[]): Promise<void> {
  for (const text of all) expect(await party.publish(subject, text)).toBe('sent');
  await party.flush();
}

const ROUTES: readonly (readonly [pattern: string, matches: readonly string[]])[] = [
  ['r.a', ['r.a']],
  ['r.*', ['r.a', 'r.b']],
  ['r.*.x', ['r.a.x', 'r.b.x']],
  ['r.>', ['r.a', 'r.b', 'r.a.x', 'r.b.x', 'r.a.x.é']],
  ['r.a.>', ['r.a.x', 'r.a.x.é']],
  ['*.a.x.é', ['r.a.x.é']],
];
const SUBJECTS = ['r.a', 'r.b', 'r.a.x', 'r.b.x', 'r.a.x.é', 'other'];

export const BAD_SUBJECTS: readonly string[] = [
  '',
  '.',
  'a.',
  '.a',
  'a..b',
  'a b',
  'a\tb',
  'a\u007f',
  'x'.repeat(257),
  'a.'.repeat(40),
];

export const CASES: readonly Case[] = [
  {
    text: '1.1 each subscriber gets what its subject matches, wildcards and all, once and in order',
    run: async ({ parties }) => {
      for (const [at, party] of parties.entries()) {
        for (const [pattern] of ROUTES) {
          expect(await party.subscribe(`${at} ${pattern}`, pattern)).toBe('');
        }
      }
      for (const party of parties) await send(party, 'other', 'x');
      for (const [at, party] of parties.entries()) {
        for (const subject of SUBJECTS) await send(party, subject, `${at} ${subject}`);
      }
      const sent = parties.flatMap((_, at) => SUBJECTS.map((subject) => `${at} ${subject}`));
      for (const [at, party] of parties.entries()) {
        for (const [pattern, matches] of ROUTES) {
          const wanted = sent.filter((text) => matches.includes(text.slice(2)));
          const got = texts(await party.got(`${at} ${pattern}`));
          expect(got, `${pattern} of party ${at}`).toEqual(wanted);
        }
      }
    },
  },
  {
    text: '1.2 a message says its subject, its source, and its number among those of its source',
    run: async ({ parties, publisher, subscriber, isOneBus }) => {
      await subscriber.subscribe('s', 'e.*');
      const before = (await publisher.stats()).published;
      await send(publisher, 'e.1', 'a');
      await send(publisher, 'e.2', 'b');
      const { name } = await publisher.stats();
      const got = await subscriber.got('s');
      expect(got).toMatchObject([
        { subject: 'e.1', source: name, sequence: before + 1 },
        { subject: 'e.2', source: name, sequence: before + 2 },
      ]);
      const names = await Promise.all(parties.map(async (each) => (await each.stats()).name));
      expect(new Set(names).size).toBe(isOneBus ? 1 : parties.length);
    },
  },
  {
    text: '1.3 of a queue group one member gets each message, weighted by members',
    run: async ({ publisher, subscriber }) => {
      for (const id of ['a', 'b', 'c']) await subscriber.subscribe(id, 'w', { queue: 'q' });
      await publisher.subscribe('d', 'w', { queue: 'q' });
      for (const id of ['e', 'f']) await subscriber.subscribe(id, 'w', { queue: 'other' });
      await subscriber.subscribe('plain', 'w');
      for (let i = 0; i < 4; i++) await send(publisher, 'w', ...numbers(i * 10, i * 10 + 10));
      const members = await Promise.all([
        ...['a', 'b', 'c'].map((id) => subscriber.got(id)),
        publisher.got('d'),
      ]);
      expect(members.map((got) => got.length)).toEqual([10, 10, 10, 10]);
      const all = members.flatMap((got) => texts(got)).sort((a, b) => Number(a) - Number(b));
      expect(all).toEqual(numbers(0, 40));
      expect(texts(await subscriber.got('plain'))).toEqual(numbers(0, 40));
      for (const id of ['e', 'f']) expect(await subscriber.got(id)).toHaveLength(20);
    },
  },
  {
    text: '1.4 a subscription with max gets that many and ends; one that is closed gets no more',
    run: async ({ publisher, subscriber }) => {
      await subscriber.subscribe('max', 'm', { max: 3 });
      await subscriber.subscribe('closed', 'm');
      await subscriber.subscribe('open', 'm');
      await send(publisher, 'm', '1', '2');
      await subscriber.unsubscribe('closed');
      await send(publisher, 'm', '3', '4', '5');
      expect(texts(await subscriber.got('max'))).toEqual(['1', '2', '3']);
      expect((await subscriber.state('max')).state).toBe('closed');
      expect(texts(await subscriber.got('closed'))).toEqual(['1', '2']);
      expect(texts(await subscriber.got('open'))).toEqual(['1', '2', '3', '4', '5']);
    },
  },
  {
    text: '1.5 a request gets one reply, from whichever party serves it',
    run: async ({ parties }) => {
      for (const [at, party] of parties.entries()) {
        await party.subscribe(`svc ${at}`, `svc.${at}`, { respond: `${at}:` });
      }
      for (const party of parties) {
        for (const at of parties.keys()) {
          const reply = await party.request(`svc.${at}`, 'hello');
          expect(reply).toMatchObject({ text: `${at}:hello` });
        }
      }
    },
  },
  {
    text: '1.6 a request for many replies gets those of all, until max or the timeout',
    run: async ({ parties, publisher }) => {
      for (const [at, party] of parties.entries()) {
        await party.subscribe('who', 'who', { respond: `${at}:` });
      }
      const all = parties.map((_, at) => `${at}:x`);
      const max = parties.length;
      expect(texts(await publisher.replies('who', 'x', { max })).sort()).toEqual(all);
      const fewer = texts(await publisher.replies('who', 'x', { max: 1 }));
      expect(fewer).toHaveLength(1);
      expect(all).toContain(fewer[0]);
      await parties.at(-1)?.subscribe('silent', 'silent');
      expect(await publisher.replies('silent', 'x', { timeoutMs: 1 })).toEqual([]);
      const aborted = await publisher.replies('who', 'x', { abort: true });
      expect(aborted.at(-1)).toBe('enough');
    },
  },
  {
    text: '1.7 a request that gets no reply ends at its timeout, or by its signal',
    run: async ({ publisher, subscriber }) => {
      await subscriber.subscribe('silent', 'silent');
      const code = 'ERR_BUSBAR_TIMEOUT';
      expect(await publisher.request('silent', '', { timeoutMs: 1 })).toBe(code);
      expect(await publisher.request('silent', '', { abort: true })).toBe('enough');
      expect((await publisher.stats()).requests).toBe(0);
    },
  },
  {
    text: '1.8 a request to a subject without a subscriber fails at once, not at a timeout',
    run: async ({ parties, subscriber }) => {
      const code = 'ERR_BUSBAR_NO_RESPONDERS';
      for (const party of parties) {
        expect(await party.request('nobody', '')).toBe(code);
        expect(await party.replies('nobody', '')).toEqual([code]);
      }
      await subscriber.subscribe('s', 'some', { respond: '' });
      for (const party of parties) expect(await party.request('some', '')).toHaveProperty('text');
      await subscriber.unsubscribe('s');
      for (const party of parties) expect(await party.request('some', '')).toBe(code);
    },
  },
  {
    text: '1.9 headers and the reply subject come as they were sent',
    run: async ({ publisher, subscriber }) => {
      await subscriber.subscribe('s', 'h');
      const headers = { 'Content-Type': 'text/plain', 'X-Empty': '', Name: 'Zoë "quoted" \\' };
      const both = { headers, reply: 'back.to.me' };
      for (const as of ['text', 'packet'] as const) {
        expect(await publisher.publish('h', 'x', { ...both, as })).toBe('sent');
      }
      await publisher.publish('h', 'bare');
      await publisher.flush();
      const got = await subscriber.got('s');
      expect(got).toMatchObject([both, both, { headers: undefined, reply: undefined }]);
    },
  },
  {
    text: '1.10 texts, bytes and packets come whole: empty ones, and those of a whole buffer',
    run: async ({ publisher, subscriber }) => {
      await subscriber.subscribe('s', 'size');
      const sizes = [0, 1, 3, 4, 900, BUFFER_SIZE - 40, BUFFER_SIZE - 1, BUFFER_SIZE];
      const sent = sizes.map((size, i) => String.fromCharCode(97 + i).repeat(size));
      for (const as of ['text', 'bytes', 'packet'] as const) {
        for (const text of sent) {
          expect(await publisher.publish('size', text, { as })).toBe('sent');
        }
      }
      await publisher.flush();
      expect(texts(await subscriber.got('s'))).toEqual([...sent, ...sent, ...sent]);
    },
  },
  {
    text: '1.11 after flush everything published before is in the hands of its subscribers',
    run: async ({ publisher, parties }) => {
      for (const party of parties) await party.subscribe('s', 'f');
      for (let round = 0; round < 5; round++) {
        expect(await publisher.publishNumbers('f', round * 40, round * 40 + 40)).toBe('sent');
        await publisher.flush();
        for (const party of parties) {
          expect(texts(await party.got('s'))).toEqual(numbers(0, round * 40 + 40));
        }
      }
    },
  },
  {
    text: '1.12 a full subscriber stops publishers to it, and no others; nothing is lost',
    run: async ({ publisher, subscriber, parties }) => {
      await subscriber.subscribe('slow', 'slow', { kind: 'loop', limit: { messages: 2 } });
      await subscriber.subscribe('fast', 'fast');
      for (const text of ['0', '1']) await send(publisher, 'slow', text);
      for (const party of parties) await party.flush();
      for (const party of parties) expect(await party.tryPublish('slow', 'x')).toBe('not now');
      await send(publisher, 'fast', 'goes on');
      expect(texts(await subscriber.got('fast'))).toEqual(['goes on']);
      const waiting = publisher.publishNumbers('slow', 2, 20);
      expect(texts(await subscriber.take('slow', 20))).toEqual(numbers(0, 20));
      expect(await waiting).toBe('sent');
      expect((await subscriber.state('slow')).dropped).toBe(0);
    },
  },
  {
    text: '1.13 drop-newest loses what comes to a full subscriber, and counts it',
    run: async ({ publisher, subscriber }) => {
      const limit = { messages: 2 };
      await subscriber.subscribe('s', 'd', { kind: 'loop', overflow: 'drop-newest', limit });
      await send(publisher, 'd', ...numbers(0, 7));
      expect(await subscriber.state('s')).toMatchObject({ held: 2, dropped: 5, state: 'open' });
      expect(texts(await subscriber.take('s', 2))).toEqual(['0', '1']);
    },
  },
  {
    text: '1.14 drop-oldest loses the oldest for what comes, and counts it',
    run: async ({ publisher, subscriber }) => {
      const limit = { messages: 2 };
      await subscriber.subscribe('s', 'd', { kind: 'loop', overflow: 'drop-oldest', limit });
      await send(publisher, 'd', ...numbers(0, 7));
      expect(await subscriber.state('s')).toMatchObject({ held: 2, dropped: 5, state: 'open' });
      expect(texts(await subscriber.take('s', 2))).toEqual(['5', '6']);
    },
  },
  {
    text: '1.15 cut-off ends a full subscriber with an error, and no other',
    run: async ({ publisher, subscriber }) => {
      const own = { overflow: 'cut-off', limit: { messages: 2 } } as const;
      await subscriber.subscribe('loop', 'c', { ...own, kind: 'loop' });
      await subscriber.subscribe('gated', 'c', { ...own, kind: 'gated' });
      await subscriber.subscribe('other', 'c');
      await send(publisher, 'c', ...numbers(0, 7));
      const code = 'ERR_BUSBAR_SLOW_SUBSCRIBER';
      const failures = [code];
      expect(await subscriber.state('loop')).toMatchObject({ state: 'closed', held: 0 });
      expect(await subscriber.state('gated')).toMatchObject({ state: 'closed', failures });
      expect(texts(await subscriber.got('other'))).toEqual(numbers(0, 7));
    },
  },
  {
    text: '1.16 the bounds of a subscriber count messages, bytes and buffers',
    run: async ({ publisher, subscriber }) => {
      const own = { kind: 'loop', overflow: 'drop-newest' } as const;
      await subscriber.subscribe('messages', 'b', { ...own, limit: { messages: 5 } });
      await subscriber.subscribe('bytes', 'b', { ...own, limit: { bytes: 100 } });
      await subscriber.subscribe('buffers', 'b', { ...own, limit: { buffers: 3 } });
      for (let i = 0; i < 8; i++) {
        expect(await publisher.publish('b', 'x'.repeat(30), { as: 'packet' })).toBe('sent');
      }
      await publisher.flush();
      expect(await subscriber.state('messages')).toMatchObject({ held: 5, dropped: 3 });
      expect(await subscriber.state('bytes')).toMatchObject({ held: 4, dropped: 4 });
      expect(await subscriber.state('buffers')).toMatchObject({ held: 3, dropped: 5 });
    },
  },
  {
    text: '1.17 bad subjects are coded errors, and nothing is sent',
    run: async ({ parties, publisher, subscriber }) => {
      await subscriber.subscribe('all', '>');
      await publisher.flush();
      const before = (await publisher.stats()).published;
      const code = 'ERR_BUSBAR_BAD_SUBJECT';
      for (const subject of [...BAD_SUBJECTS, '*', 'a.*', '>', 'a.>']) {
        expect(await publisher.tryPublish(subject, 'x'), subject).toBe(code);
        expect(await publisher.publish(subject, 'x', { as: 'packet' })).toBe(code);
        expect(await publisher.publish('good', 'x', { reply: subject })).toBe(code);
        expect(await publisher.request(subject, 'x')).toBe(code);
      }
      for (const subject of [...BAD_SUBJECTS, 'a.>.b', '>.a']) {
        for (const party of parties) expect(await party.subscribe('s', subject)).toBe(code);
      }
      expect((await publisher.stats()).published).toBe(before);
      await send(publisher, 'good', 'good');
      expect(texts(await subscriber.got('all'))).toEqual(['good']);
    },
  },
  {
    text: '1.18 what is too large is a coded error, with a subscriber or without, and is not sent',
    run: async ({ publisher, subscriber }) => {
      const code = 'ERR_BUSBAR_MESSAGE_TOO_LARGE';
      const headers = { Large: 'x'.repeat(BUFFER_SIZE) };
      const tryAll = async (): Promise<void> => {
        const text = 'x'.repeat(BUFFER_SIZE + 1);
        expect(await publisher.tryPublish('large', text)).toBe(code);
        expect(await publisher.publish('large', text, { as: 'bytes' })).toBe(code);
        expect(await publisher.request('large', text)).toBe(code);
        for (const as of ['text', 'packet'] as const) {
          expect(await publisher.tryPublish('large', '', { headers, as })).toBe(code);
          expect(await publisher.publish('large', '', { headers, as })).toBe(code);
        }
        expect(await publisher.request('large', '', { headers })).toBe(code);
      };
      await tryAll();
      await subscriber.subscribe('s', 'large');
      await publisher.subscribe('s', 'large');
      await tryAll();
      await send(publisher, 'large', 'fits');
      expect(texts(await subscriber.got('s'))).toEqual(['fits']);
    },
  },
  {
    text: '1.19 each subscriber gets what one publisher sends in order, whatever others publish',
    run: async ({ parties }) => {
      for (const party of parties) await party.subscribe('s', 'o.*');
      const sending = parties.map((party, at) => party.publishNumbers(`o.${at}`, 0, 120));
      expect(await Promise.all(sending)).toEqual(parties.map(() => 'sent'));
      for (const party of parties) await party.flush();
      for (const party of parties) {
        const got = await party.got('s');
        expect(got).toHaveLength(120 * parties.length);
        for (const at of parties.keys()) {
          const own = got.filter(({ subject }) => subject === `o.${at}`);
          expect(texts(own)).toEqual(numbers(0, 120));
        }
        for (const source of new Set(got.map((each) => each.source))) {
          const own = got.filter((each) => each.source === source).map((each) => each.sequence);
          expect(own).toEqual(own.slice().sort((a, b) => a - b));
        }
      }
    },
  },
  {
    text: '1.20 a handler that throws ends nothing: it gets the next message, and others get all',
    run: async ({ publisher, subscriber }) => {
      await subscriber.subscribe('bad', 't', { throws: true });
      await subscriber.subscribe('good', 't');
      await send(publisher, 't', ...numbers(0, 5));
      expect(texts(await subscriber.got('bad'))).toEqual(numbers(0, 5));
      const { failures, state } = await subscriber.state('bad');
      expect({ count: failures.length, state }).toEqual({ count: 5, state: 'open' });
      expect(texts(await subscriber.got('good'))).toEqual(numbers(0, 5));
    },
  },
  {
    text: '1.21 a subscription that drains handles what waits, and then gets no more',
    run: async ({ publisher, subscriber }) => {
      await subscriber.subscribe('s', 'g', { kind: 'gated' });
      await send(publisher, 'g', ...numbers(0, 5));
      expect(await subscriber.got('s')).toEqual([]);
      const drained = subscriber.drainOne('s');
      await subscriber.flush();
      await send(publisher, 'g', 'late');
      await subscriber.open('s');
      await drained;
      expect(texts(await subscriber.got('s'))).toEqual(numbers(0, 5));
      expect((await subscriber.state('s')).state).toBe('closed');
    },
  },
  {
    text: '1.22 a bus that drains lets its subscribers finish, and then refuses everything',
    isFinal: true,
    run: async ({ publisher, subscriber, isOneBus }) => {
      await subscriber.subscribe('s', 'g', { kind: 'gated', respond: 'done ' });
      await send(publisher, 'g', ...numbers(0, 5));
      const asked = publisher.request('g', 'x');
      await publisher.flush();
      const drained = subscriber.drain();
      await subscriber.open('s');
      await drained;
      expect(await asked).toMatchObject({ text: 'done x' });
      expect(texts(await subscriber.got('s'))).toEqual([...numbers(0, 5), 'x']);
      const code = 'ERR_BUSBAR_BUS_CLOSED';
      expect(await subscriber.tryPublish('g', '')).toBe(code);
      expect(await subscriber.publish('g', '')).toBe(code);
      expect(await subscriber.subscribe('late', 'g')).toBe(code);
      const there = isOneBus ? code : 'ERR_BUSBAR_NO_RESPONDERS';
      expect(await publisher.request('g', '')).toBe(there);
    },
  },
  {
    text: '1.23 a bus that closes rejects what waits, and others go on without it',
    isFinal: true,
    run: async ({ publisher, subscriber, isOneBus }) => {
      await publisher.subscribe('full', 'full', { kind: 'loop', limit: { messages: 1 } });
      await publisher.subscribe('silent', 'silent');
      await subscriber.subscribe('s', 's');
      await send(subscriber, 'full', 'x');
      const waits = subscriber.publish('full', 'y');
      const asked = subscriber.request('silent', '');
      await subscriber.stats();
      await subscriber.close();
      const code = 'ERR_BUSBAR_BUS_CLOSED';
      expect([await waits, await asked]).toEqual([code, code]);
      expect(await subscriber.tryPublish('a', '')).toBe(code);
      if (isOneBus) return;
      await publisher.flush();
      while ((await publisher.request('s', '', { timeoutMs: 20 })) === 'ERR_BUSBAR_TIMEOUT') {
        await turn();
      }
      expect(await publisher.request('s', '')).toBe('ERR_BUSBAR_NO_RESPONDERS');
      expect(texts(await publisher.take('full', 1))).toEqual(['x']);
    },
  },
  {
    text: '2.1 a subscription is known everywhere when subscribed() has resolved',
    run: async ({ parties, subscriber }) => {
      for (let round = 0; round < 10; round++) {
        const id = `k ${round}`;
        await subscriber.subscribe(id, `k.${round}`);
        for (const party of parties) {
          expect(await party.tryPublish(`k.${round}`, 'x')).toBe('sent');
          await party.flush();
        }
        expect(await subscriber.got(id)).toHaveLength(parties.length);
      }
    },
  },
  {
    text: '2.2 every subscriber of a packet gets a reference to the publisher’s bytes, not a copy',
    needs: 'one pool',
    run: async ({ parties, publisher }) => {
      for (const party of parties) {
        for (const id of ['a', 'b']) await party.subscribe(id, 'ref');
      }
      await publisher.publish('ref', 'once', { as: 'packet' });
      await publisher.publish('ref', 'x'.repeat(BUFFER_SIZE - 1));
      await publisher.flush();
      const offsets = new Set<string>();
      for (const party of parties) {
        for (const id of ['a', 'b']) {
          offsets.add((await party.got(id)).map(({ offset }) => offset).join());
        }
      }
      expect(offsets.size).toBe(1);
    },
  },
  {
    text: '2.3 of a queue group on several buses one member gets each message, by their numbers',
    needs: 'several buses',
    run: async ({ parties, publisher }) => {
      for (const [at, party] of parties.entries()) {
        for (let i = 0; i <= at; i++) await party.subscribe(`w ${i}`, 'w', { queue: 'q' });
      }
      const total = (parties.length * (parties.length + 1)) / 2;
      for (let i = 0; i < 4; i++)
        await send(publisher, 'w', ...numbers(i * total, (i + 1) * total));
      const all: string[] = [];
      for (const [at, party] of parties.entries()) {
        let count = 0;
        for (let i = 0; i <= at; i++) {
          const got = texts(await party.got(`w ${i}`));
          count += got.length;
          all.push(...got);
        }
        expect(count, `party ${at} with ${at + 1} members`).toBe(4 * (at + 1));
      }
      expect(all.sort((a, b) => Number(a) - Number(b))).toEqual(numbers(0, 4 * total));
    },
  },
  {
    text: '2.4 a bus that dies is forgotten; the others go on; its successor joins',
    needs: 'deaths',
    isFinal: true,
    run: async (stage) => {
      const { parties, publisher } = stage;
      const last = parties.length - 1;
      const victim = parties[last] as Party;
      await victim.subscribe('s', 'mine', { respond: '' });
      await victim.subscribe('q', 'work', { queue: 'q', respond: 'victim ' });
      await publisher.subscribe('q', 'work', { queue: 'q', respond: 'host ' });
      expect(await publisher.request('mine', 'x')).toMatchObject({ text: 'x' });
      await stage.replace?.(last);
      const successor = stage.parties[last] as Party;
      let reply: Got | Outcome = 'ERR_BUSBAR_TIMEOUT';
      while (reply === 'ERR_BUSBAR_TIMEOUT') {
        reply = await publisher.request('mine', 'x', { timeoutMs: 20 });
      }
      expect(reply).toBe('ERR_BUSBAR_NO_RESPONDERS');
      await publisher.flush();
      for (let i = 0; i < 4; i++) {
        expect(await publisher.request('work', '')).toMatchObject({ text: 'host ' });
      }
      await successor.subscribe('new', 'new', { respond: 'new ' });
      for (const party of parties.slice(0, last)) {
        expect(await party.request('new', 'x')).toMatchObject({ text: 'new x' });
      }
      expect(await successor.request('work', 'y')).toMatchObject({ text: 'host y' });
    },
  },
];
