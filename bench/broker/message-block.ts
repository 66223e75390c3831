// SPDX-License-Identifier: MIT
/**
 * The bytes that a publisher sends and a subscriber must receive: a block of numbered messages,
 * repeated.
 */

/** Each publisher has a subject of its own. */
export function subjectOf(publisher: number): string {
  return `bench.flow.${publisher}`;
}

/** The subscription id that every subscriber uses on its own connection. */
export const SUBSCRIPTION = '1';

/** `count` messages as a publisher writes them. */
export function publishedBlock(subject: string, count: number, payloadBytes: number): Buffer {
  return block(`PUB ${subject} ${payloadBytes}\r\n`, count, payloadBytes);
}

/** The same messages as a subscriber receives them. */
export function deliveredBlock(subject: string, count: number, payloadBytes: number): Buffer {
  return block(`MSG ${subject} ${SUBSCRIPTION} ${payloadBytes}\r\n`, count, payloadBytes);
}

/** Each payload begins with its number and is filled with bytes that depend on it. */
function block(line: string, count: number, payloadBytes: number): Buffer {
  const bytes = Buffer.alloc(count * (line.length + payloadBytes + 2));
  let offset = 0;
  for (let i = 0; i < count; i++) {
    offset += bytes.write(line, offset, 'latin1');
    bytes.fill(i & 0xff, offset, offset + payloadBytes);
    bytes.writeUInt32LE(i, offset);
    offset += payloadBytes;
    offset += bytes.write('\r\n', offset, 'latin1');
  }
  return bytes;
}
