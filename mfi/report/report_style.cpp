#include "mfi/report/report_style.h"

namespace mfi {

// The colours of charts keep a contrast of 3 to 1 with the background at least, text of 4.5 to 1, and can be told apart
// with any kind of colour blindness (blue, orange, green, pink after Okabe and Ito).
// No '<' or '&' in here: the page is XML too.
const char* report_style() {
  return R"(
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f8; --ink: #1b1e23; --soft: #565d68; --line: #d5d9df; --link: #0b57a4;
  --c0: #0072b2; --c1: #c44f00; --c2: #00795a; --c3: #a3467f; --c4: #5b5b5b; --c5: #7a5c00; --c6: #33415c;
  --wrong: 196, 79, 0; --right: 0, 114, 178;
  --good: #00694d; --bad: #a83f00;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #15181d; --panel: #1f242b; --ink: #e6e9ee; --soft: #a9b1bd; --line: #3a414b; --link: #8cc4ff;
    --c0: #5db8ee; --c1: #f0a04b; --c2: #3fcfa4; --c3: #e59bcd; --c4: #c8c8c8; --c5: #e8d44d; --c6: #9fb4e8;
    --wrong: 240, 160, 75; --right: 93, 184, 238;
    --good: #4fd6ab; --bad: #f5a65b;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main, header { max-width: 72rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
section { border-top: 1px solid var(--line); padding: 1.4rem 0 1rem; }
p { margin: 0 0 .7rem; max-width: 62rem; }
a { color: var(--link); }
.lead { font-size: 1.15rem; }
.soft, figcaption, caption { color: var(--soft); }
.missing { border-left: 4px solid var(--c1); background: var(--panel); padding: .5rem .8rem; overflow-wrap: anywhere; }
nav ul { list-style: none; padding: 0; margin: .6rem 0 1rem; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.scroll { overflow-x: auto; max-width: 100%; margin: 0 0 .8rem; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .88rem; padding: 0 0 .3rem; max-width: calc(100vw - 2rem); }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--soft); }
tbody th { font-weight: 500; white-space: nowrap; }
th.group { padding-top: .8rem; font-weight: 600; color: var(--soft); }
th.number, td.number { text-align: right; white-space: nowrap; }
thead th.number { white-space: normal; }
tr.total th, tr.total td { border-top: 2px solid var(--soft); font-weight: 600; }
td.long { overflow-wrap: anywhere; min-width: 12rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem 1.6rem; }
.pair { grid-column: 1 / -1; display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 0 1.6rem; }
.pair h3, .pair .whole { grid-column: 1 / -1; margin: .6rem 0 0; min-width: 0; }
figure { margin: 0 0 1rem; min-width: 0; }
figcaption { font-size: .88rem; margin: .2rem 0 .3rem; }
svg.chart { display: block; width: 100%; max-width: 30rem; height: auto; font: 11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
svg.chart text { fill: var(--ink); } svg.chart text.axis { fill: var(--soft); }
svg.chart text.label { font-weight: 600; }
.grid { stroke: var(--line); stroke-width: .7; } .base { stroke: var(--soft); stroke-width: 1; }
.frame { fill: var(--panel); stroke: var(--line); }
.chance { stroke: var(--soft); stroke-width: 1; } .leader { stroke: var(--soft); stroke-width: .7; stroke-dasharray: 2 2; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.line.s0 { stroke: var(--c0); } .line.s1 { stroke: var(--c1); stroke-dasharray: 6 3; }
.line.s2 { stroke: var(--c2); stroke-dasharray: 2 2; } .line.s3 { stroke: var(--c3); stroke-dasharray: 8 3 2 3; }
.line.s4 { stroke: var(--c4); stroke-dasharray: 4 4; } .line.s5 { stroke: var(--c5); stroke-dasharray: 10 3; }
.line.s6 { stroke: var(--c6); stroke-dasharray: 1 3; }
.mark.s0, .bar.s0 { fill: var(--c0); } .mark.s1, .bar.s1 { fill: var(--c1); } .mark.s2 { fill: var(--c2); }
.mark.s3 { fill: var(--c3); }
.mark.open { fill: none; stroke-width: 2; } .mark.s4 { stroke: var(--c4); } .mark.s5 { stroke: var(--c5); } .mark.s6 { stroke: var(--c6); }
.bar.s1 { stroke: var(--c1); fill-opacity: .55; }
.matrix table { font-size: .85rem; } .matrix td { text-align: center; padding: .25rem .4rem; min-width: 2.2rem; }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .3rem .2rem; white-space: nowrap; font-weight: 500; }
.matrix thead th:first-child { writing-mode: horizontal-tb; transform: none; }
.matrix td.own { font-weight: 700; }
.wrong1 { fill: rgba(var(--wrong), .18); background: rgba(var(--wrong), .07); } .wrong2 { fill: rgba(var(--wrong), .3); background: rgba(var(--wrong), .12); }
.wrong3 { fill: rgba(var(--wrong), .45); background: rgba(var(--wrong), .18); } .wrong4 { fill: rgba(var(--wrong), .6); background: rgba(var(--wrong), .25); }
.wrong5 { fill: rgba(var(--wrong), .75); background: rgba(var(--wrong), .32); } .wrong6 { fill: rgba(var(--wrong), .9); background: rgba(var(--wrong), .38); }
.wrong7 { fill: rgb(var(--wrong)); background: rgba(var(--wrong), .45); }
.right1 { fill: rgba(var(--right), .18); background: rgba(var(--right), .07); } .right2 { fill: rgba(var(--right), .3); background: rgba(var(--right), .12); }
.right3 { fill: rgba(var(--right), .45); background: rgba(var(--right), .16); } .right4 { fill: rgba(var(--right), .6); background: rgba(var(--right), .2); }
.right5 { fill: rgba(var(--right), .75); background: rgba(var(--right), .25); } .right6 { fill: rgba(var(--right), .9); background: rgba(var(--right), .3); }
.right7 { fill: rgb(var(--right)); background: rgba(var(--right), .38); }
ul.pictures { list-style: none; padding: 0; margin: .4rem 0 1rem; display: grid; grid-template-columns: repeat(auto-fill, minmax(8.6rem, 1fr)); gap: .9rem; }
ul.pictures li { min-width: 0; font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; break-inside: avoid; }
ul.pictures img { display: block; width: 100%; max-width: 9rem; aspect-ratio: 1; object-fit: contain; background: var(--panel); margin-bottom: .25rem; }
img.small { image-rendering: pixelated; }
details { margin: 0 0 .8rem; } summary { cursor: pointer; color: var(--link); font-size: .92rem; }
details .scroll { margin-top: .4rem; max-height: 34rem; overflow-y: auto; }
pre { background: var(--panel); padding: .7rem .9rem; overflow-x: auto; font-size: .85rem; line-height: 1.45; margin: 0 0 .8rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .92em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0 0 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } h1 { font-size: 1.35rem; } .lead { font-size: 1.05rem; } ul.pictures { grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); } }
@media print {
  body { font-size: 10pt; } main, header { max-width: none; padding: 0; } nav { display: none; }
  h2, h3 { break-after: avoid; } figure, tr, li, dl, .pair { break-inside: avoid; } table { font-size: .82rem; } .scroll, details .scroll, pre { overflow: visible; max-height: none; }
  pre { white-space: pre-wrap; } details:not([open]) { display: none; }
  .charts, .pair { grid-template-columns: repeat(2, 1fr); } ul.pictures { grid-template-columns: repeat(6, 1fr); }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)";
}

}  // namespace mfi
