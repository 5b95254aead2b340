import assert from "node:assert/strict";
import { test } from "node:test";
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { Streaming } from "../src/streaming";
import { window } from "./vscode.cjs";

test("what was streamed is not taken for what an entry of the completion list asks", async () => {
    const position = new vscode.Position(1, 4);
    const document = { uri: vscode.Uri.file("/x.py"), version: 1, lineAt: () => ({ text: "    " }) } as unknown as vscode.TextDocument;
    window.activeTextEditor = { document, selection: { active: position } };
    const whole = [new vscode.InlineCompletionItem("x = 1\ny = 2")];
    let show = (_value: { text: string }): void => undefined;
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const client = {
        onProgress: (_type: unknown, _token: unknown, listener: typeof show) => ((show = listener), new vscode.Disposable(() => undefined)),
        sendRequest: () => ended,
        code2ProtocolConverter: { asInlineCompletionParams: () => ({}) },
        protocol2CodeConverter: { asInlineCompletionResult: async () => ({ items: whole }) },
    };
    const streaming = new Streaming(() => client as unknown as LanguageClient);
    const ask = (selected?: vscode.SelectedCompletionInfo) =>
        streaming.provide(document, position, { triggerKind: 0, selectedCompletionInfo: selected }, new vscode.CancellationTokenSource().token, () => "standard" as never);
    const first = ask();
    show({ text: "x = 1\n" });
    assert.deepEqual(await first, [new vscode.InlineCompletionItem("x = 1", new vscode.Range(position, position))]);
    end();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await ask(), whole);
    assert.equal(await ask({ text: "yield", range: new vscode.Range(position, position) }), "standard");
});
