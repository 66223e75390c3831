// SPDX-License-Identifier: MIT
/** Bugs planted in writers, one at a time: the scenarios of the model checker find them. */

import { type Bug, bugsIn, huntAll } from './planted.ts';
import { type RoundModule, roundParts } from './segment-scenario.ts';
import { owedParts } from './writer-owed.ts';
import { runParts } from './writer-runs.ts';
import type { WriterModule } from './writer-scenarios.ts';
import { smallWriterParts } from './writer-small.ts';

const bug = bugsIn('writer', 'writer');

const BUGS: readonly Bug[] = [
  bug(
    'a free segment does not say for which lap',
    'shared-writer-layout',
    'return FILL_FREE | ((epoch & this.#epochMask) >>> this.#segmentBits);',
    'return FILL_FREE;',
    /^small/,
  ),
  bug(
    'epochs are compared by size',
    'segment-ring',
    'while (words[FREED] !== words[DELIVERED])',
    'while (words[FREED] < words[DELIVERED])',
    /^small/,
  ),
  bug(
    'nobody is told of the rest that somebody left',
    'shared-members',
    'if (loadSeqCst(this.#words, OWED) !== 0) this.#ringAll();',
    '',
    /^rest: one/,
  ),
  bug(
    'who takes the rest over does not flush it',
    'shared-members',
    '    this.#policy.flushLater();\n',
    '',
    /^rest: one/,
  ),
  bug(
    'a dead member that took the rest over is not finished',
    'shared-members',
    'return this.#flusher.closed || this.#delivery.run();',
    'return true;',
    /^rest: death: one/,
  ),
  bug(
    'a run goes on although another thread has reserved after it',
    'shared-run',
    'words[this.fillAt] !== this.fill ||',
    '',
    /^runs: order/,
  ),
  bug(
    'a run is extended although another thread has reserved after it',
    'shared-run',
    'compareExchange(words, this.fillAt, fill, fill + more) !== fill',
    'Atomics.store(words, this.fillAt, fill + more), false',
    /^runs: two/,
  ),
  bug(
    'a message is appended to a run without a look whether that was cut',
    'shared-run',
    'compareExchange(words, entry, state, state + next - at) !== state',
    'Atomics.store(words, entry, state + next - at), false',
    /^runs: two/,
  ),
  bug(
    'the flush passes a run without cutting it',
    'shared-delivery',
    'entry === last ? state : this.#cut(at, state)',
    'state',
    /^runs: two/,
  ),
  bug(
    'a run that is delivered in part is delivered from its begin again',
    'shared-delivery',
    'offset > entryBegin ? offset : entryBegin',
    'entryBegin',
    /^runs: two/,
  ),
  bug(
    'a thread that is no member delivers for a dead one while the last member ends the writer',
    'shared-members',
    '!this.#countIn(records, isGone) || this.#deliverFor(isGone)',
    'this.#deliverFor(isGone)',
    /^runs: deaths, room/,
  ),
  bug(
    'a member that leaves keeps the buffer of its run',
    'shared-writer',
    '    this.run.close();\n',
    '',
    /^runs: two/,
  ),
];

huntAll('writer', BUGS, async (load) => {
  const module: WriterModule = {
    ...(await load<Pick<WriterModule, 'BufferPool'>>('pool/index.ts')),
    ...(await load<Omit<WriterModule, 'BufferPool'>>('writer/index.ts')),
  };
  return [...owedParts(module), ...smallWriterParts(module), ...runParts(module)].flatMap(
    ({ cases }) => cases,
  );
});

huntAll(
  'segments',
  [
    bug(
      'epochs of two bits',
      'shared-writer-layout',
      'this.#epochMask = shape.epochBits === 32 ? -1 : (1 << shape.epochBits) - 1;',
      'this.#epochMask = 3;',
      /^segments: round/,
    ),
  ],
  async (load) =>
    roundParts({
      ...(await load<Pick<RoundModule, 'SegmentRing'>>('writer/segment-ring.ts')),
      ...(await load<Pick<RoundModule, 'SharedWriterLayout'>>('writer/shared-writer-layout.ts')),
    }).flatMap(({ cases }) => cases),
);
