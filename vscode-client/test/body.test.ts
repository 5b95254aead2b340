import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import * as vscode from "vscode";
import { ErrorCodes, ResponseError, type LanguageClient } from "vscode-languageclient/node";
import { generateBody } from "../src/generateBody";
import { Review } from "../src/review";
import { window, workspace } from "./vscode.cjs";

const WANTED = { uri: "file:///x.py", line: 0 };
const edited = new vscode.EventEmitter<unknown>();
const document = { uri: vscode.Uri.file("/x.py"), version: 1, getText: () => "def f():\n    ...\n", positionAt: (offset: number) => new vscode.Position(0, offset) };
const said: string[] = [];

beforeEach(() => {
    said.splice(0);
    window.showInformationMessage = window.showWarningMessage = async (message) => void said.push(message);
    workspace.openTextDocument = async () => document;
    workspace.applyEdit = async () => true;
    workspace.onDidChangeTextDocument = edited.event;
});

/** A client whose one request ends as it is told. */
function client(answer: Promise<unknown>): LanguageClient {
    const made = { onProgress: () => new vscode.Disposable(() => undefined), sendRequest: () => answer, protocol2CodeConverter: { asUri: vscode.Uri.parse } };
    return made as unknown as LanguageClient;
}

test("one body is generated at a time", async () => {
    let end = (_answer: unknown): void => undefined;
    const slow = client(new Promise((resolve) => (end = resolve)));
    const first = generateBody(slow, {} as Review, WANTED);
    await generateBody(slow, {} as Review, WANTED);
    assert.deepEqual(said, ["Memberwise: a body is being generated already."]);
    end({ candidates: [] });
    await first;
    await generateBody(client(Promise.resolve({ candidates: [] })), {} as Review, WANTED);
    assert.match(said.at(-1) ?? "", /wrote nothing/);
});

test("a server that ends meanwhile is told in words", async () => {
    const gone = new ResponseError(ErrorCodes.PendingResponseRejected, "Pending response rejected since connection got disposed");
    await generateBody(client(Promise.reject(gone)), {} as Review, WANTED);
    assert.deepEqual(said, ["Memberwise: the server has ended, nothing was changed."]);
});

for (const [what, reason, kept] of [["taken back", vscode.TextDocumentChangeReason.Undo, []], ["changed", undefined, ["c1"]]] as const) {
    test(`a body that is ${what} ends its review`, async () => {
        const accepted: string[] = [];
        const review = new Review((id) => accepted.push(id));
        await review.show(document as unknown as vscode.TextDocument, [{ start: 9, end: 16, text: "    return 1" }], { id: "c1", problems: [], line: 0 });
        assert.ok(review.provideCodeLenses(document as unknown as vscode.TextDocument).length > 0);
        const change = { rangeOffset: 9, rangeLength: 12, text: "    ...", range: new vscode.Range(new vscode.Position(1, 0), new vscode.Position(1, 12)) };
        edited.fire({ document, reason, contentChanges: [change] });
        assert.deepEqual(accepted, kept);
        assert.deepEqual(review.provideCodeLenses(document as unknown as vscode.TextDocument), []);
        review.dispose();
    });
}
