// SPDX-License-Identifier: MIT
/** Example broker: the handshake, INFO of the server and CONNECT of the client. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { ResolvedBrokerOptions } from './broker-options.ts';
import { type Fields, readFields } from './connect-json.ts';
import { ERROR_PARSER } from './protocol.ts';

/** The newest supported protocol: from 1 on, INFO may come at any time. */
const PROTOCOL_MAX = 1;
/** Clients choose features by it, so it is the version of nats-server that the broker emulates. */
const NATS_VERSION = '2.9.10';
/** No Go is used here, but every nats-server sends Go's version, and some clients require it. */
const GO_VERSION = 'none';

/** A client's options in CONNECT, with nats-server's defaults. */
export const CLIENT_OPTIONS_DEFAULT = {
  /** Confirm every operation with +OK. */
  verbose: true,
  /** Check subjects strictly. */
  pedantic: true,
  /** Send the client its own messages as well, if it subscribed to them. */
  echo: true,
  headers: false,
  /** Report at once if no subscriber is there to reply to a request. Needs headers. */
  no_responders: false,
  protocol: 0,
  user: '',
  pass: '',
  auth_token: '',
  /** Not supported: refused unless empty. */
  account: '',
};
export type ClientOptions = Readonly<typeof CLIENT_OPTIONS_DEFAULT>;

const names = (keys: string, value: unknown): Fields =>
  Object.fromEntries(keys.split(' ').map((key) => [key, value]));

/** All keys that nats-server knows: one with a wrong type ends the connection. */
const CONNECT_FIELDS: Fields = {
  ...CLIENT_OPTIONS_DEFAULT,
  ...names('tls_required new_account', false),
  ...names('name lang version jwt nkey sig', ''),
  ...names('import export', {}),
};

/** Keys of a client's INFO, which has no effect. */
const INFO_FIELDS: Fields = {
  ...names('server_id server_name version go host', ''),
  ...names('port proto max_payload', 0),
  headers: false,
};

/**
 * Parses the argument of CONNECT; keys that it lacks keep their values of `before`. Returns the
 * reason, in nats-server's words, if the broker refuses the client.
 */
export function readConnect(
  text: string,
  before: ClientOptions,
  broker: ResolvedBrokerOptions,
): ClientOptions | string {
  const after: Record<string, unknown> = { ...before };
  const isRead = readFields(text, CONNECT_FIELDS, (name, value) => {
    if (Object.hasOwn(before, name)) after[name] = value;
  });
  if (!isRead) return ERROR_PARSER;
  const options = after as unknown as ClientOptions;
  return refusal(options, broker) ?? options;
}

/** Whether the argument of a client's INFO is valid. */
export function isInfo(text: string): boolean {
  return readFields(text, INFO_FIELDS, () => {});
}

function refusal(client: ClientOptions, broker: ResolvedBrokerOptions): string | undefined {
  if (client.protocol < 0 || client.protocol > PROTOCOL_MAX) return 'invalid client protocol';
  if (!isAuthorized(client, broker) || client.account !== '') return 'Authorization Violation';
  if (client.no_responders && !client.headers) return 'no responders requires headers support';
  return undefined;
}

export function requiresAuthorization(broker: ResolvedBrokerOptions): boolean {
  return broker.user !== undefined || broker.token !== undefined;
}

function isAuthorized(client: ClientOptions, broker: ResolvedBrokerOptions): boolean {
  if (broker.token !== undefined) return isSameSecret(client.auth_token, broker.token);
  if (broker.user === undefined) return true;
  // Both are always compared, so that the time taken reveals nothing.
  const sameUser = isSameSecret(client.user, broker.user);
  return isSameSecret(client.pass, broker.pass ?? '') && sameUser;
}

function isSameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** The first line of every connection: these fields, and those of all. */
export function infoLine(fields: object, broker: ResolvedBrokerOptions): string {
  const info = {
    server_name: 'busbar',
    version: NATS_VERSION,
    proto: PROTOCOL_MAX,
    go: GO_VERSION,
    host: broker.host,
    headers: true,
    max_payload: broker.maxPayloadBytes,
    ...(requiresAuthorization(broker) ? { auth_required: true } : {}),
    ...fields,
  };
  return `INFO ${JSON.stringify(info)}\r\n`;
}
