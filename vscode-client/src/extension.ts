/** Puts the parts together: the server, what is shown of it, and the commands. Start reading at `activate`. */
import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import { pullModel, setUp, watchEnvironment } from "./environment";
import { showExplanation } from "./explainView";
import { generateBody, type BodyArgument } from "./generateBody";
import { showMenu } from "./menu";
import { Review } from "./review";
import { Server } from "./server";
import { modelToPull, statusShown } from "./status";
import { Streaming } from "./streaming";
import { askWhenReady } from "./waiting";

let server: Server | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
    const log = vscode.window.createOutputChannel("Memberwise", { log: true });
    const review = new Review((id) => void server?.running?.sendNotification("memberwise/didAcceptCompletion", { id }));
    const streaming = new Streaming(() => server?.running);
    const middleware: Middleware = {
        provideInlineCompletionItems: (...given) => streaming.provide(...given),
        executeCommand: (command, args: unknown[], next) =>
            command === "memberwise.generateBody" ? body(review, args[0] as BodyArgument) : next(command, args),
    };
    const started = (server = new Server(context, log, middleware));
    context.subscriptions.push(log, review, started, statusBar(started), ...commands(context, started, review, log));
    context.subscriptions.push(
        started.onDidChange(() => offerHelp(started, log)),
        askWhenReady(started),
        vscode.workspace.onDidGrantWorkspaceTrust(() => started.environmentChanged()),
        vscode.workspace.onDidChangeConfiguration((event) => {
            if (event.affectsConfiguration("memberwise.server")) {
                void started.restart();
            }
        }),
        await watchEnvironment(() => void started.environmentChanged()),
    );
    await started.restart(); // what was granted or set meanwhile may have started one
}

export async function deactivate(): Promise<void> {
    await server?.stop();
}

function commands(context: vscode.ExtensionContext, started: Server, review: Review, log: vscode.LogOutputChannel): vscode.Disposable[] {
    const all: Record<string, (...args: never[]) => unknown> = {
        showMenu: () => showMenu(started),
        showLog: () => log.show(),
        restart: () => started.restart(),
        pause: () => started.pause(Infinity),
        resume: () => started.resume(),
        keepBody: () => review.keep(),
        discardBody: () => review.discard(),
        generateBodyHere: () => bodyHere(review),
        explain: (id?: string) => withClient((client) => showExplanation(context, client, typeof id === "string" ? id : undefined)),
        setUp: async () => (await setUp(context, log)) && (await pull(started, "default", log)),
        pullModel: () => pull(started, "default", log),
        openWalkthrough: () => vscode.commands.executeCommand("workbench.action.openWalkthrough", "memberwise.memberwise#start", false),
    };
    return Object.entries(all).map(([name, run]) => vscode.commands.registerCommand(`memberwise.${name}`, run));
}

function withClient<T>(use: (client: NonNullable<Server["running"]>) => T): T | undefined {
    const client = server?.running;
    if (!client) {
        void vscode.window.showInformationMessage("Memberwise is not running.", "Restart").then((picked) => picked && server?.restart());
        return undefined;
    }
    return use(client);
}

function body(review: Review, wanted: BodyArgument): Thenable<void> | undefined {
    return withClient((client) => generateBody(client, review, wanted));
}

function bodyHere(review: Review): Thenable<void> | undefined {
    const editor = vscode.window.activeTextEditor;
    return editor && body(review, { uri: editor.document.uri.toString(), line: editor.selection.active.line });
}

async function pull(started: Server, model: string, log: vscode.LogOutputChannel): Promise<void> {
    if (!started.found) {
        await started.restart();
    }
    if (started.found && (await pullModel(started.found.command, model, log))) {
        await started.restart();
    }
}

function statusBar(started: Server): vscode.Disposable {
    const item = vscode.window.createStatusBarItem("memberwise.status", vscode.StatusBarAlignment.Right, 90);
    const update = (): void => {
        const shown = statusShown(started.phase, started.status, !vscode.workspace.isTrusted);
        item.name = "Memberwise";
        item.text = shown.text;
        item.tooltip = shown.tooltip;
        item.accessibilityInformation = { label: shown.label, role: "button" };
        item.backgroundColor = shown.severity === "none" ? undefined : new vscode.ThemeColor(`statusBarItem.${shown.severity}Background`);
        item.command = started.phase === "missing" ? "memberwise.setUp" : "memberwise.showMenu";
        item.show();
        void vscode.commands.executeCommand("setContext", "memberwise.paused", started.paused);
        void vscode.commands.executeCommand("setContext", "memberwise.serverFound", started.found !== undefined);
        void vscode.commands.executeCommand("setContext", "memberwise.ready", started.phase === "running" && started.status.kind === "ready");
    };
    update();
    return vscode.Disposable.from(item, started.onDidChange(update));
}

let told = "";

/** Say once what is missing, with a button that mends it. */
function offerHelp(started: Server, log: vscode.LogOutputChannel): void {
    const trouble = troubleOf(started);
    const same = trouble?.message === told;
    told = trouble?.message ?? (started.phase === "running" ? "" : told);
    if (!trouble || same) {
        return;
    }
    void vscode.window.showErrorMessage(trouble.message, trouble.button, "Show Log").then((picked) => {
        if (picked === "Show Log") {
            log.show();
        } else if (picked) {
            trouble.mend();
        }
    });
}

function troubleOf(started: Server): { message: string; button: string; mend: () => unknown } | undefined {
    const run = (command: string) => () => vscode.commands.executeCommand(command);
    if (started.phase === "missing") {
        const configured = started.tried.length === 1 && vscode.workspace.getConfiguration("memberwise").get<string>("server.path");
        if (configured) {
            const settings = (): unknown => vscode.commands.executeCommand("workbench.action.openSettings", "memberwise.server.path");
            return { message: `Memberwise: the setting memberwise.server.path does not work. ${started.tried[0]}.`, button: "Open the Setting", mend: settings };
        }
        return { message: "Memberwise is a Python program, and it was not found here. It can have an environment of its own.", button: "Set Up", mend: run("memberwise.setUp") };
    }
    if (started.phase === "stopped" && started.lastError) {
        return { message: `Memberwise does not start: ${started.lastError}`, button: "Set Up", mend: run("memberwise.setUp") };
    }
    if (started.phase === "running" && started.status.kind === "error") {
        const model = modelToPull(started.status.message);
        return model
            ? { message: `Memberwise has no model yet: ${model} is not on this machine.`, button: "Download the Model", mend: run("memberwise.pullModel") }
            : { message: `Memberwise: ${started.status.message}`, button: "Restart", mend: run("memberwise.restart") };
    }
    return undefined;
}
