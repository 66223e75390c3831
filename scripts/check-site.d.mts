// SPDX-License-Identifier: MIT
/** Types of check-site.mjs, for its tests. */
export function checkSite(): boolean;
export function show(
  url: string,
  ...options: string[]
): { readonly log?: string; readonly dom?: string | undefined };
