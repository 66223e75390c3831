;; SPDX-License-Identifier: MIT
;; What an arena (arena.ts) does with its bytes. All offsets and counts are in bytes, and the caller
;; has checked them. After a change: node scripts/arena-code.mjs
(module
  (import "busbar" "memory" (memory 1 65536 shared))

  ;; Ranges may overlap: up to 64 bytes are read before the first is written.
  (func (export "copy") (param $to i32) (param $from i32) (param $count i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $first i64) (local $last i64)
    (local $x i32) (local $y i32) (local $z i32)
    (local $toEnd i32) (local $fromEnd i32)
    (local.set $toEnd (i32.add (local.get $to) (local.get $count)))
    (local.set $fromEnd (i32.add (local.get $from) (local.get $count)))
    (if (i32.gt_u (local.get $count) (i32.const 64))
      (then
        (memory.copy (local.get $to) (local.get $from) (local.get $count))
        (return)))
    (if (i32.ge_u (local.get $count) (i32.const 16))
      (then
        (local.set $a (v128.load align=1 (local.get $from)))
        (local.set $d (v128.load align=1 (i32.sub (local.get $fromEnd) (i32.const 16))))
        (if (i32.gt_u (local.get $count) (i32.const 32))
          (then
            (local.set $b (v128.load offset=16 align=1 (local.get $from)))
            (local.set $c (v128.load align=1 (i32.sub (local.get $fromEnd) (i32.const 32))))
            (v128.store offset=16 align=1 (local.get $to) (local.get $b))
            (v128.store align=1 (i32.sub (local.get $toEnd) (i32.const 32)) (local.get $c))))
        (v128.store align=1 (local.get $to) (local.get $a))
        (v128.store align=1 (i32.sub (local.get $toEnd) (i32.const 16)) (local.get $d))
        (return)))
    (if (i32.ge_u (local.get $count) (i32.const 8))
      (then
        (local.set $first (i64.load align=1 (local.get $from)))
        (local.set $last (i64.load align=1 (i32.sub (local.get $fromEnd) (i32.const 8))))
        (i64.store align=1 (local.get $to) (local.get $first))
        (i64.store align=1 (i32.sub (local.get $toEnd) (i32.const 8)) (local.get $last))
        (return)))
    (if (i32.ge_u (local.get $count) (i32.const 4))
      (then
        (local.set $x (i32.load align=1 (local.get $from)))
        (local.set $y (i32.load align=1 (i32.sub (local.get $fromEnd) (i32.const 4))))
        (i32.store align=1 (local.get $to) (local.get $x))
        (i32.store align=1 (i32.sub (local.get $toEnd) (i32.const 4)) (local.get $y))
        (return)))
    (if (i32.eqz (local.get $count)) (then (return)))
    ;; One to three bytes: the first, the middle and the last.
    (local.set $x (i32.load8_u (local.get $from)))
    (local.set $y
      (i32.load8_u (i32.add (local.get $from) (i32.shr_u (local.get $count) (i32.const 1)))))
    (local.set $z (i32.load8_u (i32.sub (local.get $fromEnd) (i32.const 1))))
    (i32.store8 (local.get $to) (local.get $x))
    (i32.store8
      (i32.add (local.get $to) (i32.shr_u (local.get $count) (i32.const 1)))
      (local.get $y))
    (i32.store8 (i32.sub (local.get $toEnd) (i32.const 1)) (local.get $z)))

  (func (export "fill") (param $at i32) (param $count i32) (param $byte i32)
    (memory.fill (local.get $at) (local.get $byte) (local.get $count)))

  ;; The first place of a byte in [at, end), or -1.
  (func (export "find") (param $at i32) (param $end i32) (param $byte i32) (result i32)
    (local $pattern v128) (local $hits i32) (local $last i32)
    (if (i32.ge_s (i32.sub (local.get $end) (local.get $at)) (i32.const 16))
      (then
        (local.set $pattern (i8x16.splat (local.get $byte)))
        ;; 64 bytes at a time, until one of them has it.
        (block $near
          (loop $far
            (br_if $near
              (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 80)))
            (br_if $near
              (v128.any_true
                (v128.or
                  (v128.or
                    (i8x16.eq (v128.load align=1 (local.get $at)) (local.get $pattern))
                    (i8x16.eq (v128.load offset=16 align=1 (local.get $at)) (local.get $pattern)))
                  (v128.or
                    (i8x16.eq (v128.load offset=32 align=1 (local.get $at)) (local.get $pattern))
                    (i8x16.eq
                      (v128.load offset=48 align=1 (local.get $at))
                      (local.get $pattern))))))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (br $far)))
        (local.set $last (i32.sub (local.get $end) (i32.const 16)))
        (loop $step
          (local.set $hits
            (i8x16.bitmask
              (i8x16.eq (v128.load align=1 (local.get $at)) (local.get $pattern))))
          (if (local.get $hits)
            (then (return (i32.add (local.get $at) (i32.ctz (local.get $hits))))))
          (if (i32.eq (local.get $at) (local.get $last)) (then (return (i32.const -1))))
          ;; The last step overlaps the one before.
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (if (i32.gt_u (local.get $at) (local.get $last)) (then (local.set $at (local.get $last))))
          (br $step))))
    (block $none
      (loop $byte_by_byte
        (br_if $none (i32.ge_u (local.get $at) (local.get $end)))
        (if (i32.eq (i32.load8_u (local.get $at)) (local.get $byte))
          (then (return (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $byte_by_byte)))
    (i32.const -1))

  ;; 1 if two ranges hold the same bytes.
  (func (export "equal") (param $one i32) (param $other i32) (param $count i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $one) (local.get $count)))
    (block $less_than_16
      (loop $step
        (br_if $less_than_16
          (i32.lt_u (i32.sub (local.get $end) (local.get $one)) (i32.const 16)))
        (if
          (v128.any_true
            (v128.xor
              (v128.load align=1 (local.get $one))
              (v128.load align=1 (local.get $other))))
          (then (return (i32.const 0))))
        (local.set $one (i32.add (local.get $one) (i32.const 16)))
        (local.set $other (i32.add (local.get $other) (i32.const 16)))
        (br $step)))
    (block $done
      (loop $byte_by_byte
        (br_if $done (i32.eq (local.get $one) (local.get $end)))
        (if (i32.ne (i32.load8_u (local.get $one)) (i32.load8_u (local.get $other)))
          (then (return (i32.const 0))))
        (local.set $one (i32.add (local.get $one) (i32.const 1)))
        (local.set $other (i32.add (local.get $other) (i32.const 1)))
        (br $byte_by_byte)))
    (i32.const 1))

  ;; Writes eight tables of 256 words at $table: the CRC-32C of a byte with 0 to 7 bytes after it.
  (func (export "crcTables") (param $table i32)
    (local $i i32) (local $crc i32) (local $bit i32)
    (loop $entry
      (local.set $crc (local.get $i))
      (local.set $bit (i32.const 8))
      (loop $bits
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 1))
            (i32.and
              (i32.const 0x82f63b78)
              (i32.sub (i32.const 0) (i32.and (local.get $crc) (i32.const 1))))))
        (local.set $bit (i32.sub (local.get $bit) (i32.const 1)))
        (br_if $bits (local.get $bit)))
      (i32.store
        (i32.add (local.get $table) (i32.shl (local.get $i) (i32.const 2)))
        (local.get $crc))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $entry (i32.lt_u (local.get $i) (i32.const 256))))
    (loop $entry
      (local.set $crc
        (i32.load
          (i32.add
            (local.get $table)
            (i32.shl (i32.sub (local.get $i) (i32.const 256)) (i32.const 2)))))
      (i32.store
        (i32.add (local.get $table) (i32.shl (local.get $i) (i32.const 2)))
        (i32.xor
          (i32.shr_u (local.get $crc) (i32.const 8))
          (i32.load
            (i32.add
              (local.get $table)
              (i32.shl (i32.and (local.get $crc) (i32.const 255)) (i32.const 2))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $entry (i32.lt_u (local.get $i) (i32.const 2048)))))

  ;; The address of a byte's word in the first table; the caller adds an offset for the others.
  (func $word (param $table i32) (param $byte i32) (result i32)
    (i32.add
      (local.get $table)
      (i32.shl (i32.and (local.get $byte) (i32.const 255)) (i32.const 2))))

  ;; The CRC-32C of [at, end) after bytes whose CRC-32C is $crc. Eight bytes at a time: Kounavis and
  ;; Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators".
  (func (export "crc32c")
    (param $at i32) (param $end i32) (param $crc i32) (param $table i32) (result i32)
    (local $x i32) (local $y i32)
    (local.set $crc (i32.xor (local.get $crc) (i32.const -1)))
    (block $less_than_8
      (loop $step
        (br_if $less_than_8
          (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 8)))
        (local.set $x (i32.xor (i32.load align=1 (local.get $at)) (local.get $crc)))
        (local.set $y (i32.load offset=4 align=1 (local.get $at)))
        (local.set $crc
          (i32.xor
            (i32.xor
              (i32.xor
                (i32.load offset=7168 (call $word (local.get $table) (local.get $x)))
                (i32.load offset=6144
                  (call $word (local.get $table) (i32.shr_u (local.get $x) (i32.const 8)))))
              (i32.xor
                (i32.load offset=5120
                  (call $word (local.get $table) (i32.shr_u (local.get $x) (i32.const 16))))
                (i32.load offset=4096
                  (call $word (local.get $table) (i32.shr_u (local.get $x) (i32.const 24))))))
            (i32.xor
              (i32.xor
                (i32.load offset=3072 (call $word (local.get $table) (local.get $y)))
                (i32.load offset=2048
                  (call $word (local.get $table) (i32.shr_u (local.get $y) (i32.const 8)))))
              (i32.xor
                (i32.load offset=1024
                  (call $word (local.get $table) (i32.shr_u (local.get $y) (i32.const 16))))
                (i32.load
                  (call $word (local.get $table) (i32.shr_u (local.get $y) (i32.const 24))))))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $step)))
    (block $done
      (loop $byte_by_byte
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load
              (call $word
                (local.get $table)
                (i32.xor (local.get $crc) (i32.load8_u (local.get $at)))))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $byte_by_byte)))
    (i32.xor (local.get $crc) (i32.const -1))))
