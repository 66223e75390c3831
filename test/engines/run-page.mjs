// SPDX-License-Identifier: MIT
/** The page: runs each bundled test file in a worker of its own, where a thread may wait. */
const FILE_MS_MAX = 180_000;

async function post(name, result) {
  await fetch(`/result/${name}`, { method: 'POST', body: JSON.stringify(result) });
}

function run(name) {
  const worker = new Worker(`/${name}`, { type: 'module' });
  const outcomes = [];
  return new Promise((resolve) => {
    const failed = (text) => {
      outcomes.push({ test: 'the file', outcome: 'failed', text });
      resolve(outcomes);
    };
    const timer = setTimeout(() => failed(`took more than ${FILE_MS_MAX} ms`), FILE_MS_MAX);
    worker.onerror = ({ message }) => failed(message);
    worker.onmessage = ({ data }) => (data === 'end' ? resolve(outcomes) : outcomes.push(data));
    outcomes.stop = () => clearTimeout(timer);
  }).finally(() => {
    outcomes.stop();
    worker.terminate();
  });
}

if (!globalThis.crossOriginIsolated) throw new Error('the page is not cross-origin isolated');
const { names, atATime } = await (await fetch('/files')).json();
const work = async () => {
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const beginMs = performance.now();
    const outcomes = await run(name);
    await post(name, { outcomes, tookMs: performance.now() - beginMs });
  }
};
await Promise.all(Array.from({ length: atATime }, work));
await post('end', {});
