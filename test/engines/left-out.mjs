// SPDX-License-Identifier: MIT
/** Tests that an engine does not run, and why: a table for `npm run test:engines`. */

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
    reason: 'JavaScriptCore leaves the caller of a tail call out of a stack',
  },
  {
    engine: 'bun',
    file: 'src/link/tcp/tls-link.test.ts',
    reason: 'the ciphers of the test, PSK without certificates, are not in BoringSSL',
  },
  {
    engine: 'bun',
    file: 'src/link/udp/udp-link.test.ts',
    tests: 'a datagram that is too long',
    reason: 'node:dgram tells EMSGSIZE twice there: the callback of send, and an error event',
  },
  {
    engine: 'bun',
    file: 'src/link/udp/udp-sources.test.ts',
    tests: 'multicast reaches every member',
    reason: 'setMulticastTTL(0) fails with EINVAL there',
  },
  {
    engine: 'deno',
    file: 'src/link/misuse.test.ts',
    tests: 'forgets a link whose onClose throws',
    reason: 'what a listener of an accepted socket throws becomes no uncaughtException there',
  },
  {
    engine: 'deno',
    file: 'src/link/tcp/direct-writes.test.ts',
    tests: 'tries two addresses',
    reason: 'sockets have no descriptor there, for which the test waits',
  },
  {
    engine: 'deno',
    file: 'src/link/tcp/tls-link.test.ts',
    reason: 'the ciphers of the test, PSK without certificates, are not in rustls',
  },
  ...['link', 'room', 'sources'].map((part) => ({
    engine: 'deno',
    file: `src/link/udp/udp-${part}.test.ts`,
    reason: 'node:dgram sends the datagrams of one turn in any order there',
  })),
  {
    engine: 'arm64',
    file: 'test/native/denied.test.ts',
    tests: 'where not even the machine may be read',
    reason: 'node-hooks.mjs, which the program under test needs there, reads a file',
  },
  {
    engine: 'chromium',
    file: 'src/',
    said: '\\bprocess\\d*\\.(on|once|exec)|Buffer\\.prototype|nextUncaught|emitWarning',
    reason: 'needs a process of Node',
  },
  {
    engine: 'chromium',
    file: 'src/writer/local-writer.test.ts',
    tests: 'one batch with what runs',
    reason: 'a page has no nextTick: a turn ends as a microtask (src/base/turn.ts)',
  },
];

/** What is left out of a file; an entry without `tests` and `said` is the whole file. */
export function leftOutOf(engine, file) {
  return LEFT_OUT.filter((each) => each.engine === engine && file.startsWith(each.file));
}
