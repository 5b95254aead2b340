/** What the status bar shows, from what is known. Pure. */

/** Params of `memberwise/didChangeStatus`. */
export interface ServerStatus {
    readonly busy: boolean;
    readonly kind: "loading" | "ready" | "empty" | "paused" | "error";
    readonly message: string;
    /** Of what is loading, where that is known. */
    readonly percent: number | null;
}

/** Where the server process is. */
export type Phase = "missing" | "starting" | "running" | "stopped";

export interface Shown {
    readonly text: string;
    readonly tooltip: string;
    /** What a screen reader says. */
    readonly label: string;
    readonly severity: "none" | "warning" | "error";
}

const MOST_CHARACTERS = 44;

export function statusShown(phase: Phase, status: ServerStatus, restricted: boolean): Shown {
    const { icon, words, severity } = summary(phase, status);
    const short = words.length > MOST_CHARACTERS ? `${words.slice(0, MOST_CHARACTERS - 1)}…` : words;
    const trust = restricted ? " Restricted mode: nothing of this folder is run." : "";
    const full = words || `ready (${status.message})`;
    return {
        text: short ? `$(${icon}) Memberwise: ${short}` : `$(${icon}) Memberwise`,
        tooltip: `Memberwise: ${full}.${trust}`,
        label: `Memberwise: ${full}.${trust} Open the menu.`,
        severity,
    };
}

function summary(phase: Phase, status: ServerStatus): { icon: string; words: string; severity: Shown["severity"] } {
    switch (phase) {
        case "missing":
            return { icon: "warning", words: "not set up", severity: "warning" };
        case "starting":
            return { icon: "loading~spin", words: "starting", severity: "none" };
        case "stopped":
            return { icon: "error", words: "the server has stopped", severity: "error" };
        case "running":
            return running(status);
    }
}

function running(status: ServerStatus): { icon: string; words: string; severity: Shown["severity"] } {
    switch (status.kind) {
        case "loading":
            return { icon: "loading~spin", words: loading(status), severity: "none" };
        case "ready":
            return { icon: status.busy ? "loading~spin" : "sparkle", words: status.busy ? status.message : "", severity: "none" };
        case "empty":
            return { icon: "circle-slash", words: status.message, severity: "none" };
        case "paused":
            return { icon: "debug-pause", words: "paused", severity: "none" };
        case "error":
            return { icon: "error", words: status.message, severity: "error" };
    }
}

function loading(status: ServerStatus): string {
    return status.percent === null ? status.message : `${status.message} ${status.percent} %`;
}

/** The model that a message says is to be fetched, if it says so. */
export function modelToPull(message: string): string | undefined {
    return /memberwise model pull (\S+)/.exec(message)?.[1];
}
