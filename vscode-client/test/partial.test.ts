import assert from "node:assert/strict";
import { test } from "node:test";
import { firstLines, lastLine } from "../src/partial";

test("only finished lines are shown, and only when they say something", () => {
    assert.equal(firstLines("if a"), undefined);
    assert.equal(firstLines("\n    "), undefined);
    assert.equal(firstLines("if a:\n    b"), "if a:");
    assert.equal(firstLines("if a:\n    b()\n\n    c"), "if a:\n    b()");
});

test("the line being written", () => {
    assert.equal(lastLine("    if a:\n        b(\n"), "b(");
    assert.equal(lastLine(""), "");
});
