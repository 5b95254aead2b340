// What unit tests have in place of VS Code: events that a test fires, settings that it sets, and for the rest what does nothing.
// Only what is used by `src` or by the language client when it starts and stops is told apart.
class EventEmitter {
    listeners = new Set();
    event = (listener) => {
        this.listeners.add(listener);
        return new Disposable(() => this.listeners.delete(listener));
    };
    fire(value) {
        [...this.listeners].forEach((listener) => listener(value));
    }
    dispose() {
        this.listeners.clear();
    }
}

class Disposable {
    constructor(dispose) {
        this.dispose = dispose;
    }
    static from(...all) {
        return new Disposable(() => all.forEach((one) => one.dispose()));
    }
}

class CancellationTokenSource {
    cancelled = new EventEmitter();
    token = { isCancellationRequested: false, onCancellationRequested: this.cancelled.event };
    cancel() {
        this.token.isCancellationRequested = true;
        this.cancelled.fire();
    }
    dispose() {}
}

class Position {
    constructor(line, character) {
        Object.assign(this, { line, character });
    }
}

class Range {
    constructor(start, end) {
        Object.assign(this, { start, end });
    }
}

class InlineCompletionItem {
    constructor(insertText, range) {
        Object.assign(this, { insertText, range });
    }
}

const Uri = {
    file: (path) => ({ scheme: "file", path, fsPath: path, toString: () => `file://${path}` }),
    parse: (text) => ({ scheme: "file", path: text.slice(7), fsPath: text.slice(7), toString: () => text }),
};

/** Whatever is asked for is an event, a function or a class, and does nothing. */
function idle(name) {
    if (typeof name === "symbol" || name === "then") {
        return undefined;
    }
    return /^[A-Z]/.test(name) ? class {} : () => namespace({ dispose() {} });
}
const rest = new Proxy({}, { get: (_, name) => idle(name) });
const namespace = (known) => Object.setPrototypeOf(known, rest);

const settings = {};
const registered = {};
const section = (name) => ({
    get: (key, otherwise) => settings[name ? `${name}.${key}` : key] ?? otherwise,
    has: () => false,
    inspect: () => undefined,
    update: async () => undefined,
});

module.exports = namespace({
    __esModule: true, // or the language client would copy what is here, and not the rest
    EventEmitter,
    Disposable,
    CancellationTokenSource,
    Position,
    Range,
    InlineCompletionItem,
    Uri,
    version: "1.91.0",
    LogLevel: { Off: 0, Trace: 1, Debug: 2, Info: 3, Warning: 4, Error: 5 },
    env: { appName: "test", language: "en" },
    /** The settings, by their full names; a test sets them. */
    settings,
    /** The commands that were registered, by their names. */
    registered,
    TextDocumentChangeReason: { Undo: 1, Redo: 2 },
    TextEdit: namespace({}),
    WorkspaceEdit: class {
        set() {}
    },
    workspace: namespace({ isTrusted: true, textDocuments: [], notebookDocuments: [], workspaceFolders: undefined, getConfiguration: section }),
    window: namespace({
        visibleTextEditors: [],
        tabGroups: namespace({ all: [] }),
        showErrorMessage: async () => undefined,
        showWarningMessage: async () => undefined,
        showInformationMessage: async () => undefined,
        withProgress: (_, work) => work({ report() {} }, new CancellationTokenSource().token),
    }),
    commands: namespace({
        executeCommand: async () => undefined,
        registerCommand: (name, run) => ((registered[name] = run), new Disposable(() => undefined)),
    }),
    languages: namespace({ match: () => 0 }),
    extensions: { getExtension: () => undefined, onDidChange: new EventEmitter().event },
});
