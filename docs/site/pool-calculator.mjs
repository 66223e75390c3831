// SPDX-License-Identifier: MIT
/**
 * The calculator of docs/guides/sizing.md: `pool.plan` in the page. scripts/site-plugin.mjs bundles
 * it, with the code of `pool.plan` itself.
 */
import { planPool } from '../../src/pool/pool-plan.ts';

const FIELDS = [
  ['bufferSize', 'bytes of a buffer', 16384],
  ['bufferCount', 'buffers', 512],
  ['links', 'links open at a time', 100],
  ['laggards', 'peers of them that may stop reading', 10],
  ['messageBytes', 'bytes of a message sent', 1000],
  ['requestBytes', 'bytes of a message received', 0],
];

/** The plan as text, or what is wrong with a field. `packets`: the same packets go to all. */
export function planText({ bufferSize, bufferCount, ...use }) {
  try {
    return planPool(bufferSize, bufferCount, use).text;
  } catch (error) {
    return error.message;
  }
}

/** Puts the form into the page, if it has a place for it. */
export function showCalculator(document) {
  const place = document.getElementById('pool-calculator');
  if (place === null) return;
  const form = document.createElement('form');
  const text = document.createElement('pre');
  const inputs = FIELDS.map(([name, label, value]) => {
    const input = document.createElement('input');
    Object.assign(input, { name, value, type: 'number', min: 0 });
    return addField(document, form, input, label);
  });
  const box = document.createElement('input');
  Object.assign(box, { name: 'packets', type: 'checkbox' });
  addField(document, form, box, 'the same packets go to all');
  const update = () => {
    const numbers = inputs.map(({ name, value }) => [name, value === '' ? NaN : Number(value)]);
    text.textContent = planText({ ...Object.fromEntries(numbers), packets: box.checked });
  };
  form.addEventListener('input', update);
  update();
  place.replaceChildren(form, text);
}

function addField(document, form, input, label) {
  const field = document.createElement('label');
  field.style.display = 'block';
  field.append(input, ` ${label}`);
  form.append(field);
  return input;
}

if (globalThis.document !== undefined) showCalculator(globalThis.document);
