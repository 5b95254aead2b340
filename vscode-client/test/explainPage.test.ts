import assert from "node:assert/strict";
import { test } from "node:test";
import { explainPage, type Call, type Explanation } from "../src/explainPage";

const FRAME = { nonce: "n0", styleUri: "style.css", cspSource: "https://csp" };
const CALL: Call = {
    offset: 8, kind: "attribute", receiver: "self", suggestions: 63, trusted: true, best: [{ name: "count", probability: 0.5, source: "jedi" }],
    chosen: "count", source: "jedi", modelChoice: "size", elapsedMs: 3.25, cached: false, error: null,
};
const EXPLANATION: Explanation = {
    id: "c1", uri: "file:///a.py", text: "x = self.count", typed: 0, cached: false, reason: "", imports: [],
    calls: [{ ...CALL, offset: 9 }], statistics: { promptTokens: 10, generatedTokens: 4, forwards: 4, toolCalls: 1, toolMs: 3, prefillMs: 5, totalMs: 20 },
};

test("a name is a link to its row, and stands out where the model alone would have written another", () => {
    const page = explainPage(EXPLANATION, FRAME);
    assert.match(page, /x = self\.<a href="#call-0" class="changed"[^>]*>count<\/a>/);
    assert.match(page, /<tr [^>]*id="call-0"[\s\S]*<code>size<\/code>/);
});

test("offsets count code points", () => {
    const page = explainPage({ ...EXPLANATION, text: '"🙂" + self.count', calls: [{ ...CALL, offset: 11 }] }, FRAME);
    assert.match(page, /self\.<a [^>]*>count<\/a>/);
});

test("an offset that does not fit marks nothing and loses nothing", () => {
    const page = explainPage({ ...EXPLANATION, calls: [{ ...CALL, offset: 2 }] }, FRAME);
    assert.match(page, /<code>x = self\.count<\/code>/);
});

test("code is text, never markup", () => {
    const page = explainPage({ ...EXPLANATION, text: "<script>alert('&')</script>", reason: "<b>", calls: [{ ...CALL, receiver: '"><img>', error: "<i>" }] }, FRAME);
    assert.equal(page.match(/<script/g)?.length, 1);
    assert.doesNotMatch(page, /<img|<b>|<i>/);
    assert.match(page, /&lt;script&gt;alert\(&#39;&amp;&#39;\)/);
});

test("nothing but the style and our script may load", () => {
    const page = explainPage(null, FRAME);
    assert.match(page, /default-src 'none'; style-src https:\/\/csp; script-src 'nonce-n0'/);
    assert.match(page, /Nothing to explain yet/);
    assert.doesNotMatch(page, / style=| on[a-z]+=/);
});

test("imports are shown as they would be written", () => {
    const page = explainPage({ ...EXPLANATION, imports: [{ module: "json", name: null, alias: null }, { module: "a.b", name: "c", alias: "d" }] }, FRAME);
    assert.match(page, /import json<[\s\S]*from a\.b import c as d</);
});
