// SPDX-License-Identifier: MIT
/** Test tool: the lines of the protocol that many tests write and expect. */

export function message(subject: string, payload: string): string {
  return `PUB ${subject} ${payload.length}\r\n${payload}\r\n`;
}

export function delivered(subject: string, sid: string, payload: string): string {
  return `MSG ${subject} ${sid} ${payload.length}\r\n${payload}\r\n`;
}

/** The numbers with which lines begin. */
export function numbersIn(text: string): number[] {
  return [...text.matchAll(/^(\d+) /gm)].map((match) => Number(match[1]));
}
