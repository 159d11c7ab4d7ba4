/**
 * The sandbox process. It reads frames from descriptor 3, one at a time and blocking, and answers
 * each with one frame that ends its CPU slice. It has no timers, no sockets and no other input:
 * every wake-up comes from the host, and at the end of the stream it ends. It may import `node:`
 * modules and its own folder only, the one place it is allowed to read.
 */
import { readSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { encodeHeader, FrameReader, FROM_CHILD, TO_CHILD, type Frame } from './frames.ts';
import { GuestCall } from './guest-call.ts';
import { GuestModule } from './guest-module.ts';
import { Kernel } from './kernel.ts';
import type { CallMeta, GuestErrorMeta, ResultMeta } from './messages.ts';
import { decodePacket, encodePacket, packetBytes } from './packet.ts';

const PROTOCOL_FD = 3;
const READ_BYTES = 256 * 1024;
/** The host is trusted to keep its own limits; this only stops a broken stream. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
const JOIN_BYTES = 64 * 1024;
const SLICES_BETWEEN_TURNS = 256;

const encoder = new TextEncoder();
const modules = new Map<number, GuestModule>();
let kernelModule: WebAssembly.Module | undefined;

function send(type: number, callId: number, chunks: readonly Uint8Array[], flags = 0): void {
  const bytes = packetBytes(chunks);
  const all = [encodeHeader({ type, flags, callId, aux: 0 }, bytes), ...chunks];
  // One write is one wake-up of the host; joining large chunks would only copy them.
  if (bytes <= JOIN_BYTES) writeAll(Buffer.concat(all));
  else for (const part of all) writeAll(part);
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(PROTOCOL_FD, bytes, at);
}

function handle(frame: Frame): void {
  switch (frame.type) {
    case TO_CHILD.init:
      kernelModule = new WebAssembly.Module(frame.body);
      send(FROM_CHILD.ready, frame.callId, encodePacket({ pid: process.pid }, []));
      return;
    case TO_CHILD.load:
      load(frame);
      return;
    case TO_CHILD.call:
      call(frame);
      return;
    default:
      throw new Error(`Unknown frame type ${frame.type}`);
  }
}

function load(frame: Frame): void {
  try {
    modules.set(frame.aux, new GuestModule(frame.body));
    send(FROM_CHILD.loaded, frame.callId, []);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    send(FROM_CHILD.loadError, frame.callId, [encoder.encode(text.slice(0, 1_000))]);
  }
}

function call(frame: Frame): void {
  const { meta: json, parts } = decodePacket(frame.body, { metaBytes: MAX_BODY_BYTES, parts: 1e6 });
  const meta = json as CallMeta;
  const [seed, input, ...values] = parts;
  const guest = modules.get(meta.module);
  if (kernelModule === undefined || guest === undefined || !seed || !input) {
    throw new Error('Call before its module');
  }
  const vars = new Map(meta.vars.map((key, index) => [key, values[index] ?? new Uint8Array(0)]));
  const guestCall = new GuestCall({
    meta,
    seed,
    vars,
    kernel: new Kernel(kernelModule, meta.limits.kernelPages, input),
    writeLog: (level, text) => send(FROM_CHILD.log, frame.callId, [text], level),
  });
  const outcome = guest.run(meta.fn, guestCall);
  const { droppedLogLines } = guestCall;
  if (!outcome.ok) {
    const { ok: _, ...error } = outcome;
    const errorMeta: GuestErrorMeta = { ...error, droppedLogLines };
    send(FROM_CHILD.guestError, frame.callId, encodePacket(errorMeta, []));
    return;
  }
  const changed = [...guestCall.changedVars].map((key) => [key, guestCall.vars.get(key)] as const);
  const resultMeta: ResultMeta = {
    vars: changed.map(([key, value]) => [key, value !== undefined] as const),
    droppedLogLines,
  };
  const set = changed.flatMap(([, value]) => (value === undefined ? [] : [value]));
  send(FROM_CHILD.result, frame.callId, encodePacket(resultMeta, [outcome.output, ...set]));
}

const reader = new FrameReader(MAX_BODY_BYTES);
const chunk = new Uint8Array(READ_BYTES);
for (let slices = 0; ;) {
  const length = readSync(PROTOCOL_FD, chunk);
  if (length === 0) process.exit(0);
  for (const frame of reader.push(chunk.subarray(0, length))) {
    handle(frame);
    slices += 1;
    // The engine's housekeeping (finished compilations, finalizers) runs on the event loop.
    if (slices % SLICES_BETWEEN_TURNS === 0) await setImmediate();
  }
}
