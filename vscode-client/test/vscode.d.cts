/** What a test sets of the VS Code that `vscode.cjs` is. */
export const settings: Record<string, unknown>;
export const registered: Record<string, (...args: unknown[]) => Promise<unknown>>;
export const extensions: { getExtension: () => unknown; onDidChange: unknown };
export const workspace: { applyEdit: unknown; workspaceFolders: unknown; onDidChangeTextDocument: unknown; openTextDocument: unknown };
export const window: {
    activeTextEditor: unknown;
    showErrorMessage: (...words: string[]) => Promise<unknown>;
    showWarningMessage: (...words: string[]) => Promise<unknown>;
    showInformationMessage: (...words: string[]) => Promise<unknown>;
};
export const commands: { executeCommand: (...given: unknown[]) => Promise<unknown> };
