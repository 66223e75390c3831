// SPDX-License-Identifier: MIT
/**
 * Model checker: production modules in which threads die, and calls throw, exactly where an engine
 * would let them.
 *
 * V8 ends a thread only before a call, at a function entry and at the back edge of a loop. Calls of
 * `Atomics` are visible to the checker; for the other places, it loads copies of the modules with
 * a call of `mayDie` at each of them (and before calls that queue work), otherwise equal line by
 * line.
 */

import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { loadCopy, type Variant } from './copies.ts';

const POINT = join(import.meta.dirname, '../../src/testing/mortal-point.ts');

/** Mortal copies of all modules. */
export const MORTAL: Variant = {
  name: 'mortal',
  change: (_entry, text, target) => makeMortal(text, target),
};

/** Loads the mortal copy of a module under `src/`, say 'pool/index.ts'. */
export function mortal<Exports>(module: string): Promise<Exports> {
  return loadCopy(MORTAL, module);
}

/** What was instrumented before: copies with a planted bug differ in one module only. */
const instrumented = new Map<string, string>();

/** The text of a module's mortal copy that will stand at `target`. */
export function makeMortal(text: string, target: string): string {
  const point = relative(dirname(target), POINT);
  const body = instrumented.get(text) ?? instrument(text);
  instrumented.set(text, body);
  return `${body}\nimport { checkStack, mayDie, stackRoom } from '${point}';\n`;
}

interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** Functions of the engine that queue work: a call of one may throw before it has done so. */
const QUEUES = /^(?:queueMicrotask|setImmediate|setInterval|setTimeout)$/;

/**
 * The module's text with `mayDie()` at each function entry and loop back edge, and before work is
 * queued, on the same lines.
 */
export function instrument(text: string): string {
  const file = ts.createSourceFile('module.ts', text, ts.ScriptTarget.ES2023, true);
  const insertions: Insertion[] = [];
  const insert = (at: number, what: string): void => {
    insertions.push({ at, text: what });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      enterFunction(node.body as ts.ConciseBody, file, insert);
      if (ts.isBlock(node.body as ts.Node)) keepRoom(node.body as ts.Block, insert);
    } else if (ts.isIterationStatement(node, false)) {
      closeLoop(node.statement, file, insert);
    } else if (ts.isContinueStatement(node)) {
      insert(node.getStart(file), '{ mayDie(); ');
      insert(node.getEnd(), ' }');
    } else if (ts.isCallExpression(node) && QUEUES.test(node.expression.getText(file))) {
      insert(node.expression.getStart(file), '(mayDie(), ');
      insert(node.expression.getEnd(), ')');
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  let result = text;
  // From the end, so that positions stay right; among equals, the one found later is the inner one.
  insertions
    .map((insertion, order) => ({ ...insertion, order }))
    .sort((a, b) => b.at - a.at || a.order - b.order)
    .forEach(({ at, text: what }) => {
      result = result.slice(0, at) + what + result.slice(at);
    });
  return result;
}

type Insert = (at: number, what: string) => void;

function enterFunction(body: ts.ConciseBody, file: ts.SourceFile, insert: Insert): void {
  if (ts.isBlock(body)) {
    insert(body.getStart(file) + 1, ' mayDie();');
  } else {
    insert(body.getStart(file), '(mayDie(), ');
    insert(body.getEnd(), ')');
  }
}

/** The stack checks of `base/stack.ts`, and how much room they find. */
const ROOMS: Readonly<Record<string, number>> = { ensureStep: 1, ensurePart: 2, ensureStack: 3 };

/**
 * After a stack check, no call throws until the end of the function that made it, except that an
 * inner check of the same size or more may: it needs a little more stack than the outer one.
 */
function keepRoom(body: ts.Block, insert: Insert): void {
  let looks = 0;
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) return;
    if (
      ts.isExpressionStatement(node) &&
      ts.isCallExpression(node.expression) &&
      ts.isIdentifier(node.expression.expression) &&
      Object.hasOwn(ROOMS, node.expression.expression.text)
    ) {
      looks++;
      const room = ROOMS[node.expression.expression.text];
      insert(node.getStart(), `{ checkStack(${room}); `);
      insert(node.getEnd(), ' }');
    }
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(body, visit);
  if (looks === 0) return;
  insert(body.getStart() + 1, ' const roomBefore = stackRoom(); try {');
  insert(body.getEnd() - 1, ' } finally { stackRoom(roomBefore); } ');
}

function closeLoop(body: ts.Statement, file: ts.SourceFile, insert: Insert): void {
  if (ts.isBlock(body)) {
    insert(body.getEnd() - 1, ' mayDie(); ');
  } else {
    insert(body.getStart(file), '{ ');
    insert(body.getEnd(), ' mayDie(); }');
  }
}
