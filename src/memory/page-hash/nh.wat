;; NH, the hash of UMAC (RFC 4418, 5.2.2), of whole pages: four passes with the key moved on by 16 bytes each.
;; nh.ts holds this module as it is assembled (wat2wasm nh.wat), and nh.test.ts compares it with the definition.
(module
  (import "env" "memory" (memory 1))
  ;; Hashes `pages` pages of 4096 bytes at $page with the key of 4144 bytes at $key, 32 bytes each to $to.
  (func (export "hash") (param $key i32) (param $page i32) (param $pages i32) (param $to i32)
    (local $k i32) (local $end i32)
    (local $a v128) (local $b v128) (local $x v128) (local $y v128)
    (local $sum0 v128) (local $sum1 v128) (local $sum2 v128) (local $sum3 v128)
    (block $done
      (loop $nextpage
        (br_if $done (i32.eqz (local.get $pages)))
        (local.set $sum0 (v128.const i64x2 0 0))
        (local.set $sum1 (v128.const i64x2 0 0))
        (local.set $sum2 (v128.const i64x2 0 0))
        (local.set $sum3 (v128.const i64x2 0 0))
        (local.set $k (local.get $key))
        (local.set $end (i32.add (local.get $page) (i32.const 4096)))
        (loop $next
          (local.set $a (v128.load (local.get $page)))
          (local.set $b (v128.load offset=16 (local.get $page)))
          (local.set $x (i32x4.add (local.get $a) (v128.load (local.get $k))))
          (local.set $y (i32x4.add (local.get $b) (v128.load offset=16 (local.get $k))))
          (local.set $sum0 (i64x2.add (local.get $sum0) (i64x2.add
            (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
            (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
          (local.set $x (i32x4.add (local.get $a) (v128.load offset=16 (local.get $k))))
          (local.set $y (i32x4.add (local.get $b) (v128.load offset=32 (local.get $k))))
          (local.set $sum1 (i64x2.add (local.get $sum1) (i64x2.add
            (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
            (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
          (local.set $x (i32x4.add (local.get $a) (v128.load offset=32 (local.get $k))))
          (local.set $y (i32x4.add (local.get $b) (v128.load offset=48 (local.get $k))))
          (local.set $sum2 (i64x2.add (local.get $sum2) (i64x2.add
            (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
            (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
          (local.set $x (i32x4.add (local.get $a) (v128.load offset=48 (local.get $k))))
          (local.set $y (i32x4.add (local.get $b) (v128.load offset=64 (local.get $k))))
          (local.set $sum3 (i64x2.add (local.get $sum3) (i64x2.add
            (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
            (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
          (local.set $k (i32.add (local.get $k) (i32.const 32)))
          (local.set $page (i32.add (local.get $page) (i32.const 32)))
          (br_if $next (i32.lt_u (local.get $page) (local.get $end))))
        (i64.store (local.get $to) (i64.add
          (i64x2.extract_lane 0 (local.get $sum0)) (i64x2.extract_lane 1 (local.get $sum0))))
        (i64.store offset=8 (local.get $to) (i64.add
          (i64x2.extract_lane 0 (local.get $sum1)) (i64x2.extract_lane 1 (local.get $sum1))))
        (i64.store offset=16 (local.get $to) (i64.add
          (i64x2.extract_lane 0 (local.get $sum2)) (i64x2.extract_lane 1 (local.get $sum2))))
        (i64.store offset=24 (local.get $to) (i64.add
          (i64x2.extract_lane 0 (local.get $sum3)) (i64x2.extract_lane 1 (local.get $sum3))))
        (local.set $to (i32.add (local.get $to) (i32.const 32)))
        (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
        (br $nextpage)))))
