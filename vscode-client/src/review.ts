/** A generated body that waits to be kept or discarded: its colour, its lenses, and the way back. */
import * as vscode from "vscode";
import { moved, reversed, type Edit } from "./edits";

export interface Pending {
    readonly uri: vscode.Uri;
    readonly id: string;
    /** What is wrong with the body, for the lens. */
    readonly problems: readonly string[];
    /** Where the lenses stand. */
    readonly line: number;
    /** What takes it back; the last one is the body. */
    readonly undo: readonly Edit[];
}

export class Review implements vscode.CodeLensProvider, vscode.Disposable {
    private pending: Pending | undefined;
    private applying = false;
    private readonly changes = new vscode.EventEmitter<void>();
    readonly onDidChangeCodeLenses = this.changes.event;
    private readonly colour = vscode.window.createTextEditorDecorationType({
        isWholeLine: true,
        backgroundColor: new vscode.ThemeColor("diffEditor.insertedLineBackground"),
        overviewRulerColor: new vscode.ThemeColor("editorOverviewRuler.addedForeground"),
        borderColor: new vscode.ThemeColor("contrastBorder"),
    });
    private readonly subscriptions: vscode.Disposable[];

    constructor(private readonly kept: (id: string) => void) {
        this.subscriptions = [
            vscode.workspace.onDidChangeTextDocument((event) => this.edited(event)),
            vscode.workspace.onDidCloseTextDocument((document) => this.forget(document.uri)),
            vscode.window.onDidChangeVisibleTextEditors(() => this.paint()),
            vscode.languages.registerCodeLensProvider({ language: "python" }, this),
        ];
    }

    /** Apply a body and offer to keep or discard it; false when VS Code does not apply it. */
    async show(document: vscode.TextDocument, edits: readonly Edit[], about: Omit<Pending, "uri" | "undo">): Promise<boolean> {
        this.keep();
        const undo = reversed(document.getText(), edits);
        if (!(await this.apply(document, edits))) {
            return false;
        }
        this.become({ ...about, uri: document.uri, undo });
        const body = undo.at(-1);
        if (body) {
            const editor = vscode.window.visibleTextEditors.find((one) => one.document === document);
            editor?.revealRange(rangeOf(document, body), vscode.TextEditorRevealType.InCenterIfOutsideViewport);
        }
        return true;
    }

    keep(): void {
        if (this.pending) {
            this.kept(this.pending.id);
            this.become(undefined);
        }
    }

    async discard(): Promise<void> {
        const pending = this.pending;
        const document = pending && vscode.workspace.textDocuments.find((one) => one.uri.toString() === pending.uri.toString());
        if (pending && document) {
            await this.apply(document, pending.undo);
        }
        this.become(undefined);
    }

    provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
        if (this.pending?.uri.toString() !== document.uri.toString()) {
            return [];
        }
        const range = new vscode.Range(this.pending.line, 0, this.pending.line, 0);
        const lens = (title: string, command: string, args: unknown[] = []): vscode.CodeLens =>
            new vscode.CodeLens(range, { title, command, arguments: args });
        const doubts = this.pending.problems.map((problem) => lens(`$(warning) ${problem}`, ""));
        return [
            lens("$(check) Keep", "memberwise.keepBody"),
            lens("$(discard) Discard", "memberwise.discardBody"),
            lens("$(question) Explain", "memberwise.explain", [this.pending.id]),
            ...doubts,
        ];
    }

    private async apply(document: vscode.TextDocument, edits: readonly Edit[]): Promise<boolean> {
        const change = new vscode.WorkspaceEdit();
        change.set(document.uri, edits.map((edit) => vscode.TextEdit.replace(rangeOf(document, edit), edit.text)));
        this.applying = true;
        try {
            return await vscode.workspace.applyEdit(change);
        } finally {
            this.applying = false;
        }
    }

    /** Whoever changes the body itself has taken it over, but for who takes it back. */
    private edited(event: vscode.TextDocumentChangeEvent): void {
        if (this.applying || !event.contentChanges.length || event.document.uri.toString() !== this.pending?.uri.toString()) {
            return;
        }
        let { undo, line } = this.pending;
        for (const change of event.contentChanges) {
            const start = change.rangeOffset;
            const after = moved(undo, { start, end: start + change.rangeLength, text: change.text });
            if (!after) {
                return event.reason === vscode.TextDocumentChangeReason.Undo ? this.become(undefined) : this.keep();
            }
            undo = after;
            if (change.range.start.line < line) {
                line += change.text.split("\n").length - 1 - (change.range.end.line - change.range.start.line);
            }
        }
        this.become({ ...this.pending, undo, line });
    }

    private forget(uri: vscode.Uri): void {
        if (this.pending?.uri.toString() === uri.toString()) {
            this.become(undefined);
        }
    }

    private become(pending: Pending | undefined): void {
        this.pending = pending;
        void vscode.commands.executeCommand("setContext", "memberwise.hasBody", pending !== undefined);
        this.changes.fire();
        this.paint();
    }

    private paint(): void {
        for (const editor of vscode.window.visibleTextEditors) {
            const here = editor.document.uri.toString() === this.pending?.uri.toString() ? this.pending.undo : [];
            editor.setDecorations(this.colour, here.map((edit) => linesOf(editor.document, edit)));
        }
    }

    dispose(): void {
        this.colour.dispose();
        this.changes.dispose();
        this.subscriptions.forEach((one) => one.dispose());
    }
}

function rangeOf(document: vscode.TextDocument, edit: Edit): vscode.Range {
    return new vscode.Range(document.positionAt(edit.start), document.positionAt(edit.end));
}

/** The lines of an edit, without the empty one after its last line break. */
function linesOf(document: vscode.TextDocument, edit: Edit): vscode.Range {
    const range = rangeOf(document, edit);
    const ends = range.end.character === 0 && range.end.line > range.start.line;
    return ends ? new vscode.Range(range.start, document.lineAt(range.end.line - 1).range.end) : range;
}
