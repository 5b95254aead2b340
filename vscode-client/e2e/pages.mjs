// Pictures of the pages that Neovim's :TOhtml made of its windows.
import { readdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { artefacts, BROWSER } from "./editor.mjs";

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: BROWSER });
const page = await browser.newPage({ viewport: { width: 720, height: 260 } });
for (const name of readdirSync(artefacts).filter((file) => file.endsWith(".html"))) {
    await page.goto(`file://${path.join(artefacts, name)}`);
    await page.screenshot({ path: path.join(artefacts, name.replace(".html", ".png")) });
}
await browser.close();
