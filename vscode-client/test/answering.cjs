// A language server for tests: says its version, answers what a client asks when it starts and stops, and notes its process
// in the file STARTED, what it was told of the settings in OPTIONS. It does not answer the method that the file SILENT names;
// where that says "exit" it ends at once. The file SAYS holds what it sends when it has started, a message a line.
const { appendFileSync, readFileSync, writeFileSync } = require("node:fs");

const ANSWERS = {
    initialize: { capabilities: {} },
    "memberwise/status": { busy: false, kind: "ready", message: "default", percent: null },
    shutdown: null,
};
const FRAME = /^Content-Length: (\d+)\r\n\r\n/;
let text = "";

function send(message) {
    const sent = JSON.stringify({ jsonrpc: "2.0", ...message });
    process.stdout.write(`Content-Length: ${sent.length}\r\n\r\n${sent}`);
}

function handle({ id, method, params }) {
    const silent = readFileSync(process.env.SILENT, "utf8");
    if (method === "exit") {
        process.exit(0);
    }
    if (silent === "exit") {
        process.stderr.write("memberwise: error: there is no pygls\n", () => process.exit(1));
        return;
    }
    if (method === "initialize") {
        writeFileSync(process.env.OPTIONS, JSON.stringify(params.initializationOptions));
    }
    if (method === "initialized") {
        readFileSync(process.env.SAYS, "utf8").split("\n").filter(Boolean).forEach((line) => send(JSON.parse(line)));
    }
    if (id !== undefined && method !== silent) {
        send({ id, result: ANSWERS[method] });
    }
}

if (process.argv[2] === "--version") {
    console.log("memberwise 0.1.0");
} else {
    appendFileSync(process.env.STARTED, `${process.pid}\n`);
    setInterval(() => undefined, 60_000); // goes on when its input ends, as a server that hangs
    process.stdin.setEncoding("latin1").on("data", (data) => {
        text += data;
        for (let frame; (frame = FRAME.exec(text)) && text.length >= frame[0].length + Number(frame[1]); ) {
            const message = text.slice(frame[0].length, frame[0].length + Number(frame[1]));
            text = text.slice(frame[0].length + message.length);
            handle(JSON.parse(message));
        }
    });
}
