// The style of the list. It takes its colours from the page, light or dark. A
// constructed style sheet needs no exception in a strict Content-Security-Policy.

const CSS = `
:host { display: block; font: inherit; color: inherit; line-height: 1.4;
  --rc-line: var(--rollcall-line, color-mix(in srgb, currentColor 13%, transparent));
  --rc-muted: var(--rollcall-muted, color-mix(in srgb, currentColor 66%, transparent));
  --rc-accent: var(--rollcall-accent, #12835a); }
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.head { display: flex; align-items: center; gap: .55em; margin: 0 0 .5em; font-weight: 600; }
.dot { flex: none; width: .6em; height: .6em; border-radius: 50%; background: var(--rc-muted); }
.live .dot { background: var(--rc-accent); }
input { width: 100%; margin: 0 0 .5em; padding: .5em .75em; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--rc-line); border-radius: .6em; }
input::placeholder { color: var(--rc-muted); opacity: 1; }
input:focus-visible { outline: 2px solid var(--rc-accent); outline-offset: 1px; }
ul { margin: 0; padding: 0; list-style: none; transition: opacity .3s; }
.stale ul { opacity: .5; }
li { display: flex; align-items: center; gap: .8em; padding: .5em 0; min-width: 0;
  content-visibility: auto; contain-intrinsic-size: auto 3.4em; }
li + li { border-top: 1px solid var(--rc-line); }
.avatar { flex: none; display: grid; place-items: center; width: 2.4em; height: 2.4em; overflow: hidden;
  border-radius: 50%; background: hsl(var(--hue) 45% 36%); color: #fff; user-select: none; }
.avatar span { font-size: .85em; font-weight: 600; letter-spacing: .02em; line-height: 1; white-space: nowrap; }
@supports (color: oklch(0 0 0)) { .avatar { background: oklch(.5 .105 var(--hue)); } }
.name { flex: 0 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.resting .avatar { background: transparent; color: var(--rc-muted); border: 2px dashed var(--rc-muted); }
.resting .name { color: var(--rc-muted); }
.tag { flex: none; padding: .05em .55em; font-size: .78em; font-weight: 600; border-radius: 1em;
  color: var(--rc-accent); border: 1px solid currentColor; }
.away { color: var(--rc-muted); font-weight: 500; }
.since { flex: none; margin-inline-start: auto; font-size: .86em; color: var(--rc-muted);
  font-variant-numeric: tabular-nums; }
.resting:has(.you:not([hidden])) .since { display: none; }
.note { margin: .5em 0 0; color: var(--rc-muted); }
.problem { margin: .5em 0 0; padding-inline-start: .7em; border-inline-start: 3px solid #c4432b; }
@media (prefers-reduced-motion: no-preference) {
  li.new { animation: come .45s ease-out; }
  @keyframes come { from { opacity: 0; transform: translateY(-.35em); } }
}
@media (forced-colors: active) { .avatar { border: 1px solid; } }
`;

let sheet;

// dress gives a shadow root the style; all share one sheet.
export function dress(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  root.adoptedStyleSheets = [sheet];
}
