// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { type BufferId, BufferPool } from '../pool/index.ts';
import { SharedWriter, WriteFlusher, type WriterOptions } from './index.ts';

const QUIET = 7;

/** Two members of one writer, each as if in a thread of its own, and the receiver's text. */
function pair(options: WriterOptions = {}, bufferSize = 256) {
  const receiving = BufferPool.create({ bufferSize, bufferCount: 8, batchSize: 1, maxThreads: 4 });
  const flusher = WriteFlusher.create(receiving);
  const [one, other] = [0, 1].map(() => BufferPool.attach(receiving.handle));
  const a = SharedWriter.create(WriteFlusher.attach(one, flusher.handle), options);
  const b = SharedWriter.attach(WriteFlusher.attach(other, flusher.handle), a.handle);
  const drain = (): string[] => {
    const regions: string[] = [];
    flusher.drain((_writer, offset, length, id) => {
      regions.push(receiving.text(offset, length));
      receiving.release(id);
    });
    return regions;
  };
  return { receiving, flusher, one, other, a, b, drain };
}

function write(writer: SharedWriter, text: string | Buffer): void {
  expect(writer.tryWrite(typeof text === 'string' ? Buffer.from(text) : text)).toBe(true);
}

/** So many messages in a row that the next ones are in a run. */
function beginRun(writer: SharedWriter): void {
  for (let i = 0; i < QUIET; i++) write(writer, '....');
  writer.flush();
}

test('messages of a run arrive in one region, in order, at each flush of any member', () => {
  const { a, b, drain } = pair();
  beginRun(a);
  drain();
  for (const text of ['one ', 'two ', 'three ']) write(a, text);
  expect(b.flush()).toBe(true);
  write(a, 'four');
  expect(drain()).toEqual(['one two three ']);
  expect(b.flush()).toBe(true);
  expect(drain()).toEqual(['four']);
});

test('a message never overtakes one that was reserved before it', () => {
  const { a, b, drain } = pair();
  beginRun(a);
  drain();
  write(a, 'a1');
  write(b, 'b1');
  const at = b.tryReserve(2);
  write(a, 'a2');
  write(a, 'a3');
  write(b, 'b2');
  b.pool.bytes.set(Buffer.from('bx'), at);
  a.flush();
  b.commit(at, 2);
  b.flush();
  expect(drain().join('')).toBe('a1b1bxa2a3b2');
});

test('a run that is cut while a message is copied: the message is written elsewhere', () => {
  const { a, b, drain } = pair({}, 64);
  beginRun(a);
  drain();
  // While the source is read the other member goes on, around all the segments.
  let turns = 0;
  const arrived: string[] = [];
  const slow = new Proxy(Buffer.from('slow'), {
    get(bytes, key) {
      const value = Reflect.get(bytes, key, bytes);
      if (key !== '2') return value;
      for (; turns < 40; turns++) {
        write(b, `from the other ${turns}`.padEnd(20));
        b.flush();
        arrived.push(...drain());
      }
      return value;
    },
  });
  expect(a.tryWrite(slow)).toBe(true);
  a.flush();
  arrived.push(...drain());
  expect(arrived.at(-1)).toBe('slow');
  expect(arrived.slice(0, -1).join('')).toBe(
    Array.from({ length: 40 }, (_, i) => `from the other ${i}`.padEnd(20)).join(''),
  );
});

test('a message that is copied late goes to bytes that nobody else uses', () => {
  const { a, b, receiving, drain } = pair({}, 64);
  beginRun(a);
  drain();
  const taken: number[] = [];
  const late = new Proxy(Buffer.from('late'), {
    get(bytes, key) {
      if (key === '0' && taken.length === 0) {
        for (let i = 0; i < 6; i++) {
          write(b, 'x'.repeat(30));
          b.flush();
          drain();
        }
        for (let id = receiving.tryAcquire(); id >= 0; id = receiving.tryAcquire()) {
          receiving.bytes.fill(0x2e, receiving.offsetOf(id), receiving.offsetOf(id) + 64);
          taken.push(id);
        }
      }
      return Reflect.get(bytes, key, bytes);
    },
  });
  expect(a.tryWrite(late)).toBe(true);
  expect(taken.length).toBeGreaterThan(3);
  for (const id of taken) {
    expect(receiving.text(receiving.offsetOf(id as BufferId), 64)).toBe('.'.repeat(64));
  }
});

test('a source that writes a message itself', () => {
  const { a, drain } = pair();
  for (const isRun of [false, true]) {
    if (isRun) beginRun(a);
    drain();
    let nested = false;
    const source = new Proxy(Buffer.from('outer'), {
      get(bytes, key) {
        if (key === '1' && !nested) {
          nested = true;
          write(a, 'inner');
        }
        return Reflect.get(bytes, key, bytes);
      },
    });
    write(a, '<');
    expect(a.tryWrite(source)).toBe(true);
    write(a, '>');
    expect(a.flush()).toBe(true);
    expect(drain().join('')).toBe('<outerinner>');
  }
  expect(a.close()).toBe(0);
});

test.each(['the writer itself', 'another object of its thread'])(
  'a source that writes a whole ring, by %s, until the STATE of the run is as it was',
  (who) => {
    const { a, drain } = pair({}, 64);
    const b = who === 'the writer itself' ? a : SharedWriter.attach(a.flusher, a.handle);
    const arrived: string[] = [];
    const send = (writer: SharedWriter, text: string | Buffer): void => {
      write(writer, text);
      writer.flush();
      arrived.push(...drain());
    };
    const written: string[] = [];
    for (let i = 0; i < 40; i++) {
      for (const writer of new Set([b, a])) {
        for (let k = 0; k < 7; k++) {
          written.push(`${written.length % 10}---`);
          send(writer, written.at(-1) as string);
        }
      }
    }
    const run = Reflect.get(a, 'run') as { [key in 'entry' | 'state' | 'at' | 'end']: number };
    const words = Reflect.get(a, 'words') as Int32Array;
    const { entries, entryCount } = Reflect.get(a, 'layout');
    // The first entry of its segment, as those of the source will be, with room for a message.
    const isFirst = () => (run.entry - entries) % (entryCount * 3) === 0 && run.at + 4 <= run.end;
    for (let i = 0; i < 100 && !isFirst(); i++) {
      written.push(`${written.length % 10}+++`);
      send(a, written.at(-1) as string);
    }
    const { entry, state } = run;
    expect([words[entry], isFirst()]).toEqual([state, true]);
    const epoch = Reflect.get(run, 'epoch');
    let meets = 0;
    const source = new Proxy(Buffer.from('slow'), {
      get(bytes, key) {
        for (let i = 0; key === '1' && meets === 0 && i < 4000; i++) {
          written.push(`${written.length % 10}===`);
          send(b, written.at(-1) as string);
          const isAround = Reflect.get(b, 'run').epoch !== epoch;
          if (isAround && words[entry] === state) meets++;
        }
        return Reflect.get(bytes, key, bytes);
      },
    });
    send(a, source);
    expect(meets).toBe(1);
    send(a, 'last');
    send(b, 'LAST');
    expect(arrived.join('')).toBe(`${written.join('')}slowlastLAST`);
    for (const writer of new Set([b, a])) expect(writer.close()).toBe(0);
  },
);

test('a thread that has stopped writing gives its buffer back when another needs it', async () => {
  const { a, b, one, receiving, drain } = pair({}, 64);
  beginRun(a);
  drain();
  // The other member moves on; then all that is free is taken.
  for (let i = 0; i < 4; i++) {
    write(b, 'x'.repeat(40));
    b.flush();
    drain();
  }
  expect(one.stats().held).toBeGreaterThan(0);
  const taken = [];
  for (let id = receiving.tryAcquire(); id >= 0; id = receiving.tryAcquire()) taken.push(id);
  const last = await receiving.acquire({ timeoutMs: 60_000 });
  for (const id of [...taken, last]) receiving.release(id);
});

test('a closed member has no run, and what was not delivered is counted', () => {
  const { a, b, one, other, flusher, drain } = pair();
  beginRun(a);
  drain();
  write(a, 'abc');
  flusher.close();
  expect(b.close()).toBe(0);
  expect(a.close()).toBe(3);
  expect(() => a.tryWrite(Buffer.from('x'))).toThrow(/closed/);
  for (const pool of [one, other]) pool.detach();
});

test('a writer with rooms around its regions has no runs', () => {
  for (const rooms of [0, 2]) {
    const { a, drain } = pair({ headroom: rooms, tailroom: rooms });
    beginRun(a);
    expect(drain()).toEqual(['....'.repeat(QUIET)]);
    const run = Reflect.get(a, 'run');
    expect(Reflect.get(run, 'end') > 0).toBe(rooms === 0);
  }
});
