// SPDX-License-Identifier: MIT
/**
 * Leaves out of dist what a package need not hold twice, or at all.
 *
 * - Declarations that no entry point leads to, and comments on private members.
 * - Comments of programs: the declarations have those that users read, and the repository all
 *   others. Names stay, so that a stack trace can be read; only those of the checker and of the
 *   metrics become short.
 * - Files: the programs of a folder become one, `all.js`, which the entry points share. Where each
 *   began, its name stands in a comment. `base/atomics.js` stays: the checker knows it by name.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import ts from 'typescript';
import { ROOT } from './files.mjs';

const DIST = `${ROOT}dist/`;

/** The file of all programs of a folder, and the files that are made short. */
const ALL = 'all.js';
const SHORT = [`testing/${ALL}`, `metrics/${ALL}`, 'metrics/busbar.js'];
const SEPARATE = ['base/atomics'];

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
  await join(programs);
}

/** The programs of the package that are made of these of dist. */
export function joined(programs) {
  return [...new Set(programs.map((path) => partOf(path) ?? path))];
}

/** The file that a program of dist becomes part of; undefined if it stays one, as entries do. */
function partOf(path) {
  const name = path.replace(/\.js$/, '').replace(/^dist\//, '');
  if (SEPARATE.includes(name) || entryNames().includes(name)) return undefined;
  return path.replace(/[^/]+$/, ALL);
}

async function join(programs) {
  const { rolldown } = await import('rolldown');
  const entries = entryNames();
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((name) => [name, `${DIST}${name}.js`])),
    cwd: ROOT,
    platform: 'node',
    external: /^node:/,
    preserveEntrySignatures: 'allow-extension',
  });
  const chunkOf = (id) => {
    const name = id.slice(DIST.length, -'.js'.length);
    if (entries.includes(name)) return null;
    return SEPARATE.includes(name) ? name : name.replace(/[^/]+$/, 'all');
  };
  const { output } = await bundle.generate({
    dir: DIST,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    minifyInternalExports: false,
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [{ name: chunkOf, debugName: 'folder' }],
    },
  });
  await bundle.close();
  for (const path of programs) rmSync(DIST + path);
  for (const { fileName, code } of output) {
    writeFileSync(DIST + fileName, SHORT.includes(fileName) ? await short(code) : code);
  }
}

async function short(text) {
  const { transform } = await import('esbuild');
  const options = { format: 'esm', target: 'esnext', charset: 'utf8', lineLimit: 120 };
  return (await transform(text, { ...options, minify: true, ignoreAnnotations: true })).code;
}

/** As `pool/index`: the entry points of the package, and its programs. */
function entryNames() {
  const { exports, bin } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  const modules = Object.values(exports).flatMap((each) => each.default ?? []);
  const files = [...modules, ...Object.values(bin)];
  return files.map((file) => file.replace(/^\.\/dist\//, '').replace(/\.js$/, ''));
}

/** Keeps what is needed, and joins it like the programs. */
function trimDeclarations(paths) {
  const entries = entryPoints();
  const { program, needed } = neededStatements(entries);
  const files = new Map();
  for (const [name, statements] of [...needed].sort()) {
    const path = name.slice(DIST.length);
    const target = declarationsOf(path);
    const part = files.get(target) ?? { names: new Map(), imports: new Map(), text: [] };
    files.set(target, part);
    const tree = program.getSourceFile(name);
    const seenFrom = (module) => relativeTo(target, module);
    if (target === path) part.text.push(withModules(tree, seenFrom));
    else addStatements(part, { tree, statements, checker: program.getTypeChecker(), seenFrom });
  }
  for (const path of paths) rmSync(DIST + path);
  for (const [path, part] of files) writeFileSync(DIST + path, textOf(part));
}

/** The file that a declaration file becomes part of, or itself. */
function declarationsOf(path) {
  const program = path.replace(/\.d\.ts$/, '.js');
  return (partOf(program) ?? program).replace(/\.js$/, '.d.ts');
}

/** An entry point, which leads to other files. */
function withModules(tree, seenFrom) {
  let text = tree.text;
  for (const { moduleSpecifier: module } of [...tree.statements].reverse()) {
    if (module === undefined) continue;
    const file = posix.join(posix.dirname(tree.fileName), module.text);
    text = `${text.slice(0, module.getStart(tree))}'${seenFrom(file)}'${text.slice(module.end)}`;
  }
  return text;
}

/** Adds the needed statements of a file to what it becomes part of, and the imports they use. */
function addStatements(part, { tree, statements, checker, seenFrom }) {
  const path = tree.fileName;
  const used = new Set();
  for (const statement of tree.statements) {
    if (ts.isImportDeclaration(statement) || !statements.has(statement.pos)) continue;
    if (ts.isExportDeclaration(statement)) {
      if (statement.moduleSpecifier) throw new Error(`${path} exports what others have`);
      continue; // `export {}`
    }
    visit(statement, (node) => {
      if (ts.isIdentifier(node)) used.add(node.text);
      if (ts.isImportTypeNode(node)) throw new Error(`${path} has an import within a type`);
    });
    for (const name of namesOf(statement)) claim(part, name, path);
    part.text.push(withoutPrivateComments(tree.text, tree, statement));
  }
  for (const each of tree.statements.filter(ts.isImportDeclaration)) {
    for (const { name } of each.importClause?.namedBindings?.elements ?? []) {
      if (!used.has(name.text)) continue;
      const symbol = checker.getAliasedSymbol(checker.getSymbolAtLocation(name));
      if (symbol.name !== name.text) throw new Error(`${path} renames ${symbol.name}`);
      const file = symbol.declarations[0].getSourceFile().fileName;
      const isOurs = file.startsWith(DIST);
      claim(part, name.text, isOurs ? file : each.moduleSpecifier.text);
      const from = isOurs ? seenFrom(file) : each.moduleSpecifier.text;
      if (from === undefined) continue;
      part.imports.set(from, (part.imports.get(from) ?? new Set()).add(name.text));
    }
  }
}

function namesOf(statement) {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.text);
  }
  return statement.name === undefined ? [] : [statement.name.text];
}

/** Two files that become one must not use a name for two things. */
function claim({ names }, name, origin) {
  if ((names.get(name) ?? origin) !== origin) {
    throw new Error(`${origin} and ${names.get(name)} both have ${name}`);
  }
  names.set(name, origin);
}

/** A file of dist as the new one sees it; undefined if it has become part of the same. */
function relativeTo(target, module) {
  const file = declarationsOf(module.slice(DIST.length).replace(/(\.d)?\.[jt]s$/, '.d.ts'));
  if (file === target) return undefined;
  const path = posix.relative(posix.dirname(target), file).replace(/\.d\.ts$/, '.js');
  return path.startsWith('.') ? path : `./${path}`;
}

function textOf({ imports, text }) {
  const lines = [...imports].map(([from, names]) => {
    return `import { ${[...names].join(', ')} } from '${from}';\n`;
  });
  const hasExport = text.some((each) => /^export\b/m.test(each));
  return [...lines, ...text, hasExport ? '' : 'export {};\n'].join('');
}

function entryPoints() {
  const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  return Object.values(exports).flatMap(({ types }) => (types ? [ROOT + types.slice(2)] : []));
}

/** The program, and by file: where each top-level statement begins that an entry point leads to. */
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
  return { program, needed };
}

function statementOf(node) {
  let at = node;
  while (!ts.isSourceFile(at.parent)) at = at.parent;
  return at;
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
