// SPDX-License-Identifier: MIT
/**
 * What the declarations of the package show: nothing that a user cannot name, nothing that cannot
 * be made by `new`, and of `link.framer` what a handler may use.
 */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { ROOT } from '../scripts/files.mjs';

const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ESNext,
  types: ['node'],
  strict: true,
  noEmit: true,
};

const manifest = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
const entries = Object.values<{ types?: string }>(manifest.exports)
  .flatMap(({ types }) => types ?? [])
  .map((path) => ROOT + path.slice(2));
const program = ts.createProgram(entries, OPTIONS);
const checker = program.getTypeChecker();

function exportsOf(path: string): ts.Symbol[] {
  const module = checker.getSymbolAtLocation(program.getSourceFile(path) as ts.SourceFile);
  const symbols = module === undefined ? [] : checker.getExportsOfModule(module);
  return symbols.map((symbol) => {
    return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  });
}

const exported = new Set(entries.flatMap(exportsOf));

/** Our classes and interfaces that no entry point exports, with those whose members use them. */
function unnamed(): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>();
  const pending = [...exported];
  const seen = new Set(pending);
  for (let user = pending.pop(); user !== undefined; user = pending.pop()) {
    const { name } = user;
    const look = (node: ts.Node): void => {
      ts.forEachChild(node, look);
      if (!ts.isIdentifier(node)) return;
      const symbol = typeAt(node);
      if (symbol === undefined || exported.has(symbol)) return;
      if (!seen.has(symbol)) pending.push(symbol);
      seen.add(symbol);
      const isNamed = symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface);
      // A base only lends its members.
      if (!isNamed || isWithin(node, ts.isHeritageClause) || symbol === user) return;
      users.set(symbol.name, (users.get(symbol.name) ?? new Set()).add(name));
    };
    for (const declaration of user.declarations ?? []) look(declaration);
  }
  return users;
}

function typeAt(node: ts.Identifier): ts.Symbol | undefined {
  const found = checker.getSymbolAtLocation(node);
  const isAlias = found !== undefined && found.flags & ts.SymbolFlags.Alias;
  const symbol = isAlias ? checker.getAliasedSymbol(found) : found;
  const kinds = ts.SymbolFlags.Class | ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias;
  if (symbol === undefined || !(symbol.flags & kinds)) return undefined;
  const isOurs = symbol.declarations?.every((each) => {
    return each.getSourceFile().fileName.startsWith(`${ROOT}dist/`);
  });
  return isOurs ? symbol : undefined;
}

function isWithin(node: ts.Node, is: (node: ts.Node) => boolean): boolean {
  for (let at = node; at !== undefined; at = at.parent) if (is(at)) return true;
  return false;
}

/** Types that a user gets or gives without a name, each for its reason. */
const UNNAMED_ALLOWED = new Map([
  // No user makes or reads one: it is a WebAssembly.Memory, in a handle.
  ['SharedMemory', ['BufferPoolHandle']],
  // What prom-client's own types must fit.
  ['PromMetric', ['PromClient']],
  ['PromOptions', ['PromClient']],
  // With the class of their link they are `TcpHandler` and `UdpHandler`.
  ['TcpHandlerOf', ['TcpLinkOptionsOf']],
  ['UdpHandlerOf', ['UdpLinkOptionsOf']],
]);

test('no signature has a class or an interface that no entry point exports', () => {
  const found = [...unnamed()].map(([name, users]): [string, string[]] => [
    name,
    [...users].sort(),
  ]);
  expect(new Map(found)).toEqual(UNNAMED_ALLOWED);
});

/** The classes of which users make objects by `new`. Of all others only the library does. */
const MADE_BY_USERS = [
  'Backpressure',
  'Bus',
  'BusbarError',
  'ByteFinder',
  'ClientSubscriptions',
  'CustomCodec',
  'DelimiterCodec',
  'FairShare',
  'FanOut',
  'FixedCodec',
  'Framer',
  'LengthPrefixCodec',
  'LocalWriter',
  'LoopbackNetwork',
  'Monitor',
  'PacketWriter',
  'Publisher',
  'RecentSubject',
  'ServerPeers',
  'VarintCodec',
];

test('the types allow `new` of the classes that users make, and of no other', () => {
  const classes = [...exported].filter((symbol) => symbol.flags & ts.SymbolFlags.Class);
  expect(classes.length).toBeGreaterThan(50);
  const made = classes.filter((symbol) => {
    const [declaration] = symbol.declarations as ts.ClassDeclaration[];
    const type = checker.getTypeOfSymbol(symbol);
    const isAbstract = ts.getCombinedModifierFlags(declaration as ts.ClassDeclaration) & ABSTRACT;
    return !isAbstract && type.getConstructSignatures().every(isPublic);
  });
  expect(made.map(({ name }) => name).sort()).toEqual(MADE_BY_USERS);
});

const ABSTRACT = ts.ModifierFlags.Abstract;

function isPublic({ declaration }: ts.Signature): boolean {
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
  return declaration === undefined || !(ts.getCombinedModifierFlags(declaration) & hidden);
}

/** What an editor offers where the program says `/* here *\/`. */
function completionsIn(text: string): string[] {
  const path = `${ROOT}test/completed.ts`;
  const paths = Object.fromEntries(
    Object.entries<{ types?: string }>(manifest.exports).flatMap(([name, { types }]) =>
      types === undefined ? [] : [[`busbar${name.slice(1)}`, [ROOT + types.slice(2)]]],
    ),
  );
  const files = new Map([[path, text]]);
  const service = ts.createLanguageService({
    getCompilationSettings: () => ({ ...OPTIONS, paths }),
    getCurrentDirectory: () => ROOT,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    getScriptFileNames: () => [path],
    getScriptVersion: () => '1',
    getScriptSnapshot(name) {
      const found = files.get(name) ?? ts.sys.readFile(name);
      return found === undefined ? undefined : ts.ScriptSnapshot.fromString(found);
    },
    fileExists: (name) => files.has(name) || ts.sys.fileExists(name),
    readFile: (name) => files.get(name) ?? ts.sys.readFile(name),
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
  });
  const errors = service.getSemanticDiagnostics(path).map(({ messageText }) => messageText);
  // The unfinished expression itself is one.
  expect(
    errors.filter((each) => !/^Expression expected|Identifier expected/.test(`${each}`)),
  ).toEqual([]);
  const found = service.getCompletionsAtPosition(path, text.indexOf('/* here */'), {});
  return (found?.entries ?? []).map(({ name }) => name).sort();
}

test('of `link.framer` a handler is offered what it may use', () => {
  const offered = completionsIn(`
    import { LengthPrefixCodec } from 'busbar/framer';
    import { TcpServer } from 'busbar/link';
    import { BufferPool } from 'busbar/pool';
    const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 16 });
    await TcpServer.listen(pool, {
      codec: () => new LengthPrefixCodec('u32'),
      handler: (link) => ({ onFrames() { link.framer./* here */ } }),
    });
  `);
  expect(offered).toEqual([
    'codec',
    'finishFrame',
    'frameBufferId',
    'frameLength',
    'frameOffset',
    'framePosition',
    'frameRest',
    'maxFrameBytes',
    'next',
    'pendingBytes',
    'pool',
    'stats',
    'takePacket',
    'tryReceive',
  ]);
});
