// The drop-in script for any page:
//
//   <script src="https://your-rollcall/rollcall.js" defer></script>
//   <rollcall-online></rollcall-online>
//
// Served as one classic script: the server puts the modules that are imported
// here in place (bundle.go).

import { define } from "./js/element.js";

// Our server is where this script came from.
const tag = document.currentScript ?? document.querySelector('script[src*="rollcall.js"]');
define(new URL(".", tag?.src || document.baseURI).href);
