// SPDX-License-Identifier: MIT
/** Test tool: exceptions that nothing catches, taken from the test runner's own listeners. */

/** The messages of those thrown while `what` runs. */
export async function uncaughtDuring(what: () => Promise<void>): Promise<string[]> {
  const messages: string[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => messages.push(error.message));
  try {
    await what();
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  }
  return messages;
}

/** The next one. */
export function nextUncaught(): Promise<Error> {
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  return new Promise((resolve) => {
    process.once('uncaughtException', (error) => {
      for (const listener of others) process.on('uncaughtException', listener);
      resolve(error);
    });
  });
}
