/** Puts the parts together: the server, what is shown of it, and the commands. Start reading at `activate`. */
import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import { configuredCommand, pullModel, setUp, watchEnvironment } from "./environment";
import { showExplanation } from "./explainView";
import { generateBody, type BodyArgument } from "./generateBody";
import { offer, offerHelp, offerUpdate, openSetting } from "./help";
import { showMenu } from "./menu";
import { Review } from "./review";
import { Server } from "./server";
import { statusShown } from "./status";
import { Streaming } from "./streaming";
import { askWhenReady } from "./waiting";

let server: Server | undefined;
let mending: Promise<unknown> | undefined; // a set-up or a download: one at a time, and nobody is told meanwhile what is missing

export function activate(context: vscode.ExtensionContext): void {
    const log = vscode.window.createOutputChannel("Memberwise", { log: true });
    const review = new Review((id) => void server?.running?.sendNotification("memberwise/didAcceptCompletion", { id }));
    const streaming = new Streaming(() => server?.running);
    const middleware: Middleware = {
        provideInlineCompletionItems: (...given) => streaming.provide(...given),
        executeCommand: (command, args: unknown[], next) =>
            command === "memberwise.generateBody" ? body(review, args[0] as BodyArgument) : next(command, args),
    };
    const started = (server = new Server(context, log, middleware));
    context.subscriptions.push(log, review, started, statusBar(started), ...commands(context, started, review, streaming, log));
    context.subscriptions.push(
        started.onDidChange(() => changed(started, streaming, context, log)),
        askWhenReady(started),
        vscode.workspace.onDidGrantWorkspaceTrust(() => started.environmentChanged()),
        vscode.workspace.onDidChangeConfiguration((event) => {
            if (event.affectsConfiguration("memberwise.server")) {
                void started.restart();
            }
        }),
        watchEnvironment(() => void started.environmentChanged()),
    );
    void started.restart();
}

export async function deactivate(): Promise<void> {
    await server?.stop();
}

function changed(started: Server, streaming: Streaming, context: vscode.ExtensionContext, log: vscode.LogOutputChannel): void {
    if (!started.running || started.paused) {
        streaming.forget();
    }
    if (!mending) {
        offerHelp(started, log);
        offerUpdate(started, String(context.extension.packageJSON.version));
    }
}

function commands(
    context: vscode.ExtensionContext,
    started: Server,
    review: Review,
    streaming: Streaming,
    log: vscode.LogOutputChannel,
): vscode.Disposable[] {
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
        dismiss: () => dismiss(streaming),
        setUp: () => setUpOwn(context, started, log),
        pullModel: (model?: string) => mend(started, () => pull(started, typeof model === "string" ? model : "default", log)),
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

function dismiss(streaming: Streaming): Thenable<unknown> {
    streaming.forget();
    return vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
}

/** Make an own environment and fetch the model with it; the setting that names another command would outrank it. */
async function setUpOwn(context: vscode.ExtensionContext, started: Server, log: vscode.LogOutputChannel): Promise<void> {
    if (configuredCommand()) {
        return offer(openSetting("the setting memberwise.server.path names the server. Empty it, then set up."), log);
    }
    await mend(started, async () => {
        const made = await setUp(context, log);
        if (made) {
            await pull(started, "default", log);
        }
        return made;
    });
}

async function pull(started: Server, model: string, log: vscode.LogOutputChannel): Promise<boolean> {
    const found = await started.find();
    return found !== undefined && pullModel(found.command, model, log);
}

/** Do what brings something that is missing; with it the server starts again. */
function mend(started: Server, work: () => Promise<boolean>): Promise<unknown> {
    mending ??= work()
        .finally(() => (mending = undefined))
        .then((done) => (done ? started.restart() : undefined));
    return mending;
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
        item.command = "memberwise.showMenu";
        item.show();
        void vscode.commands.executeCommand("setContext", "memberwise.paused", started.paused);
        void vscode.commands.executeCommand("setContext", "memberwise.serverFound", started.found !== undefined);
        void vscode.commands.executeCommand("setContext", "memberwise.ready", started.phase === "running" && started.status.kind === "ready");
    };
    update();
    return vscode.Disposable.from(item, started.onDidChange(update));
}
