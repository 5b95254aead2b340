import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { inTurn } from "../src/turns";

const folder = mkdtempSync(path.join(tmpdir(), "memberwise-"));
const file = path.join(folder, "environment.lock");
const never = new AbortController().signal;
after(() => rmSync(folder, { recursive: true }));

test("windows take turns, and those that wait know it", async () => {
    let working = 0;
    let waiting = 0;
    const work = async (): Promise<void> => {
        assert.equal(++working, 1);
        await new Promise((done) => setTimeout(done, 20));
        working--;
    };
    await Promise.all([1, 2, 3].map(() => inTurn(file, () => waiting++, never, work)));
    assert.equal(waiting, 2);
    assert.ok(!existsSync(file));
});

test("a turn ends with an error, and with the window that had it", async () => {
    await assert.rejects(inTurn(file, () => undefined, never, async () => { throw new Error("no wheel"); }), /no wheel/);
    assert.ok(!existsSync(file));
    writeFileSync(file, "");
    const before = new Date(Date.now() - 60_000);
    utimesSync(file, before, before);
    assert.equal(await inTurn(file, () => undefined, never, async () => "ours"), "ours");
});

test("a wait can be ended", async () => {
    const stop = new AbortController();
    writeFileSync(file, "");
    await assert.rejects(inTurn(file, () => stop.abort(), stop.signal, async () => undefined), { name: "AbortError" });
    assert.ok(existsSync(file));
});
