import assert from "node:assert/strict";
import { test } from "node:test";
import { askVersion, pythonVersion, run } from "../src/processes";

const NODE = process.execPath;

test("a command that is not there, and one that is something else", async () => {
    assert.deepEqual(await askVersion("/nowhere/memberwise"), { problem: "there is no such command" });
    assert.deepEqual(await askVersion(NODE), { problem: "it is not Memberwise" });
});

test("lines come as they are printed", async () => {
    const lines: string[] = [];
    await run(NODE, ["-e", "console.log('one\\n\\ntwo'); console.error('three')"], (line) => lines.push(line), new AbortController().signal);
    assert.deepEqual(lines.sort(), ["one", "three", "two"]);
});

test("a failure says the last line", async () => {
    const failing = run(NODE, ["-e", "console.error('no space left'); process.exit(3)"], () => undefined, new AbortController().signal);
    await assert.rejects(failing, /no space left/);
});

test("a cancel ends the process", async () => {
    const stop = new AbortController();
    const long = run(NODE, ["-e", "console.log('on'); setTimeout(() => {}, 60000)"], () => stop.abort(), stop.signal);
    await assert.rejects(long);
});

test("what is no Python has no version", async () => {
    assert.equal(await pythonVersion("/nowhere/python"), "");
});
