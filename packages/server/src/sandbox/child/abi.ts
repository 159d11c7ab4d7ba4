/**
 * Every function a guest can import, with its exact signature: the Extism plug-in ABI and WASI
 * preview 1. The verifier refuses any other import and any other signature; the child has a
 * function for each of these names and for nothing else.
 *
 * A signature is one letter for each parameter, a colon, one for each result: `i` i32, `I` i64.
 */

export const EXTISM_ENV = 'extism:host/env';
export const EXTISM_USER = 'extism:host/user';
export const WASI = 'wasi_snapshot_preview1';

/** Answered by the ABI kernel: WebAssembly to WebAssembly, no host code in between. */
export const KERNEL_FUNCTIONS = {
  alloc: 'I:I',
  free: 'I:',
  length: 'I:I',
  length_unsafe: 'I:I',
  load_u8: 'I:i',
  load_u64: 'I:I',
  store_u8: 'Ii:',
  store_u64: 'II:',
  input_length: ':I',
  input_offset: ':I',
  input_load_u8: 'I:i',
  input_load_u64: 'I:I',
  output_set: 'II:',
  error_set: 'I:',
  error_get: ':I',
} as const;

/** Answered by the child from what came with the call. */
export const HOST_FUNCTIONS = {
  config_get: 'I:I',
  var_get: 'I:I',
  var_set: 'II:',
  http_request: 'II:I',
  http_status_code: ':i',
  http_headers: ':I',
  log_trace: 'I:',
  log_debug: 'I:',
  log_info: 'I:',
  log_warn: 'I:',
  log_error: 'I:',
  get_log_level: ':i',
} as const;

export const WASI_FUNCTIONS = {
  args_get: 'ii:i',
  args_sizes_get: 'ii:i',
  environ_get: 'ii:i',
  environ_sizes_get: 'ii:i',
  clock_res_get: 'ii:i',
  clock_time_get: 'iIi:i',
  fd_advise: 'iIIi:i',
  fd_allocate: 'iII:i',
  fd_close: 'i:i',
  fd_datasync: 'i:i',
  fd_fdstat_get: 'ii:i',
  fd_fdstat_set_flags: 'ii:i',
  fd_fdstat_set_rights: 'iII:i',
  fd_filestat_get: 'ii:i',
  fd_filestat_set_size: 'iI:i',
  fd_filestat_set_times: 'iIIi:i',
  fd_pread: 'iiiIi:i',
  fd_prestat_get: 'ii:i',
  fd_prestat_dir_name: 'iii:i',
  fd_pwrite: 'iiiIi:i',
  fd_read: 'iiii:i',
  fd_readdir: 'iiiIi:i',
  fd_renumber: 'ii:i',
  fd_seek: 'iIii:i',
  fd_sync: 'i:i',
  fd_tell: 'ii:i',
  fd_write: 'iiii:i',
  path_create_directory: 'iii:i',
  path_filestat_get: 'iiiii:i',
  path_filestat_set_times: 'iiiiIIi:i',
  path_link: 'iiiiiii:i',
  path_open: 'iiiiiIIii:i',
  path_readlink: 'iiiiii:i',
  path_remove_directory: 'iii:i',
  path_rename: 'iiiiii:i',
  path_symlink: 'iiiii:i',
  path_unlink_file: 'iii:i',
  poll_oneoff: 'iiii:i',
  proc_exit: 'i:',
  proc_raise: 'i:i',
  random_get: 'ii:i',
  sched_yield: ':i',
  sock_accept: 'iii:i',
  sock_recv: 'iiiiii:i',
  sock_send: 'iiiii:i',
  sock_shutdown: 'ii:i',
} as const;
