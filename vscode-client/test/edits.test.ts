import assert from "node:assert/strict";
import { test } from "node:test";
import { moved, reversed, type Edit } from "../src/edits";

function applied(text: string, edits: readonly Edit[]): string {
    return [...edits].sort((one, other) => other.start - one.start).reduce((now, { start, end, text: put }) => now.slice(0, start) + put + now.slice(end), text);
}

test("what is applied and taken back is what it was, in any order", () => {
    const text = "import os\n\ndef f():\n    ...\n";
    const edits = [{ start: 20, end: 28, text: "    return json.loads(x)\n" }, { start: 0, end: 0, text: "import json\n" }];
    for (const order of [edits, [...edits].reverse()]) {
        assert.equal(applied(applied(text, order), reversed(text, order)), text);
    }
});

test("changes elsewhere move an edit, changes of it end it", () => {
    const edits = [{ start: 10, end: 20, text: "x" }];
    assert.deepEqual(moved(edits, { start: 0, end: 2, text: "12345" }), [{ start: 13, end: 23, text: "x" }]);
    assert.deepEqual(moved(edits, { start: 20, end: 25, text: "" }), edits);
    assert.equal(moved(edits, { start: 12, end: 12, text: "y" }), undefined);
    assert.equal(moved(edits, { start: 5, end: 11, text: "" }), undefined);
});
