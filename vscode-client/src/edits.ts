/** Where edits of one version of a text stand once they are applied, and what takes them back. Pure; offsets. */

export interface Edit {
    readonly start: number;
    readonly end: number;
    readonly text: string;
}

/** The edits that undo `edits`, for the text after them. `before` is the text they are for. */
export function reversed(before: string, edits: readonly Edit[]): Edit[] {
    let shift = 0;
    return sorted(edits).map(({ start, end, text }) => {
        const undo = { start: start + shift, end: start + shift + text.length, text: before.slice(start, end) };
        shift += text.length - (end - start);
        return undo;
    });
}

/** Edits that stand where they stood, after a change elsewhere; undefined when the change touches one of them. */
export function moved(edits: readonly Edit[], change: Edit): Edit[] | undefined {
    const by = change.text.length - (change.end - change.start);
    const after: Edit[] = [];
    for (const edit of edits) {
        if (change.start >= edit.end) {
            after.push(edit);
        } else if (change.end <= edit.start) {
            after.push({ ...edit, start: edit.start + by, end: edit.end + by });
        } else {
            return undefined;
        }
    }
    return after;
}

const sorted = (edits: readonly Edit[]): Edit[] => [...edits].sort((one, other) => one.start - other.start);
