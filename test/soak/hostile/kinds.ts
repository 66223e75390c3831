// SPDX-License-Identifier: MIT
/**
 * Hostile soak: the attacks of hostile clients. Each kind is one visit: it sends its bytes for as
 * long as the broker reads them or the visit lasts, and leaves in one of several ways.
 */

import type { Random } from '../../../src/base/random.ts';
import type { Visitor } from './visitor.ts';

/** Everybody floods, and sleeps on, these. */
const CROWDED_SUBJECTS = 4;
const QUIET = 'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n';
const LINE_BYTES_MAX = 4000;
const PAYLOAD_BYTES_MAX = 65_536;
const MEGABYTE = 1 << 20;

export type Kind = (visitor: Visitor, random: Random) => Promise<void>;

export const KINDS: Readonly<Record<string, Kind>> = {
  /** Subscribes and unsubscribes by the thousand, with wildcards that void what is remembered. */
  async changes(visitor, random) {
    visitor.say(QUIET);
    while (visitor.isWelcome) {
      let lines = '';
      for (let i = 0; i < 1000; i++) {
        const id = random.below(2000);
        if (random.chance(0.5)) lines += `SUB ${subjectOf(random)} ${id}\r\n`;
        else lines += `UNSUB ${id}\r\n`;
      }
      await visitor.sayAll(lines);
    }
  },

  /** Long subjects of hundreds of tokens, subscribed to and published to. */
  async depths(visitor, random) {
    visitor.say(QUIET);
    while (visitor.isWelcome) {
      let lines = '';
      for (let i = 0; i < 50; i++) {
        const tokens = random.chance(0.5) ? 128 : random.between(129, LINE_BYTES_MAX / 2);
        const subject = Array.from({ length: tokens }, () => 'ab*'[random.below(3)]).join('.');
        lines += `SUB ${subject} ${random.below(500)}\r\n`;
        const literal = subject.replaceAll('*', 'c');
        lines += `PUB ${literal} 1\r\nx\r\n`;
      }
      await visitor.sayAll(lines);
    }
  },

  /** Publishes large messages to many, as fast as they go. */
  async flood(visitor, random) {
    visitor.say(QUIET);
    const length = random.chance(0.5) ? PAYLOAD_BYTES_MAX : random.between(1, PAYLOAD_BYTES_MAX);
    const message = `PUB ${crowdedSubject(random)} ${length}\r\n${'x'.repeat(length)}\r\n`;
    const block = message.repeat(Math.max(1, Math.floor(MEGABYTE / 4 / message.length)));
    while (visitor.isWelcome) await visitor.sayAll(block);
  },

  /** Subscribes to what is flooded, and does not read. */
  async sleep(visitor, random) {
    visitor.pause();
    visitor.say(`${QUIET}SUB ${crowdedSubject(random)} 1\r\n`);
    await visitor.untilOver();
    if (random.chance(0.5)) visitor.resume();
  },

  /** The same, but reads a little now and then, which looks like progress. */
  async nibble(visitor, random) {
    visitor.pause();
    visitor.say(`${QUIET}SUB ${crowdedSubject(random)} 1\r\nSUB hostile.> 2\r\n`);
    while (visitor.isWelcome) {
      await visitor.rest(random.between(50, 500));
      visitor.readSome();
    }
  },

  /** Publishes to itself, and sends requests, without reading any reply. */
  async selfish(visitor, random) {
    visitor.pause();
    visitor.say(`${QUIET}SUB hostile.self.${visitor.number} 1\r\n`);
    const payload = 'y'.repeat(random.between(1, 10_000));
    const line = `PUB hostile.self.${visitor.number} ${payload.length}\r\n${payload}\r\nPING\r\n`;
    while (visitor.isWelcome) await visitor.sayAll(line.repeat(100));
  },

  /** Begins frames and does not end them. */
  async halves(visitor, random) {
    visitor.say(QUIET);
    const said = random.below(PAYLOAD_BYTES_MAX);
    const begun = `PUB hostile.half ${PAYLOAD_BYTES_MAX}\r\n${'z'.repeat(said)}`;
    visitor.say(random.chance(0.3) ? begun.slice(0, random.between(1, 20)) : begun);
    await visitor.untilOver();
  },

  /** Thousands of queue groups on one subject, and messages for all of them. */
  async groups(visitor, random) {
    visitor.say(QUIET);
    let lines = '';
    for (let i = 0; i < 5000; i++) lines += `SUB hostile.groups group${i} ${i}\r\n`;
    await visitor.sayAll(lines);
    while (visitor.isWelcome) {
      await visitor.sayAll('PUB hostile.groups 1\r\nx\r\n'.repeat(random.between(1, 20)));
    }
  },

  /** Counts that are too large for something. */
  async counts(visitor, random) {
    visitor.say(QUIET);
    const counts = ['999999999', '99999999999999999999', '-1', '000000000000001', '4294967296'];
    while (visitor.isWelcome) {
      const count = counts[random.below(counts.length)];
      const id = random.below(100);
      const lines = [`SUB hostile.count.${id} ${id}`, `UNSUB ${id} ${count}`];
      if (random.chance(0.01)) lines.push(`PUB hostile.count.${id} ${count}`);
      if (random.chance(0.01)) lines.push(`HPUB hostile.count.${id} ${count} ${count}`);
      await visitor.sayAll(`${lines.join('\r\n')}\r\n`.repeat(20));
    }
  },

  /** Connects, and is gone again, over and over. */
  async resets(visitor, random) {
    while (visitor.isWelcome) {
      if (random.chance(0.5)) visitor.say(`${QUIET}SUB hostile.> 1\r\nPUB hostile.half 5\r\nab`);
      await visitor.again(random.chance(0.8));
    }
  },

  /** No protocol at all, or one that is damaged. */
  async garbage(visitor, random) {
    while (visitor.isWelcome) {
      const sane = `${QUIET}SUB a.> 1\r\nPUB a.b 5\r\nhello\r\nPING\r\nUNSUB 1 3\r\n`.repeat(20);
      const bytes = Buffer.from(random.chance(0.3) ? randomText(random) : sane, 'latin1');
      for (let i = random.between(1, 10); i > 0; i--) {
        bytes[random.below(bytes.length)] = random.below(256);
      }
      await visitor.sayAll(bytes.toString('latin1'));
      if (random.chance(0.5)) await visitor.again(random.chance(0.5));
    }
  },

  /** Sends thousands of requests at once. */
  async pings(visitor) {
    visitor.say('CONNECT {"verbose":true}\r\n');
    while (visitor.isWelcome) await visitor.sayAll('PING\r\nSUB a 1\r\nUNSUB 1\r\n'.repeat(1000));
  },
};

function crowdedSubject(random: Random): string {
  return `hostile.crowd.${random.below(CROWDED_SUBJECTS)}`;
}

function subjectOf(random: Random): string {
  const tokens = Array.from({ length: random.between(1, 6) }, () => {
    if (random.chance(0.2)) return '*';
    return `t${random.below(50)}`;
  });
  if (random.chance(0.1)) tokens.push('>');
  return `hostile.${tokens.join('.')}`;
}

function randomText(random: Random): string {
  return Array.from({ length: random.between(1, 5000) }, () =>
    String.fromCharCode(random.below(256)),
  ).join('');
}
