import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import * as vscode from "vscode";
import { findServer, selectedInterpreter, setUp, watchEnvironment } from "../src/environment";
import { activate, deactivate } from "../src/extension";
import { extensions, settings } from "./vscode.cjs";

const folder = mkdtempSync(path.join(tmpdir(), "memberwise-"));
const own = path.join(folder, "environment");
const ran = path.join(folder, "ran");
const log = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as vscode.LogOutputChannel;
const context = { globalStorageUri: vscode.Uri.file(folder), asAbsolutePath: (name: string) => path.join(folder, name), subscriptions: [] } as unknown as vscode.ExtensionContext;
after(() => rmSync(folder, { recursive: true }));

function program(file: string, text: string): void {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

/** Own environments are made by a Python that takes its time, and hold a server. */
function prepare(): void {
    settings["memberwise.server.path"] = "";
    process.env["PATH"] = `${path.join(folder, "bin")}:/usr/bin:/bin`;
    program(path.join(folder, "bin", "memberwise"), "exit 1");
    program(path.join(folder, "bin", "python3"), `
        if [ "$1" = -c ]; then echo 3.11; exit; fi
        echo "$@" >> '${ran}'
        mkdir -p '${own}/bin' && cp "$0" '${own}/bin/python' && sleep 0.2
        printf '#!/bin/sh\\necho memberwise 0.1.0\\n' > '${own}/bin/memberwise' && chmod +x '${own}/bin/memberwise'`);
    mkdirSync(path.join(folder, "server"));
    ["memberwise.whl", "constraints.txt"].forEach((name) => writeFileSync(path.join(folder, "server", name), ""));
}

test("a set-up that is asked for twice runs once", async () => {
    prepare();
    assert.deepEqual(await Promise.all([setUp(context, log), setUp(context, log)]), [true, true]);
    assert.equal(readFileSync(ran, "utf8").match(/-m venv/g)?.length, 1);
    assert.ok("command" in (await findServer(context)));
});

test("an environment that another window is still making is neither used nor removed", async () => {
    rmSync(path.join(own, "complete"));
    assert.ok("tried" in (await findServer(context)));
    await activate(context);
    await deactivate();
    assert.ok(existsSync(path.join(own, "bin", "python")));
});

test("an extension for Python that fails is none", async () => {
    extensions.getExtension = () => ({ activate: async () => { throw new Error("no"); } });
    await watchEnvironment(() => undefined);
    assert.equal(await selectedInterpreter(), undefined);
    const environments = { getActiveEnvironmentPath: () => "", resolveEnvironment: async () => { throw new Error("no"); } };
    extensions.getExtension = () => ({ activate: async () => ({ environments }) });
    assert.equal(await selectedInterpreter(), undefined);
});
