// SPDX-License-Identifier: MIT
/** Bugs planted in the parker, one at a time: the scenarios of the model checker find them. */

import { type ParkerModule, parkerParts } from './parker-scenarios.ts';
import { type Bug, huntAll } from './planted.ts';

const bug = (what: string, from: string, to: string, scenarios = /./): Bug => ({
  what: `parker: ${what}`,
  entry: 'base/parker.ts',
  from,
  to,
  scenarios,
});

const BUGS: readonly Bug[] = [
  bug(
    'a ring wakes nobody',
    'if (before !== EMPTY) notify(words, index);',
    '',
    /^parkSync, 2 rings/,
  ),
  bug(
    'only who is parked is woken, not who was to be woken by the dead',
    'if (before !== EMPTY) notify',
    'if (before === PARKED) notify',
    /^death/,
  ),
  bug(
    'one waiter is woken of two',
    'notify(words, index);\n}',
    'notify(words, index, 1);\n}',
    /^par/,
  ),
  bug(
    'a ring is written without an exchange',
    'const before = exchange(words, index, NOTIFIED);',
    'const before = words[index] ?? 0;\n  Atomics.store(words, index, NOTIFIED);',
    /^parkSync, 2 rings/,
  ),
  bug(
    'a ring is read, then written',
    'const before = exchange(words, index, NOTIFIED);',
    'const before = Atomics.load(words, index);\n  Atomics.store(words, index, NOTIFIED);',
    /^parkSync, 2 rings/,
  ),
  bug(
    'who is about to listen does not see that it was rung',
    'queueMicrotask(() => this.#ring());\n      return;',
    'return;',
    /^(poll|listen)/,
  ),
  bug(
    'a ring between the mark and the wait is lost to who listens',
    '} else {\n      queueMicrotask(() => this.#ring());\n    }',
    '}',
    /^listen/,
  ),
  bug(
    'who is about to block does not see that it was rung',
    'if (before !== NOTIFIED) waitSync',
    'if (before === NOTIFIED) exchange(this.#words, this.#index, PARKED);\n    waitSync',
    /^parkSync, 2 rings/,
  ),
  bug(
    'who blocks forgets that it also listens',
    'if (rung) queueMicrotask(() => this.#ring());',
    '',
    /^parkSync while/,
  ),
  bug(
    'who has blocked does not listen again',
    'const rung = compareExchange(this.#words, this.#index, EMPTY, PARKED) === ' +
      'NOTIFIED;\n    if (rung)',
    'if (false)',
    /^parkSync while/,
  ),
  bug(
    'what was rung while it blocked is not looked at',
    'if (state === SWALLOWED) queueMicrotask(() => this.#ring());\n      else this.listen();',
    'this.listen();',
    /^parkSync when/,
  ),
  bug(
    'it does not listen again behind a ring',
    'else this.listen();',
    'else this.#hanging = false;',
    /^listen, 2 rings/,
  ),
  bug(
    'the ring is taken down behind the look, not before',
    'exchange(this.#words, this.#index, EMPTY);\n    this.#state = RINGING;\n' +
      '    try {\n      this.#onRing();',
    'this.#state = RINGING;\n    try {\n      this.#onRing();\n' +
      '      exchange(this.#words, this.#index, EMPTY);',
    /^listen, 2 rings/,
  ),
  bug(
    'it is rung although it has left',
    'if (this.#state === CLOSED) return;\n    assert(this.#state === IDLE,',
    'assert(true,',
    /^close/,
  ),
];

huntAll('parker', BUGS, async (load) =>
  parkerParts(await load<ParkerModule>('base/parker.ts')).flatMap(({ cases }) => cases),
);
