import assert from "node:assert/strict";
import { test } from "node:test";
import { modelToPull, statusShown, type ServerStatus } from "../src/status";

const status = (kind: ServerStatus["kind"], message: string, busy = false): ServerStatus => ({ kind, message, busy, percent: null });

test("idle is quiet, and tells the model in words only", () => {
    const shown = statusShown("running", status("ready", "default"), false);
    assert.equal(shown.text, "$(sparkle) Memberwise");
    assert.match(shown.label, /ready \(default\)/);
});

test("the reason is shown when nothing came", () => {
    assert.equal(statusShown("running", status("empty", "the cursor is inside a word"), false).text, "$(circle-slash) Memberwise: the cursor is inside a word");
});

test("a long reason is cut in the bar and whole for a screen reader", () => {
    const reason = "a reason ".repeat(20).trim();
    const shown = statusShown("running", status("empty", reason), false);
    assert.ok(shown.text.length < 75 && shown.text.endsWith("…"));
    assert.ok(shown.label.includes(reason) && shown.tooltip.includes(reason));
});

test("work and loading turn, errors and what is missing have a colour", () => {
    assert.match(statusShown("running", status("ready", "generating", true), false).text, /loading~spin.*generating/);
    assert.match(statusShown("running", status("loading", "reading click", true), false).text, /loading~spin.*reading click/);
    assert.equal(statusShown("running", status("error", "out of memory"), false).severity, "error");
    assert.equal(statusShown("missing", status("loading", ""), false).severity, "warning");
    assert.equal(statusShown("stopped", status("loading", ""), false).severity, "error");
});

test("loading says how far it is", () => {
    const shown = statusShown("running", { ...status("loading", "loading the model default", true), percent: 42 }, false);
    assert.equal(shown.text, "$(loading~spin) Memberwise: loading the model default 42 %");
    assert.match(shown.label, /42 %/);
});

test("restricted mode is said", () => {
    assert.match(statusShown("running", status("ready", "default"), true).label, /Restricted mode/);
});

test("a model that is to be fetched is found in the message", () => {
    assert.equal(modelToPull("no model 'default' in /cache; fetch it with: memberwise model pull default"), "default");
    assert.equal(modelToPull("out of memory"), undefined);
});
