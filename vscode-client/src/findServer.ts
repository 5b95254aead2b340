/**
 * Where the `memberwise` command may be, and which of the places holds one that works.
 *
 * Knows nothing of VS Code: what is configured and how a command is tried comes in as arguments.
 */
import * as path from "node:path";

export type Origin = "setting" | "python" | "own" | "path";

export interface Candidate {
    readonly command: string;
    readonly origin: Origin;
}

export interface Places {
    /** The setting `memberwise.server.path`; empty when it is not set. */
    readonly configured: string;
    /** Interpreters of the selected environment and of the folders, best first. */
    readonly interpreters: readonly string[];
    /** The folder of Memberwise's own environment; empty while there is none. */
    readonly own: string;
    readonly home: string;
    readonly windows: boolean;
}

export type Try = (command: string) => Promise<Tried>;

/** What a command said when it was asked for its version, or why it said nothing. */
export type Tried = { readonly version: string } | { readonly problem: string };

export interface Found extends Candidate {
    readonly version: string;
}

export interface Missing {
    /** One line for each place, for the log and the message. */
    readonly tried: readonly string[];
}

/** The `memberwise` script that belongs to an environment's interpreter. */
export function scriptBeside(interpreter: string, windows: boolean): string {
    const folder = windows ? path.win32 : path.posix;
    return folder.join(folder.dirname(interpreter), windows ? "memberwise.exe" : "memberwise");
}

/** The interpreter of a virtual environment. */
export function interpreterOf(environment: string, windows: boolean): string {
    return windows ? path.win32.join(environment, "Scripts", "python.exe") : path.posix.join(environment, "bin", "python");
}

/**
 * What to try, in order. A configured command is the only candidate: falling back would hide a typing error. The own
 * environment comes next: who set it up had found no other command that works.
 */
export function candidates(places: Places): Candidate[] {
    if (places.configured) {
        return [{ command: places.configured.replace(/^~(?=[/\\])/, () => places.home), origin: "setting" }];
    }
    const beside = places.interpreters.map((interpreter) => scriptBeside(interpreter, places.windows));
    return [
        ...(places.own ? [{ command: scriptBeside(interpreterOf(places.own, places.windows), places.windows), origin: "own" as const }] : []),
        ...[...new Set(beside)].map((command): Candidate => ({ command, origin: "python" })),
        { command: "memberwise", origin: "path" },
    ];
}

/** The first candidate that says its version. */
export async function firstThatWorks(all: readonly Candidate[], attempt: Try): Promise<Found | Missing> {
    const tried: string[] = [];
    for (const candidate of all) {
        const answer = await attempt(candidate.command);
        if ("version" in answer) {
            return { ...candidate, version: answer.version };
        }
        tried.push(`${candidate.command}: ${answer.problem}`);
    }
    return { tried };
}
