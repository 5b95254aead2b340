import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { offerUpdate, troubleOf } from "../src/help";
import type { Server } from "../src/server";
import { settings, window } from "./vscode.cjs";

const OWN = { command: "/own/bin/memberwise", origin: "own", version: "0.1.0" };
const server = (is: Partial<Server>): Server => ({ phase: "stopped", tried: [], lastError: "", startFailed: false, ...is }) as Server;
const failing = (message: string): Server => server({ phase: "running", status: { busy: false, kind: "error", message, percent: null } });
const command = (is: Server): string | undefined => troubleOf(is)?.command;

afterEach(() => delete settings["memberwise.server.path"]);

test("a set-up is offered where it helps, and says what it costs", () => {
    assert.equal(command(server({ phase: "missing", tried: ["memberwise: there is no such command"] })), "memberwise.setUp");
    const trouble = troubleOf(server({ lastError: "there is no pygls", startFailed: true }));
    assert.equal(trouble?.command, "memberwise.setUp");
    assert.match(trouble.message, /there is no pygls\. .*about \d+ MB of packages .*and a model of 93 MB/);
});

test("where the setting names the command it is the setting that is opened", () => {
    settings["memberwise.server.path"] = "/mine/memberwise";
    assert.equal(command(server({ phase: "missing", tried: ["/mine/memberwise: there is no such command"] })), "workbench.action.openSettings");
    assert.equal(command(server({ lastError: "there is no pygls", startFailed: true })), "workbench.action.openSettings");
});

test("a server that worked and crashes is started again, not set up", () => {
    assert.equal(command(server({ lastError: "it ended 4 times in 3 minutes" })), "memberwise.restart");
    assert.equal(troubleOf(server({})), undefined);
});

test("the model that is missing is the one that is fetched", () => {
    const trouble = troubleOf(failing("no model 'some/model' in /cache; fetch it with: memberwise model pull some/model"));
    assert.deepEqual([trouble?.command, trouble?.argument], ["memberwise.pullModel", "some/model"]);
    assert.equal(command(failing("out of memory")), "memberwise.restart");
});

test("an own environment of another version is offered an update, once", () => {
    const said: string[] = [];
    window.showInformationMessage = async (message) => void said.push(message);
    const running = server({ phase: "running", found: OWN as NonNullable<Server["found"]> });
    offerUpdate(running, "0.1.0");
    offerUpdate(server({ phase: "running", found: { ...OWN, origin: "path" } as NonNullable<Server["found"]> }), "0.2.0");
    assert.deepEqual(said, []);
    offerUpdate(running, "0.2.0");
    offerUpdate(running, "0.2.0");
    assert.equal(said.length, 1);
    assert.match(said[0]!, /0\.1\.0 .* 0\.2\.0/);
});
