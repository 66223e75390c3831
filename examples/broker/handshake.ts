// SPDX-License-Identifier: MIT
/** Example broker: what server and client tell each other at the beginning: INFO and CONNECT. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { ResolvedBrokerOptions } from './broker-options.ts';

/** The newest protocol that we know of: from 1 on, INFO may come at any time. */
const PROTOCOL_MAX = 1;

/** What a client asks for with CONNECT. */
export interface ClientOptions {
  /** Confirm every operation with +OK. */
  readonly verbose: boolean;
  /** Check subjects strictly. */
  readonly pedantic: boolean;
  /** Send the client its own messages, too, if it subscribed to them. */
  readonly echo: boolean;
  readonly headers: boolean;
  /** Tell at once when nobody is there to answer a request. Needs headers. */
  readonly no_responders: boolean;
  readonly protocol: number;
  readonly user: string;
  readonly pass: string;
  readonly auth_token: string;
}

/** What holds for a client that does not say otherwise; nats-server has the same. */
export const CLIENT_OPTIONS_DEFAULT: ClientOptions = {
  verbose: true,
  pedantic: true,
  echo: true,
  headers: false,
  no_responders: false,
  protocol: 0,
  user: '',
  pass: '',
  auth_token: '',
};

/**
 * Reads the argument of CONNECT; what it does not mention stays as it was `before`.
 *
 * Undefined: it is no object, or a field has the wrong type.
 */
export function parseConnect(text: string, before: ClientOptions): ClientOptions | undefined {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined;
  const after: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(before, name) || value === null) continue;
    if (typeof value !== typeof after[name]) return undefined;
    after[name] = value;
  }
  return after as unknown as ClientOptions;
}

/** Why these options are refused, in nats-server's words; undefined: they are fine. */
export function refusal(client: ClientOptions, broker: ResolvedBrokerOptions): string | undefined {
  if (client.protocol < 0 || client.protocol > PROTOCOL_MAX) return 'invalid client protocol';
  if (!isAuthorized(client, broker)) return 'Authorization Violation';
  if (client.no_responders && !client.headers) return 'no responders requires headers support';
  return undefined;
}

export function requiresAuthorization(broker: ResolvedBrokerOptions): boolean {
  return broker.user !== undefined || broker.token !== undefined;
}

function isAuthorized(client: ClientOptions, broker: ResolvedBrokerOptions): boolean {
  if (broker.token !== undefined) return isSameSecret(client.auth_token, broker.token);
  if (broker.user === undefined) return true;
  // Both are compared, whatever the first says: the time taken tells nothing.
  const sameUser = isSameSecret(client.user, broker.user);
  return isSameSecret(client.pass, broker.pass ?? '') && sameUser;
}

function isSameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** What the INFO line of one connection says beyond the options. */
export interface InfoFields {
  readonly serverId: string;
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly clientId: number;
  readonly clientAddress: string;
  /** The broker is about to stop: clients that know of another one should go there. */
  readonly lameDuck: boolean;
}

/** The line that opens every conversation. */
export function infoLine(fields: InfoFields, broker: ResolvedBrokerOptions): string {
  const info = {
    server_id: fields.serverId,
    server_name: 'busbar',
    version: fields.version,
    proto: PROTOCOL_MAX,
    host: fields.host,
    port: fields.port,
    headers: true,
    max_payload: broker.maxPayloadBytes,
    client_id: fields.clientId,
    client_ip: fields.clientAddress,
    ...(requiresAuthorization(broker) ? { auth_required: true } : {}),
    ...(fields.lameDuck ? { ldm: true } : {}),
  };
  return `INFO ${JSON.stringify(info)}\r\n`;
}
