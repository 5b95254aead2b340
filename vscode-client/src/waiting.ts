/** Completions for what was typed before the server could give any. */
import * as vscode from "vscode";
import type { Server } from "./server";

/** What was typed while the server started is completed as soon as it is ready, not with the next key. */
export function askWhenReady(started: Server): vscode.Disposable {
    let waiting = "";
    const ready = (): boolean => started.phase === "running" && started.status.kind !== "loading";
    const version = (document: vscode.TextDocument): string => `${document.uri.toString()} ${document.version}`;
    return vscode.Disposable.from(
        vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
            if (document.languageId === "python" && contentChanges.length) {
                waiting = ready() ? "" : version(document);
            }
        }),
        started.onDidChange(() => {
            const document = vscode.window.activeTextEditor?.document;
            if (!waiting || !ready()) {
                return;
            }
            const same = document !== undefined && version(document) === waiting;
            waiting = "";
            if (same && vscode.workspace.getConfiguration("memberwise", document).get<string>("inline") !== "off") {
                void vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
            }
        }),
    );
}
