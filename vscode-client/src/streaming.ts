/**
 * Inline completions, with the first line of a block shown before the rest is there.
 *
 * VS Code takes one answer for one question. So the answer to the first is the first finished line, and when the whole
 * is there the editor is made to ask once more: one refresh, no flicker. Everything that is one line goes the standard
 * way. A text that was dismissed stays away: its rest is awaited no more.
 */
import * as vscode from "vscode";
import { ProgressType, type InlineCompletionList, type LanguageClient } from "vscode-languageclient/node";
import { firstLines } from "./partial";

type Next = (document: vscode.TextDocument, position: vscode.Position, context: vscode.InlineCompletionContext, token: vscode.CancellationToken) => vscode.ProviderResult<Answer>;
type Items = vscode.InlineCompletionItem[];
type Answer = vscode.InlineCompletionItem[] | vscode.InlineCompletionList;
type Ask = (client: LanguageClient, token: string, stop: vscode.CancellationToken) => Promise<Items>;

const PARTIAL = new ProgressType<{ readonly text: string }>();
let lastToken = 0;

export class Streaming {
    /** The place where a first line is shown and the rest is on its way. */
    private awaited = "";
    /** The whole, for the one question that this class makes the editor ask. */
    private finished: { readonly place: string; readonly items: Items } | undefined;

    constructor(private readonly client: () => LanguageClient | undefined) {}

    async provide(
        document: vscode.TextDocument,
        position: vscode.Position,
        context: vscode.InlineCompletionContext,
        token: vscode.CancellationToken,
        next: Next,
    ): Promise<Answer | null | undefined> {
        const place = placeOf(document, position);
        const finished = this.finished;
        this.forget();
        if (finished?.place === place && !context.selectedCompletionInfo) {
            return finished.items;
        }
        const client = this.client();
        const before = document.lineAt(position.line).text.slice(0, position.character);
        const wanted = vscode.workspace.getConfiguration("memberwise", document).get<boolean>("streaming", true);
        if (!client || !wanted || before.trim() || context.selectedCompletionInfo) {
            return next(document, position, context, token);
        }
        const ask: Ask = async (asked, partial, stop) => {
            const params = asked.code2ProtocolConverter.asInlineCompletionParams(document, position, context);
            const answer = await asked.sendRequest<InlineCompletionList>("memberwise/streamInlineCompletion", { ...params, partialResultToken: partial }, stop);
            const items = await asked.protocol2CodeConverter.asInlineCompletionResult(answer);
            return items.items;
        };
        return this.streamed(client, place, position, token, ask);
    }

    /** What is shown was dismissed, or means nothing any more. */
    forget(): void {
        this.awaited = "";
        this.finished = undefined;
    }

    private async streamed(client: LanguageClient, place: string, position: vscode.Position, token: vscode.CancellationToken, ask: Ask): Promise<Items> {
        const partial = `memberwise-stream-${++lastToken}`;
        const stop = new vscode.CancellationTokenSource();
        const cancel = token.onCancellationRequested(() => stop.cancel());
        let shown: ((items: Items) => void) | undefined;
        const first = new Promise<Items>((resolve) => (shown = resolve));
        const listening = client.onProgress(PARTIAL, partial, ({ text }) => {
            const lines = firstLines(text);
            if (lines) {
                shown?.([new vscode.InlineCompletionItem(lines, new vscode.Range(position, position))]);
            }
        });
        const whole = ask(client, partial, stop.token).catch((): Items => []); // overtaken: the next question is under way
        void whole.finally(() => listening.dispose());
        const early = await Promise.race([first.then((items) => ({ items, more: true })), whole.then((items) => ({ items, more: false }))]);
        cancel.dispose();
        if (early.more) {
            this.awaited = place;
            void whole.then((items) => this.refresh(place, items));
        }
        return early.items;
    }

    /** The whole is there: make the editor ask again, if the cursor still is where it was asked for. */
    private async refresh(place: string, items: Items): Promise<void> {
        const editor = vscode.window.activeTextEditor;
        if (!items.length || this.awaited !== place || !editor || placeOf(editor.document, editor.selection.active) !== place) {
            return;
        }
        this.awaited = "";
        this.finished = { place, items };
        await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    }
}

function placeOf(document: vscode.TextDocument, position: vscode.Position): string {
    return `${document.uri.toString()} ${document.version} ${position.line}:${position.character}`;
}
