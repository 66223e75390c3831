// SPDX-License-Identifier: MIT
/**
 * The two ends of request/reply: a requester that sends one request at a time, and a responder that
 * replies to each.
 */

import { Connection, type Target } from './connection.ts';
import type { LoadResult, LoadTask, RequestScenario } from './scenario.ts';
import { sharedNowMs } from './shared-clock.ts';

const SUBJECT = 'bench.request';
const INBOX = '_INBOX.bench.1';
const US_PER_MS = 1000;

/** Connects the requester. Each request carries its number, and the answer must bring it back. */
export async function prepareRequester(
  target: Target,
  { requests, payloadBytes }: RequestScenario,
): Promise<LoadTask> {
  const connection = await Connection.openAt(target, 0, `SUB ${INBOX} 1\r\n`);
  const { socket } = connection;
  return {
    port: target.port,
    run() {
      const latenciesUs: number[] = [];
      const beganMs = sharedNowMs();
      let askedMs = 0;
      let awaited = '';
      const ask = (): void => {
        const payload = String(latenciesUs.length).padStart(payloadBytes, '0');
        awaited = `MSG ${INBOX} 1 ${payloadBytes}\r\n${payload}\r\n`;
        askedMs = sharedNowMs();
        socket.write(`PUB ${SUBJECT} ${INBOX} ${payloadBytes}\r\n${payload}\r\n`, 'latin1');
      };
      return new Promise<LoadResult>((resolve, reject) => {
        const messages = new MessageReader(connection);
        connection.listen((bytes, size) => {
          for (const message of messages.take(bytes, size)) {
            if (message !== awaited) throw new Error(`awaited ${awaited}, there came ${message}`);
            latenciesUs.push((sharedNowMs() - askedMs) * US_PER_MS);
            if (latenciesUs.length < requests) ask();
            else resolve({ beganMs, endedMs: sharedNowMs(), latenciesUs });
          }
        }, reject);
        ask();
      }).finally(() => connection.close());
    },
  };
}

/** Connects the responder, which sends every payload back. */
export async function prepareResponder(
  target: Target,
  { requests, payloadBytes }: RequestScenario,
): Promise<LoadTask> {
  const connection = await Connection.openAt(target, 1, `SUB ${SUBJECT} 1\r\n`);
  const line = `MSG ${SUBJECT} 1 ${INBOX} ${payloadBytes}\r\n`;
  const answer = `PUB ${INBOX} ${payloadBytes}\r\n`;
  const beganMs = sharedNowMs();
  // Listening begins here, not in `run`: the requester may be told to go before this thread is.
  const answeredAll = new Promise<void>((resolve, reject) => {
    const messages = new MessageReader(connection);
    let answered = 0;
    connection.listen((bytes, size) => {
      for (const message of messages.take(bytes, size)) {
        if (!message.startsWith(line)) throw new Error(`unexpected message: ${message}`);
        connection.socket.write(answer + message.slice(line.length), 'latin1');
        if (++answered === requests) resolve();
      }
    }, reject);
  });
  answeredAll.catch(() => {});
  return {
    port: target.port,
    async run() {
      await answeredAll;
      await connection.settle();
      connection.close();
      return { beganMs, endedMs: sharedNowMs(), latenciesUs: [] };
    },
  };
}

/** Splits what arrives into messages of two lines each, and replies to the server's PINGs. */
class MessageReader {
  readonly #connection: Connection;
  #text = '';

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  take(bytes: Buffer, size: number): string[] {
    this.#text += bytes.toString('latin1', 0, size);
    const messages: string[] = [];
    for (;;) {
      if (this.#text.startsWith('PING\r\n')) {
        this.#text = this.#text.slice('PING\r\n'.length);
        this.#connection.answerPing();
        continue;
      }
      if (this.#text.startsWith('-ERR')) throw new Error(`the server complains: ${this.#text}`);
      const lineEnd = this.#text.indexOf('\r\n');
      const end = lineEnd < 0 ? -1 : this.#text.indexOf('\r\n', lineEnd + 2);
      if (end < 0) return messages;
      messages.push(this.#text.slice(0, end + 2));
      this.#text = this.#text.slice(end + 2);
    }
  }
}
