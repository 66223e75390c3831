// SPDX-License-Identifier: MIT
/**
 * Fuzz tool: the public names, methods and parameters of busbar's entry points, read from the
 * sources; private, protected and @internal ones excluded.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import ts from 'typescript';

/** The sources, also as seen from a program that was built out of them. */
const SOURCES = `${dirname(createRequire(import.meta.url).resolve('busbar/package.json'))}/src/`;

export interface Parameter {
  readonly name: string;
  /** As it is written; '' if it follows from a default. */
  readonly type: string;
  readonly isOptional: boolean;
}

/** Something that can be called, or read. */
export interface Offer {
  /** `tryAcquire`, `[Symbol.dispose]`, `constructor`, or the function's own name. */
  readonly name: string;
  readonly kind: 'function' | 'constructor' | 'static' | 'method' | 'getter';
  readonly parameters: readonly Parameter[];
  /** Whether the result is a promise. */
  readonly isAsync: boolean;
}

export interface Export {
  readonly name: string;
  readonly kind: 'class' | 'function' | 'value';
  readonly offers: readonly Offer[];
}

const HIDDEN = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];

type Declaration = ts.ClassDeclaration | ts.FunctionDeclaration | ts.VariableDeclaration;

/**
 * Every value that an index.ts of a folder of src exports, types left out; without `testing`, which
 * replaces what the fuzzer stands on and has a test of its own for misuse.
 */
export function publicSurface(): readonly Export[] {
  const { trees, declared } = sources();
  const names = new Set(trees.filter(isIndex).flatMap(exportedNames));
  return [...names].sort().flatMap((name) => {
    const declaration = declared.get(name);
    return declaration === undefined ? [] : [describe(name, declaration, declared)];
  });
}

/** The public methods of a class that is public by an interface of that name. */
export function surfaceOf(name: string, className: string, methods: readonly string[]): Export {
  const { declared } = sources();
  const { offers } = describe(className, declared.get(className) as Declaration, declared);
  return { name, kind: 'class', offers: offers.filter((each) => methods.includes(each.name)) };
}

interface Sources {
  readonly trees: readonly ts.SourceFile[];
  readonly declared: ReadonlyMap<string, Declaration>;
}

let read: Sources | undefined;

function sources(): Sources {
  if (read !== undefined) return read;
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' });
  const trees = files.filter((path) => /(?<!\.test)\.ts$/.test(path)).map(parse);
  const declared = new Map<string, Declaration>();
  for (const tree of trees) {
    for (const found of declarationsOf(tree)) {
      if (found.name !== undefined) declared.set(found.name.getText(), found);
    }
  }
  read = { trees, declared };
  return read;
}

function parse(path: string): ts.SourceFile {
  const text = readFileSync(SOURCES + path, 'utf8');
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
}

function isIndex({ fileName }: ts.SourceFile): boolean {
  return /^(?!testing\b)\w+.index\.ts$/.test(fileName);
}

function declarationsOf(tree: ts.SourceFile): Declaration[] {
  return tree.statements.flatMap((node): Declaration[] => {
    if (ts.isClassDeclaration(node) || ts.isFunctionDeclaration(node)) return [node];
    return ts.isVariableStatement(node) ? [...node.declarationList.declarations] : [];
  });
}

function exportedNames(tree: ts.SourceFile): string[] {
  return tree.statements.flatMap((node) => {
    if (!ts.isExportDeclaration(node) || node.isTypeOnly) return [];
    const clause = node.exportClause;
    if (clause === undefined || !ts.isNamedExports(clause)) return [];
    return clause.elements.filter((each) => !each.isTypeOnly).map((each) => each.name.text);
  });
}

function describe(
  name: string,
  declaration: Declaration,
  declared: ReadonlyMap<string, Declaration>,
): Export {
  if (ts.isVariableDeclaration(declaration)) return { name, kind: 'value', offers: [] };
  if (ts.isFunctionDeclaration(declaration)) {
    return { name, kind: 'function', offers: [offerOf(name, 'function', declaration)] };
  }
  const offers = new Map<string, Offer>();
  const hidden = new Set<string>();
  let found: Declaration | undefined = declaration;
  while (found !== undefined && ts.isClassDeclaration(found)) {
    for (const member of found.members) addOffers(member, offers, hidden, found !== declaration);
    const parent: ts.Expression | undefined = found.heritageClauses?.find(
      ({ token }) => token === ts.SyntaxKind.ExtendsKeyword,
    )?.types[0]?.expression;
    found = parent === undefined ? undefined : declared.get(parent.getText());
  }
  return { name, kind: 'class', offers: [...offers.values()] };
}

function addOffers(
  member: ts.ClassElement,
  offers: Map<string, Offer>,
  hidden: Set<string>,
  isInherited: boolean,
): void {
  const kind = kindOf(member);
  if (kind === undefined || (isInherited && (kind === 'constructor' || kind === 'static'))) return;
  const callable = member as ts.MethodDeclaration;
  const name = kind === 'constructor' ? kind : callable.name.getText();
  const key = `${kind === 'static' ? 'static ' : ''}${name}`;
  // What a subclass says of it, is said.
  if (offers.has(key) || hidden.has(key)) return;
  if (isHidden(member)) hidden.add(key);
  else offers.set(key, offerOf(name, kind, callable));
}

function kindOf(member: ts.ClassElement): Offer['kind'] | undefined {
  if (ts.isConstructorDeclaration(member)) return 'constructor';
  if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return undefined;
  if (ts.isGetAccessorDeclaration(member)) return 'getter';
  if (!ts.isMethodDeclaration(member)) return undefined;
  const isStatic = member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword);
  return isStatic ? 'static' : 'method';
}

function isHidden(member: ts.ClassElement): boolean {
  const modifiers = ts.canHaveModifiers(member) ? ts.getModifiers(member) : undefined;
  if (modifiers?.some(({ kind }) => HIDDEN.includes(kind))) return true;
  return ts.getJSDocTags(member).some(({ tagName }) => tagName.text === 'internal');
}

function offerOf(name: string, kind: Offer['kind'], callable: ts.SignatureDeclaration): Offer {
  const parameters = callable.parameters.map((each) => ({
    name: each.name.getText(),
    type: each.type?.getText() ?? '',
    isOptional: each.questionToken !== undefined || each.initializer !== undefined,
  }));
  const isAsync = /^Promise</.test(callable.type?.getText() ?? '');
  return { name, kind, parameters, isAsync };
}
