// SPDX-License-Identifier: MIT
/** What waits for a client must be gone in time. */

import { expect, test } from 'vitest';
import { OutputDeadline } from './output-deadline.ts';

/** A link to which a test writes, and from which its peer reads. */
class Link {
  queuedBytes = 0;
  #bytesWritten = 0;

  send(bytes: number): void {
    this.queuedBytes += bytes;
  }

  read(bytes: number): void {
    this.queuedBytes -= bytes;
    this.#bytesWritten += bytes;
  }

  stats(): { readonly bytesWritten: number } {
    return { bytesWritten: this.#bytesWritten };
  }
}

test('a client that reads nothing misses the deadline', () => {
  const deadline = new OutputDeadline(100);
  const link = new Link();
  expect(deadline.isMissed(0, link)).toBe(false);
  link.send(1000);
  expect([50, 149, 150].map((ms) => deadline.isMissed(ms, link))).toEqual([false, false, true]);
});

test('one that reads a part of what waited misses it, too', () => {
  const deadline = new OutputDeadline(100);
  const link = new Link();
  link.send(1000);
  expect(deadline.isMissed(0, link)).toBe(false);
  for (let ms = 10; ms < 100; ms += 10) {
    link.read(99);
    link.send(99);
    expect(deadline.isMissed(ms, link)).toBe(false);
  }
  expect(deadline.isMissed(100, link)).toBe(true);
});

test('one that takes what waited, though more comes all the time, does not', () => {
  const deadline = new OutputDeadline(100);
  const link = new Link();
  link.send(1000);
  for (let ms = 0; ms < 10_000; ms += 10) {
    expect(deadline.isMissed(ms, link)).toBe(false);
    link.read(150);
    link.send(150);
  }
});

test('nor does one that had taken everything in between', () => {
  const deadline = new OutputDeadline(100);
  const link = new Link();
  for (let ms = 0; ms < 1000; ms += 90) {
    link.send(1000);
    expect(deadline.isMissed(ms, link)).toBe(false);
    link.read(1000);
    expect(deadline.isMissed(ms + 50, link)).toBe(false);
  }
});
