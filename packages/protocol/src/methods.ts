/**
 * The method table: name → parameters, result, scope, and whether the method streams. The gateway
 * dispatches by it, the client is typed by it, the reference is generated from it.
 */
import * as z from 'zod';

export const SCOPES = ['any', 'status', 'chat', 'admin'] as const;
/** What a token must allow. `any` needs only an open connection. */
export type Scope = (typeof SCOPES)[number];

const part = z.string().min(1).max(256);
const optionalPart = part.optional();

export const addressParams = {
  channel: part.describe('Platform or client kind the message comes from, such as "web"'),
  account: part.describe('Account inside the channel: a bot, a workspace, a browser profile'),
  peer: part.default('main').describe('Who speaks; a session belongs to one peer'),
  guild: optionalPart.describe('Server or group inside the channel'),
  team: optionalPart.describe('Team or workspace inside the channel'),
  roles: z.array(part).max(64).optional().describe('Roles of the peer inside its guild'),
};

// Four escaped parts of 256 characters each are up to 9,219 characters long.
const sessionKey = z.string().min(1).max(10_240).describe('Session key, as in `session.list`');
const page = {
  limit: z.int().min(1).max(200).default(50).describe('Rows to return'),
};

export const chatSendParams = z.strictObject({
  ...addressParams,
  agent: optionalPart.describe('Agent to talk to; default: as the bindings say'),
  content: z.string().min(1).describe('What the person says'),
  message_id: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('Makes the call idempotent per session: a repeat does not run a second time'),
  ack: z
    .boolean()
    .default(false)
    .describe('Also send an `accepted` event as soon as the message is stored'),
});

const turn = z.object({
  seq: z.int(),
  run: z.string(),
  at: z.iso.datetime(),
  role: z.enum(['user', 'assistant', 'tool-result']),
  content: z.unknown(),
  stopped: z.enum(['aborted', 'error', 'limit']).optional(),
});

const session = z.object({
  session: z.string(),
  agent: z.string(),
  channel: z.string(),
  account: z.string(),
  peer: z.string(),
  title: z.string().optional(),
  messages: z.int(),
  created: z.iso.datetime(),
  updated: z.iso.datetime(),
  running: z.boolean(),
});

const plugin = z.object({
  name: z.string(),
  type: z.enum(['tool', 'channel_adapter']),
  version: z.string().optional(),
  description: z.string(),
  tools: z.array(z.string()),
  channel: z.string().optional(),
  capabilities: z.array(z.string()),
  digest: z.string(),
  state: z.enum(['ready', 'failed']),
  error: z.string().optional(),
});

const budgetRow = z.object({
  scope: z.enum(['session', 'agent', 'all']),
  id: z.string().optional(),
  period: z.enum(['session', 'day', 'month']),
  unit: z.enum(['tokens', 'usd']),
  used: z.number(),
  held: z.number(),
  limit: z.number(),
  resets: z.iso.datetime().optional(),
});

const usageRow = z.object({
  key: z.string(),
  calls: z.int(),
  input_tokens: z.int(),
  output_tokens: z.int(),
  cached_tokens: z.int(),
  cache_write_tokens: z.int(),
  cost_usd: z.number(),
  estimated: z.boolean(),
});

const ledgerRow = z.object({
  at: z.iso.datetime(),
  call: z.string(),
  run: z.string(),
  session: z.string(),
  agent: z.string(),
  provider: z.string(),
  model: z.string(),
  input_tokens: z.int(),
  output_tokens: z.int(),
  cached_tokens: z.int(),
  cache_write_tokens: z.int(),
  cost_usd: z.number(),
  estimated: z.boolean(),
  status: z.string(),
  latency_ms: z.number(),
});

export interface MethodSpec {
  readonly summary: string;
  readonly scope: Scope;
  readonly params: z.ZodType;
  readonly result: z.ZodType;
  /** A streaming method sends events first; its result is the last frame of a JSON-RPC request. */
  readonly streams: boolean;
}

const none = z.strictObject({});
const streamEnd = z.object({ run: z.string().optional(), stop_reason: z.string() });

export const METHODS = {
  ping: {
    summary: 'Answers "pong"',
    scope: 'any',
    params: none,
    result: z.literal('pong'),
    streams: false,
  },
  status: {
    summary: 'What runs: version, plugins, sessions, agents, store, bus, sandbox',
    scope: 'status',
    params: none,
    result: z.object({
      version: z.string(),
      protocol: z.int(),
      uptime_s: z.number(),
      ready: z.boolean(),
      demo: z.boolean(),
      connections: z.int(),
      sessions: z.int(),
      running: z.int(),
      agents: z.array(
        z.object({
          id: z.string(),
          provider: z.string(),
          model: z.string(),
          tools: z.array(z.string()),
        }),
      ),
      plugins: z.array(plugin),
      store: z.object({ engine: z.string(), ephemeral: z.boolean(), schema: z.int() }),
      bus: z.object({ kind: z.string() }),
      sandbox: z.object({
        level: z.string(),
        walls: z.array(z.string()),
        summary: z.string(),
        processes: z.int(),
      }),
    }),
    streams: false,
  },
  'chat.send': {
    summary: 'Sends a message and streams the answer',
    scope: 'chat',
    params: chatSendParams,
    result: streamEnd,
    streams: true,
  },
  'chat.abort': {
    summary: 'Stops the running turn; what was streamed stays in history, marked aborted',
    scope: 'chat',
    params: z
      .strictObject({
        id: z.union([z.string().max(256), z.number()]).optional(),
        session: sessionKey.optional(),
      })
      .refine((params) => (params.id === undefined) !== (params.session === undefined), {
        message: 'Give either "id" (of a chat.send on this connection) or "session"',
      }),
    result: z.object({ aborted: z.boolean() }),
    streams: false,
  },
  'chat.history': {
    summary: 'Messages of a session, newest page first, each page in order',
    scope: 'chat',
    params: z.strictObject({
      session: sessionKey,
      cursor: z.int().min(1).optional().describe('`seq` to page back from'),
      ...page,
    }),
    result: z.object({ turns: z.array(turn), cursor: z.int().optional() }),
    streams: false,
  },
  'chat.resume': {
    summary: 'Streams the running turn of a session from an event on, then live',
    scope: 'chat',
    params: z.strictObject({
      session: sessionKey,
      run: z.string().max(512).optional().describe('The run; default: the one that is running'),
      after: z.int().min(0).default(0).describe('Last `seq` the client has seen'),
    }),
    result: streamEnd,
    streams: true,
  },
  'session.list': {
    summary: 'Sessions, the most recently used first',
    scope: 'chat',
    params: z.strictObject({
      agent: optionalPart,
      before: z.iso.datetime().optional().describe('Page on from this `updated` time'),
      ...page,
    }),
    result: z.object({ sessions: z.array(session) }),
    streams: false,
  },
  'session.watch': {
    summary: 'Streams every run of a session, for another tab or device; ends with `chat.abort`',
    scope: 'chat',
    params: z.strictObject({ session: sessionKey }),
    result: streamEnd,
    streams: true,
  },
  'session.rename': {
    summary: 'Gives a session a title',
    scope: 'chat',
    params: z.strictObject({ session: sessionKey, title: z.string().max(200) }),
    result: z.object({ renamed: z.boolean() }),
    streams: false,
  },
  'session.clear': {
    summary: 'Deletes the messages of a session; usage stays',
    scope: 'admin',
    params: z.strictObject({ session: sessionKey }),
    result: z.object({ removed: z.int() }),
    streams: false,
  },
  'route.explain': {
    summary: 'Which binding wins for an address, and why the others lost',
    scope: 'status',
    params: z.strictObject(addressParams),
    result: z.object({
      agent: z.string().optional(),
      session: z.string().optional(),
      tier: z.string().optional(),
      binding: z.record(z.string(), z.unknown()).optional(),
      considered: z.array(z.object({ tier: z.string(), candidates: z.int(), outcome: z.string() })),
    }),
    streams: false,
  },
  'plugin.list': {
    summary: 'Loaded plugins with their tools, grants and digests',
    scope: 'status',
    params: none,
    result: z.object({ plugins: z.array(plugin) }),
    streams: false,
  },
  'plugin.load': {
    summary: 'Loads a plugin at run time, with the grants the configuration has for its name',
    scope: 'admin',
    params: z.strictObject({
      name: part,
      path: z.string().min(1).max(4096).optional().describe('Default: the configured path'),
    }),
    result: plugin,
    streams: false,
  },
  'plugin.unload': {
    summary: 'Unloads a plugin; calls that run finish first',
    scope: 'admin',
    params: z.strictObject({ name: part }),
    result: z.object({ unloaded: z.boolean() }),
    streams: false,
  },
  'plugin.call': {
    summary: 'Calls an export of a loaded plugin, as a model would',
    scope: 'admin',
    params: z.strictObject({
      name: part,
      export: part.default('handle_tool_call'),
      input: z.unknown(),
    }),
    result: z.object({
      ok: z.boolean(),
      output: z.string().optional(),
      error: z.object({ code: z.string(), message: z.string() }).optional(),
      logs: z.array(z.object({ level: z.string(), text: z.string() })),
      duration_ms: z.number(),
    }),
    streams: false,
  },
  'budget.status': {
    summary: 'Used, held and limit of each budget',
    scope: 'status',
    params: z.strictObject({ session: sessionKey.optional(), agent: optionalPart }),
    result: z.object({ budgets: z.array(budgetRow) }),
    streams: false,
  },
  'usage.query': {
    summary: 'Sums over the ledger, and its newest rows',
    scope: 'status',
    params: z.strictObject({
      from: z.iso.datetime().optional(),
      to: z.iso.datetime().optional(),
      session: sessionKey.optional(),
      agent: optionalPart,
      by: z.enum(['day', 'model', 'agent', 'session']).default('day'),
      rows: z.int().min(0).max(500).default(0),
    }),
    result: z.object({
      total: usageRow,
      groups: z.array(usageRow),
      rows: z.array(ledgerRow),
    }),
    streams: false,
  },
} as const satisfies Record<string, MethodSpec>;

export type MethodName = keyof typeof METHODS;
/** Parameters as a caller writes them, defaults left out. */
export type MethodParams<Name extends MethodName> = z.input<(typeof METHODS)[Name]['params']>;
/** Parameters as the gateway sees them, defaults filled in. */
export type MethodInput<Name extends MethodName> = z.output<(typeof METHODS)[Name]['params']>;
export type MethodResult<Name extends MethodName> = z.output<(typeof METHODS)[Name]['result']>;

export function isMethodName(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}

/** First frame of the server. `auth` frames of a client are `{"token": "…"}`. */
export const helloFrame = z.object({
  ok: z.literal(true),
  version: z.string(),
  protocol: z.int(),
  demo: z.boolean().optional(),
  /** Another one than before means that `seq` counts anew: resume from 0 and drop what came. */
  instance: z.string().optional(),
});
export type Hello = z.infer<typeof helloFrame>;

export const authFrame = z.object({ token: z.string().max(4096) });
