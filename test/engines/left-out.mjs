// SPDX-License-Identifier: MIT
/** Tests that an engine does not run, and why: a table for `npm run test:engines`. */

const UNREAD = 'net reads into no given buffer (onread) there: the link copies, as it says';
const DGRAM = 'dgram reports no such error there';
const UNCAUGHT = 'what a callback of net or dgram throws becomes no uncaughtException there';

/** `tests` matches names of tests; without it the whole file is left out. */
const LEFT_OUT = [
  {
    engine: 'bun',
    file: 'src/base/stack.test.ts',
    tests: 'throws where a first call would',
    reason: 'JavaScriptCore has no fixed place where a stack ends',
  },
  {
    engine: 'bun',
    file: 'src/pool/leak-tracker.test.ts',
    tests: 'detach names the first packet',
    reason: 'JavaScriptCore leaves tail calls out of a stack',
  },
  {
    engine: 'bun',
    file: 'src/link/misuse.test.ts',
    tests: 'a UDP handler that calls .* and throws',
    reason: UNCAUGHT,
  },
  {
    engine: 'bun',
    file: 'src/link/unheard.test.ts',
    tests: 'a refused frame: the server warns',
    reason: 'a reset by resetAndDestroy arrives as a clean end there',
  },
  {
    engine: 'bun',
    file: 'src/link/tcp/tcp-closing.test.ts',
    tests: 'Unix sockets carry frames',
    reason: UNREAD,
  },
  {
    engine: 'bun',
    file: 'src/link/tcp/tcp-link.test.ts',
    tests: 'the kernel reads into the pool|in random chunks arrive|still counts for its server',
    reason: UNREAD,
  },
  {
    engine: 'bun',
    file: 'src/link/tcp/tcp-server.test.ts',
    tests: 'a Unix socket does as well',
    reason: UNREAD,
  },
  {
    engine: 'bun',
    file: 'src/link/tcp/tls-link.test.ts',
    reason: 'the certificate-free ciphers of the test are not in BoringSSL',
  },
  {
    engine: 'bun',
    file: 'src/link/udp/udp-link.test.ts',
    tests: 'a datagram that is too long|multicast reaches every member',
    reason: DGRAM,
  },
  {
    engine: 'chromium',
    file: 'src/',
    said: '\\bprocess\\.(on|once|exec)|Buffer\\.prototype',
    reason: 'needs a process of Node',
  },
];

/** What is left out of a file; an entry without `tests` and `said` is the whole file. */
export function leftOutOf(engine, file) {
  return LEFT_OUT.filter((each) => each.engine === engine && file.startsWith(each.file));
}
