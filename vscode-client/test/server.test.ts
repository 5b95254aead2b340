import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, beforeEach, mock, test } from "node:test";
import * as vscode from "vscode";
import { Server } from "../src/server";
import { settings } from "./vscode.cjs";

const folder = mkdtempSync(path.join(tmpdir(), "memberwise-"));
const command = path.join(folder, "memberwise");
const started = (process.env["STARTED"] = path.join(folder, "started"));
const silent = (process.env["SILENT"] = path.join(folder, "silent"));
writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${path.resolve("test/answering.cjs")}' "$@"\n`, { mode: 0o755 });
settings["memberwise.server.path"] = command;

beforeEach(() => [started, silent].forEach((file) => writeFileSync(file, "")));
afterEach(() => living().forEach((pid) => process.kill(pid, "SIGKILL")));
after(() => rmSync(folder, { recursive: true }));

function server(): Server {
    const nothing = (): void => undefined;
    const log = { info: nothing, warn: nothing, error: nothing, trace: nothing, logLevel: vscode.LogLevel.Info, onDidChangeLogLevel: new vscode.EventEmitter().event };
    const context = { globalStorageUri: vscode.Uri.file(folder) };
    return new Server(context as vscode.ExtensionContext, log as unknown as vscode.LogOutputChannel, {});
}

/** The servers that run. */
function living(): number[] {
    return readFileSync(started, "utf8").trim().split("\n").filter(Boolean).map(Number).filter((pid) => {
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
