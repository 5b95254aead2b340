/** What went wrong, for people. */
import { ErrorCodes, ResponseError } from "vscode-languageclient/node";

const ENDED: readonly number[] = [ErrorCodes.PendingResponseRejected, ErrorCodes.ConnectionInactive];

/** A request was not answered, for the server has ended. */
export function hasEnded(error: unknown): boolean {
    return error instanceof ResponseError && ENDED.includes(error.code);
}

export function wordsOf(error: unknown): string {
    if (hasEnded(error)) {
        return "the server has ended";
    }
    return error instanceof Error ? error.message : String(error);
}
