/**
 * The server process and the language client that talks to it: found, started, restarted, told the settings.
 *
 * Knows nothing of what is shown; `onDidChange` says that phase or status are something else. Start at `Server.start`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import * as vscode from "vscode";
import {
    CloseAction,
    ErrorAction,
    LanguageClient,
    MessageType,
    ShowMessageNotification,
    State,
    type LanguageClientOptions,
    type Middleware,
    type ShowMessageParams,
} from "vscode-languageclient/node";
import { findServer, selectedInterpreter } from "./environment";
import { wordsOf } from "./errors";
import type { Found } from "./findServer";
import { serverSettings } from "./settings";
import type { Phase, ServerStatus } from "./status";

const STARTING: ServerStatus = { busy: true, kind: "loading", message: "starting", percent: null };
const SECTION = "memberwise";
const START_MS = 60_000; // a server that has not answered by then never will
const STOP_MS = 3000;
const READ_MS = 1000; // for what a process printed before it ended
const MOST_CRASHES = 3; // in CRASHES_MS; after one more it stays down
const CRASHES_MS = 3 * 60_000;
const SELECTOR = [
    { language: "python", scheme: "file" },
    { language: "python", scheme: "untitled" },
    { language: "python", scheme: "vscode-notebook-cell" },
];

/** That the server does not start or has ended is told by `help.ts`, once; the client would tell it too. */
class QuietClient extends LanguageClient {
    override error(message: string, data?: unknown, show?: boolean | "force"): void {
        super.error(message, data, show === "force" ? false : show);
    }
}

export class Server implements vscode.Disposable {
    phase: Phase = "stopped";
    status: ServerStatus = STARTING;
    found: Found | undefined;
    /** What was tried when there is no server. */
    tried: readonly string[] = [];
    /** Why there is no process: the last error it printed, or what became of it. */
    lastError = "";
    /** It has not got as far as to answer. */
    startFailed = false;

    private client: LanguageClient | undefined;
    private child: ChildProcess | undefined;
    /** It has ended, and what it printed was read. */
    private closed: Promise<unknown> = Promise.resolve();
    /** Ends when everything that was to start or stop has: a client that is starting cannot be stopped. */
    private turn: Promise<void> = Promise.resolve();
    /** When it ended by itself. */
    private crashes: readonly number[] = [];
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
        this.crashes = [];
        return this.again();
    }

    stop(): Promise<void> {
        return this.inTurn(() => this.end());
    }

    private again(): Promise<void> {
        return this.inTurn(async () => {
            await this.end();
            await this.begin();
        });
    }

    private inTurn(work: () => Promise<void>): Promise<void> {
        this.turn = this.turn.then(work, work);
        return this.turn;
    }

    private async begin(): Promise<void> {
        this.become("starting", STARTING);
        const found = await this.find();
        if (!found) {
            this.tried.forEach((line) => this.log.warn(line));
            this.become("missing", STARTING);
            return;
        }
        this.interpreter = await selectedInterpreter();
        this.log.info(`memberwise ${found.version}: ${found.command} (${found.origin})`);
        await this.startClient(found.command);
    }

    /** Find the command of the server, and start nothing. */
    async find(): Promise<Found | undefined> {
        const found = await findServer(this.context);
        this.found = "tried" in found ? undefined : found;
        this.tried = "tried" in found ? found.tried : [];
        return this.found;
    }

    private async startClient(command: string): Promise<void> {
        const client = new QuietClient(SECTION, "Memberwise", () => this.spawned(command), this.options());
        this.client = client;
        client.onDidChangeState(({ newState }) => this.clientBecame(client, newState));
        client.onNotification("memberwise/didChangeStatus", (status: ServerStatus) => this.become(this.phase, status));
        client.onNotification(ShowMessageNotification.type, (params) => this.show(params));
        this.startFailed = false;
        const late = setTimeout(() => {
            this.lastError = `no answer in ${START_MS / 1000} s`;
            this.child?.kill("SIGKILL");
        }, START_MS);
        try {
            await client.start();
            this.become("running", await client.sendRequest<ServerStatus>("memberwise/status", {}));
        } catch (error) {
            this.log.error(`the server did not start: ${String(error)}`);
            this.child?.kill("SIGKILL");
            await Promise.race([this.closed, sleep(READ_MS)]);
            this.lastError ||= wordsOf(error);
            this.startFailed = true;
            this.become("stopped", STARTING);
        } finally {
            clearTimeout(late);
        }
    }

    /** Shows what the server wants shown, but for an error that its status says too: `help.ts` tells that, with a button. */
    private show({ type, message }: ShowMessageParams): void {
        if (this.status.kind === "error" && message.endsWith(this.status.message)) {
            return;
        }
        const { showErrorMessage, showWarningMessage, showInformationMessage } = vscode.window;
        const show = type === MessageType.Error ? showErrorMessage : type === MessageType.Warning ? showWarningMessage : showInformationMessage;
        void show(message);
    }

    private async end(): Promise<void> {
        const client = this.client;
        this.client = undefined;
        await client?.dispose(STOP_MS).catch(() => this.child?.kill("SIGKILL")); // it hangs, or has not started
        this.lastError = "";
        this.become("stopped", STARTING);
    }

    private async spawned(command: string): Promise<ChildProcess> {
        const share = vscode.workspace.getConfiguration(SECTION).get<boolean>("server.share", false);
        const child = spawn(command, ["serve", ...(share ? ["--share"] : [])], { windowsHide: true });
        this.child = child;
        this.closed = new Promise((resolve) => child.once("close", resolve));
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
            // The client would start it again even where it has never answered, and wait without end: see `crashed` instead.
            errorHandler: {
                error: () => ({ action: ErrorAction.Continue }),
                closed: () => ({ action: CloseAction.DoNotRestart }),
            },
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
        const section = vscode.workspace.getConfiguration(SECTION, { languageId: "python" });
        // The server takes one interpreter for everything. With several folders it finds each one's own.
        const one = (vscode.workspace.workspaceFolders ?? []).length <= 1;
        const now = { trusted: vscode.workspace.isTrusted, paused: this.paused, interpreter: one ? this.interpreter : undefined };
        return serverSettings((key) => section.get(key), now);
    }

    /** A client that is no longer ours was stopped, and what goes wrong in a start is told where it is started. */
    private clientBecame(client: LanguageClient, state: State): void {
        if (client === this.client && state === State.Stopped && this.phase === "running") {
            this.crashed();
        }
    }

    /** It has ended by itself: it comes back, unless that happens too often. */
    private crashed(): void {
        const now = Date.now();
        this.crashes = [...this.crashes.filter((at) => now - at < CRASHES_MS), now];
        if (this.crashes.length <= MOST_CRASHES) {
            void this.again();
        } else {
            this.lastError ||= `it ended ${this.crashes.length} times in ${CRASHES_MS / 60_000} minutes`;
            this.become("stopped", STARTING);
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
