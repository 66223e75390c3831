// SPDX-License-Identifier: MIT
/**
 * One rule for names: `tryX` returns now, `X` waits (a promise), `XSync` blocks. Held over the
 * declarations of the package, as `docs/api-report` has them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROOT } from '../scripts/files.mjs';

const FOLDER = `${ROOT}docs/api-report/`;

/** What may have to wait: for room, for a message, for a buffer, for a lock. */
const WAITING =
  /^(?:send|receive|write|reserve|acquire|lock|guard|wait|request|broadcast)(?![a-z])/;

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
