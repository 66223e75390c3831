// SPDX-License-Identifier: MIT
/** Types of pictures.mjs, for its test. */
export function draw(text: string, title: string): string;
export function pictures(): { readonly path: string; readonly svg: string }[];
