/**
 * One instance of the ABI memory kernel, for one call. Its memory belongs to the guest, which may
 * have written anything anywhere: every length read from it is checked against the memory itself,
 * and the view is taken anew each time because growing detaches the buffer.
 */
interface KernelExports {
  readonly memory: WebAssembly.Memory;
  readonly max_pages: WebAssembly.Global;
  readonly output_offset: WebAssembly.Global;
  readonly output_length: WebAssembly.Global;
  alloc(bytes: bigint): bigint;
  free(handle: bigint): void;
  length(handle: bigint): bigint;
  input_set(handle: bigint, bytes: bigint): void;
  error_get(): bigint;
}

export class Kernel {
  readonly #exports: KernelExports;

  /**
   * @param maxPages Limit of the memory in pages of 64 KiB; the input has to fit in it.
   * @throws {RangeError} when the memory cannot be made.
   */
  constructor(module: WebAssembly.Module, maxPages: number, input: Uint8Array) {
    const { exports } = new WebAssembly.Instance(module);
    // Our own module, checked by the tests of the kernel.
    this.#exports = exports as unknown as KernelExports;
    this.#exports.max_pages.value = maxPages;
    this.#exports.input_set(this.write(input), BigInt(input.length));
  }

  /** The kernel's function of that name, to be linked into the guest as it is. */
  functionNamed(name: string): unknown {
    return (this.#exports as unknown as Readonly<Record<string, unknown>>)[name];
  }

  /**
   * Copies bytes into a new block.
   * @returns its handle; 0 for no bytes or when there is no space.
   */
  write(bytes: Uint8Array): bigint {
    const handle = this.#exports.alloc(BigInt(bytes.length));
    if (handle !== 0n) new Uint8Array(this.#exports.memory.buffer).set(bytes, Number(handle));
    return handle;
  }

  /** A view of a block up to `maxBytes`; undefined when the handle is no block or too long. */
  read(handle: bigint, maxBytes: number): Uint8Array | undefined {
    const offset = Number(BigInt.asUintN(64, handle));
    const length = Number(BigInt.asUintN(64, this.#exports.length(handle)));
    return length === 0 || length > maxBytes ? undefined : this.#view(offset, length);
  }

  free(handle: bigint): void {
    this.#exports.free(handle);
  }

  /** Number of bytes the guest declared as its output. */
  get outputLength(): number {
    return this.#exports.output_length.value >>> 0;
  }

  /** A view of the output; undefined when it does not lie in the memory. */
  output(): Uint8Array | undefined {
    return this.#view(this.#exports.output_offset.value >>> 0, this.outputLength);
  }

  /** Handle of the error block; 0 when the guest set none. */
  errorHandle(): bigint {
    return this.#exports.error_get();
  }

  #view(offset: number, length: number): Uint8Array | undefined {
    const { buffer } = this.#exports.memory;
    return offset + length > buffer.byteLength ? undefined : new Uint8Array(buffer, offset, length);
  }
}
