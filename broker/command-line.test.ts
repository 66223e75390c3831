// SPDX-License-Identifier: MIT
/** Example broker: every option can be set on the command line, and stands in its help. */

import { expect, test } from 'vitest';
import { KNOWN_KEYS, resolveBrokerOptions } from './broker-options.ts';
import { HELP, readCommandLine } from './command-line.ts';

/** `maxPayloadBytes` is `--max-payload`: units are said by the value. */
function flagOf(key: string): string {
  const words = key.replace(/(Bytes|Ms)$/, '').replace(/[A-Z]/g, (letter) => `-${letter}`);
  return `--${words.toLowerCase()}`;
}

/** Whose flags have the unit, or another name. */
const OTHER_FLAGS: Readonly<Record<string, string>> = {
  maxSubscriptionBytes: '--max-subscription-bytes',
};

const keys = KNOWN_KEYS.map((key) => ({ key, flag: OTHER_FLAGS[key] ?? flagOf(key) }));

test.each(keys)('$key is said by $flag', ({ key, flag }) => {
  expect(HELP).toContain(`${flag} `);
  const isText = ['host', 'user', 'pass', 'token'].includes(key);
  const { broker } = readCommandLine([flag, isText ? 'word' : '77']);
  expect(broker).toEqual({ [key]: isText ? 'word' : 77 });
});

test('sizes have units, and the defaults of the help are those of the broker', () => {
  const bytes = ['1', '2k', '3M', '1g'].map((text) => readCommandLine(['--pool', text]));
  expect(bytes.map(({ broker }) => broker.poolBytes)).toEqual([1, 2048, 3 << 20, 1 << 30]);
  expect(() => readCommandLine(['--pool', '1t'])).toThrow('--pool must be a number, got "1t"');
  const options = resolveBrokerOptions({});
  let compared = 0;
  for (const { key, flag } of keys) {
    const value = (options as unknown as Record<string, unknown>)[key];
    const said = new RegExp(`${flag} [A-Z]+ [^(]*\\((\\d+[kmg]?)`).exec(HELP);
    if (said === null || typeof value !== 'number') continue;
    const { broker } = readCommandLine([flag, said[1]]);
    expect(broker, flag).toEqual({ [key]: value });
    compared++;
  }
  expect(compared).toBeGreaterThan(12);
});
