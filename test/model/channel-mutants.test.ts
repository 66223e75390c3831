// SPDX-License-Identifier: MIT
/** Bugs planted in the channels, one at a time: the scenarios of the model checker find them. */

import { explore } from 'busbar/testing';
import { afterAll, expect, test } from 'vitest';
import { channelCases, channelDeathCases } from './channel-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { loadCopy, removeCopy, sources } from './copies.ts';
import { makeMortal } from './mortal.ts';

/** What the bug is, in which module, what is replaced by what, and which scenarios to run. */
type Planted = readonly [what: string, entry: string, from: string, to: string, scenarios: RegExp];

const PLANTED: readonly Planted[] = [
  [
    'spsc: the receiver is not rung',
    'channel/spsc-ring.ts',
    'this.receivers.ring();',
    ';',
    /^spsc 1: sendSync, receiveSync/,
  ],
  [
    'spsc: the sender is not rung',
    'channel/spsc-ring.ts',
    'this.senders.ring();',
    ';',
    /^spsc 1: sendSync, receiveSync/,
  ],
  [
    'spsc: no second look before the receiver sleeps',
    'channel/spsc-ring.ts',
    'if (positionOf(tail) !== this.head || (tail & CLOSED) !== 0) return false;',
    '',
    /^spsc 1: sendSync, receiveSync/,
  ],
  [
    'spsc: closed is not seen when publishing',
    'channel/spsc-ring.ts',
    'const before = this.tail | WAITED;',
    'const before = loadAcquire(this.words, TAIL);',
    /^spsc 2: (close|receiver leaves)/,
  ],
  [
    'spsc: HEAD moves before the message is read',
    'channel/word-receiver.ts',
    'const word = this.words[at];\n    this.freeTaken();',
    'this.freeTaken();\n    const word = this.words[at];',
    /^spsc 1: sendSync, receiveSync/,
  ],
  [
    'the message is written after it was published',
    'channel/word-sender.ts',
    'this.words[ring.slot()] = word;\n    if (!ring.publish(1)) return this.refuse(NEVER);',
    'const at = ring.slot();\n if (!ring.publish(1)) return this.refuse(NEVER);\n' +
      'this.words[at] = word;',
    /^spsc 1: sendSync, receiveSync/,
  ],
  [
    'slots: a mark is taken off, and nobody rung',
    'channel/slot-ring.ts',
    'if ((turn & RECEIVERS_WAIT) !== 0) shape.receivers.ring();',
    '',
    /^mpsc 1: sendSync, receiveSync/,
  ],
  [
    'slots: the lap is not looked at',
    'channel/slot-ring.ts',
    'if (laps > 0 || (turn & PHASE_MASK) !== FREE) {',
    'if ((turn & PHASE_MASK) !== FREE) {',
    /^mp.c 1: 2 senders/,
  ],
  [
    'slots: CLOSED is lost when the slot changes hands',
    'channel/slot-ring.ts',
    'FREE ? TURN_CLOSED : TURN_CLOSED | SENDERS_WAIT',
    'FREE ? 0 : SENDERS_WAIT',
    /^mp.c 1: close/,
  ],
  [
    'slots: a mark of senders is taken off, and nobody rung',
    'channel/slot-ring.ts',
    'if ((turn & SENDERS_WAIT & ~kept) !== 0) shape.senders.ring();',
    '',
    /^mpsc 1: sendSync, receiveSync/,
  ],
  [
    'mpmc: a message is claimed without a compare',
    'channel/slot-ring.ts',
    'if (compareExchange(words, at, turn, reading) !== turn) return false;',
    'compareExchange(words, at, loadAcquire(words, at), reading);',
    /^mpmc .: 2 receivers/,
  ],
  [
    'whoever is to be rung does not say so first',
    'channel/seats.ts',
    'storeSeqCst(words, at + WAITING, words[at + WAITING] + change);',
    '',
    /^mpsc 1: sendSync, receiveSync/,
  ],
  [
    'the last to leave looks before it has left',
    'channel/seats.ts',
    'storeSeqCst(words, at + HOLDER, NOBODY);\n    return this.isEmpty;',
    'let others = 0;\n for (let i = 0; i < this.count; i++) {\n' +
      'if (i !== seat && loadSeqCst(words, this.#at(i) + HOLDER) > 0) others++;\n }\n' +
      'storeSeqCst(words, at + HOLDER, NOBODY);\n return others === 0;',
    /the last sender leaves/,
  ],
  [
    'death: nobody sees to what the dead had begun',
    'channel/seats.ts',
    'inherit(seat);\n      storeRelease',
    ';\n      storeRelease',
    /^mp.c .: death/,
  ],
  [
    'death: mpsc receiver says that it has freed a slot before it does',
    'channel/slot-ring.ts',
    'const next = nextLap(claimed);\n',
    'const next = nextLap(claimed);\n' +
      'if (!this.isShared) this.words[this.hintAt] = (this.position + 1) | 0;\n',
    /^mpsc 1: death: 1 slot/,
  ],
];

const table: string[] = [];

async function hunt([, entry, from, to, scenarios]: Planted, variant: string) {
  expect(sources().get(entry)).toContain(from);
  const load = <Exports>(module: string): Promise<Exports> =>
    loadCopy(variant, module, (name, text, target) =>
      makeMortal(name === entry ? text.replace(from, to) : text, target),
    );
  const module: ChannelModule = {
    ...(await load<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
    ...(await load<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
    ...(await load<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
  };
  for (const { scenario, quick } of [...channelCases(module), ...channelDeathCases(module)]) {
    if (!scenarios.test(scenario.name)) continue;
    for (const preemptions of [0, 1]) {
      const report = await explore(scenario, { ...quick, preemptions, states: 20_000 });
      if (report.failure !== undefined) return `${scenario.name}: ${report.failure.kind}`;
    }
  }
  return undefined;
}

afterAll(() => {
  console.log(table.join('\n'));
});

test.each(PLANTED)('%s', { timeout: 600_000 }, async (...planted) => {
  const number = PLANTED.findIndex(([what]) => what === planted[0]);
  const variant = `channel-mutant-${process.pid}-${number}`;
  const by = await hunt(planted, variant);
  removeCopy(variant);
  table.push(`${planted[0].padEnd(66)}${by ?? 'NOT FOUND'}`);
  expect(by).toBeDefined();
});
