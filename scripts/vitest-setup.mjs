// SPDX-License-Identifier: MIT
/**
 * Builds what is out of date before the tests run, and before each run of the watcher: workers, end
 * to end tests and the built package never run older code than the sources that a test imports.
 */
import { build } from './build.mjs';

export async function setup(project) {
  await buildOrFail();
  project.onTestsRerun(buildOrFail);
}

async function buildOrFail() {
  if (!(await build())) throw new Error('The build failed (see above), so no test was run.');
  // For the processes of the tests, which begin after this: test/program.ts need not look again.
  process.env.BUSBAR_BUILT = '1';
}
