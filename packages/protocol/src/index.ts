/** The wire contract of the gateway. No `node:` import: browsers use it as it is. */
export { CLOSE, ERRORS, isErrorCode, type ErrorCode, type ErrorSpec } from './errors.ts';
export {
  EVENTS,
  toEventFrame,
  type EventData,
  type EventName,
  type StreamEvent,
} from './events.ts';
export {
  addressParams,
  authFrame,
  chatSendParams,
  helloFrame,
  isMethodName,
  METHODS,
  SCOPES,
  type Hello,
  type MethodInput,
  type MethodName,
  type MethodParams,
  type MethodResult,
  type MethodSpec,
  type Scope,
} from './methods.ts';
export {
  isFault,
  MAX_BATCH,
  parseFrame,
  PROTOCOL_VERSION,
  toErrorFrame,
  toResultFrame,
  type ParsedFrame,
  type RequestId,
  type RpcFault,
  type RpcRequest,
  type WireError,
} from './rpc.ts';
