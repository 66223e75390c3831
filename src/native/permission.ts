// SPDX-License-Identifier: MIT
/** What Node's permission model denies this process. */

import { BusbarError } from '../base/errors.ts';

/** The part of `process` that is used; tests pass their own. */
export interface PermissionSource {
  readonly permission?: { has(scope: string, reference?: string): boolean };
  readonly allowedNodeEnvironmentFlags: { has(flag: string): boolean };
}

/**
 * Throws where the permission model denies sockets. Node itself throws later, from a turn after
 * `listen`, which ends the process; and the model does not bind addons.
 *
 * A Node without `--allow-net` does not know the scope, returns false for it, and denies nothing.
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
