// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { RecentSubject } from './recent-subject.ts';

const encoder = new TextEncoder();

/** A line's beginning, and what may lie behind it. */
function lineOf(text: string): DataView {
  return new DataView(encoder.encode(`${text}    `).buffer);
}

test.each(['a', 'abc', 'abcd', 'abcdefg', 'abcdefgh.ijk', 'a.b.c.d.e.f.g.h.i.j.k'])(
  '%s is known again, and no subject that differs in one byte, or in its length',
  (subject) => {
    const recent = new RecentSubject();
    const line = lineOf(`${subject} 5`);
    const end = line.byteLength;
    expect(recent.isAt(line, 0, end)).toBe(false);
    expect(recent.read(line, 0, end)).toBe(true);
    expect(recent.length).toBe(subject.length);
    expect(recent.isAt(line, 0, end)).toBe(true);
    for (let at = 0; at < subject.length; at++) {
      const other = `${subject.slice(0, at)}#${subject.slice(at + 1)}`;
      expect(recent.isAt(lineOf(`${other} 5`), 0, end), other).toBe(false);
    }
    expect(recent.isAt(lineOf(`${subject}x 5`), 0, end)).toBe(false);
    expect(recent.isAt(lineOf(`${subject.slice(1)} 5`), 0, end - 1)).toBe(false);
    const skipped = new RecentSubject();
    skipped.skip(line, 0, subject.length);
    expect([skipped.hash, skipped.length]).toEqual([recent.hash, 0]);
    recent.forget();
    expect(recent.isAt(line, 0, end)).toBe(false);
  },
);
