// SPDX-License-Identifier: MIT
/** A listening socket, so that a thread which claims to serve sockets has one to serve. */

import { createServer, type Server } from 'node:net';

/** Resolves with a server that listens on a free port of this machine. */
export function listen(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject).listen(0, '127.0.0.1', () => resolve(server));
  });
}
