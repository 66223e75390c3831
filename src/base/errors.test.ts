// SPDX-License-Identifier: MIT
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { inspect } from 'node:util';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { errorPage, PAGE, readErrors } from '../../scripts/error-page.mjs';
import { listFiles, ROOT } from '../../scripts/files.mjs';
import { parse, readText } from '../../test/source-file.ts';
import { BUSBAR_ERRORS, BusbarError, type BusbarErrorCode, isBusbarError } from './errors.ts';

const CODES = Object.keys(BUSBAR_ERRORS) as BusbarErrorCode[];

test('docs/errors.md says for each code what it means, when it occurs and what to do', () => {
  const entries = readErrors();
  expect(entries.map(({ code }) => code)).toEqual(CODES);
  const wordless = entries.filter(({ when, advice }) => !isSentence(when) || !isSentence(advice));
  expect(wordless).toEqual([]);
  expect(entries.map(({ text }) => text)).toEqual(Object.values(BUSBAR_ERRORS));
  expect(existsSync(ROOT + PAGE) ? readText(PAGE) : '', 'run `npm run errors`').toBe(errorPage());
});

/** What a beginner meets in the first hours, by their reports. */
const BEGINNERS: readonly BusbarErrorCode[] = [
  'ERR_BUSBAR_BAD_HANDLE',
  'ERR_BUSBAR_BUFFERS_HELD',
  'ERR_BUSBAR_CHANNEL_PEER_DIED',
  'ERR_BUSBAR_CHANNEL_ROLE',
  'ERR_BUSBAR_EXECUTOR_START',
  'ERR_BUSBAR_FRAME_TOO_LARGE',
  'ERR_BUSBAR_HANDLER_RESULT',
  'ERR_BUSBAR_LINK_REFUSED',
  'ERR_BUSBAR_MESSAGE_TOO_LARGE',
  'ERR_BUSBAR_NATIVE_UNAVAILABLE',
  'ERR_BUSBAR_NO_RESPONDERS',
  'ERR_BUSBAR_NOT_HELD',
  'ERR_BUSBAR_PACKET_RELEASED',
  'ERR_BUSBAR_POOL_EXHAUSTED',
  'ERR_BUSBAR_REQUEST_FAILED',
  'ERR_BUSBAR_THREAD_SLOTS',
  'ERR_BUSBAR_TIMEOUT',
];

test('what beginners meet leads to a page that explains it', () => {
  const entries = readErrors();
  const links = (see: string): string[] =>
    [...see.matchAll(/\]\(([^)#]*)/g)].map(([, path]) => path as string);
  const lost = entries.filter(
    ({ code, see }) => BEGINNERS.includes(code as BusbarErrorCode) && links(see).length === 0,
  );
  expect(lost.map(({ code }) => code)).toEqual([]);
  const missing = entries
    .flatMap(({ see }) => links(see))
    .filter((path) => !existsSync(posix.join(ROOT, 'docs', path)));
  expect(missing).toEqual([]);
});

test('an error says where its code is explained, also where it is printed', () => {
  const headings = readText(PAGE).match(/(?<=^## )ERR_\w+$/gm) ?? [];
  const places = CODES.map((code) => new BusbarError(code).help);
  expect(places).toEqual(headings.map((code) => `busbar/${PAGE}#${code.toLowerCase()}`));
  expect(inspect(new BusbarError('ERR_BUSBAR_TIMEOUT'))).toContain(
    "help: 'busbar/docs/errors.md#err_busbar_timeout'",
  );
});

/** What makes an error, and the place of the code among its arguments. */
const MAKERS: ReadonlyMap<string, number> = new Map([
  ['BusbarError', 0],
  ['channelError', 1],
]);

test('the library makes an error of every code, and of no other', () => {
  const made = new Set<string>();
  for (const path of listFiles('src').filter(isLibrary)) {
    const { tree } = parse(path);
    visit(tree, (node) => {
      if (!ts.isNewExpression(node) && !ts.isCallExpression(node)) return;
      const at = MAKERS.get(node.expression.getText(tree));
      if (at === undefined) return;
      for (const code of literalsOf(node.arguments?.[at])) made.add(code);
    });
  }
  expect([...made].sort()).toEqual([...CODES].sort());
});

test('isBusbarError knows its own errors and nothing else, and runs no code of the value', () => {
  const error = new BusbarError('ERR_BUSBAR_TIMEOUT', 'x', { cause: 1 });
  expect(isBusbarError(error)).toBe(true);
  expect(isBusbarError(error, 'ERR_BUSBAR_TIMEOUT')).toBe(true);
  expect(isBusbarError(error, 'ERR_BUSBAR_POOL_CLOSED')).toBe(false);
  const trap = (): never => {
    throw new Error('code of the value was run');
  };
  const hostile = new Proxy(error, { get: trap, getPrototypeOf: trap, has: trap });
  const forged = Object.create(BusbarError.prototype, { code: { get: trap } });
  for (const value of [undefined, null, 0, 'ERR_BUSBAR_TIMEOUT', new Error('x'), hostile, forged]) {
    expect(isBusbarError(value)).toBe(false);
    expect(isBusbarError(value, 'ERR_BUSBAR_TIMEOUT')).toBe(false);
  }
});

test('a misspelt code is refused by name, for it would never be found', () => {
  const error = new BusbarError('ERR_BUSBAR_TIMEOUT');
  for (const code of ['ERR_BUSBAR_TIME_OUT', 'toString', '', null, 7, {}] as never[]) {
    expect(() => isBusbarError(error, code)).toThrow(RangeError);
    expect(() => isBusbarError(undefined, code)).toThrow(/^code must be one of BUSBAR_ERRORS/);
  }
});

test('one entry point exports the errors, and the root passes them on', () => {
  const places = listFiles('src')
    .filter((path) => path.endsWith('/index.ts'))
    .filter((path) => /\bBusbarError\b/.test(readText(path)));
  expect(places).toEqual(['src/errors/index.ts']);
});

function isLibrary(path: string): boolean {
  return !path.endsWith('.test.ts');
}

function isSentence(text: string): boolean {
  return text.length > 20 && /[.`]$/.test(text);
}

function literalsOf(node: ts.Node | undefined): string[] {
  if (node === undefined) return [];
  if (ts.isStringLiteral(node)) return [node.text];
  if (!ts.isConditionalExpression(node)) return [];
  return [...literalsOf(node.whenTrue), ...literalsOf(node.whenFalse)];
}

function visit(node: ts.Node, act: (node: ts.Node) => void): void {
  act(node);
  ts.forEachChild(node, (child) => visit(child, act));
}
