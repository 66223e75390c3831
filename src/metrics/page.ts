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
h1{font-size:1.2rem}h1,p{overflow-wrap:anywhere}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.1rem .7rem;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left;padding-left:0}
td:first-child{max-width:40vw;overflow:hidden;text-overflow:ellipsis}
@media(max-width:600px){td:first-child{white-space:normal;overflow-wrap:break-word}}
th{border-bottom:1px solid;font-weight:600}tr:hover td{background:#8882}
.alarm{color:light-dark(#b00020,#ff8a80);font-weight:600}
p.alarm::before,.alarm td:first-child::before{content:'! '}
.aside{position:absolute;visibility:hidden;top:0;left:1.5rem;right:1.5rem}
</style><h1 id="title">busbar</h1><div id="view"></div>
<script type="module" nonce="${nonce}">
const make=(tag,textContent,className='')=>
Object.assign(document.createElement(tag),{textContent,className});
const tableOf=({columns,rows},begin,end)=>{
const table=make('table','');
const lines=rows.map(({cells,isAlarm})=>['td',cells,isAlarm?'alarm':'']);
for(const [tag,cells,kind] of [['th',columns,''],...lines]){
const line=make('tr','',kind);
for(const cell of [cells[0],...cells.slice(begin,end)])line.append(make(tag,cell));
line.cells[0].title=cells[0];table.append(line);}
return table;};
/* What is too wide goes on below, with the names again. */
const addTo=(place,table)=>{
const whole=tableOf(table,1);place.append(whole);
const room=place.clientWidth;
if(whole.offsetWidth<=room)return;
const widths=[...whole.rows[0].cells].map((cell)=>cell.offsetWidth);
whole.remove();
for(let end=1;end<widths.length;){
const begin=end;let rest=room-widths[0];
do rest-=widths[end++];while(end<widths.length&&rest>=widths[end]);
place.append(tableOf(table,begin,end));}};
let last;
const show=(view)=>{
last=view;const {title,reasons,tables}=view;
document.title=document.getElementById('title').textContent=title;
/* Made where it is not seen, and then put in place at once: the page keeps its place. */
const aside=make('div','','aside');document.body.append(aside);
for(const reason of reasons)aside.append(make('p',reason,'alarm'));
for(const table of tables)addTo(aside,table);
document.getElementById('view').replaceChildren(...aside.childNodes);aside.remove();};
show(${first});
addEventListener('resize',()=>show(last));
const source=new EventSource('view'+location.search);
source.onmessage=({data})=>show(JSON.parse(data));
source.onerror=()=>{document.getElementById('title').textContent='no connection';};
</script></html>`;
}
