import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, firstThatWorks, scriptBeside, type Places } from "../src/findServer";

const PLACES: Places = { configured: "", interpreters: ["/venv/bin/python"], own: "/own", home: "/home/me", windows: false };

test("what was set up comes before the selected environment and the PATH", () => {
    assert.deepEqual(
        candidates(PLACES).map(({ command, origin }) => [origin, command]),
        [["own", "/own/bin/memberwise"], ["python", "/venv/bin/memberwise"], ["path", "memberwise"]],
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
        return command.startsWith("/venv") ? { version: "0.1.0" } : { problem: "there is no such command" };
    });
    assert.deepEqual(found, { command: "/venv/bin/memberwise", origin: "python", version: "0.1.0" });
    assert.deepEqual(asked, ["/own/bin/memberwise", "/venv/bin/memberwise"]);
});

test("when nothing works every place is named with its reason", async () => {
    const missing = await firstThatWorks(candidates(PLACES), async () => ({ problem: "there is no such command" }));
    assert.ok("tried" in missing);
    assert.equal(missing.tried.length, 3);
    assert.equal(missing.tried[0], "/own/bin/memberwise: there is no such command");
});
