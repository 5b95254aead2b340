/** What a test sets of the VS Code that `vscode.cjs` is. */
export const settings: Record<string, unknown>;
export const extensions: { getExtension: () => unknown };
export const window: { activeTextEditor: unknown };
