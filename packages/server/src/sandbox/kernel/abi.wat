;; The ABI memory kernel: the memory that host and guest share, behind the functions of the
;; Extism plug-in ABI. One fresh instance serves one call and is dropped with it.
;;
;; Layout: [16, 528) heads of the free lists, [1024, top) blocks. A block is an 8-byte header
;; (bytes in use, state) and its data; its capacity is one of four steps per power of two, so that
;; alloc and free take constant time and waste at most a quarter. The bounds live in globals, out
;; of the guest's reach. What the guest can break with stores into headers is its own data: every
;; access is checked against `top`, and the host checks again what it reads.
(module
  (memory (export "memory") 1 2048)

  ;; Set by the host before the first call.
  (global $max_pages (export "max_pages") (mut i32) (i32.const 1))
  (global $output_offset (export "output_offset") (mut i32) (i32.const 0))
  (global $output_length (export "output_length") (mut i32) (i32.const 0))
  (global $top (mut i32) (i32.const 1024))
  (global $input (mut i32) (i32.const 0))
  (global $input_length (mut i32) (i32.const 0))
  (global $error (mut i32) (i32.const 0))

  (global $FIRST i32 (i32.const 1024))
  (global $ACTIVE i32 (i32.const 0xec0a0000))
  (global $FREE i32 (i32.const 0xec0f0000))

  ;; The address of n bytes at p, or a trap unless all of them lie between the first block and top.
  (func $range (param $p i64) (param $n i64) (result i32)
    (local $offset i64) (local $size i64)
    (local.set $offset (i64.sub (local.get $p) (i64.extend_i32_u (global.get $FIRST))))
    (local.set $size
      (i64.extend_i32_u (i32.sub (global.get $top) (global.get $FIRST))))
    (if (i64.gt_u (local.get $offset) (local.get $size)) (then (unreachable)))
    (if (i64.gt_u (local.get $n) (i64.sub (local.get $size) (local.get $offset)))
      (then (unreachable)))
    (i32.wrap_i64 (local.get $p)))

  ;; Whether p is the start of the data of a block in use.
  (func $is_active (param $p i64) (result i32)
    (if (i64.lt_u (local.get $p) (i64.extend_i32_u (i32.add (global.get $FIRST) (i32.const 8))))
      (then (return (i32.const 0))))
    (if (i64.gt_u (local.get $p) (i64.extend_i32_u (global.get $top)))
      (then (return (i32.const 0))))
    (if (i64.ne (i64.and (local.get $p) (i64.const 7)) (i64.const 0))
      (then (return (i32.const 0))))
    (i32.eq
      (i32.and
        (i32.load (i32.sub (i32.wrap_i64 (local.get $p)) (i32.const 4)))
        (i32.const 0xffff0000))
      (global.get $ACTIVE)))

  ;; Address of the head of free list $class.
  (func $list (param $class i32) (result i32)
    (i32.add (i32.const 16)
      (i32.shl (i32.and (local.get $class) (i32.const 127)) (i32.const 2))))

  (func $alloc (export "alloc") (param $n i64) (result i64)
    (local $size i32) (local $power i32) (local $step i32) (local $class i32)
    (local $capacity i32) (local $block i32) (local $end i32) (local $have i32)
    (if (i64.eqz (local.get $n)) (then (return (i64.const 0))))
    (if (i64.gt_u (local.get $n) (i64.const 0x7fff0000)) (then (return (i64.const 0))))
    (local.set $size (i32.sub (i32.wrap_i64 (local.get $n)) (i32.const 1)))

    (if (i32.lt_u (local.get $size) (i32.const 64))
      (then
        (local.set $class (i32.shr_u (local.get $size) (i32.const 4)))
        (local.set $capacity
          (i32.shl (i32.add (local.get $class) (i32.const 1)) (i32.const 4))))
      (else
        (local.set $power (i32.sub (i32.const 31) (i32.clz (local.get $size))))
        (local.set $step
          (i32.and
            (i32.shr_u (local.get $size) (i32.sub (local.get $power) (i32.const 2)))
            (i32.const 3)))
        (local.set $class
          (i32.add
            (i32.shl (i32.sub (local.get $power) (i32.const 5)) (i32.const 2))
            (local.get $step)))
        (local.set $capacity
          (i32.add
            (i32.shl (i32.const 1) (local.get $power))
            (i32.shl
              (i32.add (local.get $step) (i32.const 1))
              (i32.sub (local.get $power) (i32.const 2)))))))

    (local.set $block (i32.load (call $list (local.get $class))))
    (if (local.get $block)
      (then
        (drop (call $range (i64.extend_i32_u (local.get $block)) (i64.const 4)))
        (i32.store (call $list (local.get $class)) (i32.load (local.get $block))))
      (else
        (local.set $block (i32.add (global.get $top) (i32.const 8)))
        (local.set $end (i32.add (local.get $block) (local.get $capacity)))
        (if (i32.gt_u (local.get $end) (i32.shl (global.get $max_pages) (i32.const 16)))
          (then (return (i64.const 0))))
        (local.set $have (i32.shl (memory.size) (i32.const 16)))
        (if (i32.gt_u (local.get $end) (local.get $have))
          (then
            (if (i32.eq (i32.const -1)
                  (memory.grow
                    (i32.shr_u
                      (i32.add (i32.sub (local.get $end) (local.get $have)) (i32.const 0xffff))
                      (i32.const 16))))
              (then (return (i64.const 0))))))
        (global.set $top (local.get $end))))

    (i32.store (i32.sub (local.get $block) (i32.const 8)) (i32.wrap_i64 (local.get $n)))
    (i32.store (i32.sub (local.get $block) (i32.const 4))
      (i32.or (global.get $ACTIVE) (local.get $class)))
    (i64.extend_i32_u (local.get $block)))

  (func (export "free") (param $p i64)
    (local $block i32) (local $class i32)
    (if (i32.eqz (call $is_active (local.get $p))) (then (return)))
    (local.set $block (i32.wrap_i64 (local.get $p)))
    (local.set $class
      (i32.and (i32.load (i32.sub (local.get $block) (i32.const 4))) (i32.const 127)))
    (if (i32.eq (local.get $block) (global.get $input))
      (then (global.set $input_length (i32.const 0))))
    (i32.store (i32.sub (local.get $block) (i32.const 4))
      (i32.or (global.get $FREE) (local.get $class)))
    (i32.store (local.get $block) (i32.load (call $list (local.get $class))))
    (i32.store (call $list (local.get $class)) (local.get $block)))

  (func $length (export "length") (param $p i64) (result i64)
    (if (i32.eqz (call $is_active (local.get $p))) (then (return (i64.const 0))))
    (i64.load32_u (i32.sub (i32.wrap_i64 (local.get $p)) (i32.const 8))))
  (export "length_unsafe" (func $length))

  (func (export "load_u8") (param $p i64) (result i32)
    (i32.load8_u (call $range (local.get $p) (i64.const 1))))
  (func (export "load_u64") (param $p i64) (result i64)
    (i64.load (call $range (local.get $p) (i64.const 8))))
  (func (export "store_u8") (param $p i64) (param $value i32)
    (i32.store8 (call $range (local.get $p) (i64.const 1)) (local.get $value)))
  (func (export "store_u64") (param $p i64) (param $value i64)
    (i64.store (call $range (local.get $p) (i64.const 8)) (local.get $value)))

  ;; The address of n bytes at an offset of the input, or a trap.
  (func $input_range (param $offset i64) (param $n i64) (result i32)
    (local $size i64)
    (local.set $size (i64.extend_i32_u (global.get $input_length)))
    (if (i64.gt_u (local.get $offset) (local.get $size)) (then (unreachable)))
    (if (i64.gt_u (local.get $n) (i64.sub (local.get $size) (local.get $offset)))
      (then (unreachable)))
    (i32.add (global.get $input) (i32.wrap_i64 (local.get $offset))))

  (func (export "input_set") (param $p i64) (param $n i64)
    (if (i64.ne (local.get $n) (i64.const 0))
      (then (global.set $input (call $range (local.get $p) (local.get $n)))))
    (global.set $input_length (i32.wrap_i64 (local.get $n))))
  (func (export "input_offset") (result i64) (i64.extend_i32_u (global.get $input)))
  (func (export "input_length") (result i64) (i64.extend_i32_u (global.get $input_length)))
  (func (export "input_load_u8") (param $offset i64) (result i32)
    (i32.load8_u (call $input_range (local.get $offset) (i64.const 1))))
  (func (export "input_load_u64") (param $offset i64) (result i64)
    (i64.load (call $input_range (local.get $offset) (i64.const 8))))

  (func (export "output_set") (param $p i64) (param $n i64)
    (global.set $output_offset (i32.const 0))
    (if (i64.ne (local.get $n) (i64.const 0))
      (then (global.set $output_offset (call $range (local.get $p) (local.get $n)))))
    (global.set $output_length (i32.wrap_i64 (local.get $n))))

  ;; 0 takes an error back; anything else must be a block.
  (func (export "error_set") (param $p i64)
    (if (i64.ne (local.get $p) (i64.const 0))
      (then (if (i32.eqz (call $is_active (local.get $p))) (then (unreachable)))))
    (global.set $error (i32.wrap_i64 (local.get $p))))
  (func (export "error_get") (result i64) (i64.extend_i32_u (global.get $error))))
