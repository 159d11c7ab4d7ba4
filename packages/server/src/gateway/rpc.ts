/**
 * From a text frame to its answers: both dialects, batches and notifications reach one table of
 * handlers. Requests run side by side; the frames of one request keep their order.
 *
 * A request that fails before its stream opened (no agent, bad parameters, a full session) is
 * answered with a failure and no event; after that, a failure is an `error` event and a `done`,
 * and in JSON-RPC the request itself is answered with that error, too.
 */
import {
  isFault,
  isMethodName,
  METHODS,
  parseFrame,
  toErrorFrame,
  toResultFrame,
  type MethodInput,
  type MethodName,
  type MethodResult,
  type RpcFault,
  type RpcRequest,
} from '@exoclaw/protocol';
import { ExoclawError } from '../lib/error.ts';
import type { Principal } from './auth.ts';
import type { GatewayContext } from './context.ts';
import { parseParams } from './params.ts';
import { Stream, type Outlet } from './stream.ts';
import { toRpcError } from './wire-error.ts';

/** A connection, as far as a request needs it. */
export interface Caller extends Outlet {
  readonly principal: Principal;
  /** The open streams of this connection. Made when first needed: most connections are idle. */
  readonly streams: Set<Stream>;
  /** Counts a request in. @throws {ExoclawError} rate_limited */
  enter(): void;
  leave(): void;
}

type UnaryHandler<Name extends MethodName> = (
  params: MethodInput<Name>,
  caller: Caller,
) => MethodResult<Name> | Promise<MethodResult<Name>>;

/** Opens the stream when the request can't be refused any more; its result ends it. */
type StreamHandler<Name extends MethodName> = (
  params: MethodInput<Name>,
  stream: Stream,
) => Promise<MethodResult<Name>>;

/** A handler for each method of the table, no more and no less. */
export type Handlers = {
  readonly [Name in MethodName]: (typeof METHODS)[Name]['streams'] extends true
    ? StreamHandler<Name>
    : UnaryHandler<Name>;
};

type Frame = Record<string, unknown>;

export class Rpc {
  readonly #handlers: Handlers;
  readonly #context: GatewayContext;

  constructor(handlers: Handlers, context: GatewayContext) {
    this.#handlers = handlers;
    this.#context = context;
  }

  /** Answers one text frame; never rejects. */
  async handle(text: string, caller: Caller): Promise<void> {
    const frame = parseFrame(text);
    if (frame.kind === 'single') {
      const answer = await this.#answer(frame.item, caller);
      if (answer !== undefined) caller.send(answer);
      return;
    }
    const answers = await Promise.all(frame.items.map((item) => this.#answer(item, caller)));
    const owed = answers.filter((answer) => answer !== undefined);
    if (owed.length > 0) caller.send(`[${owed.join(',')}]`);
  }

  /** The answer as JSON text; undefined when none is owed. */
  async #answer(item: RpcRequest | RpcFault, caller: Caller): Promise<string | undefined> {
    const { log } = this.#context.options;
    if (isFault(item)) {
      this.#count('none', item.code);
      return JSON.stringify(toErrorFrame(item, item));
    }
    const method = isMethodName(item.method) ? item.method : undefined;
    let entered = false;
    let outcome = 'ok';
    let answer: string | undefined;
    try {
      caller.enter();
      entered = true;
      const frame = await this.#call(item, method, caller);
      answer = frame === undefined ? undefined : JSON.stringify(frame);
    } catch (error) {
      const wire = toRpcError(error, log);
      outcome = wire.code;
      answer = JSON.stringify(toErrorFrame(item, wire));
    } finally {
      if (entered) caller.leave();
    }
    this.#count(method ?? 'unknown', outcome);
    return item.id === undefined ? undefined : answer;
  }

  async #call(
    request: RpcRequest,
    method: MethodName | undefined,
    caller: Caller,
  ): Promise<Frame | undefined> {
    if (method === undefined) throw toUnknownMethod(request.method);
    const { scope, streams } = METHODS[method];
    if (scope !== 'any' && !caller.principal.scopes.has(scope)) {
      throw new ExoclawError('forbidden', `Your token can't call ${method}: it needs "${scope}"`);
    }
    const params = parseParams(method, request.params);
    // `streams` says which of the two kinds the table holds under this name.
    if (streams) {
      return this.#callStream(this.#handlers[method] as StreamHandler<MethodName>, {
        params,
        request,
        caller,
      });
    }
    const handler = this.#handlers[method] as UnaryHandler<MethodName>;
    return toResultFrame(request, await handler(params, caller));
  }

  async #callStream(
    handler: StreamHandler<MethodName>,
    call: {
      readonly params: MethodInput<MethodName>;
      readonly request: RpcRequest;
      readonly caller: Caller;
    },
  ): Promise<Frame | undefined> {
    const { params, request, caller } = call;
    const stream = openStream(request, caller);
    try {
      const result = await handler(params, stream);
      stream.open();
      stream.end();
      if (request.dialect === 'plain') return undefined;
      return stream.failure === undefined
        ? toResultFrame(request, result)
        : toErrorFrame(request, stream.failure);
    } catch (error) {
      if (!stream.isOpen) throw error;
      const { code, message } = toRpcError(error, this.#context.options.log);
      stream.emit({ event: 'error', data: message, code });
      stream.end();
      return request.dialect === 'plain' ? undefined : toErrorFrame(request, { code, message });
    } finally {
      caller.streams.delete(stream);
    }
  }

  #count(method: string, outcome: string): void {
    this.#context.metrics.count('exoclaw_requests_total', { method, outcome });
  }
}

function openStream(request: RpcRequest, caller: Caller): Stream {
  const { id } = request;
  if (id !== undefined && caller.streams.values().some((stream) => stream.id === id)) {
    throw new ExoclawError(
      'invalid_request',
      `A stream with the id ${JSON.stringify(id)} is still open on this connection; use another id`,
    );
  }
  const stream = new Stream(request, caller);
  caller.streams.add(stream);
  return stream;
}

function toUnknownMethod(name: string): ExoclawError {
  const methods = Object.keys(METHODS).join(', ');
  return new ExoclawError('unknown_method', `Unknown method "${name}"; known are ${methods}`);
}
