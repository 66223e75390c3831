// SPDX-License-Identifier: MIT
/** Types of page-problems.mjs, for the tests. */
import type { Page } from './browser.mjs';

export function problemsOf(page: Page): Promise<readonly string[]>;
