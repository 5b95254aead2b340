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

/** The section `memberwise` as the server reads it. */
export function serverSettings(value: (key: string) => unknown, now: Circumstances): Record<string, unknown> {
    const settings: Record<string, unknown> = {};
    for (const key of SERVER_SETTINGS) {
        const found = value(key);
        if (found !== null && found !== undefined) {
            settings[key] = found;
        }
    }
    if (now.interpreter && settings["python"] === undefined) {
        settings["python"] = now.interpreter;
    }
    if (!now.trusted) {
        delete settings["python"];
    }
    settings["trusted"] = now.trusted;
    settings["enabled"] = settings["enabled"] !== false && !now.paused;
    return settings;
}
