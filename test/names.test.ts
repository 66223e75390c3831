// SPDX-License-Identifier: MIT
/**
 * Two rules for names. `tryX` returns now, `X` waits (a promise), `XSync` blocks: held over the
 * declarations of the package, as `docs/api-report` has them. What ends has one of few names for
 * it: held over every method of the library.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { listFiles, ROOT } from '../scripts/files.mjs';
import { methodNamesOf, parse } from './source-file.ts';

const FOLDER = `${ROOT}docs/api-report/`;

/** What may have to wait: for room, for a message, for a buffer, for a lock. */
const WAITING =
  /^(?:send|receive|write|reserve|acquire|lock|guard|wait|request|broadcast)(?![a-z])/;

/** Other words for `close`, `destroy`, `release` and `detach`. */
const ENDINGS = new RegExp(
  '^(?:leave|abandon|giveUp|discard|dispose|dismiss|disband|dissolve|shut[dD]own|tearDown|' +
    'terminate|kill|stop|disable|quit)(?![a-z])(?!Out|Empty)',
);

/** Those that stay, each for the reason that docs/vocabulary.md gives. */
const ENDINGS_ALLOWED: readonly RegExp[] = [
  /^src\/executor\/.*: (?:stop|terminate)/,
  /^src\/base\/clock.ts: stopTimer$/,
  /^src\/link\/.*: stop(?:Listening|Reading)$/,
  /^src\/link\/udp\/udp-reader.ts: leave$/,
  /^src\/sync\/semaphore.ts: disable$/,
  /^src\/testing\/.*: (?:kill|stop)/,
];

interface Member {
  readonly where: string;
  readonly name: string;
  readonly returns: string;
}

/** The methods of every exported class and interface, inherited ones included. */
function methodsOf(report: string): Member[] {
  const types = new Map<string, { isExported: boolean; base: string; body: string }>();
  const text = readFileSync(FOLDER + report, 'utf8');
  const head = /^(export )?(?:abstract )?(?:class|interface) (\w+)(?:<[^{]*?>)?/;
  const rest = /(?: extends (\w+))?.*\{\n([\s\S]*?)^\}/;
  const pattern = new RegExp(head.source + rest.source, 'gm');
  for (const [, isExported, name, base, body] of text.matchAll(pattern)) {
    types.set(name as string, { isExported: !!isExported, base: base ?? '', body: body as string });
  }
  const found: Member[] = [];
  for (const [name, { isExported, base, body }] of types) {
    // A stream of Node, which has its own names.
    if (!isExported || name === 'WritableSink') continue;
    const bodies = [body];
    for (let at = types.get(base); at !== undefined; at = types.get(at.base)) bodies.push(at.body);
    const method = /^ {4}(?:static |abstract )*(\w+)\??(?:<.*?>)?\(.*\): (.*);$/gm;
    for (const [, member, returns] of bodies.join('\n').matchAll(method)) {
      found.push({
        where: `${report} ${name}`,
        name: member as string,
        returns: returns as string,
      });
    }
  }
  return found;
}

const methods = readdirSync(FOLDER).flatMap(methodsOf);

/** Methods that break the rule, each as `report Class.method: type`. */
function brokenBy(wrong: (member: Member) => boolean): string[] {
  return methods.filter(wrong).map(({ where, name, returns }) => `${where}.${name}: ${returns}`);
}

const isPromise = ({ returns }: Member): boolean =>
  /^(?:Promise|AsyncGenerator|AsyncIterable\w*)</.test(returns);

test('the reports are read', () => {
  expect(methods.length).toBeGreaterThan(300);
  for (const name of ['trySend', 'send', 'sendSync']) {
    expect(methods.some((member) => member.name === name && /Sender$/.test(member.where))).toBe(
      true,
    );
  }
});

test('tryX returns now: a boolean, a number, a word or undefined', () => {
  expect(
    brokenBy(
      (member) => /^try[A-Z]/.test(member.name) && /^(?:Promise|void)\b/.test(member.returns),
    ),
  ).toEqual([]);
});

test('XSync blocks: no promise', () => {
  expect(brokenBy((member) => /Sync$/.test(member.name) && isPromise(member))).toEqual([]);
});

test('X waits: a promise', () => {
  const isWaiting = ({ name }: Member): boolean => WAITING.test(name) && !/Sync$/.test(name);
  expect(brokenBy((member) => isWaiting(member) && !isPromise(member))).toEqual([]);
});

test('where there is tryX or XSync, X is a promise or does not exist', () => {
  const names = new Set(methods.map(({ where, name }) => `${where}.${name}`));
  const plain = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
  const hasOther = ({ where, name }: Member): boolean =>
    names.has(`${where}.try${plain(name)}`) || names.has(`${where}.${name}Sync`);
  expect(brokenBy((member) => hasOther(member) && !isPromise(member))).toEqual([]);
});

/** Fields that are not readonly, each for its reason. */
const WRITABLE: readonly RegExp[] = [
  // The user's `measure` sets them for each frame.
  /^framer.api.md CustomCodec\.payload(?:Skip|Trim)$/,
  // Parts of a bus, for brokers and carriers of one's own: one of them writes what another has.
  /^bus.api.md (?:Backpressure\.elsewhere|FanOut\.lanes|RecentSubject\.isPublished)$/,
  /^bus.api.md FairShare\.(?:onWork|onWorkUnits|units)$/,
];

test('fields of exported classes are readonly, also those that the library writes', () => {
  const found: string[] = [];
  for (const report of readdirSync(FOLDER)) {
    const text = readFileSync(FOLDER + report, 'utf8');
    const exported = /^export (?:abstract )?class (\w+).*\{\n([\s\S]*?)^\}/gm;
    for (const [, name, body = ''] of text.matchAll(exported)) {
      const field = /^ {4}(?:static |abstract )?(\w+)\??: /gm;
      for (const [, member] of body.matchAll(field)) found.push(`${report} ${name}.${member}`);
    }
  }
  expect(found.filter((each) => !WRITABLE.some((rule) => rule.test(each)))).toEqual([]);
  expect(WRITABLE.filter((rule) => !found.some((each) => rule.test(each)))).toEqual([]);
});

test('what ends is closed, destroyed, released or detached', () => {
  const found = listFiles()
    .filter((path) => /^src\/.*\.ts$/.test(path) && !path.endsWith('.test.ts'))
    .flatMap((path) => methodNamesOf(parse(path)).map((name) => `${path}: ${name}`))
    .filter((each) => ENDINGS.test(each.replace(/.*: /, '')));
  const isAllowed = (each: string): boolean => ENDINGS_ALLOWED.some((rule) => rule.test(each));
  expect(found.filter((each) => !isAllowed(each))).toEqual([]);
  expect(ENDINGS_ALLOWED.filter((rule) => !found.some((each) => rule.test(each)))).toEqual([]);
});
