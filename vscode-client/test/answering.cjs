// A language server for tests: says its version, answers what a client asks when it starts and stops, and notes its process
// in the file STARTED. It does not answer the method that the file SILENT names.
const { appendFileSync, readFileSync } = require("node:fs");

const ANSWERS = {
    initialize: { capabilities: {} },
    "memberwise/status": { busy: false, kind: "ready", message: "default", command: null, percent: null },
    shutdown: null,
};
const FRAME = /^Content-Length: (\d+)\r\n\r\n/;
let text = "";

function handle({ id, method }) {
    if (method === "exit") {
        process.exit(0);
    }
    if (id !== undefined && method !== readFileSync(process.env.SILENT, "utf8")) {
        const answer = JSON.stringify({ jsonrpc: "2.0", id, result: ANSWERS[method] });
        process.stdout.write(`Content-Length: ${answer.length}\r\n\r\n${answer}`);
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
