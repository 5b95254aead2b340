import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, firstThatWorks, scriptBeside, type Places } from "../src/findServer";

const PLACES: Places = { configured: "", interpreters: ["/venv/bin/python"], own: "/own", home: "/home/me", windows: false };

test("the selected environment comes before the own one and the PATH", () => {
    assert.deepEqual(
        candidates(PLACES).map(({ command, origin }) => [origin, command]),
        [["python", "/venv/bin/memberwise"], ["own", "/own/bin/memberwise"], ["path", "memberwise"]],
    );
});

test("a configured command is the only one, so that a typing error is not hidden", () => {
    assert.deepEqual(candidates({ ...PLACES, configured: "~/bin/memberwise" }), [{ command: "/home/me/bin/memberwise", origin: "setting" }]);
});

test("a home folder with a dollar sign is taken as it is", () => {
    assert.equal(candidates({ ...PLACES, configured: "~/m", home: "/home/$&" })[0]?.command, "/home/$&/m");
});

test("one environment is tried once", () => {
    const twice = candidates({ ...PLACES, interpreters: ["/venv/bin/python", "/venv/bin/python3"] });
    assert.equal(twice.filter(({ origin }) => origin === "python").length, 1);
});

test("Windows has its own names", () => {
    assert.equal(scriptBeside("C:\\venv\\Scripts\\python.exe", true), "C:\\venv\\Scripts\\memberwise.exe");
    assert.equal(candidates({ ...PLACES, interpreters: [], own: "C:\\own", windows: true })[0]?.command, "C:\\own\\Scripts\\memberwise.exe");
});

test("the first that works is taken, and what was tried before is not asked again", async () => {
    const asked: string[] = [];
    const found = await firstThatWorks(candidates(PLACES), async (command) => {
        asked.push(command);
        return command.startsWith("/own") ? { version: "0.1.0" } : { problem: "there is no such command" };
    });
    assert.deepEqual(found, { command: "/own/bin/memberwise", origin: "own", version: "0.1.0" });
    assert.deepEqual(asked, ["/venv/bin/memberwise", "/own/bin/memberwise"]);
});

test("when nothing works every place is named with its reason", async () => {
    const missing = await firstThatWorks(candidates(PLACES), async () => ({ problem: "there is no such command" }));
    assert.ok("tried" in missing);
    assert.equal(missing.tried.length, 3);
    assert.equal(missing.tried[0], "/venv/bin/memberwise: there is no such command");
});
