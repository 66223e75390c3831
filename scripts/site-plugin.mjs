// SPDX-License-Identifier: MIT
/**
 * For typedoc, which calls it first: makes the script that the site's pages load, calls each
 * document by its heading, not by its file, says what each module is, shows all error codes, and
 * keeps the lines of drawings in comments.
 */
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';
import { Comment, Converter, LiteralType, ReflectionKind, UnionType } from 'typedoc';
import { ROOT } from './files.mjs';

/** A paragraph of a comment whose lines are all indented. */
const DRAWING = /(?<=^|\n\n)(?: {2,}.*(?:\n|$))+(?=\n|$)/g;

export async function load({ converter }) {
  converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const heading = /^# (.+)$/m.exec(document.content[0]?.text ?? '')?.[1];
    if (heading !== undefined) document.name = heading;
  });
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      module.comment = new Comment([{ kind: 'text', text: aboutModule(module.name) }]);
    }
    showErrorCodes(project);
    for (const { comment } of Object.values(project.reflections)) {
      const texts = [
        comment?.summary ?? [],
        ...(comment?.blockTags ?? []).map((tag) => tag.content),
      ];
      for (const part of texts.flat()) {
        if (part.kind === 'text') part.text = withDrawings(part.text);
      }
    }
  });
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['docs/site/pool-calculator.mjs'],
    outfile: 'build/pool-calculator.js',
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    logLevel: 'warning',
  });
}

/** Marks the drawings as code: in Markdown an indent of two or three spaces means nothing. */
function withDrawings(text) {
  return text.replace(DRAWING, (lines) => `\`\`\`text\n${lines.replace(/\n$/, '')}\n\`\`\`\n`);
}

/** The comment at the head of a folder's `index.ts`. */
function aboutModule(name) {
  const path = name === 'index' ? 'src/index.ts' : `src/${name}/index.ts`;
  return /^\/\*\* (.+) \*\/$/m.exec(readFileSync(ROOT + path, 'utf8'))[1];
}

/** In place of `keyof typeof` something that is not exported. */
function showErrorCodes(project) {
  const codes = readFileSync(`${ROOT}docs/errors.md`, 'utf8').matchAll(/^## (ERR_\w+)$/gm);
  const type = project.getReflectionsByKind(ReflectionKind.TypeAlias).find(({ name }) => {
    return name === 'BusbarErrorCode';
  });
  type.type = new UnionType([...codes].map(([, code]) => new LiteralType(code)));
  const text = ' [What to do about each](../documents/Errors.html).';
  type.comment.summary.push({ kind: 'text', text });
}
