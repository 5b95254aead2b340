import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const source = readFileSync("src/extension.ts", "utf8");
const contributed: string[] = manifest.contributes.commands.map(({ command }: { command: string }) => command);

test("every command of the manifest is registered", () => {
    const all = /const all[^{]*\{([\s\S]*?)\n {4}\};/.exec(source)![1]!;
    const registered = [...all.matchAll(/^ {8}(\w+):/gm)].map(([, name]) => `memberwise.${name}`);
    assert.deepEqual(registered.sort(), [...contributed].sort());
});

test("links and keys name commands that exist, the walkthrough pages that exist", () => {
    const known = [...contributed, "editor.action.inlineSuggest.acceptNextLine"];
    for (const { command } of manifest.contributes.keybindings) {
        assert.ok(known.includes(command), command);
    }
    for (const step of manifest.contributes.walkthroughs[0].steps) {
        assert.ok(existsSync(step.media.markdown), step.media.markdown);
        for (const [, command] of step.description.matchAll(/\(command:([\w.]+)\)/g)) {
            assert.ok(known.includes(command), command);
        }
    }
});

test("the types are those of the oldest VS Code that is supported", () => {
    assert.equal(`^${manifest.devDependencies["@types/vscode"]}`, manifest.engines.vscode);
});

test("version and licence are the server's", () => {
    const python = readFileSync("../pyproject.toml", "utf8");
    assert.match(python, new RegExp(`^version = "${manifest.version}"$`, "m"));
    assert.equal(readFileSync("LICENSE", "utf8"), readFileSync("../LICENSE", "utf8"));
});
