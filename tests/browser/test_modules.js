// SPDX-License-Identifier: Apache-2.0
// Modules by themselves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { onStage } from "./stage.js";

test(
    "modules: numbers",
    onStage(async ({ page, go }) => {
        await go("");
        const told = await page.evaluate(async () => {
            const { bytes, duration, measure, percent } = await import("/web/format.js");
            return [
                [0, 999, 1000, 9999, 99949, 999499, 999500, 5894048].map(bytes),
                [0, 0.007, 9.94, 59.7, 61, 7265].map(duration),
                [0, 0.00001, 0.7004].map(measure),
                percent(0.4732),
            ];
        });
        assert.deepEqual(told, [
            ["0 B", "999 B", "1.00 kB", "10.0 kB", "99.9 kB", "999 kB", "1.00 MB", "5.89 MB"],
            ["0 ms", "7 ms", "9.9 s", "1 min 00 s", "1 min 01 s", "2 h 01 min"],
            ["0.0000", "1.0e-5", "0.7004"],
            "47.3 %",
        ]);
    }),
);

test(
    "modules: where pointers lead in a text",
    onStage(async ({ page, go }) => {
        await go("");
        const json = '{"a": [1, {"b/c": "x,]}"}, [true]], "d": {"e": null}, "": 7}';
        const pointers = ["/a/0", "/a/1/b~1c", "/a/2", "/d", "/d/e", "/", "/d/missing", ""];
        const told = await page.evaluate(
            async ([text, list]) => {
                const { locate } = await import("/web/pointer.js");
                return list.map((pointer) => text.slice(...locate(text, pointer)));
            },
            [json, pointers],
        );
        assert.deepEqual(told, ["1", '"x,]}"', "[true]", '{"e": null}', "null", "7", '{"e": null}', json]);
    }),
);

test(
    "modules: elements take no script",
    onStage(async ({ page, go }) => {
        await go("");
        const told = await page.evaluate(async () => {
            const { h } = await import("/web/dom.js");
            const refused = [{ onclick: "f()" }, { srcdoc: "x" }].map((attributes) => {
                try {
                    return h("div", attributes).outerHTML;
                } catch (error) {
                    return error.name;
                }
            });
            return [...refused, h("a", { href: "javascript:alert(1)" }, "<b>").outerHTML, h("a", { href: "#/x" }).outerHTML];
        });
        assert.deepEqual(told, ["TypeError", "TypeError", "<a>&lt;b&gt;</a>", '<a href="#/x"></a>']);
    }),
);

test(
    "modules: a camera keeps what is under the pointer, stays within the matrix, and stretches what is thin",
    onStage(async ({ page, go }) => {
        await go("");
        const told = await page.evaluate(async () => {
            const { Camera } = await import("/web/views/kenviz_camera.js");
            const camera = new Camera(1000, 2000);
            camera.resize(800, 400);
            camera.fit();
            const whole = camera.region();
            const before = camera.at(300, 200);
            camera.zoom(8, 300, 200);
            const after = camera.at(300, 200);
            camera.pan(1e6, 1e6);
            const corner = camera.region();
            camera.zoom(1e9);
            const closest = camera.sx;
            camera.zoom(1e-9);
            const again = camera.region();
            camera.follow({ row: 999, column: 1999 });
            const vector = new Camera(1, 4096);
            vector.resize(800, 400);
            vector.fit();
            return { whole, before, after, corner, closest, again, height: vector.sy, width: vector.sx * 4096 };
        });
        const all = { x: 0, y: 0, w: 2000, h: 1000 };
        assert.deepEqual([told.whole, told.again], [all, all]);
        assert.deepEqual(told.after, told.before);
        assert.deepEqual(told.corner, { x: 0, y: 0, w: 250, h: 125 });
        assert.deepEqual([told.closest, told.height, told.width], [40, 64, 800]);
    }),
);
