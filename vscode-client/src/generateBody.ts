/** “Generate body”: ask, show what is being written, and hand the result to the review. */
import * as vscode from "vscode";
import { ProgressType, ResponseError, type LanguageClient } from "vscode-languageclient/node";
import { lastLine } from "./partial";
import type { Edit } from "./edits";
import { hasEnded, wordsOf } from "./errors";
import type { Review } from "./review";

/** The argument of the server's command. */
export interface BodyArgument {
    readonly uri: string;
    readonly line: number;
    readonly qualname?: string;
    readonly replace?: boolean;
}

interface PlainEdit {
    readonly range: { readonly start: vscode.Position; readonly end: vscode.Position };
    readonly newText: string;
}

interface Candidate {
    readonly id: string;
    readonly text: string;
    readonly edit: { readonly documentChanges: readonly { readonly textDocument: { readonly version: number }; readonly edits: readonly PlainEdit[] }[] };
    readonly problems: readonly { readonly message: string }[];
    readonly reason: string;
}

const COMMAND = "memberwise.generateBody";
const PARTIAL = new ProgressType<{ readonly text: string }>();
const CANCELLED = -32800;
const MODIFIED = -32801;
let lastToken = 0;
let writing = false; // one at a time: the first would change the document under the second

const written = vscode.window.createTextEditorDecorationType({
    after: { color: new vscode.ThemeColor("editorGhostText.foreground"), margin: "0 0 0 2em", fontStyle: "italic" },
});

/** Generate one body and offer it; nothing happens to the document when it is cancelled. */
export async function generateBody(client: LanguageClient, review: Review, wanted: BodyArgument): Promise<void> {
    if (writing) {
        void vscode.window.showInformationMessage("Memberwise: a body is being generated already.");
        return;
    }
    writing = true;
    try {
        await write(client, review, wanted);
    } catch (error) {
        void tell(client, review, wanted, error); // may try again, when this one has ended
    } finally {
        writing = false;
    }
}

async function write(client: LanguageClient, review: Review, wanted: BodyArgument): Promise<void> {
    const uri = client.protocol2CodeConverter.asUri(wanted.uri);
    const document = await vscode.workspace.openTextDocument(uri);
    const where = { location: vscode.ProgressLocation.Notification, title: "Memberwise: generating a body", cancellable: true };
    const candidate = await vscode.window.withProgress(where, (progress, token) => asked(client, document, wanted, progress, token));
    if (candidate) {
        await offer(document, review, wanted, candidate);
    }
}

async function asked(
    client: LanguageClient,
    document: vscode.TextDocument,
    wanted: BodyArgument,
    progress: vscode.Progress<{ message: string }>,
    token: vscode.CancellationToken,
): Promise<Candidate | undefined> {
    const partialResultToken = `memberwise-body-${++lastToken}`;
    const listening = client.onProgress(PARTIAL, partialResultToken, ({ text }) => {
        progress.report({ message: lastLine(text).slice(0, 80) });
        show(document, wanted.line, lastLine(text));
    });
    try {
        const params = { command: COMMAND, arguments: [{ ...wanted, apply: false, partialResultToken }] };
        const answer = await client.sendRequest<{ readonly candidates: readonly Candidate[] }>("workspace/executeCommand", params, token);
        const candidate = answer.candidates[0];
        if (!candidate) {
            void vscode.window.showInformationMessage("Memberwise: the model wrote nothing that fits here.");
        }
        return candidate;
    } finally {
        listening.dispose();
        show(document, wanted.line, "");
    }
}

/** The line that is being written, in grey behind the header of its function. */
function show(document: vscode.TextDocument, line: number, text: string): void {
    for (const editor of vscode.window.visibleTextEditors.filter((one) => one.document === document)) {
        const end = document.lineAt(Math.min(line, document.lineCount - 1)).range.end;
        editor.setDecorations(written, text ? [{ range: new vscode.Range(end, end), renderOptions: { after: { contentText: text } } }] : []);
    }
}

async function offer(document: vscode.TextDocument, review: Review, wanted: BodyArgument, candidate: Candidate): Promise<void> {
    const change = candidate.edit.documentChanges[0];
    if (!change || change.textDocument.version !== document.version) {
        throw new ResponseError(MODIFIED, "the document changed meanwhile");
    }
    const edits = change.edits.map(({ range, newText }): Edit => ({
        start: document.offsetAt(new vscode.Position(range.start.line, range.start.character)),
        end: document.offsetAt(new vscode.Position(range.end.line, range.end.character)),
        text: newText,
    }));
    const above = change.edits.filter(({ range }) => range.end.line <= wanted.line);
    const line = above.reduce((at, edit) => at + edit.newText.split("\n").length - 1 - (edit.range.end.line - edit.range.start.line), wanted.line);
    const problems = candidate.problems.map(({ message }) => message);
    if (!(await review.show(document, edits, { id: candidate.id, problems, line }))) {
        void vscode.window.showWarningMessage("Memberwise: VS Code did not apply the body.");
    }
}

async function tell(client: LanguageClient, review: Review, wanted: BodyArgument, error: unknown): Promise<void> {
    const code = error instanceof ResponseError ? error.code : 0;
    if (code === CANCELLED || error instanceof vscode.CancellationError) {
        vscode.window.setStatusBarMessage("Memberwise: cancelled, nothing was changed", 4000);
        return;
    }
    const message = wordsOf(error) + (hasEnded(error) ? ", nothing was changed" : "");
    const again = code === MODIFIED ? ["Try Again"] : [];
    if ((await vscode.window.showWarningMessage(`Memberwise: ${message}.`, ...again)) === "Try Again") {
        await generateBody(client, review, wanted);
    }
}
