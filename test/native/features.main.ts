// SPDX-License-Identifier: MIT
/** Test program: prints the native features that it finds; run with many permissions denied. */
import { native, setAffinity, topology } from 'busbar/native';

function attempt(): string {
  try {
    setAffinity(topology().allowed.map(({ cpu }) => cpu));
    return '';
  } catch (error) {
    return `${(error as { code?: string }).code}: ${(error as Error).message}`;
  }
}

const { features } = native;
const { allowed, usableCount } = topology();
console.log(JSON.stringify({ features, allowed, usableCount, attempt: attempt() }));
