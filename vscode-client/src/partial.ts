/** What can be shown of a text that is still coming: its finished lines, if the first one that says something is. */
export function firstLines(text: string): string | undefined {
    const end = text.lastIndexOf("\n");
    const lines = end < 0 ? "" : text.slice(0, end);
    return lines.trim() ? lines.trimEnd() : undefined;
}

/** The line that is being written, for a place that has room for one. */
export function lastLine(text: string): string {
    return text.trimEnd().split("\n").at(-1)?.trim() ?? "";
}
