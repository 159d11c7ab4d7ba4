/** `exoclaw config`: whether the configuration is right, where it is, and what may stand in it. */
import { resolve } from 'node:path';
import { defineCommand } from 'citty';
import { ConfigError, formatDiagnostic } from '../../config/diagnostic.ts';
import { processEnv, readLayout } from '../../config/env.ts';
import { loadConfig, type LoadedConfig } from '../../config/load.ts';
import { configJsonSchema } from '../../config/schema.ts';
import { escapeControl, paint } from '../format.ts';
import { EXIT, note, output, warn } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

const check = defineCommand({
  meta: { description: 'Say every problem of the configuration, with its line' },
  args: {
    ...COMMON_ARGS,
    file: { type: 'positional', required: false, description: 'Default: the one in use' },
  },
  run: ({ args }) => {
    let loaded: LoadedConfig;
    try {
      const path = args.file === undefined ? undefined : resolve(args.file);
      loaded = loadConfig({ path, env: processEnv() });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { diagnostics, warnings } = error;
      output(args.json, { ok: false, problems: diagnostics, warnings }, () => '');
      if (args.json) return EXIT.failure;
      for (const problem of diagnostics) note(escapeControl(formatDiagnostic(problem)));
      for (const warning of warnings) warn(formatDiagnostic(warning));
      return EXIT.failure;
    }
    const { path, exists, warnings } = loaded;
    output(args.json, { ok: true, path, exists, problems: [], warnings }, () =>
      exists
        ? `${path}: ${paint('green', 'ok', process.stdout)}`
        : `${path}: not there, defaults apply`,
    );
    if (!args.json) for (const warning of warnings) warn(formatDiagnostic(warning));
    return EXIT.ok;
  },
});

const path = defineCommand({
  meta: { description: 'Print where the configuration file is' },
  args: COMMON_ARGS,
  run: ({ args }) => {
    const { config, home } = readLayout(processEnv());
    output(args.json, { path: config, home }, () => config);
  },
});

const schema = defineCommand({
  meta: { description: 'Print the JSON Schema of the configuration file' },
  args: COMMON_ARGS,
  run: () => {
    output(true, configJsonSchema(), () => '');
  },
});

export default defineCommand({
  meta: { description: 'Check the configuration, show its schema' },
  subCommands: { check, path, schema },
});
