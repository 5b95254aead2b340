/** Running programs: short ones for what they print, long ones line by line with a cancel. */
import { execFile, spawn, type ExecFileException } from "node:child_process";
import type { Tried } from "./findServer";

const VERSION_MS = 20_000;

/** What `command --version` prints. */
export function askVersion(command: string): Promise<Tried> {
    return new Promise((resolve) => {
        execFile(command, ["--version"], { timeout: VERSION_MS, windowsHide: true }, (error, stdout) => {
            const version = /^memberwise (\S+)/m.exec(stdout)?.[1];
            if (version) {
                resolve({ version });
            } else {
                resolve({ problem: error ? reasonOf(error) : "it is not Memberwise" });
            }
        });
    });
}

function reasonOf(error: ExecFileException): string {
    if (error.code === "ENOENT") {
        return "there is no such command";
    }
    return error.killed ? `no answer in ${VERSION_MS / 1000} s` : (error.message.split("\n")[0] ?? "it failed");
}

/** Whether there is such a program: some have a name only, and fail. */
export function runs(command: string): Promise<boolean> {
    return new Promise((resolve) => {
        execFile(command, ["--version"], { timeout: VERSION_MS, windowsHide: true }, (error) => resolve(!error));
    });
}

/** Versions look like `3.12`; empty when the interpreter does not run. */
export function pythonVersion(interpreter: string): Promise<string> {
    const program = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])";
    return new Promise((resolve) => {
        execFile(interpreter, ["-c", program], { timeout: VERSION_MS, windowsHide: true }, (error, stdout) => {
            resolve(error ? "" : stdout.trim());
        });
    });
}

/**
 * Run a program to its end, giving every line it prints to `onLine`; `signal` kills it.
 *
 * @throws Error with the last line it printed, when it fails or is killed.
 */
export function run(command: string, args: readonly string[], onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
        const child = spawn(command, args, { signal, windowsHide: true, stdio: ["ignore", "pipe", "pipe"] });
        let last = "";
        const read = (chunk: string): void => {
            for (const line of chunk.split(/[\r\n]+/).filter((text) => text.trim())) {
                last = line.trim();
                onLine(last);
            }
        };
        child.stdout.setEncoding("utf8").on("data", read);
        child.stderr.setEncoding("utf8").on("data", read);
        child.on("error", (error) => (last = error.message)); // and it closes, when it has ended
        child.on("close", (code) => {
            if (code === 0 && !signal.aborted) {
                resolve();
            } else {
                reject(new Error(last || `${command} ended with code ${code}`));
            }
        });
    });
}
