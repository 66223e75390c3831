// SPDX-License-Identifier: MIT
/** Bugs planted in the channels, one at a time: the scenarios of the model checker find them. */

import { channelCases, channelDeathCases } from './channel-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { type Bug, huntAll } from './planted.ts';

const BUGS: readonly Bug[] = [
  {
    what: 'spsc: the receiver is not rung',
    entry: 'channel/spsc-ring.ts',
    from: 'this.receivers.ring();',
    to: ';',
    scenarios: /^spsc 1: sendSync, receiveSync/,
  },
  {
    what: 'spsc: the sender is not rung',
    entry: 'channel/spsc-ring.ts',
    from: 'this.senders.ring();',
    to: ';',
    scenarios: /^spsc 1: sendSync, receiveSync/,
  },
  {
    what: 'spsc: no second look before the receiver sleeps',
    entry: 'channel/spsc-ring.ts',
    from: 'if (positionOf(tail) !== this.head || (tail & CLOSED) !== 0) return false;',
    to: '',
    scenarios: /^spsc 1: sendSync, receiveSync/,
  },
  {
    what: 'spsc: closed is not seen when publishing',
    entry: 'channel/spsc-ring.ts',
    from: 'const marked = tail | WAITED;',
    to: 'const marked = loadAcquire(this.words, TAIL);',
    scenarios: /^spsc 2: (close|receiver leaves)/,
  },
  {
    what: 'spsc: HEAD moves before the message is read',
    entry: 'channel/word-receiver.ts',
    from: 'const word = this.words[this.ring.slot()];\n    this.freeRun(1);',
    to: 'const at = this.ring.slot();\n    this.freeRun(1);\n    const word = this.words[at];',
    scenarios: /^spsc 1: sendSync, receiveSync/,
  },
  {
    what: 'the message is written after it was published',
    entry: 'channel/word-sender.ts',
    from: 'this.words[ring.slot()] = word;\n    if (!ring.publish(1)) return this.refuse(NEVER);',
    to:
      'const at = ring.slot();\n if (!ring.publish(1)) return this.refuse(NEVER);\n' +
      'this.words[at] = word;',
    scenarios: /^spsc 1: sendSync, receiveSync/,
  },
  {
    what: 'the tag is written after the packet was published',
    entry: 'channel/packet-sender.ts',
    from: 'words[at + (4 satisfies PayloadTag)] = tag;\n      isSent = ring.publish(1);',
    to: 'isSent = ring.publish(1);\n      words[at + (4 satisfies PayloadTag)] = tag;',
    scenarios: /^mpsc 1: packets/,
  },
  {
    what: 'spsc: the tag is written after the packet was published',
    entry: 'channel/packet-sender.ts',
    from: 'words[at + (4 satisfies PayloadTag)] = tag;\n      isSent = ring.publish(1);',
    to: 'isSent = ring.publish(1);\n      words[at + (4 satisfies PayloadTag)] = tag;',
    scenarios: /^spsc 1: packets/,
  },
  {
    what: 'slots: a mark is taken off, and nobody rung',
    entry: 'channel/slot-ring.ts',
    from: 'if ((turn & RECEIVERS_WAIT) !== 0) shape.receivers.ring();',
    to: '',
    scenarios: /^mpsc 1: sendSync, receiveSync/,
  },
  {
    what: 'slots: the lap is not looked at',
    entry: 'channel/slot-ring.ts',
    from: 'if (laps > 0 || (turn & PHASE_MASK) !== FREE) {',
    to: 'if ((turn & PHASE_MASK) !== FREE) {',
    scenarios: /^mp.c 1: 2 senders/,
  },
  {
    what: 'slots: CLOSED is lost when the slot changes hands',
    entry: 'channel/slot-ring.ts',
    from: 'FREE ? TURN_CLOSED : TURN_CLOSED | SENDERS_WAIT',
    to: 'FREE ? 0 : SENDERS_WAIT',
    scenarios: /^mp.c 1: close/,
  },
  {
    what: 'slots: a mark of senders is taken off, and nobody rung',
    entry: 'channel/slot-ring.ts',
    from: 'if ((turn & SENDERS_WAIT & ~kept) !== 0) shape.senders.ring();',
    to: '',
    scenarios: /^mpsc 1: sendSync, receiveSync/,
  },
  {
    what: 'mpmc: a message is claimed without a compare',
    entry: 'channel/slot-ring.ts',
    from: 'if (compareExchange(words, at, turn, reading) !== turn) return false;',
    to: 'compareExchange(words, at, loadAcquire(words, at), reading);',
    scenarios: /^mpmc .: 2 receivers/,
  },
  {
    what: 'whoever is to be rung does not say so first',
    entry: 'channel/seats.ts',
    from: 'storeSeqCst(words, at + WAITING, words[at + WAITING] + change);',
    to: '',
    scenarios: /^mpsc 1: sendSync, receiveSync/,
  },
  {
    what: 'the last to leave looks before it has left',
    entry: 'channel/channel-end.ts',
    from:
      'if (this.state === SEATED) {\n      this.seats.vacate(this.seat);\n' +
      '      this.state = VACATED;\n    }\n    return this.seats.isEmpty;',
    to:
      'const before = this.seats.counts().threads;\n this.seats.vacate(this.seat);\n' +
      'this.state = VACATED;\n return before === 1;',
    scenarios: /the last sender leaves/,
  },
  {
    what: 'death: nobody sees to what the dead had begun',
    entry: 'channel/seats.ts',
    from: 'inherit(seat);\n      storeRelease',
    to: ';\n      storeRelease',
    scenarios: /^mp.c .: death/,
  },
  {
    what: 'death: mpsc receiver says that it has freed a slot before it does',
    entry: 'channel/slot-ring.ts',
    from: 'const freed = nextLap(claimed);\n',
    to:
      'const freed = nextLap(claimed);\n' +
      'if (!this.isShared) this.words[this.hintAt] = (this.position + 1) | 0;\n',
    scenarios: /^mpsc 1: death: 1 slot/,
  },
  {
    what: 'survives: the last sender to leave closes the channel',
    entry: 'channel/sender.ts',
    from: 'if (this.releaseSeat() && !this.core.survives) this.core.close();',
    to: 'if (this.releaseSeat()) this.core.close();',
    scenarios: /survives, the sender anew/,
  },
  {
    what: 'survives: the last receiver to leave ends the channel',
    entry: 'channel/receiver.ts',
    from: 'if (this.releaseSeat() && (!this.core.survives || this.core.isClosed))',
    to: 'if (this.releaseSeat())',
    scenarios: /survives, the receiver anew/,
  },
];

huntAll('channel', BUGS, async (load) => {
  const module: ChannelModule = {
    ...(await load<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
    ...(await load<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
    ...(await load<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
  };
  return [...channelCases(module), ...channelDeathCases(module)];
});
