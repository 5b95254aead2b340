// Bundles the extension into dist/, or with --tests every unit test into build/test/.
import { build } from "esbuild";
import { readdirSync, rmSync } from "node:fs";

const tests = process.argv.includes("--tests");
const common = { bundle: true, platform: "node", target: "node20", format: "cjs", sourcemap: true, logLevel: "warning" };

if (tests) {
    rmSync("build/test", { recursive: true, force: true });
    const entryPoints = readdirSync("test").filter((name) => name.endsWith(".test.ts")).map((name) => `test/${name}`);
    await build({ ...common, entryPoints, outdir: "build/test" });
} else {
    rmSync("dist", { recursive: true, force: true });
    const minify = process.argv.includes("--minify");
    await build({
        ...common,
        entryPoints: ["src/extension.ts"],
        outfile: "dist/extension.js",
        external: ["vscode"],
        minify,
        sourcemap: !minify,
    });
}
