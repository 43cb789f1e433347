// node read.mjs STORE ROW ARRAY…: through zarrita, one row of each array; prints its shape and its bytes' SHA-256.
import { createHash } from "node:crypto";
import { Float16Array } from "@petamoriken/float16";
import FileSystemStore from "@zarrita/storage/fs";
import * as zarr from "zarrita";

globalThis.Float16Array ??= Float16Array; // part of Node from version 24 on
const [store, row, ...names] = process.argv.slice(2);
const group = await zarr.open.v3(new FileSystemStore(store), { kind: "group" });
const found = {};
for (const name of names) {
  const array = await zarr.open.v3(group.resolve(name), { kind: "array" });
  const { data, shape } = await zarr.get(array, [zarr.slice(+row, +row + 1), ...array.shape.slice(1).map(() => null)]);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  found[name] = { shape, sha256: createHash("sha256").update(bytes).digest("hex") };
}
console.log(JSON.stringify(found));
