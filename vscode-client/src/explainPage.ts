/** The page that explains a completion: its text with every asked name marked, and what Jedi offered there. Pure. */

export interface Candidate {
    readonly name: string;
    readonly probability: number;
    readonly source: string;
}

export interface Call {
    readonly offset: number;
    readonly kind: string;
    readonly receiver: string | null;
    readonly suggestions: number;
    readonly trusted: boolean;
    readonly best: readonly Candidate[];
    readonly chosen: string | null;
    readonly source: string | null;
    readonly modelChoice: string | null;
    readonly elapsedMs: number;
    readonly cached: boolean;
    readonly error: string | null;
}

/** The answer of `memberwise/explain`. */
export interface Explanation {
    readonly id: string;
    readonly uri: string;
    readonly text: string;
    readonly typed: number;
    readonly cached: boolean;
    readonly reason: string;
    readonly imports: readonly { readonly module: string; readonly name: string | null; readonly alias: string | null }[];
    readonly calls: readonly Call[];
    readonly statistics: Readonly<Record<string, number>>;
}

export interface Frame {
    readonly nonce: string;
    readonly styleUri: string;
    readonly cspSource: string;
}

export function explainPage(explanation: Explanation | null, frame: Frame): string {
    const policy = `default-src 'none'; style-src ${frame.cspSource}; script-src 'nonce-${frame.nonce}'`;
    return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="stylesheet" href="${escape(frame.styleUri)}">
<title>Memberwise explains</title>
</head>
<body><main>${explanation ? content(explanation) : "<h1>Nothing to explain yet</h1><p>No completion has been offered since the server started.</p>"}</main>
<script nonce="${frame.nonce}">${SCRIPT}</script>
</body>
</html>`;
}

function content(explanation: Explanation): string {
    const calls = explanation.calls.filter((call) => call.chosen !== null);
    const since = explanation.reason ? `<p role="status">Since then nothing was shown: ${escape(explanation.reason)}.</p>` : "";
    return `<h1>The last completion</h1>
${since}<pre><code>${marked(explanation.text, explanation.calls)}</code></pre>
${imports(explanation)}
<h2 id="names">Names</h2>
<p>Jedi was asked at ${count(explanation.calls.length, "place")}, and ${calls.length} of its names ${calls.length === 1 ? "was" : "were"} written. What the model would have written alone stands last.</p>
${table(explanation.calls)}
<h2>Cost</h2>
${costs(explanation)}`;
}

/** The text with a link at every name that was asked for. Offsets count code points. */
function marked(text: string, calls: readonly Call[]): string {
    const points = Array.from(text);
    const parts: string[] = [];
    let at = 0;
    calls.forEach((call, index) => {
        const name = call.chosen;
        const end = call.offset + Array.from(name ?? "").length;
        if (name === null || call.offset < at || points.slice(call.offset, end).join("") !== name) {
            return;
        }
        const changed = call.modelChoice !== null && call.modelChoice !== name;
        parts.push(escape(points.slice(at, call.offset).join("")));
        parts.push(`<a href="#call-${index}" class="${changed ? "changed" : "same"}" title="${escape(title(call))}">${escape(name)}</a>`);
        at = end;
    });
    parts.push(escape(points.slice(at).join("")));
    return parts.join("");
}

function title(call: Call): string {
    const of = call.receiver ? ` of ${call.receiver}` : "";
    return `${call.suggestions} names${of} offered`;
}

function imports(explanation: Explanation): string {
    const lines = explanation.imports.map(({ module, name, alias }) => {
        const target = name ? `from ${module} import ${name}` : `import ${module}`;
        return `<li><code>${escape(alias ? `${target} as ${alias}` : target)}</code></li>`;
    });
    return lines.length ? `<h2>Imports it brings</h2><ul>${lines.join("")}</ul>` : "";
}

const HEAD = ["Chosen", "Receiver", "Offered", "Best, with probability", "From", "Time", "The model alone"];

/** The roles keep it a table for a screen reader where the style makes blocks of it, in a narrow view. */
function table(calls: readonly Call[]): string {
    return `<table role="table" aria-labelledby="names">
<thead role="rowgroup"><tr role="row">${HEAD.map((word) => `<th role="columnheader" scope="col">${word}</th>`).join("")}</tr></thead>
<tbody role="rowgroup">${calls.map(row).join("\n")}</tbody></table>`;
}

function row(call: Call, index: number): string {
    const cells = [
        code(call.receiver),
        `${call.suggestions}${call.trusted ? "" : " (may lack some)"}`,
        (call.error ? `Jedi failed: ${escape(call.error)}` : "") + best(call),
        escape(call.source ?? "the list was declined"),
        `${call.elapsedMs.toFixed(1)} ms${call.cached ? ", remembered" : ""}`,
        call.modelChoice === call.chosen ? "the same" : code(call.modelChoice),
    ];
    const rest = cells.map((cell, column) => `<td role="cell" data-head="${HEAD[column + 1]}"><div>${cell}</div></td>`).join("");
    return `<tr role="row" id="call-${index}" tabindex="-1"><th role="rowheader" scope="row">${code(call.chosen)}</th>${rest}</tr>`;
}

function best(call: Call): string {
    const names = call.best.map(({ name, probability }) => {
        const bar = ` <meter min="0" max="1" value="${probability}">${percent(probability)}</meter> ${percent(probability)}`;
        return `<li${name === call.chosen ? ' class="chosen"' : ""}><code>${escape(name)}</code>${bar}</li>`;
    });
    return `<ul class="names">${names.join("")}</ul>`;
}

function costs(explanation: Explanation): string {
    const { promptTokens, generatedTokens, forwards, toolCalls, toolMs, prefillMs, totalMs } = explanation.statistics;
    const rows: [string, string][] = [
        ["Total", explanation.cached ? "none: it was remembered" : ms(totalMs)],
        ["Reading the prompt", `${ms(prefillMs)} for ${promptTokens ?? 0} tokens`],
        ["Writing", `${generatedTokens ?? 0} tokens in ${forwards ?? 0} forwards`],
        ["Jedi", `${ms(toolMs)} for ${count(toolCalls ?? 0, "question")}`],
    ];
    return `<dl>${rows.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join("")}</dl>`;
}

const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;
const ms = (value: number | undefined): string => `${(value ?? 0).toFixed(0)} ms`;
const percent = (value: number): string => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
const code = (text: string | null): string => (text ? `<code>${escape(text)}</code>` : "–");

function escape(text: string): string {
    const words: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
    return text.replace(/[&<>"']/g, (character) => words[character] ?? character);
}

/** A link to a row puts the keyboard's focus there too, so that a screen reader reads the row. */
const SCRIPT = `addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) { event.preventDefault(); const row = document.querySelector(link.hash); row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest", inline: "start" }); }
});`;
