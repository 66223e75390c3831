// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { AssertionError } from '../base/assert.ts';
import { BusbarError } from '../base/errors.ts';
import { LinkLife, type Ready } from './link-life.ts';

const DEADLINE_MS = 700;
const OPTION_MS = 5000;

type Input = (life: LinkLife) => Ready;

const INPUTS: Readonly<Record<string, Input>> = {
  close: (life) => life.close(DEADLINE_MS),
  end: (life) => life.end(),
  peerEnded: (life) => life.peerEnded(),
  drained: (life) => life.drained(),
  failed: (life) => life.failed(new BusbarError('ERR_BUSBAR_FRAME_MALFORMED')),
  aborted: (life) => life.aborted('enough'),
  handlerThrew: (life) => life.handlerThrew('a bug'),
  destroy: (life) => life.destroy(),
  deadlineOver: (life) => life.deadlineOver(),
  osClosed: (life) => life.osClosed(),
};

/** What must not happen in any life. */
const MISUSE = 'misuse';

/** A life as a path of inputs. */
function live(allowHalfOpen: boolean, path: readonly string[]): LinkLife {
  const life = new LinkLife(OPTION_MS, allowHalfOpen);
  for (const name of path) INPUTS[name](life);
  return life;
}

/** Every state that can be reached, each by the shortest path. */
function reachable(allowHalfOpen: boolean): Map<string, string[]> {
  const found = new Map<string, string[]>([[keyOf(live(allowHalfOpen, [])), []]]);
  for (const path of found.values()) {
    for (const name of Object.keys(INPUTS)) {
      const life = live(allowHalfOpen, path);
      try {
        INPUTS[name](life);
      } catch {
        continue;
      }
      const key = keyOf(life);
      if (!found.has(key)) found.set(key, [...path, name]);
    }
  }
  return found;
}

/** State and deadline; what comes of an error does not depend on which it is. */
function keyOf(life: LinkLife): string {
  return life.describe().replace(/, ERR_\w+/, '');
}

/** What to do, in a line. */
function show(ready: Ready): string {
  const parts = Object.entries(ready)
    .filter(([, value]) => value !== false && value !== undefined)
    .map(([name, value]) => (value === true ? name : `${name} ${value}`));
  return parts.join(' ');
}

/** What one input does in one state: `→ state: what to do`, or that it must not come. */
function step(allowHalfOpen: boolean, path: readonly string[], name: string): string {
  const life = live(allowHalfOpen, path);
  const before = life.describe();
  try {
    const ready = show(INPUTS[name](life));
    life.invariants();
    const after = keyOf(life);
    if (after === keyOf(live(allowHalfOpen, path)) && ready === '') return '-';
    return `${after}: ${ready}`;
  } catch (error) {
    expect(error).toBeInstanceOf(AssertionError);
    expect(life.describe()).toBe(before);
    return MISUSE;
  }
}

function tableOf(allowHalfOpen: boolean): Record<string, Record<string, string>> {
  const table: Record<string, Record<string, string>> = {};
  for (const [key, path] of reachable(allowHalfOpen)) {
    table[key] = Object.fromEntries(
      Object.keys(INPUTS).map((name) => [name, step(allowHalfOpen, path, name)]),
    );
  }
  return table;
}

/** From wherever something is held: the same for each of the ways to leave. */
const leave = 'leaving: stopReading release';
const leaves = { failed: leave, aborted: leave, handlerThrew: leave, destroy: leave };
const stays = { failed: '-', aborted: '-', handlerThrew: '-', destroy: '-' };

const closing = `closing within ${DEADLINE_MS} ms`;
const closeAgain = `deadlineMs ${DEADLINE_MS}`;

/** What both kinds have in common: everything but `peerEnded`. */
const table = {
  open: {
    ...leaves,
    close: `finishing, ${closing}: ${closeAgain} stopReading sendRest`,
    end: 'finishing: sendRest',
    drained: MISUSE,
    deadlineOver: MISUSE,
    osClosed: MISUSE,
  },
  finishing: {
    ...leaves,
    close: `finishing, ${closing}: ${closeAgain} stopReading`,
    end: '-',
    drained: 'ended: sendEnd',
    deadlineOver: MISUSE,
    osClosed: MISUSE,
  },
  [`finishing, ${closing}`]: {
    ...leaves,
    close: `finishing, ${closing}: ${closeAgain}`,
    end: '-',
    drained: `ended, ${closing}: sendEnd`,
    deadlineOver: leave,
    osClosed: MISUSE,
  },
  ended: {
    ...leaves,
    close: `ended, ${closing}: ${closeAgain} stopReading`,
    end: '-',
    drained: MISUSE,
    deadlineOver: MISUSE,
    osClosed: MISUSE,
  },
  [`ended, ${closing}`]: {
    ...leaves,
    close: `ended, ${closing}: ${closeAgain}`,
    end: '-',
    drained: MISUSE,
    deadlineOver: leave,
    osClosed: MISUSE,
  },
  leaving: {
    ...stays,
    close: '-',
    end: '-',
    drained: MISUSE,
    deadlineOver: MISUSE,
    osClosed: 'closed: notifyClosed',
  },
  closed: {
    ...stays,
    close: '-',
    end: '-',
    drained: MISUSE,
    deadlineOver: MISUSE,
    osClosed: MISUSE,
  },
};

/** Within the option's time, because the other side has ended. */
const within = `within ${OPTION_MS} ms`;

test('every input in every state, of links that stay half open', () => {
  const expected = Object.fromEntries(
    Object.entries(table).map(([state, row]) => [state, { ...row, peerEnded: '-' }]),
  );
  expect(tableOf(true)).toEqual(expected);
});

test('every input in every state, of links that end when their peer does', () => {
  const peerEnded: Record<string, string> = {
    open: `finishing ${within}: deadlineMs ${OPTION_MS} sendRest`,
    finishing: `finishing ${within}: deadlineMs ${OPTION_MS}`,
    ended: `ended ${within}: deadlineMs ${OPTION_MS}`,
  };
  const expected: Record<string, Record<string, string>> = Object.fromEntries(
    Object.entries(table).map(([state, row]) => {
      return [state, { ...row, peerEnded: peerEnded[state] ?? '-' }];
    }),
  );
  expected[`finishing ${within}`] = {
    ...table[`finishing, ${closing}`],
    close: `finishing, ${closing}: ${closeAgain} stopReading`,
    drained: `ended ${within}: sendEnd`,
    peerEnded: `finishing ${within}: deadlineMs ${OPTION_MS}`,
  };
  expected[`ended ${within}`] = {
    ...table[`ended, ${closing}`],
    close: `ended, ${closing}: ${closeAgain} stopReading`,
    peerEnded: `ended ${within}: deadlineMs ${OPTION_MS}`,
  };
  expect(tableOf(false)).toEqual(expected);
});

test('an async handler that returns closes the link, and changes no deadline of a close', () => {
  const closed = live(false, ['close']);
  expect(show(closed.handlerReturned())).toBe('');
  expect(closed.describe()).toBe(`finishing, ${closing}`);
  for (const path of [[], ['end'], ['peerEnded']]) {
    const life = live(false, path);
    const stopReading = `deadlineMs ${OPTION_MS} stopReading`;
    expect(show(life.handlerReturned())).toMatch(stopReading);
    expect(life.describe()).toBe(`finishing, closing within ${OPTION_MS} ms`);
    life.invariants();
  }
});

test('whatever happens, a life leads to its end in at most four steps', () => {
  for (const allowHalfOpen of [false, true]) {
    for (const path of reachable(allowHalfOpen).values()) {
      const life = live(allowHalfOpen, path);
      life.destroy();
      if (life.state === 'leaving') life.osClosed();
      expect(life.state).toBe('closed');
      expect(path.length).toBeLessThanOrEqual(4);
    }
  }
});

test('the first reason stays', () => {
  const life = new LinkLife(OPTION_MS, false);
  const first = new BusbarError('ERR_BUSBAR_LINK_TRUNCATED');
  life.note(first);
  life.note(new BusbarError('ERR_BUSBAR_LINK_FAILED'));
  life.failed(new BusbarError('ERR_BUSBAR_FRAME_MALFORMED'));
  expect(life.error).toBe(first);
});

test('errors say what the link was waiting for, and what was thrown', () => {
  const messageOf = (path: readonly string[]) => live(false, path).error?.message;
  expect(messageOf(['close', 'deadlineOver'])).toMatch(/close within 700 ms; not all could/);
  expect(messageOf(['close', 'drained', 'deadlineOver'])).toMatch(/the peer did not end/);
  expect(messageOf(['peerEnded', 'deadlineOver'])).toMatch(/close within 5000 ms; not all/);
  expect(live(false, ['aborted']).error).toMatchObject({ cause: 'enough' });
  expect(live(false, ['handlerThrew']).error).toMatchObject({ cause: 'a bug' });
  expect(live(false, ['destroy']).error).toBe(undefined);
});
