import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { Streaming } from "../src/streaming";
import { commands, window } from "./vscode.cjs";

const position = new vscode.Position(1, 4);
const document = { uri: vscode.Uri.file("/x.py"), version: 1, lineAt: () => ({ text: "    " }) } as unknown as vscode.TextDocument;
const first = [new vscode.InlineCompletionItem("x = 1", new vscode.Range(position, position))];
const whole = [new vscode.InlineCompletionItem("x = 1\ny = 2")];
let streaming: Streaming;
let asked: number; // questions the server was asked
let triggered: number; // how often the editor was made to ask
let end: () => void; // of the answer that is awaited

/** A server that gives a first line at once, and the whole when a test says so. */
beforeEach(() => {
    window.activeTextEditor = { document, selection: { active: position } };
    commands.executeCommand = async (name) => void (triggered += Number(name === "editor.action.inlineSuggest.trigger"));
    asked = triggered = 0;
    const client = {
        onProgress: (_type: unknown, _token: unknown, listener: (value: { text: string }) => void) => {
            queueMicrotask(() => listener({ text: "x = 1\n" }));
            return new vscode.Disposable(() => undefined);
        },
        sendRequest: () => (asked++, new Promise<void>((resolve) => (end = resolve))),
        code2ProtocolConverter: { asInlineCompletionParams: () => ({}) },
        protocol2CodeConverter: { asInlineCompletionResult: async () => ({ items: whole }) },
    };
    streaming = new Streaming(() => client as unknown as LanguageClient);
});

function ask(selected?: vscode.SelectedCompletionInfo): ReturnType<Streaming["provide"]> {
    return streaming.provide(document, position, { triggerKind: 0, selectedCompletionInfo: selected }, new vscode.CancellationTokenSource().token, () => "standard" as never);
}

async function ended(): Promise<void> {
    end();
    await new Promise((resolve) => setImmediate(resolve));
}

test("the first line comes before the rest, and the whole answers one question, not the next", async () => {
    assert.deepEqual(await ask(), first);
    await ended();
    assert.equal(triggered, 1);
    assert.equal(await ask(), whole);
    assert.equal(asked, 1);
    assert.deepEqual(await ask(), first);
    assert.equal(asked, 2);
});

test("what was streamed is not taken for what an entry of the completion list asks", async () => {
    await ask();
    await ended();
    assert.equal(await ask({ text: "yield", range: new vscode.Range(position, position) }), "standard");
});

test("what was dismissed does not come back with its rest", async () => {
    await ask();
    streaming.forget();
    await ended();
    assert.equal(triggered, 0);
    assert.deepEqual(await ask(), first);
});
