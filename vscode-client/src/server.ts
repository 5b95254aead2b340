/**
 * The server process and the language client that talks to it: found, started, restarted, told the settings.
 *
 * Knows nothing of what is shown; `onDidChange` says that phase or status are something else. Start at `Server.start`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import * as vscode from "vscode";
import { LanguageClient, State, type LanguageClientOptions, type Middleware } from "vscode-languageclient/node";
import { findServer, selectedInterpreter } from "./environment";
import type { Found } from "./findServer";
import { serverSettings } from "./settings";
import type { Phase, ServerStatus } from "./status";

const STARTING: ServerStatus = { busy: true, kind: "loading", message: "starting", command: null, percent: null };
const SECTION = "memberwise";
const START_MS = 60_000; // a server that has not answered by then never will
const STOP_MS = 3000;
const SELECTOR = [
    { language: "python", scheme: "file" },
    { language: "python", scheme: "untitled" },
    { language: "python", scheme: "vscode-notebook-cell" },
];

export class Server implements vscode.Disposable {
    phase: Phase = "stopped";
    status: ServerStatus = STARTING;
    found: Found | undefined;
    /** What was tried when there is no server. */
    tried: readonly string[] = [];
    /** The last error the process printed. */
    lastError = "";

    private client: LanguageClient | undefined;
    private child: ChildProcess | undefined;
    /** Ends when everything that was to start or stop has: a client that is starting cannot be stopped. */
    private turn: Promise<void> = Promise.resolve();
    private interpreter: string | undefined;
    private pausedUntil = 0;
    private resuming: NodeJS.Timeout | undefined;
    private readonly changes = new vscode.EventEmitter<void>();
    readonly onDidChange = this.changes.event;

    constructor(
        private readonly context: vscode.ExtensionContext,
        private readonly log: vscode.LogOutputChannel,
        private readonly middleware: Middleware,
    ) {}

    /** The client while the server answers. */
    get running(): LanguageClient | undefined {
        return this.phase === "running" ? this.client : undefined;
    }

    get paused(): boolean {
        return Date.now() < this.pausedUntil;
    }

    /** Find the server and start it. */
    start(): Promise<void> {
        return this.inTurn(() => this.begin());
    }

    restart(): Promise<void> {
        return this.inTurn(async () => {
            await this.end();
            await this.begin();
        });
    }

    stop(): Promise<void> {
        return this.inTurn(() => this.end());
    }

    private inTurn(work: () => Promise<void>): Promise<void> {
        this.turn = this.turn.then(work, work);
        return this.turn;
    }

    private async begin(): Promise<void> {
        this.become("starting", STARTING);
        const found = await findServer(this.context);
        if ("tried" in found) {
            this.found = undefined;
            this.tried = found.tried;
            found.tried.forEach((line) => this.log.warn(line));
            this.become("missing", STARTING);
            return;
        }
        this.found = found;
        this.interpreter = await selectedInterpreter();
        this.log.info(`memberwise ${found.version}: ${found.command} (${found.origin})`);
        await this.startClient(found.command);
    }

    private async startClient(command: string): Promise<void> {
        const client = new LanguageClient(SECTION, "Memberwise", () => this.spawned(command), this.options());
        this.client = client;
        client.onDidChangeState(({ newState }) => this.clientBecame(client, newState));
        client.onNotification("memberwise/didChangeStatus", (status: ServerStatus) => this.become(this.phase, status));
        const late = setTimeout(() => this.child?.kill("SIGKILL"), START_MS);
        try {
            await client.start();
            this.become("running", await client.sendRequest<ServerStatus>("memberwise/status", {}));
        } catch (error) {
            this.log.error(`the server did not start: ${this.lastError || String(error)}`);
            this.become("stopped", STARTING);
        } finally {
            clearTimeout(late);
        }
    }

    private async end(): Promise<void> {
        const client = this.client;
        this.client = undefined;
        await client?.dispose(STOP_MS).catch(() => this.child?.kill("SIGKILL")); // it hangs, or has not started
        this.become("stopped", STARTING);
    }

    private async spawned(command: string): Promise<ChildProcess> {
        const share = vscode.workspace.getConfiguration(SECTION).get<boolean>("server.share", false);
        const child = spawn(command, ["serve", ...(share ? ["--share"] : [])], { windowsHide: true });
        this.child = child;
        this.lastError = "";
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
            this.lastError = /memberwise: error: (.+)/.exec(text)?.[1] ?? this.lastError;
        });
        await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
        return child;
    }

    private options(): LanguageClientOptions {
        return {
            documentSelector: SELECTOR,
            outputChannel: this.log,
            initializationOptions: this.settings(),
            initializationFailedHandler: () => false,
            middleware: {
                ...this.middleware,
                workspace: {
                    configuration: async (params, token, next) => {
                        const answers = await next(params, token);
                        const all = Array.isArray(answers) ? answers : [];
                        return params.items.map((item, index) => (item.section === SECTION ? this.settings() : all[index]));
                    },
                },
            },
        };
    }

    private settings(): Record<string, unknown> {
        const scope = { languageId: "python", uri: vscode.workspace.workspaceFolders?.[0]?.uri };
        const section = vscode.workspace.getConfiguration(SECTION, scope as vscode.ConfigurationScope);
        const now = { trusted: vscode.workspace.isTrusted, paused: this.paused, interpreter: this.interpreter };
        return serverSettings((key) => section.get(key), now);
    }

    private clientBecame(client: LanguageClient, state: State): void {
        if (client !== this.client) {
            return;
        }
        if (state === State.Running) {
            this.become("running", this.status);
        } else {
            this.become(state === State.Starting ? "starting" : "stopped", STARTING);
        }
    }

    private become(phase: Phase, status: ServerStatus): void {
        this.phase = phase;
        this.status = status;
        this.changes.fire();
    }

    /** Let the server ask for the settings again. */
    async tellSettings(): Promise<void> {
        await this.running?.sendNotification("workspace/didChangeConfiguration", { settings: null });
    }

    /** Another interpreter was selected, or the folder is trusted now. */
    async environmentChanged(): Promise<void> {
        if (this.phase === "missing" || this.phase === "stopped") {
            return this.restart();
        }
        this.interpreter = await selectedInterpreter();
        await this.tellSettings();
    }

    /** Write nothing for so long. */
    async pause(ms: number): Promise<void> {
        clearTimeout(this.resuming);
        this.pausedUntil = Date.now() + ms;
        if (Number.isFinite(ms) && ms > 0) {
            this.resuming = setTimeout(() => void this.resume(), ms);
        }
        await this.tellSettings();
        this.changes.fire();
    }

    async resume(): Promise<void> {
        await this.pause(0);
    }

    dispose(): void {
        clearTimeout(this.resuming);
        this.changes.dispose();
    }
}
