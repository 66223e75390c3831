// SPDX-License-Identifier: MIT
/**
 * `npm run errors` writes docs/errors.md from the table of codes in src/base/errors.ts; the test
 * beside the table compares them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { ROOT } from './files.mjs';

export const PAGE = 'docs/errors.md';
const TABLE = 'src/base/errors.ts';

const HEAD = `# Errors

What the outside world does to a program, and what the state of a shared object forbids, is a
\`BusbarError\` with a code. Codes are stable; compare them, not the messages. Wrong arguments are a
\`TypeError\` or \`RangeError\` that names the argument, what is expected, and the value. "Full",
"empty" and "not now" are return values, not errors.

\`\`\`ts no-run
import { isBusbarError } from 'busbar/errors';

const isDeparture = (error: unknown): boolean =>
  isBusbarError(error, 'ERR_BUSBAR_LINK_FAILED') ||
  isBusbarError(error, 'ERR_BUSBAR_LINK_TRUNCATED');
\`\`\`

\`isBusbarError(error)\` and \`isBusbarError(error, code)\` take any value. \`error.cause\` is what
lies below: the system's error, or what a handler threw; \`error.help\` names the
entry here. \`busbar/errors\` also exports
\`BusbarError\`, the type \`BusbarErrorCode\`, and \`BUSBAR_ERRORS\`, the table of messages.

This page is made from that table: \`npm run errors\`. The package has it without the guides that
it leads to.
`;

/** Every code of the table: its text, when it occurs, what to do, and which pages explain it. */
export function readErrors() {
  const text = readFileSync(ROOT + TABLE, 'utf8');
  const tree = ts.createSourceFile(TABLE, text, ts.ScriptTarget.Latest, true);
  const found = [];
  const visit = (node) => {
    if (ts.isPropertyAssignment(node) && /^ERR_BUSBAR_/.test(node.name.text)) {
      found.push({ code: node.name.text, text: node.initializer.text, ...adviceOf(text, node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

function adviceOf(text, node) {
  const [range] = ts.getLeadingCommentRanges(text, node.pos) ?? [];
  const comment = range === undefined ? '' : text.slice(range.pos, range.end);
  const words = comment.replace(/^\/\*\*|\*\/$|^\s*\*(?!\/)/gm, ' ').replace(/\s+/g, ' ');
  const [when = '', advice = '', see = ''] = words
    .split(/\*\*(?:Do|See)\*\*:/)
    .map((part) => part.trim().replaceAll('](../../docs/', ']('));
  return { when, advice, see };
}

/** The text of the page. */
export function errorPage() {
  const entries = readErrors().map(({ code, text, when, advice, see }) => {
    const more = see === '' ? '' : `\n**See** ${see}\n`;
    return `## ${code}\n\n*${text}*\n\n${when}\n\n**What to do**: ${advice}\n${more}`;
  });
  return [HEAD, ...entries].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(ROOT + PAGE, errorPage());
}
