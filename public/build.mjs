// Makes what browsers load and puts it into dist, which embed.go embeds: the
// page, the element and the official Socket.IO client. `npm run build` runs it,
// in the folder above.
import { copyFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";

const from = (...names) => names.map((name) => `./public/${name}`);
const options = { bundle: true, minify: true, sourcemap: true, charset: "utf8", target: "es2022", logLevel: "warning" };
await Promise.all([
  build({ ...options, entryPoints: from("page.js", "page.css"), outdir: "public/dist", format: "esm" }),
  build({ ...options, entryPoints: from("rollcall.js"), outfile: "public/dist/rollcall.mjs", format: "esm" }),
  build({ ...options, entryPoints: from("rollcall.js"), outfile: "public/dist/rollcall.js", format: "iife", define: { "import.meta.url": "undefined" } }),
]);

const copy = (folder, names) => names.forEach((name) => copyFileSync(`${folder}/${name}`, `public/dist/${name}`));
copy("public", ["index.html", "icon.svg"]);
const client = "node_modules/socket.io-client/dist";
copy(client, readdirSync(client));
