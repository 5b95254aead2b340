/** Turns of several windows at the same thing: a file is there, and stays young, while one of them is at it. */
import { rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_MS = 200;
const TOUCH_MS = 1000;
const OLD_MS = 10_000; // its window has crashed, or was closed

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
    const touching = setInterval(() => touch(file), TOUCH_MS);
    try {
        return await work();
    } finally {
        clearInterval(touching);
        rmSync(file, { force: true });
    }
}

function touch(file: string): void {
    try {
        utimesSync(file, new Date(), new Date());
    } catch {
        // somebody has removed it
    }
}

function taken(file: string): boolean {
    try {
        writeFileSync(file, "", { flag: "wx" });
        return true;
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
            throw error;
        }
    }
    if (Date.now() - touched(file) > OLD_MS) {
        rmSync(file, { force: true });
    }
    return false;
}

function touched(file: string): number {
    return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now(); // it has just gone
}
