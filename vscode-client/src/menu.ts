/** The menu behind the status bar item. */
import * as vscode from "vscode";
import { SET_UP_COST } from "./help";
import type { Server } from "./server";

const MINUTE_MS = 60_000;

interface Item extends vscode.QuickPickItem {
    readonly run?: () => unknown;
}

export async function showMenu(server: Server): Promise<void> {
    const restricted = vscode.workspace.isTrusted ? "" : " Restricted mode: nothing of this folder is run.";
    const down = server.phase === "missing" ? "not set up" : server.lastError || server.phase;
    const placeHolder = (server.phase === "running" ? server.status.message : down) + restricted;
    const picked = await vscode.window.showQuickPick<Item>(items(server), { title: "Memberwise", placeHolder });
    await picked?.run?.();
}

function items(server: Server): Item[] {
    const run = (command: string) => () => vscode.commands.executeCommand(command);
    const separator = { label: "", kind: vscode.QuickPickItemKind.Separator };
    return [
        ...(server.phase === "missing" ? [{ label: "$(cloud-download) Set up Memberwise…", detail: SET_UP_COST, run: run("memberwise.setUp") }] : []),
        { label: "$(question) Explain the last completion", run: run("memberwise.explain") },
        separator,
        ...pauses(server),
        separator,
        { label: "$(debug-restart) Restart the server", run: run("memberwise.restart") },
        { label: "$(output) Show the log", run: run("memberwise.showLog") },
        { label: "$(gear) Settings", run: () => vscode.commands.executeCommand("workbench.action.openSettings", "@ext:memberwise.memberwise") },
        { label: "$(book) Get started", run: run("memberwise.openWalkthrough") },
    ];
}

function pauses(server: Server): Item[] {
    const on = vscode.workspace.getConfiguration("memberwise", { languageId: "python" }).get<boolean>("enabled", true);
    const language: Item = on
        ? { label: "$(circle-slash) Turn off for Python", description: "until turned on again", run: () => turn(false) }
        : { label: "$(check) Turn on for Python", run: () => turn(true) };
    if (server.paused) {
        return [{ label: "$(debug-continue) Go on", run: () => server.resume() }, language];
    }
    return [
        { label: "$(debug-pause) Pause for 10 minutes", run: () => server.pause(10 * MINUTE_MS) },
        { label: "$(debug-pause) Pause for an hour", run: () => server.pause(60 * MINUTE_MS) },
        { label: "$(debug-pause) Pause until I go on", description: "or this window is opened again", run: () => server.pause(Infinity) },
        language,
    ];
}

async function turn(on: boolean): Promise<void> {
    const section = vscode.workspace.getConfiguration("memberwise", { languageId: "python" });
    await section.update("enabled", on, vscode.ConfigurationTarget.Global, true);
}
