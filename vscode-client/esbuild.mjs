// Bundles the extension into dist/, with the licences of what is in the bundle; or with --tests every unit test into build/test/.
import { build } from "esbuild";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const common = { bundle: true, platform: "node", target: "node20", format: "cjs", sourcemap: true, logLevel: "warning" };

async function bundleTests() {
    rmSync("build/test", { recursive: true, force: true });
    const entryPoints = readdirSync("test").filter((name) => name.endsWith(".test.ts")).map((name) => `test/${name}`);
    await build({ ...common, entryPoints, outdir: "build/test", alias: { vscode: "./test/vscode.cjs" } });
}

async function bundleExtension(minify) {
    rmSync("dist", { recursive: true, force: true });
    const output = { outfile: "dist/extension.js", minify, sourcemap: !minify, metafile: true };
    const { metafile } = await build({ ...common, ...output, entryPoints: ["src/extension.ts"], external: ["vscode"] });
    writeFileSync("dist/third-party-licences.txt", licences(Object.keys(metafile.inputs)));
}

/** The licence texts of the packages that files come from. A package without one stops the build. */
function licences(files) {
    const packages = new Set(files.map((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]).filter(Boolean));
    const texts = [...packages].sort().map((folder) => {
        const { name, version } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        if (!file) {
            throw new Error(`${name} ${version} comes without the text of its licence`);
        }
        return `${name} ${version}\n\n${readFileSync(path.join(folder, file), "utf8").trim()}\n`;
    });
    return texts.join(`\n${"-".repeat(80)}\n\n`);
}

await (process.argv.includes("--tests") ? bundleTests() : bundleExtension(process.argv.includes("--minify")));
