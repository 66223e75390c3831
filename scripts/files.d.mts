// SPDX-License-Identifier: MIT
/** The types of files.mjs, for the tests that use it. */
export const ROOT: string;
export function listFiles(folder?: string): string[];
export function fingerprint(paths: readonly string[]): string;
