// SPDX-License-Identifier: MIT
/** The terminal of `busbar top`: shows what fits, scrolls by keys, and is put back at the end. */

import { plain } from './view.ts';

const [CLEAR, HOME, REST, BELOW] = ['\x1b[?1049h\x1b[?25l', '\x1b[H', '\x1b[K', '\x1b[J'];
const BACK = '\x1b[?25h\x1b[?1049l';
const [RED, NORMAL] = ['\x1b[31m', '\x1b[0m'];
const ENDS = ['q', '\x03', '\x04'];
/** In rows, or in pages: the keys of a terminal, and those of `less`. */
const ROWS: Readonly<Record<string, number>> = {
  '\x1b[A': -1,
  '\x1bOA': -1,
  k: -1,
  '\x1b[B': 1,
  '\x1bOB': 1,
  j: 1,
};
const PAGES: Readonly<Record<string, number>> = {
  '\x1b[5~': -1,
  b: -1,
  '\x1b[6~': 1,
  ' ': 1,
  '\x1b[H': -Infinity,
  '\x1bOH': -Infinity,
  g: -Infinity,
  '\x1b[F': Infinity,
  '\x1bOF': Infinity,
  G: Infinity,
};
/** A key that sends several characters, or one character: several may come at once. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what such a key begins with
const KEY = /\x1b[[O][\d;]*[A-Za-z~]|[\s\S]/g;

/** What a terminal shows of more lines than it has rows. */
export interface Part {
  /** The first line that is shown. */
  readonly first: number;
  readonly lines: readonly string[];
}

/**
 * The lines from `first` on, as far as `rows` allow, and where others are hidden a last one that
 * says so. One row stays free for the cursor.
 */
export function partOf(lines: readonly string[], first: number, rows: number): Part {
  const room = Math.max(1, rows - 1);
  if (lines.length <= room) return { first: 0, lines };
  const count = Math.max(1, room - 1);
  const begin = Math.min(Math.max(0, first), lines.length - count);
  const shown = lines.slice(begin, begin + count);
  const alarms = [lines, shown].map((each) => each.filter((line) => line.startsWith('!')).length);
  const hidden = (alarms[0] as number) - (alarms[1] as number);
  const also = hidden === 0 ? '' : ` (hidden: ${hidden} with !)`;
  const where = `lines ${begin + 1}-${begin + count} of ${lines.length}${also}`;
  return { first: begin, lines: [...shown, `${where}; space, b: on, back; q: end`].slice(0, room) };
}

/** A terminal that is taken over until the process ends. */
export class Screen {
  readonly #stdout: NodeJS.WriteStream;
  readonly #onEnd: () => void;
  #linesOf: (width: number) => readonly string[] = () => [];
  #first = 0;

  /** `onEnd` is called for a key that ends the program. */
  constructor({ stdin, stdout }: NodeJS.Process, onEnd: () => void) {
    this.#stdout = stdout;
    this.#onEnd = onEnd;
    stdout.write(CLEAR);
    process.on('exit', () => stdout.write(BACK));
    stdout.on('resize', () => this.#draw());
    if (!stdin.isTTY) return;
    stdin.setRawMode(true).on('data', (data) => {
      for (const [key] of String(data).matchAll(KEY)) this.#press(key);
    });
  }

  /** From now on shows these lines, of the width that the terminal has. */
  show(linesOf: (width: number) => readonly string[]): void {
    this.#linesOf = linesOf;
    this.#draw();
  }

  #draw(): void {
    const { columns, rows } = this.#stdout;
    const part = partOf(this.#linesOf(columns), this.#first, rows);
    this.#first = part.first;
    const shown = part.lines.map((line) => {
      const text = plain(line).slice(0, columns);
      return `${line.startsWith('!') ? `${RED}${text}${NORMAL}` : text}${REST}\n`;
    });
    this.#stdout.write(`${HOME}${shown.join('')}${BELOW}`);
  }

  #press(key: string): void {
    if (ENDS.includes(key)) this.#onEnd();
    const page = Math.max(1, this.#stdout.rows - 3);
    const rows = ROWS[key] ?? (PAGES[key] ?? 0) * page;
    if (rows === 0) return;
    this.#first += rows;
    this.#draw();
  }
}
