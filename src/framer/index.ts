// SPDX-License-Identifier: MIT
/** `busbar/framer`: bytes in, frames and packets out. */
/// <reference types="node" preserve="true" />

export { ByteFinder } from './byte-finder.ts';
export type { Codec } from './codec.ts';
export { CustomCodec, type CustomCodecOptions, type MeasureFrame } from './custom.ts';
export { DelimiterCodec, type DelimiterOptions } from './delimiter.ts';
export { FixedCodec } from './fixed.ts';
export type { FrameReader } from './frame-reader.ts';
export { Framer } from './framer.ts';
export type { FramerOptions } from './framer-options.ts';
export {
  type LengthPrefix,
  LengthPrefixCodec,
  type LengthPrefixCodecOptions,
} from './length-prefix.ts';
export type { FramerStats, Staging } from './staging.ts';
export { VARINT_BYTES_MAX, VarintCodec, type VarintCodecOptions } from './varint.ts';
