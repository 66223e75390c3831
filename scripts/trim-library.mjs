// SPDX-License-Identifier: MIT
/**
 * Leaves out of dist what a package need not hold twice, or at all.
 *
 * - Declarations that no entry point leads to, and members that users cannot call: the protected
 *   ones, since no class is made to be extended, and the private ones.
 * - Comments on the error codes: docs/errors.md, which is in the package, says the same.
 * - Comments and spaces of programs: the declarations have the comments that users read, and the
 *   repository all others. Each statement stays on a line of its own and names stay, so that a
 *   stack trace can be read, and a debugger can stop at each. The checker and the metrics become
 *   short; elsewhere only names within functions and of private members do.
 * - Files: the programs of a folder become one, `all.js`, which the entry points share.
 *   `base/atomics.js` stays: the checker knows it by name.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import ts from 'typescript';
import { ROOT } from './files.mjs';

const DIST = `${ROOT}dist/`;

/** The file of all programs of a folder, and the files that are made short. */
const ALL = 'all.js';
const SHORT = [`testing/${ALL}`, `metrics/${ALL}`, 'metrics/busbar.js'];
/** Their names stay, since users see them; their statements become short. */
const COMPACT = [
  `executor/${ALL}`,
  `link/${ALL}`,
  `link/loopback/${ALL}`,
  `link/udp/${ALL}`,
  `native/${ALL}`,
];
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
  const declarations = files.filter((path) => path.endsWith('.d.ts'));
  for (const path of declarations) {
    rewrite(DIST + path, withoutHiddenMembers);
    rewrite(DIST + path, withReadonlyFields);
  }
  rewrite(`${DIST}base/errors.d.ts`, withoutCodeComments);
  trimDeclarations(declarations);
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
    writeFileSync(DIST + fileName, await shortened(fileName, code));
  }
}

async function shortened(name, text) {
  const { minifySync } = await import('rolldown/utils');
  const isShort = SHORT.includes(name);
  const mangle = isShort || (name.endsWith(ALL) && { toplevel: false, keepNames: true });
  const options = { module: true, mangle, compress: isShort || COMPACT.includes(name) };
  const { code, errors } = minifySync(name, text, options);
  if (errors.length > 0) throw new Error(`${name}: ${errors[0].message}`);
  return inLines(withBundlerComment(code, text));
}

/** A program that imports a user's module tells bundlers so in a comment, which stays. */
function withBundlerComment(code, original) {
  const comment = '/* webpackIgnore: true */';
  if (!original.includes(comment)) return code;
  if (code.split('import(').length !== original.split(comment).length) {
    throw new Error('only some calls of import() have a comment for bundlers');
  }
  return code.replaceAll('import(', `import(${comment}`);
}

/** Each statement and each member of a class on its own line. */
function inLines(text) {
  const tree = ts.createSourceFile('', text, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  const begins = new Set();
  const isInList = ({ parent }) =>
    ts.isBlock(parent) || ts.isSourceFile(parent) || ts.isCaseOrDefaultClause(parent);
  visit(tree, (node) => {
    const isLine = ts.isClassElement(node) || ts.isCaseOrDefaultClause(node);
    if (isLine || (ts.isStatement(node) && isInList(node))) begins.add(node.getStart(tree));
  });
  const places = [...begins].filter((at) => at > 0).sort((one, other) => one - other);
  return `${[0, ...places].map((at, i) => text.slice(at, places[i])).join('\n')}\n`;
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
    if (entries.includes(name)) part.text.push(withModules(tree, seenFrom));
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
    part.text.push(withComment(tree.text, tree, statement));
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
function withComment(text, tree, statement) {
  const own = docCommentsOf(text, statement).at(-1);
  return `${text.slice(own?.pos ?? statement.getStart(tree), statement.end)}\n`;
}

/** The classes of a source that only the library makes: tsc leaves their constructors out. */
function classesWithInternalConstructor(declarations) {
  const path = declarations.replace(DIST, `${ROOT}src/`).replace(/\.d\.ts$/, '.ts');
  const found = new Set();
  if (!existsSync(path)) return found; // What an earlier build has joined.
  const text = readFileSync(path, 'utf8');
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  visit(tree, (node) => {
    if (!ts.isConstructorDeclaration(node)) return;
    const isInternal = docCommentsOf(text, node).some(({ pos, end }) => {
      return text.slice(pos, end).includes('@internal');
    });
    const isAbstract = node.parent.modifiers?.some(
      ({ kind }) => kind === ts.SyntaxKind.AbstractKeyword,
    );
    if (isInternal && !isAbstract) found.add(node.parent.name?.text);
  });
  return found;
}

/**
 * Classes without their private and protected members. What had some has `#private` instead, so
 * that no other object is taken for one; constructors stay, without what they take.
 */
function withoutHiddenMembers(text, tree) {
  const changes = [];
  const unmakable = classesWithInternalConstructor(tree.fileName);
  visit(tree, (node) => {
    if (!ts.isClassDeclaration(node)) return;
    if (unmakable.has(node.name.text)) {
      // Without it, whatever the constructor refuses would be a right call of none.
      const begin = node.members.pos;
      changes.push({ pos: begin, end: begin, put: '\n    protected constructor();' });
    }
    const hidden = node.members.filter(isHidden);
    let lacksMark = !node.members.some(({ name }) => name && ts.isPrivateIdentifier(name));
    for (const member of hidden) {
      const begin = docCommentsOf(text, member)[0]?.pos ?? member.getStart(tree);
      const isConstructor = ts.isConstructorDeclaration(member);
      const kind = member.modifiers?.some(isProtected) ? 'protected' : 'private';
      const mark = lacksMark && !isConstructor ? '#private;' : '';
      if (mark !== '') lacksMark = false;
      const put = isConstructor ? `${kind} constructor();` : mark;
      changes.push({ pos: begin, end: member.end, put });
    }
  });
  return cut(text, 0, text.length, changes);
}

/** A field whose comment ends with `@readonly`, which only the library writes, is declared so. */
function withReadonlyFields(text, tree) {
  const changes = [];
  visit(tree, (node) => {
    if (!ts.isPropertyDeclaration(node)) return;
    const { pos, end } = docCommentsOf(text, node).at(-1) ?? {};
    const comment = text.slice(pos, end);
    if (pos === undefined || !comment.includes('@readonly')) return;
    const begin = node.getStart(tree);
    changes.push({ pos, end, put: comment.replace(/\s*(\* )?@readonly/, '') });
    changes.push({ pos: begin, end: begin, put: 'readonly ' });
  });
  return cut(text, 0, text.length, changes);
}

function isHidden(member) {
  return member.modifiers?.some((each) => isProtected(each) || isPrivate(each)) ?? false;
}

function isProtected({ kind }) {
  return kind === ts.SyntaxKind.ProtectedKeyword;
}

function isPrivate({ kind }) {
  return kind === ts.SyntaxKind.PrivateKeyword;
}

function withoutDocComments(text, tree) {
  const ranges = [];
  visit(tree, (node) => ranges.push(...docCommentsOf(text, node)));
  return cut(text, 0, text.length, ranges);
}

/** The declarations without the comments on the error codes. */
function withoutCodeComments(text, tree) {
  const ranges = [];
  visit(tree, (node) => {
    if (ts.isPropertySignature(node)) ranges.push(...docCommentsOf(text, node));
  });
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
    if (!range.put) while (/\s/.test(text[next] ?? '')) next++;
    result += text.slice(at, range.pos) + (range.put ?? '');
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
