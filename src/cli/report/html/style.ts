/** The report's style sheet, light and dark. */

/** Colours, and all that charts need to stand by themselves. */
export const CHART_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #16191d; --soft: #5d6672; --line: #e3e6ea;
  --blue: #2f6fde; --violet: #7a5af0; --red: #d32f3c; --green: #16874b; --amber: #c46a00;
  --running: #4f7fe0; --frozen: #f0553a; --released: #1fa463;
  --tint: 0.09; --tint-frozen: 0.16;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1116; --card: #161b22; --ink: #e8ebef; --soft: #93a0ae; --line: #272e37;
    --blue: #6ea8ff; --violet: #a48bff; --red: #ff6b6b; --green: #4cc38a; --amber: #f0a04b;
    --running: #6ea8ff; --frozen: #ff7352; --released: #4cc38a;
    --tint: 0.11; --tint-frozen: 0.2;
  }
}
.grid { stroke: var(--ink); stroke-opacity: 0.09; stroke-width: 1; }
.axis { fill: var(--soft); font-size: 10.5px; font-variant-numeric: tabular-nums; }
.panel-title { fill: var(--soft); font-size: 11.5px; }
.phase { fill-opacity: var(--tint); stroke: var(--card); stroke-width: 1; } .phase.running { fill: var(--running); }
.phase.frozen { fill: var(--frozen); fill-opacity: var(--tint-frozen); } .phase.released { fill: var(--released); }
.phase.undone { fill: var(--amber); } .phase.strong { fill-opacity: 0.4; }
.phase:hover { fill-opacity: 0.3; }
.phase-name { fill: var(--soft); font-size: 10.5px; pointer-events: none; }
.dots { fill: none; stroke: var(--blue); stroke-linecap: round; stroke-opacity: 0.75; pointer-events: none; }
.crosses { fill: none; stroke: var(--red); stroke-width: 1.5; }
.answered { fill: var(--blue); fill-opacity: 0.75; } .failed { fill: var(--red); } .messages { fill: var(--violet); fill-opacity: 0.7; }
.worst { fill: none; stroke: var(--amber); stroke-width: 1.2; stroke-linejoin: round; } .middle { fill: none; stroke: var(--blue); stroke-width: 1.6; stroke-linejoin: round; }
.worst-key { fill: var(--amber); font-weight: 600; } .middle-key { fill: var(--blue); font-weight: 600; }
.dimension path { fill: none; stroke: currentColor; stroke-width: 1.4; } .dimension text { fill: currentColor; font-size: 12px; font-weight: 600; }
.dimension.outage, .drop.outage { color: var(--frozen); } .dimension.gap, .drop.gap { color: var(--ink); }
.cut-off { fill: #fff; font-size: 10.5px; font-weight: 600; }
.drop { fill: none; stroke: currentColor; stroke-width: 1; stroke-dasharray: 2 3; stroke-opacity: 0.7; }
`;

export const STYLE = `${CHART_STYLE}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 0 0 2px; letter-spacing: -0.01em; }
p { margin: 0; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 20px 22px; margin-top: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 24px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 14px 16px; }
.tile b { display: block; font-size: 27px; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.good b { color: var(--green); } .tile.bad b { color: var(--red); }
svg { display: block; width: 100%; height: auto; margin-top: 12px; font: 11px system-ui, 'Segoe UI', Roboto, sans-serif; }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px 22px; margin-top: 14px; }
.small figure { margin: 0; } .small figcaption { font-size: 13px; color: var(--soft); }
.small figcaption b { color: var(--ink); } .small svg { margin-top: 2px; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin: 0 5px 0 14px; vertical-align: -1px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 10px; font-variant-numeric: tabular-nums; font-size: 14px; }
th { text-align: right; font-weight: 600; color: var(--soft); font-size: 12.5px; white-space: nowrap; }
td { text-align: right; white-space: nowrap; } th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
tfoot td { font-weight: 600; } tbody tr:last-child td { border-bottom-color: var(--soft); } tfoot tr td { border-bottom: 0; }
.zero { color: var(--green); } .some { color: var(--red); font-weight: 650; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 10px 0 0; }
dt { color: var(--soft); } dd { margin: 0; }
footer { margin-top: 28px; color: var(--soft); font-size: 13px; }
@media print { body { background: #fff; } .card, .tile { break-inside: avoid; } }
`;
