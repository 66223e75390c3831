// SPDX-License-Identifier: MIT
/** The socket's end of the way, in both directions: the names of hosts, looked up once. */

import { lookup as systemLookup } from 'node:dns';
import { isIP } from 'node:net';
import { checkOptions, show } from '../../base/check.ts';
import { BusbarError } from '../../base/errors.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../../base/wait-guard.ts';
import { checkNetAllowed } from '../../native/permission.ts';

/** How a name is looked up. */
export interface LookupOptions extends WaitOptions {
  /** Only addresses of this family. Default: what the system names first. */
  readonly family?: 4 | 6;
}

/** Asks the system, as `lookup` of `node:dns` does; tests have their own. */
export type HostLookup = (
  name: string,
  options: { readonly family: 0 | 4 | 6 },
  done: (error: Error | null, address: string) => void,
) => void;

/** Neither an address nor a part of one, and short enough for the name service. */
const NAME = /^[^\s\p{Cc}:%/[\]@]{1,253}$/u;
/** Ends in a number: a misspelt IPv4 address, which the system would complete in some way. */
const NUMERIC = /(?:^|\.)(?:\d+|0x[\da-f]*)\.?$/i;

/** True for a text that is no address in numbers, but may be the name of a host. */
export function isHostName(host: unknown): host is string {
  return typeof host === 'string' && isIP(host) === 0 && NAME.test(host) && !NUMERIC.test(host);
}

/**
 * The address of a host, in text. An address is returned as it is, in this turn and unasked.
 *
 * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause: the name has no
 * address of that family, or nobody can say; ERR_BUSBAR_TIMEOUT, `signal.reason`; TypeError or
 * RangeError.
 */
export async function lookUpHost(
  host: string,
  options: LookupOptions = {},
  lookup: HostLookup = systemLookup,
): Promise<string> {
  if (typeof host !== 'string') throw new TypeError(`host must be a string, got ${show(host)}`);
  const { family, ...wait } = checkOptions('options', options, ['family', 'signal', 'timeoutMs']);
  if (family !== undefined && family !== 4 && family !== 6) {
    throw new RangeError(`family must be 4 or 6, got ${show(family)}`);
  }
  const limits = resolveWaitOptions(wait);
  if (isIP(host) !== 0) return host;
  if (!isHostName(host)) {
    throw new RangeError(`host must be an IPv4 or IPv6 address or a name, got ${show(host)}`);
  }
  checkNetAllowed();
  return new Promise((resolve, reject) => {
    // The system cannot be stopped; what it says after that is not heard.
    const guard = new WaitGuard(limits, `look up ${host}`, reject);
    lookup(host, { family: family ?? 0 }, (cause, address) => {
      guard.end();
      if (cause === null && isIP(address) !== 0) {
        resolve(address);
        return;
      }
      const reason = cause === null ? `no address but ${show(address)}` : cause.message;
      reject(new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${host}, ${reason}`, { cause }));
    });
  });
}
