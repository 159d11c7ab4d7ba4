#!/usr/bin/env node
/*
 * Starts the command line on a Node that is new enough: this one, or the runtime that is installed
 * with the package. Written so that Node 12 can still read it: no `node:` names, no newer syntax.
 */
import { spawn } from 'child_process';
import { accessSync, constants, existsSync, realpathSync } from 'fs';
import module from 'module';
import { constants as os, homedir } from 'os';
import { dirname, join, resolve } from 'path';
import { fileURLToPath } from 'url';

const REQUIRED = 26;

if (parseInt(process.versions.node, 10) >= REQUIRED) {
  enableCache();
  void import('../src/main.ts');
} else {
  const runtime = findRuntime(dirname(fileURLToPath(import.meta.url)));
  if (runtime === undefined) {
    process.stderr.write(
      'exoclaw needs Node.js ' +
        REQUIRED +
        ' or newer, and this is ' +
        process.version +
        ': install it from https://nodejs.org, or run "npm install" here to get the packaged one\n',
    );
    process.exitCode = 1;
  } else {
    run(runtime);
  }
}

/**
 * Keeps compiled code beside the code, where whoever may write it may change the code as well; else
 * in the home, where nobody else can write. Never makes the home.
 */
function enableCache() {
  const modules = findModules(dirname(fileURLToPath(import.meta.url)));
  const home = process.env.EXOCLAW_HOME
    ? resolve(process.env.EXOCLAW_HOME.replace(/^~(?=\/|$)/, homedir()))
    : join(homedir(), '.exoclaw');
  if (modules !== undefined && isWritable(modules)) {
    module.enableCompileCache(join(modules, '.cache', 'exoclaw'));
  } else if (existsSync(home)) {
    module.enableCompileCache(join(home, 'cache'));
  }
}

/** The nearest `node_modules` from here upwards. */
function findModules(folder) {
  const path = join(folder, 'node_modules');
  if (existsSync(path)) return path;
  return dirname(folder) === folder ? undefined : findModules(dirname(folder));
}

function isWritable(path) {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The packaged runtime, in any `node_modules` from here upwards. */
function findRuntime(folder) {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const file = join(folder, 'node_modules', 'node', 'bin', name);
  // The runtime that runs this is too old, wherever it is installed.
  if (existsSync(file) && realpathSync(file) !== realpathSync(process.execPath)) return file;
  return dirname(folder) === folder ? undefined : findRuntime(dirname(folder));
}

/** Runs the same command on it, as if it had been called in the first place. */
function run(runtime) {
  let child;
  // The terminal sends these to both processes itself; sending them on would double them.
  const terminal = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT'] : [];
  // Before the start, so that no signal finds this process without them and leaves the child alone.
  const handlers = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'].map(function (signal) {
    const handler = function () {
      if (terminal.indexOf(signal) === -1) child.kill(signal);
    };
    process.on(signal, handler);
    return [signal, handler];
  });
  child = spawn(runtime, process.execArgv.concat(process.argv.slice(1)), { stdio: 'inherit' });
  child.on('error', function (error) {
    process.stderr.write('exoclaw cannot start ' + runtime + ': ' + error.message + '\n');
    process.exit(1);
  });
  child.on('exit', function (code, signal) {
    if (signal === null) process.exit(code);
    handlers.forEach(function (entry) {
      process.removeListener(entry[0], entry[1]);
    });
    // Ends the way the child did; the number is for a signal that does not end this process.
    process.kill(process.pid, signal);
    setTimeout(function () {
      process.exit(128 + os.signals[signal]);
    }, 100);
  });
}
