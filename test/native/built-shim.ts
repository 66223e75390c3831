// SPDX-License-Identifier: MIT
/** Test tool: whether the build has made the shim on this machine. */
import { existsSync, readFileSync } from 'node:fs';
import { ROOT } from '../../scripts/files.mjs';

const REPORT = `${ROOT}build/native.json`;

/**
 * Whether the shim must work here. False where the build had no compiler, or is not for Linux:
 * there the tests look at the refusals. Where it had one and failed, nothing may pass; nor without
 * one where BUSBAR_TEST_NATIVE=required.
 */
export function isShimBuilt(): boolean {
  if (!existsSync(REPORT)) throw new Error('build first: npm run build');
  const { outcome, reason } = JSON.parse(readFileSync(REPORT, 'utf8'));
  if (outcome === 'failed') throw new Error(`the shim does not compile: ${reason}`);
  if (outcome === 'skipped' && process.env.BUSBAR_TEST_NATIVE === 'required') {
    throw new Error(`the shim was to be built here: ${reason}`);
  }
  const off = process.env.BUSBAR_NATIVE === 'off' || process.platform !== 'linux';
  return outcome === 'built' && !off;
}

/** The binary that the loader finds: the one that the build has made, unless told otherwise. */
export const BINARY: string = `${process.env.BUSBAR_PREBUILD ?? ROOT}/build/Release/busbar.node`;
