/**
 * The configuration file, as one schema: checks, defaults, editor support and the reference are all
 * made from it. Keys are written in snake_case as in the file; `resolve.ts` turns the checked value
 * into what the rest of the runtime sees.
 */
import * as z from 'zod';
import { PROVIDER_NAMES } from './providers.ts';
import { didYouMean } from './suggest.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Kinds of capability an operator can grant, with the shape of each. */
const CAPABILITY_KINDS = {
  http: 'http:HOST',
  store: 'store:NAME',
  host_function: 'host_function:NAME',
  secret: 'secret:NAME',
  config: 'config:KEY',
} as const;

const name = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, "_" or "-"');
const text = (max: number) => z.string().min(1).max(max);
const path = text(4096);
const endpoint = z
  .url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' })
  .refine(isPlainUrl, {
    error: 'must be a URL without user name, password, query or fragment',
  });
const origin = z
  .string()
  .max(512)
  .refine((value) => URL.parse(value)?.origin === value, {
    error: 'must be an origin without a path, such as "https://chat.example.com"',
  });
const addressPart = text(256).exactOptional();
const whole = (min: number, max: number) => z.int().min(min).max(max);
const bytes = (fallback: number) => whole(KiB, 1024 * MiB).default(fallback);
const tokens = whole(1, 1e12).exactOptional();
const usd = z.number().positive().max(1e9).exactOptional();
const perMillion = z.number().min(0).max(1e6);

const capability = z
  .string()
  .max(512)
  .superRefine((value, context) => {
    const [kind = ''] = value.split(':', 1);
    const allowed = Object.values(CAPABILITY_KINDS).join(', ');
    if (!Object.hasOwn(CAPABILITY_KINDS, kind)) {
      const hint = didYouMean(kind, Object.keys(CAPABILITY_KINDS));
      const message = `"${kind}" is not a kind of capability${hint} (allowed: ${allowed})`;
      context.addIssue({ code: 'custom', message });
    } else if (value.slice(kind.length + 1).trim() === '') {
      context.addIssue({
        code: 'custom',
        message: `"${value}" grants nothing (allowed: ${allowed})`,
      });
    }
  });

const limits = z.strictObject({
  frame_bytes: bytes(MiB).describe('Largest WebSocket frame; a larger one closes with 1009'),
  in_flight: whole(1, 10_000).default(64).describe('Requests a connection may have open'),
  queue: whole(1, 10_000)
    .default(32)
    .describe('Messages that may wait in a session; then `session_busy`'),
  outbound_bytes: bytes(4 * MiB).describe(
    'Unsent bytes a connection may have; a slower client is closed with 1013',
  ),
  ping_seconds: whole(1, 3600).default(30).describe('Time between pings of an idle connection'),
  webhook_bytes: bytes(MiB).describe('Largest body of a webhook'),
  webhook_wait_seconds: whole(1, 600)
    .default(60)
    .describe('Time a webhook call waits for its answer; the turn goes on after it'),
  header_bytes: bytes(16 * KiB).describe('Largest header of an HTTP request'),
  requests_per_minute: whole(1, 1e9).default(60_000).describe('Requests of one connection'),
  messages_per_minute: whole(1, 1e9).default(30_000).describe('Messages of one session'),
  auth_seconds: whole(1, 300).default(5).describe('Time a connection has to send its token'),
  max_connections: whole(1, 1e6).default(20_000).describe('Open connections in all'),
  drain_seconds: whole(0, 86_400)
    .default(600)
    .describe('Time that running turns have to end when the gateway stops'),
});

const gateway = z.strictObject({
  port: whole(0, 65_535).default(7200).describe('TCP port; 0 takes a free one'),
  bind: text(253)
    .default('127.0.0.1')
    .describe('Address to listen on; other than loopback needs a token (EXOCLAW_TOKEN)'),
  allowed_origins: z
    .array(origin)
    .max(256)
    .default([])
    .describe('Origins besides its own whose pages may connect'),
  allowed_hosts: z
    .array(text(253))
    .max(256)
    .default([])
    .describe('Names besides its own that a Host header may carry, for a proxy in front'),
  limits: limits.prefault({}).describe('Bounds of what a client may do'),
});

const budget = {
  session: tokens.describe('Tokens of one session, for good'),
  daily: tokens.describe('Tokens of a UTC day'),
  monthly: tokens.describe('Tokens of a UTC month'),
  usd_daily: usd.describe('US dollars of a UTC day'),
  usd_monthly: usd.describe('US dollars of a UTC month'),
};

const fallback = z.strictObject({
  provider: z.enum(PROVIDER_NAMES).describe('Who serves the model'),
  model: text(256).exactOptional().describe('Model; default: that of the provider'),
  base_url: endpoint.exactOptional().describe('Endpoint, where it is not the provider’s own'),
});

const agentFields = {
  provider: z
    .enum(PROVIDER_NAMES)
    .exactOptional()
    .describe('Who serves the model; default: the first provider with a key, else demo'),
  base_url: endpoint.exactOptional().describe('Endpoint: a proxy, a gateway, a local server'),
  model: text(256).exactOptional().describe('Model; default: that of the provider'),
  max_tokens: whole(1, 1e6).default(4096).describe('Longest answer of one model call'),
  context_tokens: whole(256, 1e7)
    .exactOptional()
    .describe('Most that is sent to the model; default: `memory.context_tokens`'),
  system_prompt: z.string().max(100_000).default('').describe('Instructions in front of all else'),
  soul_path: path
    .exactOptional()
    .describe('File that says who the agent is; default of `[agent]`: soul.md in the home'),
  tools: z
    .array(name)
    .max(256)
    .default([])
    .describe('Names of the plugins it may use; nothing else is offered to it'),
  fallback: fallback
    .exactOptional()
    .describe('Used when the provider fails before its first token'),
  budgets: z.strictObject(budget).prefault({}).describe('Limits of this agent alone'),
};

const agent = z.strictObject({
  id: name.default('default').describe('Name in bindings, sessions and the ledger'),
  ...agentFields,
});
const anotherAgent = z.strictObject({
  id: name.describe('Name in bindings, sessions and the ledger'),
  ...agentFields,
});

const price = z.strictObject({
  provider: z.enum(PROVIDER_NAMES).describe('Who serves the model'),
  model: text(256).describe('Model the price is for'),
  input: perMillion.describe('US dollars for a million input tokens'),
  output: perMillion.describe('US dollars for a million output tokens'),
  cache_read: perMillion
    .exactOptional()
    .describe('US dollars for a million tokens read from the prompt cache'),
  cache_write: perMillion
    .exactOptional()
    .describe('US dollars for a million tokens written to the prompt cache'),
});

const pluginLimits = z.strictObject({
  deadline_ms: whole(1, 600_000).exactOptional().describe('Wall time of a call'),
  load_deadline_ms: whole(1, 600_000).exactOptional().describe('Wall time of loading'),
  memory_bytes: whole(64 * KiB, 4096 * MiB)
    .exactOptional()
    .describe('Linear memory of an instance'),
  input_bytes: whole(1, 1024 * MiB)
    .exactOptional()
    .describe('Largest input of a call'),
  output_bytes: whole(1, 1024 * MiB)
    .exactOptional()
    .describe('Largest output of a call'),
  error_bytes: whole(1, MiB).exactOptional().describe('Longest error text of a call'),
  log_bytes: whole(0, 64 * MiB)
    .exactOptional()
    .describe('Log text of a call'),
  log_lines: whole(0, 1e6).exactOptional().describe('Log lines of a call'),
  var_bytes: whole(0, 1024 * MiB)
    .exactOptional()
    .describe('Variables kept between calls, in all'),
  var_keys: whole(0, 1e6).exactOptional().describe('Number of variables kept between calls'),
  host_calls: whole(0, 1e6).exactOptional().describe('Host functions a call may use'),
});

const plugin = z.strictObject({
  name: name.describe('Name in `tools` and on the command line'),
  path: path.describe('The .wasm file; relative to this file, `~` is your home'),
  digest: z
    .string()
    .regex(/^(sha256:)?[0-9a-f]{64}$/, 'must be the SHA-256 of the file in lowercase hex')
    .exactOptional()
    .describe('SHA-256 of the file; one that differs is refused'),
  capabilities: z
    .array(capability)
    .max(256)
    .default([])
    .describe(`What it is granted, beyond nothing: ${Object.values(CAPABILITY_KINDS).join(', ')}`),
  allow_unverified: z
    .boolean()
    .default(false)
    .describe(
      'Take webhooks of a channel that declares no way to verify them: anyone can forge them',
    ),
  config: z
    .record(text(256), z.string().max(64 * KiB))
    .default({})
    .describe('Values, not secrets, that the plugin can read with a `config:KEY` grant'),
  limits: pluginLimits.prefault({}).describe('Limits that differ from the defaults'),
});

const binding = z.strictObject({
  agent_id: name.describe('Agent that answers'),
  channel: addressPart.describe('Platform or kind of client'),
  account_id: addressPart.describe('Account inside the channel'),
  peer_id: addressPart.describe('Who speaks'),
  guild_id: addressPart.describe('Server or group inside the channel'),
  team_id: addressPart.describe('Team or workspace inside the channel'),
  roles: z
    .array(text(256))
    .min(1)
    .max(64)
    .exactOptional()
    .describe('Roles of the peer in its guild'),
});

export const configSchema = z.strictObject({
  gateway: gateway.prefault({}).describe('The HTTP and WebSocket front'),
  agent: agent.exactOptional().describe('The agent that answers where no binding matches'),
  agents: z.array(anotherAgent).max(1000).default([]).describe('More agents, reached by bindings'),
  budgets: z.strictObject(budget).prefault({}).describe('Limits of everything together'),
  prices: z.array(price).max(1000).default([]).describe('Prices that replace the known ones'),
  memory: z
    .strictObject({
      context_tokens: whole(256, 1e7).default(4000).describe('Most that is sent to a model'),
    })
    .prefault({})
    .describe('What is sent to a model besides the message'),
  plugins: z.array(plugin).max(1000).default([]).describe('Tools and channels, each a .wasm file'),
  bindings: z.array(binding).max(1e6).default([]).describe('Which agent answers which address'),
  run: z
    .strictObject({
      max_model_calls: whole(1, 1000).default(25).describe('Model calls of one run'),
      max_parallel_tools: whole(1, 100).default(10).describe('Tool calls of one step'),
      max_repeats: whole(1, 100)
        .default(3)
        .describe('The same call with the same arguments in a row, before the run is stopped'),
      max_seconds: whole(1, 86_400).default(600).describe('Wall time of one run'),
    })
    .prefault({})
    .describe('Bounds of one run'),
  store: z
    .strictObject({
      path: path.exactOptional().describe('The database; default: exoclaw.db in the home'),
      synchronous: z
        .enum(['normal', 'full'])
        .default('normal')
        .describe('`full` also survives a power cut between two writes, and is slower'),
      ephemeral: z
        .boolean()
        .default(false)
        .describe('Keep everything in memory and lose it on exit'),
    })
    .prefault({})
    .describe('Where everything is kept'),
  bus: z
    .strictObject({
      kind: z.enum(['local']).default('local').describe('How accepted messages reach a session'),
    })
    .prefault({})
    .describe('The queue between the gateway and the sessions'),
  sandbox: z
    .strictObject({
      minimum: z
        .enum(['full', 'strong', 'basic', 'seatbelt'])
        .default('seatbelt')
        .describe('Refuse to start where fewer walls than this can be put up'),
      processes: whole(1, 256)
        .exactOptional()
        .describe('Sandbox processes; default: by the number of cores'),
    })
    .prefault({})
    .describe('The walls around plugins'),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .default('info')
        .describe('Least important line that is written'),
    })
    .prefault({})
    .describe('The log, on stderr'),
  telemetry: z
    .strictObject({ metrics: z.boolean().default(true).describe('Serve GET /metrics') })
    .prefault({})
    .describe('Figures about the gateway itself; nothing is ever sent anywhere'),
});

/** A checked file with its defaults filled in, keys as written in it. */
export type ConfigFile = z.output<typeof configSchema>;

/** The agent of a file that configures none. */
export function defaultAgent(): NonNullable<ConfigFile['agent']> {
  return agent.parse({});
}

/** JSON Schema of the file, for editors and the reference. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, { io: 'input' });
}

/** Whether a URL carries nothing that would end up in a log or be lost behind the path. */
function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && `${url.username}${url.password}${url.search}${url.hash}` === '';
}
