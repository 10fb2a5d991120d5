// The element <rollcall-online> for any page, as a classic script or a module:
//
//   <script src="https://your-rollcall/rollcall.js" defer></script>
//   <script type="module" src="https://your-rollcall/rollcall.mjs"></script>

import { define } from "./js/element.js";

// The server is where this script came from. In a classic script, build.mjs
// makes import.meta.url undefined.
const tag = document.currentScript ?? document.querySelector('script[src*="rollcall.js"]');
define(new URL(".", import.meta.url ?? (tag?.src || document.baseURI)).href);
