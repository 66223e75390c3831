// SPDX-License-Identifier: MIT
/** Test tool: parses source files for the tidy test (imports, comments, names). */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { ROOT } from '../scripts/files.mjs';

export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

export function parse(path: string): SourceFile {
  const text = readText(path);
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) };
}

export function readText(path: string): string {
  return readFileSync(ROOT + path, 'utf8');
}

export function importsOf({ text }: SourceFile): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
}

export interface Use {
  readonly name: string;
  readonly line: number;
}

/** Identifiers that name a variable, wherever it is declared; not keys, members or types. */
export function freeNamesOf({ tree }: SourceFile): Use[] {
  const found: Use[] = [];
  visit(tree, (node) => {
    if (!ts.isIdentifier(node) || isMemberName(node) || isTypeName(node)) return;
    found.push({ name: node.text, line: lineOf(tree, node.getStart(tree)) });
  });
  return found;
}

/** The uses of `object.x`: their `x`. */
export function propertiesOf({ tree }: SourceFile, object: string): Use[] {
  const found: Use[] = [];
  visit(tree, (node) => {
    if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.expression)) return;
    if (node.expression.text !== object) return;
    found.push({ name: node.name.text, line: lineOf(tree, node.getStart(tree)) });
  });
  return found;
}

function isMemberName(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isQualifiedName(parent)) return true;
  const named = parent as ts.Node & { readonly name?: ts.Node; readonly propertyName?: ts.Node };
  if (named.propertyName === node) return true;
  return named.name === node && !ts.isShorthandPropertyAssignment(parent);
}

function isTypeName(node: ts.Identifier): boolean {
  for (let parent: ts.Node = node.parent; parent !== undefined; parent = parent.parent) {
    if (ts.isTypeNode(parent) || ts.isTypeElement(parent)) return !ts.isTypeQueryNode(parent);
    if (ts.isExpression(parent) || ts.isStatement(parent)) return false;
  }
  return false;
}

/** The names of functions and methods, without `#`. */
export function methodNamesOf({ tree }: SourceFile): string[] {
  const found: string[] = [];
  visit(tree, (node) => {
    if (!ts.isFunctionDeclaration(node) && !ts.isMethodDeclaration(node)) return;
    if (node.name !== undefined) found.push(node.name.getText(tree).replace('#', ''));
  });
  return found;
}

export function isDefaultExport(node: ts.Statement): boolean {
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)) {
    return node.exportClause.elements.some(({ name }) => name.text === 'default');
  }
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) ?? false;
}

/** Whether all it does is `export { … } from`, or, where that is allowed, `export * from`. */
export function isReExport(node: ts.Statement, wholesale: boolean): boolean {
  if (!ts.isExportDeclaration(node) || node.moduleSpecifier === undefined) return false;
  return node.exportClause !== undefined || wholesale;
}

export interface Comment {
  readonly text: string;
  readonly line: number;
}

/** Every comment, line by line. */
export function commentsOf({ text, tree }: SourceFile): Comment[] {
  const starts = new Map<number, number>();
  visit(tree, (node) => {
    for (const ranges of [
      ts.getLeadingCommentRanges(text, node.getFullStart()),
      ts.getTrailingCommentRanges(text, node.getEnd()),
    ]) {
      for (const { pos, end } of ranges ?? []) starts.set(pos, end);
    }
  });
  return [...starts].flatMap(([begin, end]) =>
    text
      .slice(begin, end)
      .split('\n')
      .map((line, index) => ({ text: line, line: lineOf(tree, begin) + index })),
  );
}

export interface ClassMembers {
  readonly name: string;
  /** Members called `#x`. */
  readonly hashNames: number;
  /** Members that are `private`; the constructor, which cannot be called `#x`, is not counted. */
  readonly privateNames: number;
  /** Fields that are boolean by their type or by their first value. */
  readonly booleans: readonly string[];
}

/** Every class of the file, by how it hides its members. */
export function classesOf({ tree }: SourceFile): ClassMembers[] {
  const found: ClassMembers[] = [];
  visit(tree, (node) => {
    if (!ts.isClassLike(node)) return;
    const hashed = node.members.filter(({ name }) => name && ts.isPrivateIdentifier(name));
    const named = node.members.filter(
      (member) =>
        !ts.isConstructorDeclaration(member) &&
        (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) !== 0,
    );
    const name = node.name?.text ?? '(anonymous)';
    const booleans = node.members.filter(isBoolean).map((member) => member.name?.getText() ?? '');
    found.push({ name, hashNames: hashed.length, privateNames: named.length, booleans });
  });
  return found;
}

function isBoolean(member: ts.ClassElement): boolean {
  if (!ts.isPropertyDeclaration(member)) return false;
  const { type, initializer } = member;
  const types = type !== undefined && ts.isUnionTypeNode(type) ? type.types : [type];
  return (
    types.some((each) => each?.kind === ts.SyntaxKind.BooleanKeyword) ||
    initializer?.kind === ts.SyntaxKind.TrueKeyword ||
    initializer?.kind === ts.SyntaxKind.FalseKeyword
  );
}

function lineOf(tree: ts.SourceFile, position: number): number {
  return tree.getLineAndCharacterOfPosition(position).line + 1;
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  for (const child of node.getChildren()) {
    if (!ts.isJSDoc(child)) visit(child, see);
  }
}
