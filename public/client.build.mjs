// Copies the official browser client from npm's folder to where embed.go takes
// it from. Run by `npm run build`; Go needs none of it to compile.
import { copyFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const from = new URL("../node_modules/socket.io-client/dist/", import.meta.url);
const to = new URL("client/", import.meta.url);

for (const build of ["socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min"]) {
  for (const name of [`${build}.js`, `${build}.js.map`]) copyFileSync(new URL(name, from), new URL(name, to));
}
console.log(`client bundle copied to ${fileURLToPath(to)}`);
