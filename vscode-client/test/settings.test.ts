import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SERVER_SETTINGS, serverSettings } from "../src/settings";

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const properties: Record<string, { default: unknown; scope?: string; markdownDescription?: string }> = manifest.contributes.configuration.properties;
const documented = [...readFileSync("../docs/lsp-extensions.md", "utf8").split("## Settings")[1]!.matchAll(/^\| `(\w+)` \| `([^`]+)` \|/gm)].map(([, name, value]) => [name!, value!.replaceAll("_", "")] as const);
const NOW = { trusted: true, paused: false, interpreter: undefined };

test("every setting of the server is contributed, with the server's default", () => {
    assert.ok(documented.length > 15);
    for (const [name, value] of documented.filter(([key]) => key !== "trusted")) {
        assert.ok((SERVER_SETTINGS as readonly string[]).includes(name), `${name} is not passed on`);
        assert.deepEqual(properties[`memberwise.${name}`]?.default, JSON.parse(value), name);
    }
    assert.equal(SERVER_SETTINGS.length, documented.length - 1);
});

test("every setting is described and scoped", () => {
    for (const [name, property] of Object.entries(properties)) {
        assert.ok(property.markdownDescription && property.scope, name);
    }
});

test("what the server is told holds for the window: it knows no settings of a folder", () => {
    const ofFolders = SERVER_SETTINGS.filter((name) => properties[`memberwise.${name}`]?.scope === "resource");
    assert.deepEqual(ofFolders, []);
});

test("what can run something is restricted until the folder is trusted", () => {
    const restricted: string[] = manifest.capabilities.untrustedWorkspaces.restrictedConfigurations;
    const scoped = Object.entries(properties).filter(([, { scope }]) => scope === "machine-overridable").map(([name]) => name);
    assert.deepEqual([...restricted].sort(), scoped.sort());
});

test("what is not set is null, which takes back what was set; a pause and a lack of trust are told", () => {
    const values: Record<string, unknown> = { enabled: true, adapter: null, python: "/evil/python", lineTokens: 9 };
    const nothing = Object.fromEntries(SERVER_SETTINGS.map((name) => [name, null]));
    assert.deepEqual(serverSettings((key) => values[key], NOW), { ...nothing, enabled: true, python: "/evil/python", lineTokens: 9, trusted: true });
    const restricted = serverSettings((key) => values[key], { trusted: false, paused: true, interpreter: "/also/evil" });
    assert.deepEqual(restricted, { ...nothing, enabled: false, lineTokens: 9, trusted: false });
});

test("the selected interpreter is used where none is set", () => {
    assert.equal(serverSettings(() => undefined, { ...NOW, interpreter: "/venv/bin/python" })["python"], "/venv/bin/python");
    assert.equal(serverSettings((key) => (key === "python" ? "/mine" : undefined), { ...NOW, interpreter: "/venv" })["python"], "/mine");
});
