/** Turns of several windows at the same thing: a file names the process that is at it, and goes with its work. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_MS = 200;

/**
 * Do `work` when no other process does what `file` stands for.
 *
 * @param waits is called once when another is at it.
 * @throws Error when `signal` ends the wait, or the file cannot be written.
 */
export async function inTurn<T>(file: string, waits: () => void, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    let waited = false;
    while (!taken(file)) {
        if (!waited) {
            waits();
        }
        waited = true;
        await sleep(LOOK_MS, undefined, { signal });
    }
    try {
        return await work();
    } finally {
        rmSync(file, { force: true });
    }
}

function taken(file: string): boolean {
    try {
        writeFileSync(file, String(process.pid), { flag: "wx" });
        return true;
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
            throw error;
        }
    }
    if (!lives(holder(file))) {
        rmSync(file, { force: true }); // its window crashed
    }
    return false;
}

/** 0, which always lives, where the number is not written yet. */
function holder(file: string): number {
    try {
        return Number(readFileSync(file, "utf8")) || 0;
    } catch {
        return 0; // it has just gone
    }
}

function lives(pid: number): boolean {
    try {
        return process.kill(pid, 0);
    } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EPERM"; // somebody else's
    }
}
