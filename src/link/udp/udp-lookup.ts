// SPDX-License-Identifier: MIT
/** Looks up host names. */

import { lookup as systemLookup } from 'node:dns';
import { isIP } from 'node:net';
import { checkOptions, show } from '../../base/check.ts';
import { BusbarError } from '../../base/errors.ts';
import { resolveWaitOptions, WaitGuard, type WaitOptions } from '../../base/wait-guard.ts';
import { checkNetAllowed } from '../../native/permission.ts';

/** Options of a lookup. */
export interface LookupOptions extends WaitOptions {
  /** Only addresses of this family. Default: the system's first address. */
  readonly family?: 4 | 6;
}

/** The interface of `lookup` of `node:dns`; tests have their own. */
export type HostLookup = (
  name: string,
  options: { readonly family: 0 | 4 | 6 },
  done: (error: Error | null, address: string) => void,
) => void;

/** Has no character that only addresses have, and is short enough for the name service. */
const NAME = /^[^\s\p{Cc}:%/[\]@]{1,253}$/u;
/** Ends in a number, like an incomplete IPv4 address, which the system would complete. */
const NUMERIC = /(?:^|\.)(?:\d+|0x[\da-f]*)\.?$/i;

/** True for a string that may be a host name and is not a numeric address. */
export function isHostName(host: unknown): host is string {
  return typeof host === 'string' && isIP(host) === 0 && NAME.test(host) && !NUMERIC.test(host);
}

/**
 * Returns a host's address as a string. A numeric address is returned as it is, without a lookup.
 *
 * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED with the system's error as cause if the name has no
 * address of that family, or the lookup fails; ERR_BUSBAR_TIMEOUT, `signal.reason`; TypeError or
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
    // The system's lookup cannot be stopped; its later result is ignored.
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
