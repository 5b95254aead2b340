import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import * as vscode from "vscode";
import { findServer, selectedInterpreter, setUp, watchEnvironment } from "../src/environment";
import { activate, deactivate } from "../src/extension";
import { extensions, registered, settings, window } from "./vscode.cjs";

const folder = mkdtempSync(path.join(tmpdir(), "memberwise-"));
const own = (number: number): string => path.join(folder, `environment-${number}`);
const complete = (environment: string): string => path.join(environment, "complete");
const ran = path.join(folder, "ran");
const broken = path.join(folder, "broken");
const log = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as vscode.LogOutputChannel;
const context = {
    globalStorageUri: vscode.Uri.file(folder),
    asAbsolutePath: (name: string) => path.join(folder, name),
    subscriptions: [],
    extension: { packageJSON: { version: "0.1.0" } },
} as unknown as vscode.ExtensionContext;
after(() => rmSync(folder, { recursive: true }));

function program(file: string, text: string): void {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

/** Own environments are made by a Python that takes its time, and hold a server. */
before(() => {
    settings["memberwise.server.path"] = "";
    process.env["PATH"] = `${path.join(folder, "bin")}:/usr/bin:/bin`;
    program(path.join(folder, "bin", "memberwise"), "exit 1");
    program(path.join(folder, "server-of-tests"), `echo "memberwise $@" >> '${ran}'; [ "$1" = serve ] || echo memberwise 0.1.0`);
    program(path.join(folder, "bin", "python3"), `
        if [ "$1" = -c ]; then echo 3.11; exit; fi
        echo "$@" >> '${ran}'
        if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && sleep 0.2; exit; fi
        [ ! -e '${broken}' ] && cp '${folder}/server-of-tests' "$(dirname "$0")/memberwise"`);
    mkdirSync(path.join(folder, "server"));
    ["memberwise.whl", "constraints.txt"].forEach((name) => writeFileSync(path.join(folder, "server", name), ""));
});

/** The number of the environment that is used. */
async function used(): Promise<number> {
    const found = await findServer(context);
    assert.ok("command" in found && found.origin === "own");
    return Number(/environment-(\d+)/.exec(found.command)?.[1] ?? 0);
}

test("a set-up that is asked for twice runs once", async () => {
    assert.deepEqual(await Promise.all([setUp(context, log), setUp(context, log)]), [true, true]);
    assert.equal(readFileSync(ran, "utf8").match(/-m venv/g)?.length, 1);
    assert.equal(await used(), 1);
});

test("a set-up that another window is at is waited for", async () => {
    const lock = path.join(folder, "environment.lock");
    writeFileSync(lock, String(process.pid));
    const waiting = setUp(context, log);
    await new Promise((done) => setTimeout(done, 300));
    mkdirSync(own(2));
    writeFileSync(complete(own(2)), "");
    rmSync(lock);
    assert.equal(await waiting, true);
    assert.equal(readFileSync(ran, "utf8").match(/-m venv/g)?.length, 1);
    rmSync(own(2), { recursive: true });
});

test("a set-up that fails leaves the environment that works, and nothing of the new one", async () => {
    writeFileSync(broken, "");
    assert.equal(await setUp(context, log), false);
    rmSync(broken);
    assert.equal(await used(), 1);
    assert.ok(!existsSync(own(2)));
});

test("a set-up takes the place of the older ones, of earlier versions and of those that were never complete", async () => {
    for (const older of [path.join(folder, "environment"), own(9)]) {
        mkdirSync(older);
    }
    writeFileSync(complete(path.join(folder, "environment")), "");
    assert.equal(await used(), 1);
    assert.equal(await setUp(context, log), true);
    assert.equal(await used(), 10);
    const left = (): string[] => readdirSync(folder).filter((name) => name.startsWith("environment")).sort();
    assert.deepEqual(left(), ["environment-1", "environment-10"]); // servers of other windows run from the one before
    assert.equal(await setUp(context, log), true);
    assert.deepEqual(left(), ["environment-10", "environment-11"]);
    rmSync(own(11), { recursive: true });
});

test("an environment that another window is still making is neither used nor removed", async () => {
    rmSync(complete(own(10)));
    assert.ok("tried" in (await findServer(context)));
    activate(context);
    await deactivate();
    assert.ok(existsSync(path.join(own(10), "bin", "python")));
});

test("a set-up fetches the model with what it made before any server starts, and a download the model it is told", async () => {
    const lines = (): string[] => readFileSync(ran, "utf8").trim().split("\n");
    const said: string[] = [];
    window.showErrorMessage = async (message) => void said.push(message);
    activate(context);
    await new Promise((resolve) => setImmediate(resolve));
    writeFileSync(ran, "");
    await registered["memberwise.setUp"]!();
    const steps = lines().filter((line) => !line.endsWith("--version")).map((line) => line.replace(/^-m (\w+).*/, "$1"));
    assert.deepEqual(steps, ["venv", "pip", "memberwise model pull default", "memberwise serve"]);
    await registered["memberwise.pullModel"]!("some/model");
    assert.ok(lines().includes("memberwise model pull some/model"));
    settings["memberwise.server.path"] = "/nowhere/memberwise";
    writeFileSync(ran, "");
    await registered["memberwise.setUp"]!();
    settings["memberwise.server.path"] = "";
    assert.deepEqual(lines(), [""]);
    assert.match(said.at(-1) ?? "", /server\.path names the server/);
    await deactivate();
});

test("an extension for Python that fails is none", async () => {
    extensions.getExtension = () => ({ activate: async () => { throw new Error("no"); } });
    watchEnvironment(() => undefined);
    assert.equal(await selectedInterpreter(), undefined);
    const environments = { getActiveEnvironmentPath: () => "", resolveEnvironment: async () => { throw new Error("no"); } };
    extensions.getExtension = () => ({ activate: async () => ({ environments }) });
    assert.equal(await selectedInterpreter(), undefined);
});

test("an extension for Python that comes later is watched from then on, and once", async () => {
    const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const came = new vscode.EventEmitter<void>();
    const selected = new vscode.EventEmitter<unknown>();
    extensions.onDidChange = came.event;
    extensions.getExtension = () => undefined;
    let changes = 0;
    const watching = watchEnvironment(() => changes++);
    await settled();
    const environments = { onDidChangeActiveEnvironmentPath: selected.event };
    extensions.getExtension = () => ({ activate: async () => ({ environments }) });
    came.fire();
    await settled();
    assert.equal(changes, 1);
    came.fire();
    await settled();
    selected.fire("/venv");
    assert.equal(changes, 2);
    watching.dispose();
    selected.fire("/other");
    assert.equal(changes, 2);
});

test("activation waits for no other extension", async () => {
    let come = (_api: undefined): void => undefined;
    const slow = new Promise<undefined>((resolve) => (come = resolve));
    extensions.getExtension = () => ({ activate: () => slow });
    const activated = await Promise.race([Promise.resolve(activate(context)).then(() => true), new Promise((resolve) => setTimeout(resolve, 500))]);
    come(undefined);
    await deactivate();
    assert.equal(activated, true);
});

test("where no C++ compiler works, one comes with the packages", async () => {
    const installed = (): boolean => /pip install .*ziglang/.test(readFileSync(ran, "utf8"));
    assert.ok(!installed());
    const names = ["c++", "g++", "clang++"].map((name) => path.join(folder, "bin", name));
    names.forEach((file) => program(file, "exit 1"));
    assert.equal(await setUp(context, log), true);
    names.forEach((file) => rmSync(file));
    assert.ok(installed());
});
