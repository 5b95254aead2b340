/** What is wrong, said once, with a button that mends it. Start reading at `offerHelp`. */
import * as vscode from "vscode";
import { configuredCommand } from "./environment";
import type { Server } from "./server";
import { modelToPull } from "./status";

/** What a set-up costs, for who is asked. */
export const SET_UP_COST = "downloads about 35 MB of packages (135 MB without a C++ compiler) and a model of 93 MB, in a minute or two";

export interface Trouble {
    readonly message: string;
    readonly button: string;
    /** What the button runs. */
    readonly command: string;
    readonly argument?: string;
}

let told = "";
let updateOffered = false;

/** Say what is wrong with the server, if that was not said last. */
export function offerHelp(started: Server, log: vscode.LogOutputChannel): void {
    const trouble = troubleOf(started);
    const same = trouble?.message === told;
    told = trouble?.message ?? (started.phase === "running" && !started.status.busy ? "" : told);
    if (trouble && !same) {
        offer(trouble, log);
    }
}

export function offer(trouble: Trouble, log: vscode.LogOutputChannel): void {
    void vscode.window.showErrorMessage(trouble.message, trouble.button, "Show Log").then((picked) => {
        if (picked === "Show Log") {
            log.show();
        } else if (picked) {
            void vscode.commands.executeCommand(trouble.command, trouble.argument);
        }
    });
}

/** The own environment stays as it was when the extension is updated: offer, once, to bring it up to date. */
export function offerUpdate(started: Server, version: string): void {
    const found = started.found;
    if (updateOffered || started.phase !== "running" || found?.origin !== "own" || found.version === version) {
        return;
    }
    updateOffered = true;
    const message = `Memberwise ${found.version} is set up, and this extension comes with ${version}. An update ${SET_UP_COST}.`;
    void vscode.window.showInformationMessage(message, "Update").then((picked) => picked && vscode.commands.executeCommand("memberwise.setUp"));
}

export function troubleOf(started: Server): Trouble | undefined {
    switch (started.phase) {
        case "missing":
            return configuredCommand()
                ? openSetting(`the setting memberwise.server.path does not work. ${started.tried[0]}.`)
                : setUp(`Memberwise is a Python program, and it was not found here. It can have an environment of its own: Set Up ${SET_UP_COST}.`);
        case "stopped":
            return started.lastError ? stopped(started) : undefined;
        case "running":
            return started.status.kind === "error" ? failed(started.status.message) : undefined;
        case "starting":
            return undefined;
    }
}

/** A set-up helps where the command that was found does not start, but not where the setting names it. */
function stopped(started: Server): Trouble {
    if (!started.startFailed) {
        return { message: `Memberwise has stopped: ${started.lastError}`, button: "Restart", command: "memberwise.restart" };
    }
    return configuredCommand()
        ? openSetting(`the command of the setting memberwise.server.path does not start: ${started.lastError}`)
        : setUp(`Memberwise does not start: ${started.lastError}. Set Up makes an environment of its own: it ${SET_UP_COST}.`);
}

function failed(message: string): Trouble {
    const model = modelToPull(message);
    return model
        ? { message: `Memberwise has no model yet: ${model} is not on this machine.`, button: "Download the Model", command: "memberwise.pullModel", argument: model }
        : { message: `Memberwise: ${message}`, button: "Restart", command: "memberwise.restart" };
}

function setUp(message: string): Trouble {
    return { message, button: "Set Up", command: "memberwise.setUp" };
}

export function openSetting(problem: string): Trouble {
    return { message: `Memberwise: ${problem}`, button: "Open the Setting", command: "workbench.action.openSettings", argument: "memberwise.server.path" };
}
