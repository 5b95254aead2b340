// The packaged extension in a real VS Code, with the real server and the default model, on a real repository.
//
// REPOSITORY is a checkout of click; every step is what a person does. Pictures go to artefacts/.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { root, startEditor, until } from "./editor.mjs";

const REPOSITORY = process.env.REPOSITORY;
const VSIX = path.join(root, "vscode-client", "build", "memberwise.vsix");
const SERVER = path.join(root, ".venv", "bin", "memberwise");
const FOUND = { "memberwise.server.path": SERVER };
const HEAD = '"""Commands of the demo."""\n\nfrom click.core import Context\n\n\n';
const USAGE = `${HEAD}def usage(context: Context) -> str:\n    """The usage of the command."""\n    `;
const STUB = `${HEAD}def close_all(contexts: list[Context]) -> None:\n    """Close every context, the last one first, and count them."""\n    ...\n`;
// What takes the model a second or two on any processor: there must be time to cancel it.
const LONG = `${HEAD}def as_lines(context: Context) -> str:\n    """Write every attribute of the context (info_name, args, params, obj, meta, parent, command, color) on a line of its own, each by a statement: lines.append(...)."""\n    ...\n`;

// A member that is nowhere but in the editor's copy, so that no installed package can be where it was found.
const LEDGER = 'class Ledger:\n    """Keeps the books."""\n\n    def tally_of_march(self) -> int:\n        return 3\n';
const SUMS = '"""Sums."""\n\nfrom click.ledger import Ledger\n\n\ndef total(ledger: Ledger) -> int:\n    """The tally of the month."""\n    ';

let editor;

/** A test that leaves a picture of what was there when it fails, and no dialog in the way of the next. */
function step(name, ...more) {
    const run = more.pop();
    it(name, ...more, async () => {
        try {
            await run();
        } catch (error) {
            await editor.picture(`failed-${name.replaceAll(/\W+/g, "-")}`).catch(() => undefined);
            await editor.press("Escape").catch(() => undefined);
            throw error;
        }
    });
}

/** Processes of the editor's that run `memberwise serve`. */
function servers() {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
        try {
            const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
            return words.includes(SERVER) && words.includes("serve") && ancestors(pid).includes(editor.server.pid);
        } catch {
            return false;
        }
    });
}

function ancestors(pid) {
    const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
    return parent > 1 ? [parent, ...ancestors(parent)] : [];
}

describe("with a server", { concurrency: 1 }, () => {
    before(async () => {
        const prepare = (folder) => writeFileSync(path.join(folder, "click", "ledger.py"), LEDGER);
        editor = await startEditor(REPOSITORY, { name: "vscode", vsix: VSIX, settings: FOUND, prepare });
    });
    after(() => editor.close());

    step("gets ready, and says so", async () => {
        await editor.open("click/demo.py", USAGE);
        await editor.waitStatus(/ready \(default/);
    });

    step("shows a member that exists in another file, and Tab accepts it", async () => {
        await editor.type("return context.get");
        const ghost = await editor.waitGhost(/_\w+/);
        await editor.picture("ghost-text");
        const member = `get${/^\w+/.exec(ghost)[0]}`;
        assert.match(readFileSync(path.join(editor.folder, "click", "core.py"), "utf8"), new RegExp(`def ${member}\\(`));
        assert.ok(!USAGE.includes(member));
        await editor.press("Tab");
        await editor.until("the text is there", async () => (await editor.text()).endsWith(`return context.get${ghost}`));
    });

    step("explains it, in light, dark and high contrast, by keyboard too", async () => {
        await editor.command("Memberwise: Explain Last Completion");
        const page = editor.page.frameLocator("iframe.webview").frameLocator("iframe#active-frame");
        await page.getByRole("heading", { name: "The last completion" }).waitFor();
        const row = page.getByRole("row", { name: /get_usage/ });
        assert.match(await row.innerText(), /context[\s\S]*(jedi|index)[\s\S]*ms/);
        const link = page.getByRole("link", { name: "get_usage" });
        await link.focus();
        await link.press("Enter");
        assert.ok(await row.evaluate((element) => element === document.activeElement), "a link leads the focus to its row");
        for (const [name, media] of [["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }], ["contrast", { forcedColors: "active" }]]) {
            await editor.look(media);
            await editor.picture(`explain-${name}`);
        }
        await editor.look({ colorScheme: "light", forcedColors: "none" });
        await editor.command("View: Close All Editors");
    });

    step("brings the import a name needs", async () => {
        await editor.open("click/load.py", '"""Demo."""\n\n\ndef load(text: str) -> dict:\n    """Parse JSON text."""\n    ');
        await editor.type("return js");
        await editor.waitGhost(/^on\.loads\(text\)/);
        await editor.picture("before-import");
        await editor.press("Tab");
        await editor.until("the import", async () => /^import json$/m.test(await editor.text()));
        assert.match(await editor.text(), /^ {4}return json\.loads\(text\)$/m);
        await editor.picture("import");
        await editor.press("Control+z");
        await editor.press("Control+z");
        assert.doesNotMatch(await editor.text(), /json\.loads|import json/);
    });

    step("knows a member that is only in this folder", async () => {
        await editor.open("click/sums.py", SUMS);
        await editor.type("return ledger.ta");
        await editor.waitGhost(/^lly_of_march/);
    });

    step("keeps the text while it is typed through", async () => {
        await editor.open("click/through.py", USAGE);
        await editor.type("return context.get");
        let ghost = await editor.waitGhost(/^_usage/);
        for (const key of "_usa") {
            await editor.type(key);
            ghost = ghost.slice(1);
            await editor.until("the rest of the text", async () => (await editor.ghost()) === ghost, 1500);
        }
    });

    step("accepts a word, then a line", async () => {
        await editor.open("click/words.py", USAGE);
        await editor.type("return context.get");
        const ghost = await editor.waitGhost(/^_\w+\(.*/);
        const [word] = /^_\w+/.exec(ghost);
        await editor.press("Control+ArrowRight");
        await editor.until("a word of it", async () => (await editor.text()).endsWith(`return context.get${word}`));
        await editor.waitGhost(/^\(/);
        await editor.press("Control+Alt+ArrowRight");
        await editor.until("the line", async () => (await editor.text()).includes(`return context.get${word}(`));
    });

    step("shows the first line of a block before the rest", async () => {
        await editor.open("click/block.py", `${HEAD}def finish(context: Context) -> None:\n    """Close the context and print the help."""`);
        const seen = new Set();
        await editor.press("Enter");
        await editor.until("a block of several lines", async () => {
            const ghost = await editor.ghost();
            seen.add(ghost);
            return ghost.split("\n").length > 2;
        });
        const shown = [...seen].filter(Boolean);
        assert.ok(shown.length >= 2 && shown.at(-1).startsWith(shown[0]), JSON.stringify(shown));
        await editor.picture("block");
        await editor.press("Escape");
    });

    step("keeps a first line that was dismissed away, and its rest", async () => {
        await editor.open("click/dismissed.py", `${HEAD}def leave(context: Context) -> None:\n    """Print the usage, then close the context."""`);
        await editor.press("Enter");
        await editor.waitGhost();
        const [pid] = servers();
        process.kill(pid, "SIGSTOP"); // or the rest comes before the key
        await editor.press("Escape");
        await editor.until("no text", async () => (await editor.ghost()) === "");
        process.kill(pid, "SIGCONT");
        await editor.waitStatus(/ready/);
        await new Promise((resolve) => setTimeout(resolve, 1000));
        assert.equal(await editor.ghost(), "");
    });

    step("says why nothing came", async () => {
        await editor.open("click/reason.py", `${HEAD}value = 1\n`);
        await editor.press("ArrowUp");
        await editor.press("ArrowRight");
        await editor.press("ArrowRight");
        await editor.command("Trigger Inline Suggestion");
        await editor.waitStatus(/inside a word|nothing/);
        await editor.picture("reason");
    });

    step("pauses and goes on, from its menu", async () => {
        await editor.page.locator('.statusbar-item[id*="memberwise"]').first().click();
        await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "Pause for 10 minutes" }).waitFor();
        await editor.picture("menu");
        await editor.type("Pause for 10");
        await editor.press("Enter");
        await editor.waitStatus(/paused/);
        await editor.command("Memberwise: Resume");
        await editor.waitStatus(/ready/);
    });

    step("streams a body and cancels it, and changes nothing then", async () => {
        await editor.open("click/long.py", LONG);
        await editor.page.locator(".codelens-decoration a", { hasText: "Generate body" }).click();
        const shown = () => editor.page.evaluate(() => document.querySelector(".notifications-toasts")?.textContent ?? "");
        const first = await editor.until("the line being written", async () => /generating a body: \S.*/.exec(await shown())?.[0]);
        await editor.until("more of it", async () => (await shown()) && !(await shown()).includes(first));
        const [pid] = servers();
        process.kill(pid, "SIGSTOP"); // or the body ends before the click
        await editor.picture("streaming");
        await editor.page.locator(".notifications-toasts .monaco-button", { hasText: "Cancel" }).click();
        process.kill(pid, "SIGCONT");
        await editor.until("the word of the cancel", () => editor.page.evaluate(() => document.querySelector(".part.statusbar").textContent.includes("nothing was changed")));
        await editor.waitStatus(/ready/);
        assert.equal(await editor.text(), LONG);
        await editor.open("click/long.py", HEAD); // what it said would be part of later prompts
    });

    step("generates a body to discard or keep", async () => {
        await editor.open("click/body.py", STUB);
        const lens = (text) => editor.page.locator(".codelens-decoration a", { hasText: text });
        await lens("Generate body").click();
        await lens("Keep").waitFor({ timeout: 60_000 });
        assert.match(await editor.text(), /for context in/);
        await editor.picture("body");
        await lens("Discard").click();
        await editor.until("the stub is back", async () => /^ {4}\.\.\.$/m.test(await editor.text()));
        await lens("Generate body").click();
        await lens("Keep").waitFor({ timeout: 60_000 });
        await editor.press("Control+Alt+Enter");
        await lens("Keep").waitFor({ state: "detached" });
        assert.match(await editor.text(), /for context in/);
        await editor.press("Control+z");
        assert.match(await editor.text(), /^ {4}\.\.\.$/m, "one undo takes a body back");
    });

    step("comes back when its server is killed", async () => {
        const [pid, ...others] = servers();
        assert.ok(pid && others.length === 0, "one window has one server");
        process.kill(pid, "SIGKILL");
        await editor.open("click/again.py", USAGE);
        await editor.type("return context.get"); // before it is ready: nobody presses another key
        await editor.waitGhost(/^_usage/);
        assert.ok(servers().some((other) => other !== pid));
    });

    step("leaves no server behind", async () => {
        const [pid] = servers();
        await editor.close();
        await until("the server has ended", async () => !existsSync(`/proc/${pid}`), 20_000);
    });
});

describe("in a folder that is not trusted", { concurrency: 1 }, () => {
    const trap = (folder) => path.join(folder, "it-ran");

    before(async () => {
        editor = await startEditor(REPOSITORY, { name: "restricted", vsix: VSIX, settings: FOUND, trust: true, prepare: setTrap });
    });
    after(() => editor.close());

    /** An interpreter, a server and a setting of the folder's that leave a file when they are run. */
    function setTrap(folder) {
        for (const name of ["python", "python3", "memberwise"]) {
            mkdirSync(path.join(folder, ".venv", "bin"), { recursive: true });
            writeFileSync(path.join(folder, ".venv", "bin", name), `#!/bin/sh\ntouch '${trap(folder)}'\n`, { mode: 0o755 });
        }
        writeFileSync(path.join(folder, ".venv", "pyvenv.cfg"), "home = /usr/bin\nversion = 3.11.0\n");
        const settings = { "memberwise.server.path": path.join(folder, ".venv", "bin", "memberwise"), "memberwise.python": path.join(folder, ".venv", "bin", "python") };
        mkdirSync(path.join(folder, ".vscode"));
        writeFileSync(path.join(folder, ".vscode", "settings.json"), JSON.stringify(settings));
    }

    step("completes, and runs nothing of the folder", async () => {
        await editor.open("click/demo.py", USAGE);
        await editor.waitStatus(/ready.*Restricted mode/);
        await editor.type("return context.get");
        await editor.waitGhost(/^_usage/);
        await editor.picture("restricted");
        assert.ok(!existsSync(trap(editor.folder)), "something of the folder was run");
    });

    step("takes the folder's settings once it is trusted", async () => {
        await editor.command("Workspaces: Manage Workspace Trust");
        await editor.page.getByRole("button", { name: "Trust", exact: true }).first().click();
        await editor.until("the folder's own server is tried", async () => existsSync(trap(editor.folder)));
    });
});

describe("without a model", { concurrency: 1 }, () => {
    before(async () => {
        const cache = path.join(root, ".cache", "e2e", "empty-cache");
        rmSync(cache, { recursive: true, force: true }); // of the run before; after a run the server may be writing still
        editor = await startEditor(REPOSITORY, { name: "bare", vsix: VSIX, settings: FOUND, env: { MEMBERWISE_CACHE: cache } });
    });
    after(() => editor.close());

    step("says that it has none, downloads it by a button, and tells how far the loading is", { timeout: 600_000 }, async () => {
        await editor.open("click/demo.py", USAGE);
        const button = editor.page.locator(".notifications-toasts .monaco-button", { hasText: "Download the Model" });
        await button.waitFor({ timeout: 60_000 });
        await new Promise((resolve) => setTimeout(resolve, 500)); // for what else there might be, and for the picture
        await editor.picture("no-model");
        const messages = await editor.page.locator(".notifications-toasts .notification-list-item-message").allTextContents();
        assert.equal(messages.length, 1, JSON.stringify(messages));
        await button.click();
        await editor.until("progress", () => editor.page.evaluate(() => document.querySelector(".notifications-toasts")?.textContent.includes("model default")), 60_000);
        await editor.waitStatus(/loading the model default [1-9]\d? %/, 500_000);
        await editor.picture("loading");
        await editor.waitStatus(/ready/, 300_000);
        await editor.open("click/other.py", USAGE);
        await editor.type("return context.get");
        await editor.waitGhost(/^_usage/);
    });
});

describe("without a server", { concurrency: 1 }, () => {
    before(async () => {
        editor = await startEditor(REPOSITORY, { name: "new", vsix: VSIX, env: { PATH: "/usr/bin:/bin" } });
    });
    after(() => editor.close());

    step("says what is missing, and sets it up by a button", { timeout: 900_000 }, async () => {
        await editor.open("click/demo.py", USAGE);
        await editor.waitStatus(/not set up/);
        await editor.page.locator(".notifications-toasts .monaco-button", { hasText: "Set Up" }).waitFor();
        await new Promise((resolve) => setTimeout(resolve, 500)); // for the picture: it fades in
        await editor.picture("missing");
        await editor.page.locator('.statusbar-item[id*="memberwise"]').first().click();
        await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: /Set up Memberwise.*MB/ }).waitFor();
        await editor.picture("missing-menu");
        await editor.press("Escape");
        await editor.page.locator(".notifications-toasts .monaco-button", { hasText: "Set Up" }).click();
        await editor.until("progress", () => editor.page.evaluate(() => document.querySelector(".notifications-toasts")?.textContent.includes("Setting up Memberwise")));
        await editor.waitStatus(/ready/, 840_000);
        await editor.picture("set-up");
    });

    step("completes with it", async () => {
        await editor.open("click/other.py", USAGE);
        await editor.type("return context.get");
        await editor.waitGhost(/^_usage/);
    });
});
