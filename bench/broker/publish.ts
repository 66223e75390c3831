// SPDX-License-Identifier: MIT
/**
 * The sending ends of a flow: a publisher, and a stand-in for the whole server that shows the limit
 * of the load threads.
 */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Connection, type Target } from './connection.ts';
import { deliveredBlock, publishedBlock, subjectOf } from './message-block.ts';
import { BLOCK_MESSAGES, type FlowScenario, type LoadTask } from './scenario.ts';
import { sharedNowMs } from './shared-clock.ts';

/**
 * Bytes per write at least; prebuilt, so that a message costs the publisher only its share of a
 * system call.
 */
const WRITE_BYTES = 65_536;

/**
 * Connects the publishers. They are done when the server has answered a PING that follows the last
 * message of each.
 */
export async function preparePublishers(target: Target, scenario: FlowScenario): Promise<LoadTask> {
  const publishers = Array.from({ length: scenario.publishers }, (_, i) => i);
  const connections = await Promise.all(publishers.map((i) => Connection.openAt(target, i, '')));
  const { payloadBytes } = scenario;
  const repeats = scenario.messages / BLOCK_MESSAGES;
  return {
    port: target.port,
    async run() {
      const beganMs = sharedNowMs();
      const publishing = connections.map((connection, i) =>
        publish(connection, publishedBlock(subjectOf(i), BLOCK_MESSAGES, payloadBytes), repeats),
      );
      await Promise.all(publishing);
      return { beganMs, endedMs: sharedNowMs(), latenciesUs: [] };
    },
  };
}

async function publish(connection: Connection, block: Buffer, repeats: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    connection.listen((bytes, size) => {
      const text = bytes.toString('latin1', 0, size);
      if (text !== 'PING\r\n') reject(new Error(`unexpected: ${text}`));
      connection.answerPing();
    }, reject);
    writeRepeated(connection.socket, block, repeats).then(resolve, reject);
  });
  await connection.settle();
  connection.close();
}

/**
 * Listens as a server that knows what its subscribers want and sends it: the ceiling of the
 * measurement.
 */
export async function prepareBlast(scenario: FlowScenario): Promise<LoadTask> {
  const sockets: Socket[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      if (bytes.includes('PING')) socket.write('PONG\r\n');
    });
    socket.write('INFO {}\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const block = deliveredBlock(subjectOf(0), BLOCK_MESSAGES, scenario.payloadBytes);
  const repeats = scenario.messages / BLOCK_MESSAGES;
  return {
    port: (server.address() as AddressInfo).port,
    async run() {
      const beganMs = sharedNowMs();
      await Promise.all(sockets.map((socket) => writeRepeated(socket, block, repeats)));
      server.close();
      return { beganMs, endedMs: sharedNowMs(), latenciesUs: [] };
    },
  };
}

/** Writes `block` this many times, never more than the socket takes. */
async function writeRepeated(socket: Socket, block: Buffer, repeats: number): Promise<void> {
  const blocksPerWrite = Math.ceil(WRITE_BYTES / block.length);
  const chunk = Buffer.concat(Array.from({ length: blocksPerWrite }, () => block));
  for (let left = repeats; left > 0; left -= blocksPerWrite) {
    const bytes = left >= blocksPerWrite ? chunk : chunk.subarray(0, left * block.length);
    if (!socket.write(bytes)) await once(socket, 'drain');
  }
}
