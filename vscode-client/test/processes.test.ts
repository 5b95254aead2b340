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

test("a cancel ends the process, and it has ended then", async () => {
    const stop = new AbortController();
    let pid = 0;
    const slow = "process.on('SIGTERM', () => setTimeout(process.exit, 300)); console.log(process.pid); setTimeout(() => {}, 60000)";
    const long = run(NODE, ["-e", slow], (line) => { pid = Number(line); stop.abort(); }, stop.signal);
    await assert.rejects(long);
    assert.throws(() => process.kill(pid, 0));
});

test("a program that is not there is a failure", async () => {
    await assert.rejects(run("/nowhere/python", [], () => undefined, new AbortController().signal), /ENOENT/);
});

test("what is no Python has no version", async () => {
    assert.equal(await pythonVersion("/nowhere/python"), "");
});
