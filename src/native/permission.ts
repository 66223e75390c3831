// SPDX-License-Identifier: MIT
/** What Node's permission model denies this process. */

import { BusbarError } from '../base/errors.ts';

/** What is asked of `process`; tests have their own. */
export interface PermissionSource {
  readonly permission?: { has(scope: string, reference?: string): boolean };
  readonly allowedNodeEnvironmentFlags: { has(flag: string): boolean };
}

/**
 * Refuses to open sockets where the permission model denies them. Node itself throws from a later
 * turn at `listen`, which ends the process; and addons are not bound by it.
 *
 * A Node without `--allow-net` knows no such scope, says no to it, and denies nothing.
 *
 * **Throws** ERR_BUSBAR_LINK_REFUSED, with code ERR_ACCESS_DENIED in its cause.
 */
export function checkNetAllowed(source: PermissionSource = process as PermissionSource): void {
  const { permission } = source;
  if (permission === undefined || !source.allowedNodeEnvironmentFlags.has('--allow-net')) return;
  if (permission.has('net')) return;
  const what = 'the permission model of Node denies the network (--allow-net)';
  throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', what, { cause: { code: 'ERR_ACCESS_DENIED' } });
}
