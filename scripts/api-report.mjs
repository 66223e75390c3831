// SPDX-License-Identifier: MIT
/**
 * Writes the public surface of each entry point, as its declarations say it, to `docs/api-report/`.
 *
 * `npm run api` writes the reports; `npm test` compares them, so that a change of the public
 * surface is a diff that a reviewer sees. Needs a build (`dist`).
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { listFiles, ROOT } from './files.mjs';

const FOLDER = 'docs/api-report';

/**
 * The entry points that package.json exports, each with its declarations. The root only re-exports
 * the others (test/tidy.test.ts), so it has no report of its own; and what is imported for its
 * effect alone declares nothing.
 */
function entryPoints() {
  const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  return Object.entries(exports)
    .filter(([path, target]) => path !== '.' && typeof target === 'object')
    .filter(([path]) => !/\/(register|executor-thread)$/.test(path))
    .map(([path, { types }]) => ({ name: path.slice(2), types }));
}

/** Returns the report of each entry point by its path in the repository. */
async function makeReports() {
  const { Extractor, ExtractorConfig, ExtractorLogLevel } = await import(
    '@microsoft/api-extractor'
  );
  const folder = mkdtempSync(join(tmpdir(), 'busbar-api-'));
  const reports = new Map();
  try {
    for (const { name, types } of entryPoints()) {
      const config = ExtractorConfig.prepare({
        configObjectFullPath: `${ROOT}api-extractor.json`,
        packageJsonFullPath: `${ROOT}package.json`,
        configObject: {
          projectFolder: ROOT,
          mainEntryPointFilePath: join(ROOT, types),
          compiler: { tsconfigFilePath: `${ROOT}tsconfig.build.json` },
          newlineKind: 'lf',
          apiReport: {
            enabled: true,
            reportFileName: `${name}.api.md`,
            reportFolder: folder,
            reportTempFolder: `${folder}/temp`,
            // Base classes that no entry point exports are part of what users call.
            includeForgottenExports: true,
          },
          docModel: { enabled: false },
          dtsRollup: { enabled: false },
          tsdocMetadata: { enabled: false },
          // The report says what is exported; TypeScript and typedoc check the rest.
          messages: {
            compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
            extractorMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
            tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
          },
        },
      });
      const { errorCount } = Extractor.invoke(config, {
        localBuild: true,
        messageCallback: (message) => {
          message.handled = message.logLevel !== ExtractorLogLevel.Error;
        },
      });
      if (errorCount > 0) throw new Error(`the declarations of ${name} do not compile`);
      reports.set(`${FOLDER}/${name}.api.md`, readFileSync(`${folder}/${name}.api.md`, 'utf8'));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return reports;
}

/** Writes the reports, and removes those of entry points that are gone. */
export async function writeApiReports() {
  const reports = await makeReports();
  mkdirSync(ROOT + FOLDER, { recursive: true });
  for (const path of listFiles(FOLDER)) if (!reports.has(path)) rmSync(ROOT + path);
  for (const [path, text] of reports) writeFileSync(ROOT + path, text);
}

/** True if the reports in the repository say what `dist` exports; prints what differs. */
export async function checkApiReports() {
  const reports = await makeReports();
  const paths = new Set([...reports.keys(), ...listFiles(FOLDER)]);
  let same = true;
  for (const path of [...paths].sort()) {
    const present = readIfThere(path);
    if (present === reports.get(path)) continue;
    same = false;
    const difference = firstDifference(present, reports.get(path));
    console.error(`${path} differs from what the library exports: ${difference}`);
  }
  if (!same) console.error('If the change is meant, run `npm run api` and commit the reports.');
  return same;
}

function readIfThere(path) {
  try {
    return readFileSync(ROOT + path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function firstDifference(before, after) {
  if (before === undefined) return 'it is missing';
  if (after === undefined) return 'its entry point is gone';
  const [old, now] = [before.split('\n'), after.split('\n')];
  const at = now.findIndex((line, index) => line !== old[index]);
  return at === -1 ? 'lines are gone' : `line ${at + 1}: ${now[at].trim()}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await writeApiReports();
