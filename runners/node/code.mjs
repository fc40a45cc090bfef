// Compiling what clients send.

import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

const home = homedir();
/** Resolves names as a file in the user's home would. */
export const require = createRequire(`${home}/`);

const importModuleDynamically = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER ?? ((name) => {
  // Node before 20.12 has no loader to name.
  const found = /^(node:|data:|file:)/.test(name) ? name : require.resolve(name);
  return import(found.startsWith('/') ? pathToFileURL(found).href : found);
});

/** A script under the name of a file in the user's home, from where it imports. */
export function compile(code, name, lineOffset = 0) {
  return new vm.Script(code, { filename: `${home}/${name}`, lineOffset, importModuleDynamically });
}

// The loader named above is said to be experimental, on the standard error of the scripts.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') console.error(warning.stack ?? String(warning));
});
