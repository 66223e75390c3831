// SPDX-License-Identifier: MIT
/** Style rules that a machine can check: layers, shared memory, comments, names. */
import { existsSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, dirname, posix } from 'node:path';
import { expect, test } from 'vitest';
import { listFiles, ROOT } from '../scripts/files.mjs';
import {
  classesOf,
  commentsOf,
  freeNamesOf,
  importsOf,
  isDefaultExport,
  isReExport,
  parse,
  propertiesOf,
  readText,
  type SourceFile,
} from './source-file.ts';

/** A folder imports from itself and from those before it. */
const FOLDERS = [
  'base',
  'errors',
  'pool',
  'packet',
  'writer',
  'framer',
  'sync',
  'channel',
  'native',
  'executor',
  'link',
  'bus',
  'metrics',
  'testing',
];

/** Folders that run wherever there is SharedArrayBuffer and Atomics; the rest needs Node. */
const CORE = FOLDERS.slice(0, FOLDERS.indexOf('native'));

/** Folders that users do not import. */
const PRIVATE = ['base'];

const LINE_LENGTH_MAX = 100;
const FILE_LINES_MAX = 500;
/** A class with more flags has states that no one has drawn: give it one state word. */
const BOOLEANS_MAX = 2;

/** Globals that only Node has: the core has none, `base` asks for them through `globalThis`. */
const NODE_GLOBALS = [
  'Buffer',
  '__dirname',
  '__filename',
  'clearImmediate',
  'exports',
  'global',
  'module',
  'process',
  'require',
  'setImmediate',
];

/** Time, chance and logging: in the core only in `base`, so that a simulator can replace them. */
const AMBIENT_GLOBALS = [
  'Date',
  'clearInterval',
  'clearTimeout',
  'console',
  'performance',
  'setInterval',
  'setTimeout',
];

/** The packages that the library needs, each with the one file that asks for it. */
const PACKAGES: Readonly<Record<string, string>> = {
  'node-gyp-build': 'src/native/shim.ts',
};

/** What may print: the report of leaks at exit, which the program asked for by tracking them. */
const PRINTS = 'src/pool/leak-tracker.ts';

/** Phrases that a reader of English stumbles over, each with what to write. */
const PHRASES: readonly (readonly [RegExp, string])[] = [
  [/\bwhat is no\b/i, "'anything but a …', or 'a value that is not a …'"],
  [/\b(?:that|which|who) (?:is|are) none\b/i, "'that is not a …'"],
  [/\ball the same\b/i, "'still' or 'nevertheless'"],
  [/\bin the midst\b/i, "'in the middle of', 'during' or 'within'"],
  [/\broom (?:every|where|between|behind)\b|\bunder every room\b/i, 'what the thing is'],
  [/\b(?:is|are|was|be) dear\b|\bdearer\b/i, "'expensive'"],
  [/\b(?:no|some|any)body\b/i, "the agent: 'no thread', 'a caller', 'another peer'"],
  [/\bwhoever\b/i, "the agent: 'the thread that', 'a caller that'"],
  [/\banswers\b/i, "'returns' for a function, 'replies' for a peer"],
  [/\blikewise\b/i, "'also', or the fact again"],
  [/\bas ever\b/i, "'as before' or 'as usual'"],
  [/\bthe house\b/i, "'busbar' or 'the repository'"],
  [/\bthe doors? (?:in|out|into)\b/i, 'what the thing is'],
  [/\bheirs?\b/i, "'successor'"],
  [/\bgo(?:es)? on with\b/i, "'continue'"],
  [/\bsees? to (?:it|what|dead|the)\b/i, "'cleans up', 'handles' or 'makes sure'"],
  [/\boing it again does nothing\b/i, "'Idempotent.'"],
  [/\blooks? at the stack\b/i, "'checks the stack'"],
  [/\bby chance\b/i, "'random' or 'at random'"],
  [/\bthe how many/i, "'the number of'"],
  [/\bin vain\b/i, "'without effect'"],
  [/\bif need be\b/i, "'if necessary'"],
  [/\blet(?:s|ting)? go of\b/i, "'release'"],
  [/\b(?:he|him|his)\b/i, "'it', or the agent: 'the thread', 'the peer', 'the caller'"],
  [/\ba tool of tests\b/i, "'Test tool:'"],
  [/\bso many\b(?! that)/i, "'this many', or the number by its name"],
  [/\bbehind (?:earlier|later|what)\b/i, "'after'"],
  [/\b(?:so everywhere|do(?:es)? so no more)\b/i, 'a whole sentence'],
];

/** Names that do not say what happens, each with those that do. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [
    /\b(?:letGo|bury|forsake|disband|deserted?)\b/,
    'close, destroy, release, detach, or the act itself',
  ],
  [/\b(?:[cC]rew|[pP]atience)\b/, 'GroupState, WaitGuard, or what it holds'],
];

/** Generated: here the phrases above are not looked for. */
const PHRASES_ALLOWED = ['docs/api-report/'];

const everyFile: readonly string[] = listFiles();
const code: readonly SourceFile[] = everyFile.filter(isCode).map((path) => parse(path));
const sources: readonly SourceFile[] = code.filter(({ path }) => path.startsWith('src/'));
const library: readonly SourceFile[] = sources.filter(({ path }) => !path.endsWith('.test.ts'));

test('folders import downwards only', () => {
  const wrong = library.flatMap((file) => {
    const rank = FOLDERS.indexOf(folderOf(file.path));
    if (file.path === 'src/index.ts') return [];
    if (rank === -1) return [`${file.path}: its folder has no place in the order`];
    return importsOf(file)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => posix.join(dirname(file.path), specifier))
      .filter((target) => FOLDERS.indexOf(folderOf(target)) > rank || !target.startsWith('src/'))
      .map((target) => `${file.path} imports ${target}`);
  });
  expect(wrong).toEqual([]);
});

test('no file imports itself by way of others, types included', () => {
  const targets = new Map(
    library.map((file) => [
      file.path,
      importsOf(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => posix.join(dirname(file.path), specifier)),
    ]),
  );
  const circles = library
    .map(({ path }) => path)
    .map((path) => wayBack(path, targets))
    .filter((way) => way.length > 0)
    .map((way) => way.join(' → '));
  expect(circles).toEqual([]);
});

test('relative imports name the file, .ts and all', () => {
  const wrong = library.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => specifier.startsWith('.') && !specifier.endsWith('.ts'))
      .map((specifier) => `${file.path} imports ${specifier}`),
  );
  expect(wrong).toEqual([]);
});

test('the library imports no packages but a few, and its core nothing from Node', () => {
  const wrong = library.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => !specifier.startsWith('.'))
      .filter((specifier) => isCore(file.path) || !isBuiltin(specifier))
      .filter((specifier) => PACKAGES[specifier] !== file.path)
      .map((specifier) => `${file.path} imports ${specifier}`),
  );
  expect(wrong).toEqual([]);
});

test('the core uses no global of Node, and time, chance and console only in base', () => {
  const wrong = library
    .filter(({ path }) => isCore(path))
    .flatMap((file) => {
      const inBase = folderOf(file.path) === 'base';
      const forbidden = new Set(inBase ? NODE_GLOBALS : [...NODE_GLOBALS, ...AMBIENT_GLOBALS]);
      const globals = freeNamesOf(file)
        .filter(({ name }) => forbidden.has(name))
        .filter(({ name }) => name !== 'console' || file.path !== PRINTS);
      const random = inBase
        ? []
        : propertiesOf(file, 'Math').filter((use) => use.name === 'random');
      return [...globals, ...random].map(({ name, line }) => `${file.path}:${line} uses ${name}`);
    });
  expect(wrong).toEqual([]);
});

test('Atomics is named in base/atomics.ts only, and called there as Atomics.x each time', () => {
  const wrong = library.flatMap((file) => {
    const calls = new Set(propertiesOf(file, 'Atomics').map(({ line }) => line));
    return freeNamesOf(file)
      .filter(({ name }) => name === 'Atomics')
      .filter(({ line }) => file.path !== 'src/base/atomics.ts' || !calls.has(line))
      .map(({ line }) => `${file.path}:${line}`);
  });
  expect(wrong).toEqual([]);
});

test('every SYNC tag stands at both ends of its edge', () => {
  const ends = new Map<string, number>();
  const drawn = new Map<string, string>();
  for (const file of library) {
    for (const { text, line } of commentsOf(file)) {
      for (const [, tag, both] of text.matchAll(/\bSYNC\(([\w-]+)(, both)?\)/g)) {
        if (tag === undefined) continue;
        if (file.path.endsWith('-layout.ts')) drawn.set(tag, `${file.path}:${line}`);
        else ends.set(tag, (ends.get(tag) ?? 0) + (both === undefined ? 1 : 2));
      }
    }
  }
  const single = [...ends].filter(([, count]) => count < 2).map(([tag]) => `SYNC(${tag})`);
  const unused = [...drawn].filter(([tag]) => !ends.has(tag)).map(([tag, at]) => `${tag} of ${at}`);
  expect({ single, unused }).toEqual({ single: [], unused: [] });
});

test('every file begins with the licence and says what it is', () => {
  const wrong = code.flatMap(({ path, text }) => {
    const lines = text.replace(/^#!.*\n/, '').split('\n');
    if (lines[0] !== '// SPDX-License-Identifier: MIT') return [`${path}: no SPDX line`];
    const described = path.endsWith('.test.ts') || lines[1]?.startsWith('/**');
    return described ? [] : [`${path}: no module comment after the SPDX line`];
  });
  expect(wrong).toEqual([]);
});

test('lines fit a screen, and files of the library stay short', () => {
  const long = code.flatMap(({ path, text }) =>
    text
      .split('\n')
      .map((line, index) => ({ at: `${path}:${index + 1}`, length: [...line].length }))
      .filter(({ length }) => length > LINE_LENGTH_MAX)
      .map(({ at, length }) => `${at} has ${length} columns`),
  );
  const big = library
    .filter(({ text }) => text.split('\n').length - 1 > FILE_LINES_MAX)
    .map(({ path }) => path);
  expect({ long, big }).toEqual({ long: [], big: [] });
});

test('nothing is exported by default, and names of files say what is in them', () => {
  const vague = code
    .map(({ path }) => path)
    .filter((path) =>
      path.split('/').some((part) => /^(utils?|common|helpers?|types)\b/.test(part)),
    );
  const byDefault = code
    .filter(({ path }) => !path.endsWith('.config.ts'))
    .filter(({ tree }) => tree.statements.some(isDefaultExport))
    .map(({ path }) => path);
  expect({ vague, byDefault }).toEqual({ vague: [], byDefault: [] });
});

test('an index.ts re-exports by name and does nothing else', () => {
  const wrong = sources
    .filter(({ path }) => basename(path) === 'index.ts')
    .filter(
      ({ path, tree }) =>
        !tree.statements.every((each) => isReExport(each, path === 'src/index.ts')),
    )
    .map(({ path }) => path);
  expect(wrong).toEqual([]);
});

test('comments and documents are in plain English', () => {
  const isRewritten = (path: string): boolean =>
    !path.endsWith('.test.ts') && !PHRASES_ALLOWED.some((start) => path.startsWith(start));
  const comments = code
    .filter(({ path }) => isRewritten(path))
    .flatMap((file) => commentsOf(file).map((comment) => ({ ...comment, path: file.path })));
  const documents = everyFile
    .filter((path) => /\.(?:md|c|h)$/.test(path) && isRewritten(path))
    .flatMap((path) =>
      readText(path)
        .split('\n')
        .map((text, index) => ({ text, line: index + 1, path })),
    );
  const wrong = [...comments, ...documents].flatMap(({ text, line, path }) =>
    PHRASES.flatMap(([phrase, instead]) => {
      const found = phrase.exec(text)?.[0];
      return found === undefined ? [] : [`${path}:${line}: not '${found}', but ${instead}`];
    }),
  );
  expect(wrong).toEqual([]);
});

test('names say what happens in the words of the field', () => {
  const wrong = library
    .filter(({ path }) => !PHRASES_ALLOWED.some((start) => path.startsWith(start)))
    .flatMap(({ path, text }) =>
      NAMES.flatMap(([name, instead]) => {
        const found = name.exec(text)?.[0];
        return found === undefined ? [] : [`${path}: not '${found}', but ${instead}`];
      }),
    );
  expect(wrong).toEqual([]);
});

test('a class hides its members either by # or by private', () => {
  const wrong = library.flatMap((file) =>
    classesOf(file)
      .filter((each) => each.hashNames > 0 && each.privateNames > 0)
      .map((each) => `${file.path}: ${each.name}`),
  );
  expect(wrong).toEqual([]);
});

test('a class tells its state by a word, not by many flags', () => {
  const wrong = code
    .filter(({ path }) => /^(?:src|broker|examples)\//.test(path) && !path.endsWith('.test.ts'))
    .flatMap((file) =>
      classesOf(file)
        .filter(({ booleans }) => booleans.length > BOOLEANS_MAX)
        .map(({ name, booleans }) => `${file.path}: ${name} has ${booleans.join(', ')}`),
    );
  expect(wrong).toEqual([]);
});

test('comments and documents refer to files that exist', () => {
  const comments = code.flatMap((file) =>
    commentsOf(file).flatMap(({ text, line }) =>
      [
        ...text.matchAll(
          /(?<![\w*{}<….])((?:\.{0,2}\/)?[\w@./-]*\w\.(?:ts|mjs|mts|md))\b(?![.*(])/g,
        ),
      ]
        .map(([, name]) => name as string)
        .filter((name) => !exists(name, file.path))
        .map((name) => `${file.path}:${line} refers to ${name}`),
    ),
  );
  const links = everyFile
    .filter((path) => path.endsWith('.md'))
    .flatMap((path) =>
      [...readText(path).matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)]
        .map(([, target]) => target as string)
        .filter((target) => !existsSync(ROOT + posix.join(dirname(path), target)))
        .map((target) => `${path} links to ${target}`),
    );
  expect([...comments, ...links]).toEqual([]);
});

test('the reading order in docs/ARCHITECTURE.md leaves no folder out', () => {
  const guide = 'docs/ARCHITECTURE.md';
  const text = everyFile.includes(guide) ? readText(guide) : '';
  const folders = new Set(library.map(({ path }) => folderOf(path)).filter((name) => name !== ''));
  const missing = [...folders].filter((name) => !text.includes(`${name}/`));
  expect(missing, guide).toEqual([]);
});

test('links of one kind know no other kind, and the way out of a flusher knows none', () => {
  const KINDS = ['tcp', 'udp', 'loopback'];
  const allowed: Record<string, readonly string[]> = {
    egress: [],
    tcp: ['tcp'],
    udp: ['udp'],
    loopback: KINDS,
  };
  const wrong = library.flatMap((file) => {
    const { path } = file;
    const room = /^src\/link\/(\w+)\//.exec(path)?.[1];
    if (room === undefined) return [];
    return importsOf(file)
      .map((target) => posix.normalize(posix.join(dirname(path), target)))
      .filter((target) => {
        const kind = /^src\/link\/(\w+)\//.exec(target)?.[1] ?? '';
        return KINDS.includes(kind) && !allowed[room]?.includes(kind);
      })
      .map((target) => `${path} → ${target}`);
  });
  expect(wrong).toEqual([]);
});

test('docs/ARCHITECTURE.md names each file of src, once and in its folder', () => {
  const text = readText('docs/ARCHITECTURE.md');
  const list = text.slice(text.indexOf('## Every file'), text.indexOf('## Four ideas'));
  const named = [...list.matchAll(/^- \*\*`([\w/]+)\/`\*\*:((?:.*\n)+?)(?=- |\n)/gm)].flatMap(
    ([, folder, files]) =>
      [...(files ?? '').matchAll(/`([\w-]+\.ts)`/g)].map(([, file]) => `src/${folder}/${file}`),
  );
  const there = library.map(({ path }) => path).filter((path) => basename(path) !== 'index.ts');
  expect(named.sort()).toEqual(there.sort());
});

test('the glossary has at most 25 terms, and they cover every exported class', () => {
  const text = readText('docs/ARCHITECTURE.md');
  const begin = text.indexOf('## Glossary');
  const glossary = text.slice(begin, text.indexOf('\n## ', begin));
  const rows = [...glossary.matchAll(/^\| ([a-z][a-z, ]*) \|/gm)].map(([, term]) => term ?? '');
  const terms = rows.filter((row) => row !== 'term').flatMap((row) => row.split(', '));
  expect(rows.length - 1).toBeLessThanOrEqual(25);
  const classes = everyFile
    .filter((path) => path.startsWith('docs/api-report/') && path.endsWith('.api.md'))
    .flatMap((path) => [...readText(path).matchAll(/^export (?:abstract )?class (\w+)/gm)])
    .map(([, name]) => name as string);
  expect(classes.length).toBeGreaterThan(30);
  const missing = classes.filter(
    (name) =>
      !glossary.includes(`\`${name}\``) && !terms.some((term) => name.toLowerCase().includes(term)),
  );
  expect(missing).toEqual([]);
});

test('package.json exports what the folders offer, and asks for few packages', () => {
  const manifest = JSON.parse(readText('package.json'));
  const offered = FOLDERS.filter((name) => !PRIVATE.includes(name)).filter((name) =>
    everyFile.includes(`src/${name}/index.ts`),
  );
  const programs = new Map([
    ['./testing/register', './dist/testing/register'],
    ['./executor-thread', './dist/executor/executor-thread'],
  ]);
  const extra = [...programs.keys(), './package.json'];
  const expected = ['.', ...offered.map((name) => `./${name}`), ...extra];
  expect(Object.keys(manifest.exports).sort()).toEqual(expected.sort());
  for (const [subpath, target] of Object.entries(manifest.exports)) {
    if (subpath === './package.json') continue;
    const path = programs.get(subpath) ?? `./dist${subpath.slice(1)}/index`;
    expect(Object.entries(target as object)).toEqual([
      ['types', `${path}.d.ts`],
      ['default', `${path}.js`],
    ]);
  }
  expect(Object.keys(manifest.dependencies).sort()).toEqual(Object.keys(PACKAGES).sort());
  // npm compiles, at install, what has a binding.gyp at its root.
  expect(manifest.gypfile).toBe(false);
  expect(everyFile).not.toContain('binding.gyp');
  expect(Object.keys(manifest.scripts).filter((name) => /install$|^prepare$/.test(name))).toEqual(
    [],
  );
  const versions = Object.values<string>(manifest.devDependencies);
  expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test('nothing in the repository names the hosts or folders of the machine it was made on', () => {
  const places = [/\b(?:registry|mirrors?|artifactory)\.[a-z-]+\.[a-z]{2,}/, /"resolved":/];
  const folders = /(?<![\w.~-])\/(?:work|root|home\/\w+)\/\w/;
  const wrong = everyFile
    .filter((path) => path !== 'test/tidy.test.ts')
    .filter((path) => [...places, folders].some((pattern) => pattern.test(readText(path))));
  expect(wrong).toEqual([]);
});

/** The shortest way of imports from a file to itself; empty: there is none. */
function wayBack(from: string, targets: ReadonlyMap<string, readonly string[]>): string[] {
  const before = new Map<string, string>();
  const reached = [from];
  for (const path of reached) {
    for (const target of targets.get(path) ?? []) {
      if (target === from) {
        const way = [from];
        for (let at = path; at !== from; at = before.get(at) as string) way.push(at);
        return [...way, from].reverse();
      }
      if (before.has(target)) continue;
      before.set(target, path);
      reached.push(target);
    }
  }
  return [];
}

function isCode(path: string): boolean {
  return /\.m?ts$|\.mjs$/.test(path);
}

/** 'pool' of 'src/pool/index.ts'; '' of what stands in src itself or elsewhere. */
function folderOf(path: string): string {
  const [top, folder, file] = path.split('/');
  return top === 'src' && folder !== undefined && file !== undefined ? folder : '';
}

function isCore(path: string): boolean {
  return CORE.includes(folderOf(path));
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') && builtinModules.includes(specifier.slice('node:'.length));
}

/** A file is named by its path from here, from the repository's root, or by the path's end. */
function exists(name: string, from: string): boolean {
  if (name.startsWith('.')) return existsSync(ROOT + posix.join(dirname(from), name));
  return everyFile.some((path) => path === name || path.endsWith(`/${name}`));
}
