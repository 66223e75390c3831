// SPDX-License-Identifier: MIT
/**
 * Leaves out of dist what a package need not hold twice, or at all.
 *
 * - Declarations that no entry point leads to, and comments on private members.
 * - Comments of programs: the declarations have those that users read, and the repository all
 *   others. Lines and names stay, so that a stack trace can be read.
 * - The many files of the model checker: they become one, which needs half the space.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import ts from 'typescript';
import { ROOT } from './files.mjs';

const DIST = `${ROOT}dist/`;

const MERGED = 'testing';
const MERGED_ENTRIES = ['index.js', 'register.js'];

/** Trims every file of dist, as tsc has just written them. */
export async function trimLibrary() {
  const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' });
  const programs = files.filter((path) => path.endsWith('.js'));
  for (const path of programs) {
    rewrite(DIST + path, withoutDocComments);
    rewrite(DIST + path, withoutRewriting);
    await rewriteBy(DIST + path, withoutComments);
  }
  trimDeclarations(files.filter((path) => path.endsWith('.d.ts')));
  await join(MERGED, MERGED_ENTRIES);
}

/** Whether a program of dist becomes part of another file. */
export function isMerged(path) {
  const [folder, name] = path.replace(/^dist\//, '').split('/');
  return folder === MERGED && !MERGED_ENTRIES.includes(name);
}

/** Joins the programs of a folder, except the entries, into one file that the entries share. */
async function join(folder, entries) {
  const { build } = await import('esbuild');
  const place = DIST + folder;
  const outside = {
    name: 'outside',
    // Other folders lie where they did, as seen from the new files.
    setup: ({ onResolve }) =>
      onResolve({ filter: /^(?:\.\.\/|node:)/ }, () => ({ external: true })),
  };
  const { outputFiles } = await build({
    absWorkingDir: place,
    entryPoints: entries,
    outdir: place,
    bundle: true,
    splitting: true,
    chunkNames: 'checker',
    format: 'esm',
    platform: 'node',
    target: 'esnext',
    charset: 'utf8',
    ignoreAnnotations: true,
    minify: true,
    lineLimit: 120,
    write: false,
    tsconfigRaw: {},
    plugins: [outside],
    logLevel: 'warning',
  });
  for (const name of readdirSync(place)) if (name.endsWith('.js')) rmSync(`${place}/${name}`);
  for (const { path, text } of outputFiles) writeFileSync(path, text);
}

function trimDeclarations(paths) {
  const needed = neededStatements(entryPoints());
  for (const path of paths) {
    const statements = needed.get(DIST + path);
    if (statements === undefined) rmSync(DIST + path);
    else if (basename(path) !== 'index.d.ts') {
      rewrite(DIST + path, (text, tree) => withStatements(text, tree, statements));
    }
  }
}

function entryPoints() {
  const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  return Object.values(exports).flatMap(({ types }) => (types ? [ROOT + types.slice(2)] : []));
}

/** By file: where each top-level statement begins that an entry point leads to. */
function neededStatements(entries) {
  const program = ts.createProgram(entries, {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    types: ['node'],
  });
  const checker = program.getTypeChecker();
  const needed = new Map();
  const pending = [];
  const need = (statement) => {
    const file = statement.getSourceFile();
    if (!file.fileName.startsWith(DIST)) return;
    if (!needed.has(file.fileName)) {
      needed.set(file.fileName, new Set());
      for (const each of file.statements) if (ts.isExportDeclaration(each)) need(each);
    }
    const found = needed.get(file.fileName);
    if (found.has(statement.pos)) return;
    found.add(statement.pos);
    pending.push(statement);
  };
  const needSymbol = (symbol) => {
    if (symbol === undefined) return;
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    const target = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
    for (const declaration of target.declarations ?? []) {
      if (!ts.isSourceFile(declaration)) need(statementOf(declaration));
    }
  };
  for (const entry of entries) {
    for (const statement of program.getSourceFile(entry).statements) need(statement);
    const module = checker.getSymbolAtLocation(program.getSourceFile(entry));
    if (module) for (const symbol of checker.getExportsOfModule(module)) needSymbol(symbol);
  }
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    visit(next, (node) => {
      if (ts.isIdentifier(node)) needSymbol(checker.getSymbolAtLocation(node));
    });
  }
  return needed;
}

function statementOf(node) {
  let at = node;
  while (!ts.isSourceFile(at.parent)) at = at.parent;
  return at;
}

/** The file with these statements, and with the imports that they use. */
function withStatements(text, tree, needed) {
  const kept = tree.statements.filter(
    (each) => needed.has(each.pos) && !ts.isImportDeclaration(each),
  );
  const used = new Set();
  for (const statement of kept) {
    visit(statement, (node) => {
      if (ts.isIdentifier(node)) used.add(node.text);
    });
  }
  const imports = tree.statements
    .filter(ts.isImportDeclaration)
    .flatMap((each) => importOf(tree, each, used));
  const rest = kept.map((each) => withoutPrivateComments(text, tree, each));
  const hasExport = kept.some((each) => /^export\b/.test(each.getText(tree)));
  return [...imports, ...rest, hasExport ? '' : 'export {};\n'].join('');
}

/** An import of what is used, one name after the other as they stand there. */
function importOf(tree, node, used) {
  const named = node.importClause?.namedBindings;
  if (named === undefined || !ts.isNamedImports(named)) return [`${node.getText(tree)}\n`];
  const names = named.elements.filter(({ name }) => used.has(name.text));
  if (names.length === 0) return [];
  const type = node.importClause.isTypeOnly ? 'type ' : '';
  const list = names.map((each) => each.getText(tree)).join(', ');
  return [`import ${type}{ ${list} } from ${node.moduleSpecifier.getText(tree)};\n`];
}

/** A statement and its own comment, the last one before it. */
function withoutPrivateComments(text, tree, statement) {
  const own = docCommentsOf(text, statement).at(-1);
  const ranges = [];
  visit(statement, (node) => {
    const isPrivate = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword);
    if (isPrivate) ranges.push(...docCommentsOf(text, node));
  });
  const begin = own?.pos ?? statement.getStart(tree);
  return `${cut(text, begin, statement.end, ranges)}\n`;
}

function withoutDocComments(text, tree) {
  const ranges = [];
  visit(tree, (node) => ranges.push(...docCommentsOf(text, node)));
  return cut(text, 0, text.length, ranges);
}

/** The program without its other comments, except those that tell a bundler what to do. */
async function withoutComments(text) {
  const { transform } = await import('esbuild');
  const { code } = await transform(text, { format: 'esm', target: 'esnext', charset: 'utf8' });
  return code;
}

/**
 * `import(x)` of a user's module as it stands in the source. The compiler changes the ends of
 * names, which is not ours to do there, and hides the call's comments from bundlers.
 */
function withoutRewriting(text, tree) {
  const helper = '__rewriteRelativeImportExtension';
  const declared = tree.statements.filter(
    (each) => ts.isVariableStatement(each) && each.getText(tree).startsWith(`var ${helper} =`),
  );
  const ranges = declared.map((each) => ({ pos: each.getStart(tree), end: each.end }));
  const direct = new RegExp(`import\\(${helper}\\((.*?)\\)\\)`, 'g');
  return cut(text, 0, text.length, ranges).replace(direct, 'import($1)');
}

function docCommentsOf(text, node) {
  return (ts.getLeadingCommentRanges(text, node.pos) ?? []).filter((each) => isDoc(text, each));
}

function isDoc(text, { pos }) {
  return text.startsWith('/**', pos);
}

/** The text from `begin` to `end` without these ranges and the lines that they filled. */
function cut(text, begin, end, ranges) {
  let result = '';
  let at = begin;
  for (const range of [...ranges].sort((one, other) => one.pos - other.pos)) {
    if (range.pos < at) continue;
    let next = range.end;
    while (/\s/.test(text[next] ?? '')) next++;
    result += text.slice(at, range.pos);
    at = next;
  }
  return result + text.slice(at, end);
}

function visit(node, act) {
  act(node);
  ts.forEachChild(node, (child) => visit(child, act));
}

function rewrite(path, change) {
  const text = readFileSync(path, 'utf8');
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  writeFileSync(path, change(text, tree));
}

async function rewriteBy(path, change) {
  writeFileSync(path, await change(readFileSync(path, 'utf8')));
}
