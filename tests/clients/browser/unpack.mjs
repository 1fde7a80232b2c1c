// Takes Chromium, its libraries and a font out of the package that carries them, into
// the folder that is the argument.

import { createReadStream, createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";
import { extract } from "tar-fs";

const [folder] = process.argv.slice(2);
const packed = join(dirname(fileURLToPath(import.meta.resolve("@sparticuz/chromium"))), "../bin");
const unpack = (name, to) => pipeline(createReadStream(join(packed, name)), createBrotliDecompress(), to);

mkdirSync(folder, { recursive: true });
await unpack("al2023.tar.br", extract(folder));
await unpack("fonts.tar.br", extract(folder));
// Without any font a page has no text; the settings of the package are for its own place.
writeFileSync(join(folder, "fonts.conf"), `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${join(folder, "fonts")}</dir>
  <cachedir>${join(folder, "fonts-cache")}</cachedir>
</fontconfig>
`);
await unpack("chromium.br", createWriteStream(join(folder, "chromium"), { mode: 0o755 }));
