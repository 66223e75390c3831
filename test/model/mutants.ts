// SPDX-License-Identifier: MIT
/**
 * Model checker: production modules with one bug each, to check that the scenarios find it.
 *
 * Three kinds of bugs that are typical of shared-memory code: a write, ring or wake-up that is left
 * out; two adjacent ones in the wrong order; a read-modify-write that is a separate read and
 * write.
 */

import ts from 'typescript';
import { sources } from './copies.ts';

export interface Mutant {
  /** Path under `src/`. */
  readonly entry: string;
  readonly line: number;
  readonly kind: 'drop' | 'swap' | 'split';
  /** The statement or call that is hit. */
  readonly what: string;
  readonly text: string;
}

/** Calls that change shared words or wake a thread. */
const WRITES = new RegExp(
  '^(?:Atomics\\.)?(?:store\\w*|fetch\\w+|add\\w*|sub|exchange|compareExchange\\w*|' +
    'notify|unpark|withdraw|moveOut)$',
);
/** Methods of busbar that do nothing else. */
const STEPS = new RegExp(
  '\\.#?(?:serve|giveBack|relieve|pump|putOne|put|ring|ringHoarders|listen|close|detach|' +
    'unregister|register|reject|release|beat)$',
);
const SPLITS = /^(?:Atomics\.)?(compareExchange|fetchAdd|fetchSub|add|sub|exchange)$/;

/**
 * All mutants of a module, in order. `skip` names statements that are not worth it: counters, say.
 */
export function mutantsOf(entry: string, skip: RegExp): Mutant[] {
  const text = sources().get(entry) ?? '';
  const file = ts.createSourceFile(entry, text, ts.ScriptTarget.ES2023, true);
  const mutants: Mutant[] = [];
  const add = (
    node: ts.Node,
    kind: Mutant['kind'],
    begin: number,
    end: number,
    by: string,
  ): void => {
    const what = node.getText(file).replace(/\s+/g, ' ');
    if (skip.test(what)) return;
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
    const newLines = '\n'.repeat(text.slice(begin, end).split('\n').length - by.split('\n').length);
    mutants.push({
      entry,
      line,
      kind,
      what,
      text: text.slice(0, begin) + by + newLines + text.slice(end),
    });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node)) {
      node.statements.forEach((statement, i) => {
        if (!isStep(statement, file)) return;
        add(statement, 'drop', statement.getStart(file), statement.getEnd(), ';');
        const next = node.statements[i + 1];
        if (next === undefined || !isStep(next, file) || skip.test(next.getText(file))) return;
        const by = `${next.getText(file)} ${statement.getText(file)}`;
        add(statement, 'swap', statement.getStart(file), next.getEnd(), by);
      });
    }
    if (ts.isIfStatement(node) && isStep(node.thenStatement, file)) {
      add(node, 'drop', node.getStart(file), node.getEnd(), ';');
    }
    const split = ts.isCallExpression(node) ? SPLITS.exec(node.expression.getText(file)) : null;
    if (split !== null && ts.isCallExpression(node)) {
      const name = split[1]
        .replace('fetch', '')
        .toLowerCase()
        .replace('compareexchange', 'compareExchange');
      const by = `(globalThis as any).modelSplits.${name}`;
      add(node, 'split', node.expression.getStart(file), node.expression.getEnd(), by);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return mutants;
}

type Split = (words: Int32Array, index: number, a: number, b: number) => number;

/** Read-modify-writes that are not: mutated modules call them through `globalThis`. */
const splits: Readonly<Record<string, Split>> = {
  compareExchange: (words, index, expected, replacement) => {
    const before = Atomics.load(words, index);
    if (before === expected) Atomics.store(words, index, replacement);
    return before;
  },
  exchange: (words, index, value) => {
    const before = Atomics.load(words, index);
    Atomics.store(words, index, value);
    return before;
  },
  add: (words, index, delta) => {
    const before = Atomics.load(words, index);
    Atomics.store(words, index, before + delta);
    return before;
  },
  sub: (words, index, delta) => {
    const before = Atomics.load(words, index);
    Atomics.store(words, index, before - delta);
    return before;
  },
};
Object.assign(globalThis, { modelSplits: splits });

/** True for a statement that only writes shared words, wakes a thread, or calls such a method. */
function isStep(statement: ts.Statement, file: ts.SourceFile): boolean {
  if (!ts.isExpressionStatement(statement)) return false;
  const { expression } = statement;
  if (ts.isCallExpression(expression)) {
    const callee = expression.expression.getText(file);
    return WRITES.test(callee) || STEPS.test(callee);
  }
  if (ts.isBinaryExpression(expression)) return isSharedWord(expression.left, file);
  if (ts.isPostfixUnaryExpression(expression)) return isSharedWord(expression.operand, file);
  return false;
}

function isSharedWord(node: ts.Expression, file: ts.SourceFile): boolean {
  return (
    ts.isElementAccessExpression(node) &&
    /words|owned|source|target/.test(node.expression.getText(file))
  );
}
