// SPDX-License-Identifier: MIT
/** The page of an exporter: `busbar top` in a browser. */

import type { View } from './view.ts';

/** `nonce` is that of the page's policy; `view` is shown first. */
export function pageOf(nonce: string, view: View): string {
  const first = JSON.stringify(view).replaceAll('<', '\\u003c');
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>busbar</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<style nonce="${nonce}">
:root{color-scheme:light dark}body{font:14px/1.5 ui-monospace,monospace;margin:1.5rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.1rem .7rem;text-align:right}
td:first-child,th:first-child{text-align:left}th{border-bottom:1px solid;font-weight:600}
.alarm{color:light-dark(#b00020,#ff8a80);font-weight:600}
</style><h1 id="title">busbar</h1><div id="view"></div>
<script type="module" nonce="${nonce}">
const make=(tag,textContent,className='')=>
Object.assign(document.createElement(tag),{textContent,className});
const show=({title,reasons,tables})=>{
document.getElementById('title').textContent=title;
const parts=reasons.map((reason)=>make('p',reason,'alarm'));
for(const {columns,rows} of tables){
const table=make('table','');
const lines=rows.map(({cells,isAlarm})=>['td',cells,isAlarm?'alarm':'']);
for(const [tag,cells,kind] of [['th',columns,''],...lines]){
const line=make('tr','',kind);line.append(...cells.map((cell)=>make(tag,cell)));table.append(line);}
parts.push(table);}
document.getElementById('view').replaceChildren(...parts);};
show(${first});
const source=new EventSource('view'+location.search);
source.onmessage=({data})=>show(JSON.parse(data));
source.onerror=()=>{document.getElementById('title').textContent='no connection';};
</script></html>`;
}
