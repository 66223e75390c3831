// SPDX-License-Identifier: MIT
/** The types of error-page.mjs, for the test that compares the page. */
export declare const PAGE: string;
export interface ErrorEntry {
  readonly code: string;
  readonly text: string;
  readonly when: string;
  readonly advice: string;
  /** Links to pages that explain it; '' for none. */
  readonly see: string;
}
export declare function readErrors(): readonly ErrorEntry[];
export declare function errorPage(): string;
