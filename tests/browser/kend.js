// SPDX-License-Identifier: Apache-2.0
// The real kend, on a free port in a folder of its own; and an origin of models that is as slow as a test wants.
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const BUILD = process.env.KEND_BUILD ?? join(HERE, "..", "..", "build");
export const DATA = process.env.KEND_TEST_DATA ?? join(HERE, "..", "data");
const READY_MS = 30_000;
const OVER = ["succeeded", "failed", "cancelled"];

export class Kend {
    /** @param {Record<string, string>} [settings] */
    constructor(settings = {}) {
        this.folder = mkdtempSync(join(tmpdir(), "kend-browser-"));
        this.files = join(this.folder, "files");
        mkdirSync(this.files);
        this.settings = {
            "fetch.allow_schemes": "http,https,file",
            "fetch.allow_networks": "127.0.0.0/8",
            "fetch.file_roots": `${DATA},${this.files}`,
            "disk.reserve_bytes": "0",
            ...settings,
        };
        this.url = "";
        this.log = "";
        this.headers = {};
    }

    /** @param {string} [listen] */
    async start(listen = "127.0.0.1:0") {
        const words = ["--data", join(this.folder, "data"), "--listen", listen];
        for (const [key, value] of Object.entries(this.settings)) words.push("--set", `${key}=${value}`);
        const process = spawn(join(BUILD, "kend"), words, { stdio: ["ignore", "pipe", "pipe"] });
        this.process = process;
        const begin = this.log.length;
        for (const stream of [process.stdout, process.stderr]) stream.on("data", (bytes) => (this.log += bytes));
        const end = Date.now() + READY_MS;
        for (;;) {
            const ready = /listening on (http:\/\/[0-9.:]+)/.exec(this.log.slice(begin));
            if (ready) this.url = ready[1];
            if (ready) return this;
            if (process.exitCode !== null || Date.now() > end) throw new Error(`kend is not ready:\n${this.log}`);
            await sleep(20);
        }
    }

    async stop() {
        if (!this.process) return;
        const over = new Promise((resolve) => this.process.once("exit", resolve));
        this.process.kill("SIGTERM");
        await over;
        this.process = undefined;
    }

    async close() {
        await this.stop();
        rmSync(this.folder, { recursive: true, force: true });
    }

    /** @param {string} method @param {string} path @param {unknown} [body] */
    async ask(method, path, body) {
        const headers = { ...this.headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
        const response = await fetch(this.url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
        const text = await response.text();
        return { status: response.status, headers: response.headers, text, json: text.startsWith("{") ? JSON.parse(text) : null };
    }

    /** The id of a job that was accepted. */
    async submit(document) {
        const { status, json, text } = await this.ask("POST", "/v1/jobs", document);
        if (status !== 202) throw new Error(text);
        return json.id;
    }

    async wait(id) {
        for (;;) {
            const { json } = await this.ask("GET", `/v1/jobs/${id}?wait=30`);
            if (OVER.includes(json.status)) return json;
        }
    }

    /** A token that kenctl makes in the file of this kend. */
    token(owner, scope) {
        const file = this.settings["auth.tokens_file"];
        const words = ["token", "create", "--file", file, "--owner", owner, "--scope", scope];
        return execFileSync(join(BUILD, "kenctl"), words, { encoding: "utf8" }).trim();
    }
}

/** The sample pair, as a document. */
export function era(fields = { keep: 0.25 }, root = `file://${DATA}/era-bf16`) {
    return { model: `${root}/finetuned.safetensors`, base: `${root}/base.safetensors`, ...fields };
}

/** The bytes of values that are stored as F32, or cut to BF16. @param {number[]} values @param {string} dtype */
function bytesOf(values, dtype) {
    const whole = Buffer.from(Float32Array.from(values).buffer);
    return dtype === "F32" ? whole : Buffer.from(whole.filter((_, i) => i % 4 >= 2));
}

/** A checkpoint of matrices of one type. @param {string} path @param {Record<string, {rows: number, values: number[]}>} tensors @param {"F32" | "BF16"} dtype */
export function writeSafetensors(path, tensors, dtype = "F32") {
    let end = 0;
    const entries = Object.entries(tensors).map(([name, { rows, values }]) => {
        const begin = end;
        end += (dtype === "F32" ? 4 : 2) * values.length;
        return [name, { dtype, shape: [rows, values.length / rows], data_offsets: [begin, end] }];
    });
    const header = Object.fromEntries(entries); // not by assignment: a name may be __proto__
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const data = Object.values(tensors).map(({ values }) => bytesOf(values, dtype));
    writeFileSync(path, Buffer.concat([length, text, ...data]));
}

/** Serves a folder; `rate` bytes a second on each connection, 0: nothing ever comes. Change it while it serves. */
export class Origin {
    constructor(folder, rate) {
        this.folder = folder;
        this.rate = rate;
        this.server = createServer((request, response) => void this.answer(request, response));
    }

    async start() {
        await new Promise((resolve) => this.server.listen(0, "127.0.0.1", () => resolve(undefined)));
        this.url = `http://127.0.0.1:${this.server.address().port}`;
        return this;
    }

    async answer(request, response) {
        const bytes = readFileSync(join(this.folder, request.url.replaceAll("..", "")));
        const etag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}"`;
        const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "");
        const first = range ? Number(range[1]) : 0;
        const last = range?.[2] ? Math.min(Number(range[2]), bytes.length - 1) : bytes.length - 1;
        const part = bytes.subarray(first, last + 1);
        const headers = { ETag: etag, "Accept-Ranges": "bytes", "Content-Length": part.length };
        if (range) headers["Content-Range"] = `bytes ${first}-${last}/${bytes.length}`;
        response.writeHead(range ? 206 : 200, headers);
        for (let at = 0; at < part.length && request.method === "GET" && !response.destroyed;) {
            await sleep(50);
            const step = part.length < 65536 ? part.length : Math.ceil(this.rate / 20); // a header comes at once
            response.write(part.subarray(at, at + step));
            at += step;
        }
        response.end();
    }

    close() {
        this.server.closeAllConnections();
        this.server.close();
    }
}
