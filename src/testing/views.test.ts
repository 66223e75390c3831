// SPDX-License-Identifier: MIT
/** Views on the model's memory do what the engine's do: the same calls on the same data. */

import { describe, expect, test } from 'vitest';
import { expectPassed, explore } from './index.ts';

const KINDS = [
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float16Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
].filter((name) => name in globalThis);

type Element = number | bigint;
/** Any typed array or Buffer: what does not exist is undefined. */
type Any = Record<string | number, never> & { [Symbol.iterator](): Iterator<Element> };
type Method = (...args: unknown[]) => unknown;
type Case = (view: Any, of: (value: number) => never, Block: Any) => unknown;

const call = (view: Any, name: string, ...args: unknown[]): unknown =>
  (view[name] as Method | undefined)?.apply(view, args) ?? 'none';
const sum = (a: Element, b: Element): unknown => `${a},${b}`;
const isOne = (value: Element): boolean => Number(value) === 1;
const isBig = (value: Element): boolean => Number(value) > 2;

/** By name; each runs on the elements 3, 1, 2, 1. */
const CASES: Record<string, Case> = {
  element: (view) => [view[0], view[3], view[4], view[1.5], view['-1'], view['-0']],
  assigned: (view, of) => {
    view[0] = of(7);
    view[9] = of(8);
    view[1.5] = of(8);
    view['-1'] = of(8);
  },
  'assigned, too large': (view, of) => {
    view[0] = of(2 ** 40 + 300);
    view[1] = of(-5);
    view[2] = of(129);
  },
  'assigned, another type': (view, of) => {
    view[0] = typeof of(1) === 'bigint' ? (1 as never) : (1n as never);
  },
  'assigned, a fraction': (view) => {
    view[0] = 1.5 as never;
  },
  'assigned, text': (view) => {
    view[0] = '12' as never;
  },
  keys: (view) => [Object.keys(view), 1 in view, 4 in view, 'length' in view, (-1) in view],
  entriesOf: (view) => [Object.entries(view), { ...view }],
  descriptor: (view) => [
    Object.getOwnPropertyDescriptor(view, '1'),
    Object.getOwnPropertyDescriptor(view, '4'),
  ],
  defined: (view, of) => Object.defineProperty(view, '1', { value: of(9) }) === (view as never),
  lengths: (view) => [view.length, view.byteLength, view.byteOffset, view.BYTES_PER_ELEMENT],
  tag: (view) => Object.prototype.toString.call(view),
  instance: (view, _, View) => [view instanceof (View as never), ArrayBuffer.isView(view)],
  spread: (view) => [...view],
  array: (view) => Array.from(view),
  json: (view, of) => (typeof of(1) === 'bigint' ? 'none' : JSON.stringify(view)),
  copied: (view, _, View) => new (View as never as new (from: Any) => object)(view),
  at: (view) => [0, -1, 4, -5, '1', undefined].map((i) => call(view, 'at', i)),
  copyWithin: (view) => call(view, 'copyWithin', 0, 2),
  'copyWithin, onwards': (view) => call(view, 'copyWithin', 1, 0, 3),
  'copyWithin, from the end': (view) => call(view, 'copyWithin', -2, -4, -1),
  entries: (view) => [...(call(view, 'entries') as Iterable<unknown>)],
  keysOf: (view) => [...(call(view, 'keys') as Iterable<unknown>)],
  values: (view) => [...(call(view, 'values') as Iterable<unknown>)],
  every: (view) => [call(view, 'every', isOne), call(view, 'every', () => true)],
  some: (view) => [call(view, 'some', isOne), call(view, 'some', () => false)],
  fill: (view, of) => call(view, 'fill', of(9)) === view,
  'fill, part': (view, of) => call(view, 'fill', of(9), 1, -1) === view,
  'fill, nothing': (view, of) => call(view, 'fill', of(9), 3, 1) === view,
  'fill, another type': (view, of) => call(view, 'fill', typeof of(1) === 'bigint' ? 1 : 1n, 3, 1),
  filter: (view) => call(view, 'filter', isOne),
  map: (view) => call(view, 'map', (value: Element) => value),
  'map, arguments': (view) => {
    const seen: unknown[] = [];
    call(view, 'map', (value: Element, i: number, all: Any) => {
      seen.push(value, i, all === view);
      return value;
    });
    return seen;
  },
  forEach: (view) => {
    const seen: unknown[] = [];
    call(view, 'forEach', (value: Element, i: number, all: Any) => {
      seen.push(value, i, all === view);
    });
    return seen;
  },
  find: (view) => [call(view, 'find', isBig), call(view, 'find', () => false)],
  findIndex: (view) => [call(view, 'findIndex', isOne), call(view, 'findIndex', () => false)],
  findLast: (view) => [call(view, 'findLast', isBig), call(view, 'findLast', isOne)],
  findLastIndex: (view) => [call(view, 'findLastIndex', isOne)],
  includes: (view, of) => [call(view, 'includes', of(2)), call(view, 'includes', of(2), 3)],
  indexOf: (view, of) => [call(view, 'indexOf', of(1)), call(view, 'indexOf', of(1), -2)],
  lastIndexOf: (view, of) => [call(view, 'lastIndexOf', of(1)), call(view, 'lastIndexOf', of(9))],
  join: (view) => [call(view, 'join'), call(view, 'join', '-')],
  reduce: (view) => [call(view, 'reduce', sum), call(view, 'reduce', sum, 'x')],
  reduceRight: (view) => [call(view, 'reduceRight', sum), call(view, 'reduceRight', sum, 'x')],
  reverse: (view) => call(view, 'reverse') === view,
  set: (view, of) => call(view, 'set', [of(8), of(9)], 1),
  'set, too many': (view, of) => call(view, 'set', [of(8), of(9)], 3),
  'set, before': (view, of) => call(view, 'set', [of(8)], -1),
  'set, itself': (view) => call(view, 'set', call(view, 'subarray', 0, 3), 1),
  slice: (view) => [call(view, 'slice'), call(view, 'slice', 1, -1), call(view, 'slice', 3, 1)],
  sort: (view) => call(view, 'sort') === view,
  'sort, downwards': (view) => call(view, 'sort', (a: Element, b: Element) => (a < b ? 1 : -1)),
  'sort, by nothing': (view) => call(view, 'sort', 'down'),
  subarray: (view) => [call(view, 'subarray', 1), call(view, 'subarray', -2, -1)],
  'subarray, written': (view, of) => {
    (call(view, 'subarray', 1) as Any)[0] = of(9);
  },
  toLocaleString: (view: Any) => call(view, 'toLocaleString'),
  toString: (view: Any) => [String(view), call(view, 'toString')],
  toReversed: (view) => call(view, 'toReversed'),
  toSorted: (view) => call(view, 'toSorted'),
  with: (view, of) => call(view, 'with', 1, of(9)),
  'with, outside': (view, of) => call(view, 'with', 9, of(9)),
  'Atomics.load': (view) => atomics('load', view, 0),
  'Atomics.load, outside': (view) => atomics('load', view, 4),
  'Atomics.load, before': (view) => atomics('load', view, -1),
  'Atomics.store': (view, of) => atomics('store', view, 0, of(-7)),
  'Atomics.store, a large one': (view, of) => atomics('store', view, 0, of(2 ** 40 + 300)),
  'Atomics.store, another type': (view, of) =>
    atomics('store', view, 0, typeof of(1) === 'bigint' ? 1 : 1n),
  'Atomics.add': (view, of) => atomics('add', view, 1, of(2 ** 31)),
  'Atomics.add, over the end': (view, of) => [
    atomics('add', view, 0, of(-4)),
    atomics('load', view, 0),
  ],
  'Atomics.sub': (view, of) => atomics('sub', view, 1, of(5)),
  'Atomics.and': (view, of) => atomics('and', view, 0, of(6)),
  'Atomics.or': (view, of) => atomics('or', view, 0, of(-8)),
  'Atomics.xor': (view, of) => atomics('xor', view, 0, of(-1)),
  'Atomics.exchange': (view, of) => atomics('exchange', view, 0, of(-1)),
  'Atomics.compareExchange': (view, of) => atomics('compareExchange', view, 0, of(3), of(-9)),
  'Atomics.compareExchange, other': (view, of) => atomics('compareExchange', view, 0, of(4), of(9)),
  'Atomics.wait': (view, of) => atomics('wait', view, 0, of(4)),
  'Atomics.wait, timed out': (view, of) => atomics('wait', view, 0, of(3), 0),
  'Atomics.notify': (view) => atomics('notify', view, 0),
};

function atomics(name: keyof typeof Atomics, ...args: unknown[]): unknown {
  return (Atomics[name] as unknown as Method)(...args);
}

/** What a case returns or throws, and what it leaves, as text. */
function outcome(run: Case, make: () => [view: Any, of: (value: number) => never, View: Any]) {
  const [view, of, View] = make();
  let result: unknown;
  try {
    result = run(view, of, View);
    if (result === view) result = 'itself';
  } catch (error) {
    // The engine may find a wrong type first in another place, with other words.
    result = `throws ${(error as Error).name}`;
  }
  return told({ result, left: Array.from(view) });
}

function told(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'bigint') return `${part}n`;
    if (Object.is(part, -0)) return '-0';
    if (ArrayBuffer.isView(part)) {
      return [part.constructor.name, ...Array.from(part as unknown as Iterable<unknown>)];
    }
    return part === undefined ? 'undefined' : part;
  });
}

function makeView(name: string): [view: Any, of: (value: number) => never, View: Any] {
  const View = (globalThis as unknown as Record<string, Any>)[name] as Any;
  const of = (value: number): never =>
    (name.startsWith('Big') ? BigInt(Math.trunc(value)) : value) as never;
  const Made = View as never as new (block: SharedArrayBuffer, at: number, length: number) => Any;
  const view = new Made(new SharedArrayBuffer(48), 8, 4);
  [3, 1, 2, 1].forEach((value, i) => {
    view[i] = of(value);
  });
  return [view, of, View];
}

/** What the case does with the engine's view, and with the model's in a thread. */
async function both(run: Case, make: () => [view: Any, of: (value: number) => never, View: Any]) {
  const engine = outcome(run, make);
  let model = '';
  const report = await explore(
    {
      name: 'conformance',
      setup: () => ({ seen: new Int32Array(new SharedArrayBuffer(4)), made: make() }),
      threads: {
        a: ({ seen, made }) => {
          Atomics.load(seen, 0);
          model = outcome(run, () => made);
        },
      },
    },
    { warmUp: 0 },
  );
  expectPassed(report);
  return { engine, model };
}

describe.each(KINDS)('%s', (name) => {
  test.each(Object.keys(CASES))('%s', async (what) => {
    const { engine, model } = await both(CASES[what] as Case, () => makeView(name));
    expect(model).toBe(engine);
  });

  test('no method of the engine is missing', () => {
    const View = (globalThis as unknown as Record<string, { prototype: object }>)[name];
    const base = Object.getPrototypeOf(View?.prototype) as object;
    const named = new Set(Object.keys(CASES).map((what) => what.split(',')[0]));
    const others = new Map([
      ['entries', 'entries'],
      ['keys', 'keysOf'],
    ]);
    const untested = Object.getOwnPropertyNames(base).filter((key) => {
      const { value } = Object.getOwnPropertyDescriptor(base, key) as PropertyDescriptor;
      const isMethod = typeof value === 'function' && key !== 'constructor';
      return isMethod && !named.has(others.get(key) ?? key);
    });
    expect(untested).toEqual([]);
  });
});

describe('DataView', () => {
  const accessors = Object.getOwnPropertyNames(DataView.prototype).filter((key) =>
    /^[gs]et(?!Float16)/.test(key),
  );
  test.each(accessors)('%s', async (name) => {
    const isBigInt = name.includes('Big');
    const args = name.startsWith('set') ? [isBigInt ? -3n : -3.7] : [];
    const run: Case = (view) =>
      [0, 3, 8, 9, 15, 16, -1].flatMap((offset) =>
        [true, false].map((little) => {
          try {
            const result = call(view, name, offset, ...args, little);
            return [result, view.getInt32 === undefined ? '' : call(view, 'getInt32', 4)];
          } catch (error) {
            return (error as Error).message;
          }
        }),
      );
    const make = (): [Any, (value: number) => never, Any] => {
      const block = new SharedArrayBuffer(24);
      new Uint8Array(block).set(Array.from({ length: 24 }, (_, i) => 37 * i + 5));
      const view = new DataView(block, 4, 16) as unknown as Any;
      return [withBytes(view), (value) => value as never, DataView as unknown as Any];
    };
    const { engine, model } = await both(run, make);
    expect(model).toBe(engine);
  });
});

/** `Array.from` of a DataView: nothing. */
function withBytes(view: Any): Any {
  Object.defineProperty(view, 'length', { value: 0 });
  return view;
}

const BUFFER_CASES: Record<string, Case> = {
  toString: (view: Any) => [
    call(view, 'toString'),
    call(view, 'toString', 'hex', 1),
    call(view, 'toString', 'latin1', 2, 5),
  ],
  equals: (view) => [call(view, 'equals', Buffer.alloc(16)), call(view, 'equals', view)],
  compare: (view) => [call(view, 'compare', Buffer.alloc(3, 50)), call(view, 'compare', view)],
  indexOf: (view) => [call(view, 'indexOf', 'd'), call(view, 'indexOf', Buffer.from('de'))],
  lastIndexOf: (view) => call(view, 'lastIndexOf', 100),
  includes: (view) => [call(view, 'includes', 'de'), call(view, 'includes', 'x')],
  toJSON: (view) => call(view, 'toJSON'),
  json: (view) => JSON.stringify(view),
  swap16: (view) => call(view, 'swap16') === view,
  swap32: (view) => call(view, 'swap32') === view,
  swap64: (view) => call(view, 'swap64') === view,
  fill: (view) => call(view, 'fill', 'ab', 1, 6) === view,
  'fill, hex': (view) => call(view, 'fill', 'c0de', 'hex') === view,
  'fill, outside': (view) => call(view, 'fill', 1, 3, 99),
  write: (view) => [call(view, 'write', 'xyz'), call(view, 'write', 'häh', 4)],
  'write, hex': (view) => [call(view, 'write', 'c0de', 3, 'hex'), call(view, 'write', 'ab', 'hex')],
  'write, cut': (view) => [call(view, 'write', 'xyz', 2, 1), call(view, 'write', 'xyz', 15)],
  'write, outside': (view) => call(view, 'write', 'xyz', 17),
  copy: (view) => {
    const target = Buffer.alloc(6);
    return [call(view, 'copy', target, 1, 2, 12), target.toString('hex')];
  },
  'copy, to itself': (view) => call(view, 'copy', view, 4, 0, 8),
  subarray: (view) => String(call(view, 'subarray', 2, 5)),
  slice: (view) => String(call(view, 'slice', -3)),
  'slice, written': (view) => call(call(view, 'slice', 2) as Any, 'writeInt32BE', -9, 1),
  'Buffer.from': (view) => Buffer.from(view as never).toString('hex'),
};
for (const name of Object.getOwnPropertyNames(Buffer.prototype)) {
  if (!/^(read|write)(Big|U?[Ii]nt|Float|Double)/.test(name)) continue;
  const isWrite = name.startsWith('write');
  const sizes = /nt[LB]E$/.test(name) ? [1, 3, 5, 6] : [undefined];
  const value = /Big/.test(name) ? 77n : 77;
  BUFFER_CASES[name] = (view) =>
    [0, 2, 15, 16, -1, undefined].flatMap((offset) =>
      sizes.map((size) => {
        try {
          return call(view, name, ...(isWrite ? [value] : []), offset, size);
        } catch (error) {
          return (error as Error).message;
        }
      }),
    );
}

describe('Buffer', () => {
  test.each(Object.keys(BUFFER_CASES))('%s', async (what) => {
    const make = (): [Any, (value: number) => never, Any] => {
      const view = Buffer.from(new SharedArrayBuffer(24) as never, 4, 16) as unknown as Any;
      for (let i = 0; i < 16; i++) view[i] = (98 + i) as never;
      return [view, (value) => value as never, Buffer as unknown as Any];
    };
    const { engine, model } = await both(BUFFER_CASES[what] as Case, make);
    expect(model).toBe(engine);
  });
});
