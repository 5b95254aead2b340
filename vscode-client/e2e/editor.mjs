// A real VS Code (code-server) with the packaged extension, in a real browser. Knows nothing of what is tested.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { chromium } from "playwright-core";

export const BROWSER = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];
const SETTINGS = {
    "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
    "editor.suggestOnTriggerCharacters": false,
    "editor.parameterHints.enabled": false,
    "editor.autoIndent": "full",
    "editor.minimap.enabled": false,
    "editor.fontSize": 15,
    "git.enabled": false,
    "window.autoDetectColorScheme": true,
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": false,
    "workbench.layoutControl.enabled": false,
    "security.workspace.trust.startupPrompt": "never",
    "security.workspace.trust.banner": "always",
    "files.autoSave": "off",
    "telemetry.telemetryLevel": "off",
};

/** Where the scripts put what they install, and what a run leaves to look at. */
export const root = path.resolve(import.meta.dirname, "..", "..");
export const artefacts = path.join(root, "vscode-client", "artefacts");
const installed = path.join(root, ".cache", "editors");
const codeServer = path.join(installed, "code-server", "node_modules", ".bin", "code-server");

/**
 * Start an editor with the extension `vsix` on a copy of `repository`. `trust` turns workspace trust on, `prepare` may
 * change the copy, `env` is what the editor finds in its environment, `name` the folder of this run.
 */
export async function startEditor(repository, { settings = {}, trust = false, vsix, name, prepare, env = {} }) {
    const home = path.join(root, ".cache", "e2e", name);
    rmSync(home, { recursive: true, force: true });
    const folder = path.join(home, path.basename(repository).replace(/-.*/, ""));
    mkdirSync(path.join(home, "user", "User"), { recursive: true });
    cpSync(repository, folder, { recursive: true });
    prepare?.(folder);
    writeFileSync(path.join(home, "user", "User", "settings.json"), JSON.stringify({ ...SETTINGS, ...settings }, null, 2));
    writeFileSync(path.join(home, "config.yaml"), "");
    const folders = ["--user-data-dir", path.join(home, "user"), "--extensions-dir", path.join(home, "extensions"), "--config", path.join(home, "config.yaml")];
    const put = spawnSync(codeServer, [...folders, "--install-extension", vsix], { encoding: "utf8" });
    if (put.status !== 0) {
        throw new Error(`the extension was not installed: ${put.stdout}${put.stderr}`);
    }
    const port = await freePort();
    const flags = ["--auth", "none", "--disable-telemetry", "--disable-update-check", "--disable-getting-started-override", "--bind-addr", `127.0.0.1:${port}`];
    const server = spawn(codeServer, [...folders, ...flags, ...(trust ? [] : ["--disable-workspace-trust"])], { stdio: "pipe", detached: true, env: { ...process.env, ...env } });
    server.stdout.resume();
    server.stderr.resume();
    await until("code-server answers", async () => (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined))?.ok);
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: BROWSER });
    const page = await browser.newPage({ viewport: { width: 1180, height: 720 } });
    page.setDefaultTimeout(15_000);
    await page.goto(`http://127.0.0.1:${port}/?folder=${folder}`);
    await page.locator(".monaco-workbench").waitFor();
    return new Editor(page, browser, server, folder);
}

/** What a person does and sees. */
export class Editor {
    constructor(page, browser, server, folder) {
        Object.assign(this, { page, browser, server, folder });
    }

    async command(title) {
        await this.page.keyboard.press("F1");
        const input = this.page.locator(".quick-input-widget input").first();
        await input.waitFor();
        await input.fill(`>${title}`);
        await this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().waitFor();
        await this.page.keyboard.press("Enter");
    }

    /** Write a file and open it, with the cursor at its end. */
    async open(name, text) {
        this.file = path.join(this.folder, name);
        writeFileSync(this.file, text);
        await this.page.keyboard.press("Control+P");
        const input = this.page.locator(".quick-input-widget input").first();
        await input.waitFor();
        await input.fill(name);
        await this.page.locator(".quick-input-list .monaco-list-row", { hasText: path.basename(name) }).first().waitFor();
        await this.page.keyboard.press("Enter");
        await this.page.locator(`.tab.active[data-resource-name="${path.basename(name)}"]`).waitFor();
        await this.page.locator(".editor-instance .monaco-editor .view-line").first().waitFor();
        const last = `Ln ${text.split("\n").length}, `;
        await until("the cursor is at the end", async () => {
            await this.page.keyboard.press("Control+End");
            return (await this.page.locator('[id="status.editor.selection"]').textContent()).includes(last);
        });
    }

    /** Light, dark or high contrast, as the system would ask for it. */
    async look(media) {
        await this.page.emulateMedia(media);
        await new Promise((resolve) => setTimeout(resolve, 1000)); // colours fade
    }

    type(text, delay = 40) {
        return this.page.keyboard.type(text, { delay });
    }

    press(keys) {
        return this.page.keyboard.press(keys);
    }

    /** What the open file holds, saved; ghost text is no part of it. */
    async text() {
        await until("the file is saved", async () => {
            await this.page.keyboard.press("Control+S"); // again, when an edit came in between
            await new Promise((resolve) => setTimeout(resolve, 100));
            return (await this.page.locator(".tab.active.dirty").count()) === 0;
        });
        return readFileSync(this.file, "utf8");
    }

    /** The ghost text that is shown, its lines below the cursor included; empty when there is none. */
    async ghost() {
        return this.page.evaluate(() => {
            const inline = [...document.querySelectorAll(".ghost-text-decoration, .ghost-text-decoration-preview")].map((node) => node.textContent);
            const below = [...document.querySelectorAll(".ghost-text .view-line, .suggest-preview-text .view-line")].map((node) => node.textContent);
            return [inline.join(""), ...below].join("\n").replaceAll("\u00a0", " ").trim();
        });
    }

    async status() {
        const item = this.page.locator('.statusbar-item[id*="memberwise"]').first();
        return (await item.count()) ? (await item.getAttribute("aria-label")) ?? "" : "";
    }

    until(what, check, ms = 30_000) {
        return until(what, check, ms);
    }

    /** Wait until the status starts with a word; the status. */
    waitStatus(pattern, ms = 90_000) {
        return until(`the status says ${pattern}`, async () => {
            const status = await this.status();
            return pattern.test(status) && status;
        }, ms, () => this.status());
    }

    waitGhost(pattern = /./, ms = 30_000) {
        return until(`ghost text ${pattern}`, async () => {
            const ghost = await this.ghost();
            return pattern.test(ghost) && ghost;
        }, ms, async () => `${await this.ghost()} | ${await this.status()}`);
    }

    async picture(name) {
        mkdirSync(artefacts, { recursive: true });
        await this.page.screenshot({ path: path.join(artefacts, `${name}.png`) });
    }

    async close() {
        await this.browser.close().catch(() => undefined);
        try {
            process.kill(-this.server.pid, "SIGTERM");
        } catch {
            // it is gone already
        }
    }
}

/** Wait until `check` gives something; `seen` tells what was there instead. */
export async function until(what, check, ms = 30_000, seen = async () => "") {
    const end = Date.now() + ms;
    while (Date.now() < end) {
        const found = await check();
        if (found) {
            return found;
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`timeout after ${ms / 1000} s: ${what}; seen: ${await seen()}`);
}

function freePort() {
    return new Promise((resolve, reject) => {
        const probe = net.createServer().on("error", reject).listen(0, "127.0.0.1", () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}
