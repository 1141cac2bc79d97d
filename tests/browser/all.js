// SPDX-License-Identifier: Apache-2.0
// All tests in one process: they share a browser, and a kend where none of its own is needed.
import { after } from "node:test";
import { closeAll } from "./stage.js";
import "./test_files.js";
import "./test_job.js";
import "./test_jobs.js";
import "./test_kenviz.js";
import "./test_layers.js";
import "./test_new_job.js";
import "./test_hostile.js";
import "./test_session.js";
import "./test_tensors.js";
import "./test_modules.js";
import "./test_proxy.js";
import "./test_races.js";

after(closeAll);
