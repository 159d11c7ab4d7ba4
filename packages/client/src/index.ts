/** Typed client of the exoclaw gateway, for Node and browsers: nothing but the global WebSocket. */
export type { ChatRequest } from './chat.ts';
export { connect, type Client, type ClientState, type ConnectOptions } from './client.ts';
export { ExoclawClientError, type ClientErrorCode } from './error.ts';
