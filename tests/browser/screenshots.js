// SPDX-License-Identifier: Apache-2.0
// Takes pictures of the page into the current folder and prints their names; with arguments, those of them alone.
import { DATA, era, Origin } from "./kend.js";
import { closeAll, theBrowser, theKend } from "./stage.js";

const SETTLED_MS = 1_500;
const KENVIZ = "tensor=enc.layers.1.self_attn.in_proj_weight&variant=paper";
/** What is shown in place of this machine's address. */
const SHOWN = "https://models.example/era";

/** @typedef {{three: string, running: string}} Jobs ids */
/**
 * name of the file without "page-" and ".png"; place; options of the browser; what is done before the picture is taken.
 * @type {{name: string, place: (jobs: Jobs) => string, size: [number, number], dark?: boolean, prepare?: (page: any) => Promise<void>}[]}
 */
const SHOTS = [
    { name: "jobs", place: () => "", size: [1120, 560] },
    { name: "new-job", place: ({ three }) => `#/new?from=${three}`, size: [1120, 900], prepare: check },
    { name: "job", place: ({ three }) => `#/jobs/${three}`, size: [1120, 1250] },
    { name: "tensors", place: ({ three }) => `#/jobs/${three}/tensors?variant=paper`, size: [1120, 640] },
    { name: "layers", place: ({ three }) => `#/jobs/${three}/layers?variant=l1`, size: [1120, 760], dark: true },
    {
        name: "kenviz",
        place: ({ three }) => `#/jobs/${three}/kenviz?${KENVIZ}&view=mask&max=0.3&x=0&y=60&w=80&h=48&row=90`,
        size: [1120, 1250],
        prepare: point,
    },
    {
        name: "kenviz-compare",
        place: ({ three }) => `#/jobs/${three}/kenviz?${KENVIZ}&view=compare&with_variant=l1&x=0&y=0&w=192&h=110`,
        size: [1120, 860],
        dark: true,
    },
    { name: "compare", place: ({ three }) => `#/jobs/${three}/compare?variant=paper&with_variant=smallest`, size: [1120, 700] },
    { name: "running", place: ({ running }) => `#/jobs/${running}`, size: [1120, 600], dark: true },
];

async function point(page) {
    await page.locator(".picture").hover({ position: { x: 300, y: 200 } });
    await page.locator(".readout .tag:not(:empty)").waitFor();
}

async function check(page) {
    await page.getByRole("button", { name: "Check" }).click();
    await page.getByText("This job can run").waitFor();
}

/** Jobs as a team might have them. @param {string} root where the sample pair is served, @param {string} slow where it comes slowly */
async function makeJobs(kend, root, slow) {
    const submit = (fields, at = root) => kend.submit(era(fields, at));
    const variants = [
        { name: "paper", keep: 0.5 },
        { name: "l1", keep: 0.25, rescale: "l1" },
        { name: "smallest", keep: 0.05, rescale: "l1", method: "magnitude" },
    ];
    const three = await submit({ name: "era, three ways", variants, metadata: { task: "topics", team: "nlp" } });
    await kend.wait(three);
    await kend.wait(await submit({ name: "era, packed", keep: 0.25, rescale: "l1", delta_encoding: "packed", metadata: { team: "nlp" } }));
    await kend.wait(await kend.submit({ ...era({ name: "era, a wrong base", k: 8 }, root), base: `${root}/test.safetensors` }));
    const running = await submit({ name: "era, at half", keep: 0.5, metadata: { team: "edge" } }, slow);
    return { three, running };
}

async function take(kend, shot, jobs, hide) {
    const [width, height] = shot.size;
    const colorScheme = shot.dark ? "dark" : "light";
    const context = await (await theBrowser()).newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    const page = await context.newPage();
    await page.goto(`${kend.url}/${shot.place(jobs)}`);
    await page.waitForTimeout(SETTLED_MS);
    await shot.prepare?.(page);
    await page.evaluate(hide.script, hide.values);
    const path = `page-${shot.name}.png`;
    await page.screenshot({ path });
    await context.close();
    console.log(path);
}

/** Replaces addresses in what is shown. */
function hideAddresses([addresses, shown]) {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode())
        for (const address of addresses) node.data = node.data.replaceAll(address, shown);
    for (const input of document.querySelectorAll("input"))
        for (const address of addresses) input.value = input.value.replaceAll(address, shown);
}

const kend = await theKend();
const folder = `${DATA}/era-bf16`;
const origins = [await new Origin(folder, 50_000_000).start(), await new Origin(folder, 150_000).start()];
try {
    const [root, slow] = origins.map(({ url }) => url);
    const jobs = await makeJobs(kend, root, slow);
    const hide = { script: hideAddresses, values: [[root, slow], SHOWN] };
    const wanted = process.argv.slice(2);
    for (const shot of SHOTS) if (wanted.length === 0 || wanted.includes(shot.name)) await take(kend, shot, jobs, hide);
} finally {
    for (const origin of origins) origin.close();
    await closeAll();
}
