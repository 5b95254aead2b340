import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, beforeEach, mock, test } from "node:test";
import * as vscode from "vscode";
import { Server } from "../src/server";
import { extensions, settings, window, workspace } from "./vscode.cjs";

const folder = mkdtempSync(path.join(tmpdir(), "memberwise-"));
const command = path.join(folder, "memberwise");
const started = (process.env["STARTED"] = path.join(folder, "started"));
const silent = (process.env["SILENT"] = path.join(folder, "silent"));
const says = (process.env["SAYS"] = path.join(folder, "says"));
const options = (process.env["OPTIONS"] = path.join(folder, "options"));
writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${path.resolve("test/answering.cjs")}' "$@"\n`, { mode: 0o755 });
settings["memberwise.server.path"] = command;

const shown: string[] = [];
for (const kind of ["showErrorMessage", "showWarningMessage", "showInformationMessage"] as const) {
    window[kind] = async (message) => void shown.push(message);
}

beforeEach(() => [started, silent, says].forEach((file) => writeFileSync(file, "")));
beforeEach(() => void shown.splice(0));
afterEach(() => living().forEach((pid) => process.kill(pid, "SIGKILL")));
after(() => rmSync(folder, { recursive: true }));

function server(): Server {
    const nothing = (): void => undefined;
    const log = { info: nothing, warn: nothing, error: nothing, trace: nothing, logLevel: vscode.LogLevel.Info, onDidChangeLogLevel: new vscode.EventEmitter().event };
    const context = { globalStorageUri: vscode.Uri.file(folder) };
    return new Server(context as vscode.ExtensionContext, log as unknown as vscode.LogOutputChannel, {});
}

/** The servers that were started. */
function all(): number[] {
    return readFileSync(started, "utf8").trim().split("\n").filter(Boolean).map(Number);
}

/** The servers that run. */
function living(): number[] {
    return all().filter((pid) => {
        try {
            return process.kill(pid, 0);
        } catch {
            return false;
        }
    });
}

async function until(what: string, check: () => boolean): Promise<void> {
    for (const end = performance.now() + 10_000; !check(); await new Promise((resolve) => setImmediate(resolve))) {
        assert.ok(performance.now() < end, `timeout: ${what}`);
    }
}

test("two restarts at once leave one server, and a stop none", async () => {
    const one = server();
    await one.start();
    await Promise.all([one.restart(), one.restart()]);
    await until("one server", () => living().length === 1);
    assert.deepEqual([one.phase, one.status.kind], ["running", "ready"]);
    await one.stop();
    await until("no server", () => living().length === 0);
    assert.equal(one.phase, "stopped");
});

test("a stop while it starts leaves no server", async () => {
    const one = server();
    await Promise.all([one.start(), one.stop()]);
    await until("no server", () => living().length === 0);
    assert.equal(one.phase, "stopped");
});

test("a server that does not stop is ended", async () => {
    const one = server();
    await one.start();
    writeFileSync(silent, "shutdown");
    await one.stop();
    await until("no server", () => living().length === 0);
});

test("a server that never answers is not waited for", async () => {
    const one = server();
    writeFileSync(silent, "initialize");
    mock.timers.enable({ apis: ["setTimeout"] });
    const starting = one.start();
    await until("a server", () => living().length === 1);
    mock.timers.tick(60_000);
    mock.timers.reset();
    writeFileSync(silent, "");
    await starting;
    await one.restart();
    await until("one server", () => living().length === 1);
    assert.equal(one.phase, "running");
    await one.stop();
});

test("a server that ends at once is started once, and the reason is told by whoever asks for it alone", async () => {
    const one = server();
    writeFileSync(silent, "exit");
    await one.start();
    await new Promise((resolve) => setTimeout(resolve, 200)); // for one that would come back
    assert.deepEqual([one.phase, one.lastError, one.startFailed], ["stopped", "there is no pygls", true]);
    assert.equal(all().length, 1);
    assert.deepEqual(shown, []);
    await one.stop();
});

test("a server that hangs when it is started again is not waited for", async () => {
    const one = server();
    await one.start();
    writeFileSync(silent, "initialize");
    mock.timers.enable({ apis: ["setTimeout"] });
    living().forEach((pid) => process.kill(pid, "SIGKILL"));
    await until("another server", () => all().length === 2);
    mock.timers.tick(60_000);
    mock.timers.reset();
    await until("it was given up", () => one.phase === "stopped");
    assert.equal(one.lastError, "no answer in 60 s");
    assert.deepEqual(living(), []);
    await one.stop();
});

test("a server that is killed comes back, but not for ever, unless somebody restarts it", async () => {
    const one = server();
    await one.start();
    for (let crashes = 1; crashes <= 4; crashes++) {
        assert.equal(one.phase, "running");
        living().forEach((pid) => process.kill(pid, "SIGKILL"));
        await until("it is noticed", () => one.phase !== "running");
        await until("it is back, or given up", () => ["running", "stopped"].includes(one.phase) && (crashes === 4 || all().length > crashes));
    }
    assert.deepEqual([one.phase, one.lastError, one.startFailed], ["stopped", "it ended 4 times in 3 minutes", false]);
    assert.equal(all().length, 4);
    await one.restart();
    assert.equal(one.phase, "running");
    await one.stop();
});

test("what the status says is not shown as a message too", async () => {
    const show = (message: string): string => JSON.stringify({ method: "window/showMessage", params: { type: 2, message } });
    const status = { busy: false, kind: "error", message: "no model 'x'" };
    const failed = JSON.stringify({ method: "memberwise/didChangeStatus", params: status });
    writeFileSync(says, [failed, show("Memberwise has no model: no model 'x'"), show("lineTokens is not a number")].join("\n"));
    const one = server();
    await one.start();
    await until("a message", () => shown.length > 0);
    assert.deepEqual(shown, ["lineTokens is not a number"]);
    await one.stop();
});

test("the selected interpreter is that of one folder, not of several", async () => {
    const environment = { executable: { uri: vscode.Uri.file("/venv/bin/python") } };
    const environments = { getActiveEnvironmentPath: () => "", resolveEnvironment: async () => environment, onDidChangeActiveEnvironmentPath: () => undefined };
    extensions.getExtension = () => ({ activate: async () => ({ environments }) });
    for (const [names, python] of [[["/a"], "/venv/bin/python"], [["/a", "/b"], null]] as const) {
        workspace.workspaceFolders = names.map((name) => ({ uri: vscode.Uri.file(name), name }));
        const one = server();
        await one.start();
        assert.equal(JSON.parse(readFileSync(options, "utf8")).python, python);
        await one.stop();
    }
});
