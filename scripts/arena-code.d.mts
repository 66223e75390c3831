// SPDX-License-Identifier: MIT
/** The types of arena-code.mjs, for the test that compares the module. */
export declare const CODE: string;
export declare function assembleArena(): Promise<string>;
