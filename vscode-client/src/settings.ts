/** What the server is told of the settings. The names are those of `lsp_server/settings.py`; a test compares them. */

export const SERVER_SETTINGS = [
    "enabled",
    "model",
    "adapter",
    "threads",
    "trigger",
    "contextTokens",
    "inline",
    "lineTokens",
    "blockTokens",
    "bodyTokens",
    "debounceMs",
    "deadlineMs",
    "temperature",
    "completion",
    "hover",
    "diagnostics",
    "codeLens",
    "python",
    "statistics",
] as const;

export interface Circumstances {
    readonly trusted: boolean;
    readonly paused: boolean;
    /** The selected interpreter; used when the setting `python` is null. */
    readonly interpreter: string | undefined;
}

/** The section `memberwise` as the server reads it. What is not set is null: the default, whatever was sent before. */
export function serverSettings(value: (key: string) => unknown, now: Circumstances): Record<string, unknown> {
    const settings: Record<string, unknown> = Object.fromEntries(SERVER_SETTINGS.map((key) => [key, value(key) ?? null]));
    settings["python"] = now.trusted ? (settings["python"] ?? now.interpreter ?? null) : null;
    settings["trusted"] = now.trusted;
    settings["enabled"] = settings["enabled"] !== false && !now.paused;
    return settings;
}
