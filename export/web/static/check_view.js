// The section 'Check': its buttons, its table, and the result as JSON.

import { check } from "./check.js";
import { byId, element } from "./dom.js";
import { firstLine } from "./model.js";

const COLUMNS = [
  "model",
  "runs on",
  "output",
  "inputs",
  "rows",
  "largest difference",
  "allowed",
  "same class",
  "NaN",
  "",
];

/**
 * Make the section work.
 *
 * @param {object} page page.json.
 */
export function showCheck(page) {
  const [button, copy, status] = [byId("run-check"), byId("copy-check"), byId("check-status")];
  const checked = page.models.filter((model) => model.check);
  if (!checked.length) {
    status.textContent = "No model of this page carries a check.";
    return;
  }
  let json = "";
  const run = async () => {
    button.disabled = copy.disabled = true;
    try {
      const result = await check(page, (message) => {
        status.textContent = message;
      });
      json = JSON.stringify(result, null, 2);
      copy.disabled = false;
      byId("check-table").replaceChildren(table(result));
      status.textContent = summary(result);
      byId("check").dataset.passed = String(result.passed);
    } catch (error) {
      status.textContent = firstLine(error);
    }
    button.disabled = false;
  };
  button.addEventListener("click", run);
  copy.addEventListener("click", async () => {
    status.textContent = (await copyText(json)) ? "Copied." : "The browser does not allow copying.";
  });
  button.disabled = false;
  if (new URLSearchParams(location.search).has("check")) run();
}

function summary({ passed, runtime, results }) {
  const failed = results.filter((result) => !result.passed).map(({ model, provider }) => `${model} on ${provider}`);
  if (passed) return `Passed: all numbers are within the allowance, on ${runtime}.`;
  return `Failed: ${failed.join(", ")}.`;
}

function table({ results }) {
  const head = element("tr", {}, ...COLUMNS.map((name) => element("th", { scope: "col" }, name)));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...results.flatMap(rows)));
}

function rows({ model, provider, error, differences }) {
  if (error) {
    const [name, message] = [element("td", {}, model), element("td", { colSpan: COLUMNS.length - 2 }, error)];
    return [element("tr", { className: "failed" }, name, element("td", {}, provider), message)];
  }
  return differences.map((d) => {
    const agree = d.argmax_agreement === null ? "-" : `${(100 * d.argmax_agreement).toFixed(1)} %`;
    const numbers = [d.rows, d.max_abs.toExponential(1), d.allowance.toExponential(1), agree, d.nan];
    const verdict = d.within ? "ok" : "above the allowance";
    const cells = [model, provider, d.output, d.data, ...numbers.map(String), verdict];
    const tr = element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
    if (!d.within) tr.className = "failed";
    return tr;
  });
}

/** Copy a text; also where the page is opened from disk and has no clipboard of its own. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { value: text, className: "hidden", ariaHidden: "true" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
