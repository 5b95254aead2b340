/** The view that explains a completion, beside the editor. One panel, filled anew each time. */
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { explainPage, type Explanation } from "./explainPage";

let panel: vscode.WebviewPanel | undefined;

/** Explain the completion `id`, or the last one. */
export async function showExplanation(context: vscode.ExtensionContext, client: LanguageClient, id: string | undefined): Promise<void> {
    const explanation = await client.sendRequest<Explanation | null>("memberwise/explain", id ? { id } : {});
    const shown = panel ?? created(context);
    const style = vscode.Uri.joinPath(context.extensionUri, "media", "explain.css");
    shown.webview.html = explainPage(explanation, {
        nonce: randomBytes(16).toString("hex"),
        styleUri: shown.webview.asWebviewUri(style).toString(),
        cspSource: shown.webview.cspSource,
    });
    shown.reveal(undefined, false);
}

function created(context: vscode.ExtensionContext): vscode.WebviewPanel {
    const media = vscode.Uri.joinPath(context.extensionUri, "media");
    const options = { enableScripts: true, localResourceRoots: [media], enableFindWidget: true };
    panel = vscode.window.createWebviewPanel("memberwise.explain", "Memberwise explains", vscode.ViewColumn.Beside, options);
    panel.onDidDispose(() => (panel = undefined), undefined, context.subscriptions);
    return panel;
}
