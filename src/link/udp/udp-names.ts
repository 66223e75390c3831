// SPDX-License-Identifier: MIT
/** Replaces host names in the options of a `UdpLink` by their addresses. */

import { isIP } from 'node:net';
import { checkOptions, show } from '../../base/check.ts';
import { UdpAddress } from './udp-address.ts';
import { type HostLookup, isHostName, lookUpHost } from './udp-lookup.ts';
import { isUnixPeer, type UdpPeer, type UnixPeer } from './udp-options.ts';

/** The options that may contain names. */
interface Named {
  readonly host?: string;
  readonly path?: string;
  readonly peer?: UdpPeer | UdpAddress | UnixPeer;
  readonly ipv6Only?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns the options with addresses in place of names. Anything but a string stays as it is, for
 * `resolveUdpOptions` to reject.
 *
 * Host and peer must be of one family. A numeric address decides which; otherwise the name of the
 * host does, or, if only the peer has a name, the peer's.
 *
 * **Throws** (rejects) as `lookUpHost`; RangeError for a string that is neither an address nor a
 * name.
 */
export async function resolveNames<Options extends Named>(
  options: Options,
  lookup?: HostLookup,
): Promise<Options> {
  const { host, ipv6Only, signal } = options;
  if (options.path !== undefined || isUnixPeer(options.peer)) return options;
  const peer = partsOf(options.peer);
  checkHost('host', host);
  checkHost('peer.host', peer?.host);
  if (!isHostName(host) && !isHostName(peer?.host)) return options;
  const wait = signal === undefined ? {} : { signal };
  const ask = async <H>(name: H, family: 0 | 4 | 6): Promise<H | string> => {
    if (!isHostName(name)) return name;
    return lookUpHost(name, family === 0 ? wait : { ...wait, family }, lookup);
  };
  const here = await ask(host, ipv6Only === true ? 6 : familyOf(peer?.host));
  const there = await ask(peer?.host, here === undefined && ipv6Only === true ? 6 : familyOf(here));
  return {
    ...options,
    ...(here === undefined ? {} : { host: here }),
    ...(isHostName(peer?.host) ? { peer: { ...peer, host: there } } : {}),
  };
}

function checkHost(name: string, host: unknown): void {
  if (typeof host !== 'string' || isIP(host) !== 0 || isHostName(host)) return;
  throw new RangeError(`${name} must be an IPv4 or IPv6 address or a name, got ${show(host)}`);
}

function partsOf(peer: UdpPeer | UdpAddress | undefined): UdpPeer | UdpAddress | undefined {
  if (peer instanceof UdpAddress || typeof peer !== 'object' || peer === null) return peer;
  return checkOptions('peer', peer, ['host', 'port']);
}

function familyOf(host: string | undefined): 0 | 4 | 6 {
  return typeof host === 'string' ? (isIP(host) as 0 | 4 | 6) : 0;
}
