/** The process: hands the arguments to the command line and passes its exit code on. */
import { runCli } from './cli/cli.ts';

process.exitCode = await runCli(process.argv.slice(2));
