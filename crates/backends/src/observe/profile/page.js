"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const total = Math.max(data.wall_seconds, 0.001);

  // ---- Small things -------------------------------------------------------------------------

  // All text goes in as text nodes: nothing of the data is ever read as HTML.
  function el(tag, fields = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(fields)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "class") node.className = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }
  const count = (number) => Number(number).toLocaleString("en-US");
  const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
  const short = (key) => (key ? key.slice(0, 12) : null);
  function digits(number, places) {
    return number.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  }
  function time(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds === 0) return "0 s";
    if (seconds < 0.000995) return `${Math.max(1, Math.round(seconds * 1e6))} µs`;
    if (seconds < 0.995) return `${seconds < 0.00995 ? digits(seconds * 1e3, 1) : Math.round(seconds * 1e3)} ms`;
    if (seconds < 60) return `${digits(seconds, seconds < 9.995 ? 2 : 1)} s`;
    const whole = Math.round(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return hours ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
  }
  function bytes(number) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (number >= 999.5 && unit < units.length - 1) { number /= 1000; unit += 1; }
    return `${unit && number < 9.95 ? digits(number, 1) : Math.round(number)} ${units[unit]}`;
  }
  function rate(number) {
    if (number === null) return "–";
    return number >= 100 ? count(Math.round(number)) : digits(number, number < 10 ? 2 : 1);
  }
  const percent = (part) => (part === null ? "–" : `${Math.round(part * 100)} %`);
  const sum = (list) => list.reduce((all, one) => all + one, 0);

  // ---- The theme ----------------------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = document.getElementById("theme");
  const root = document.documentElement;
  function shown() { return root.dataset.theme || (dark.matches ? "dark" : "light"); }
  function label() {
    theme.textContent = shown() === "dark" ? "Light theme" : "Dark theme";
  }
  theme.addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();

  // ---- Sections -----------------------------------------------------------------------------

  const main = document.getElementById("main"), nav = document.getElementById("nav");
  function section(id, title, note, ...children) {
    nav.append(el("li", {}, el("a", { href: `#${id}` }, title)));
    main.append(el("section", { class: "card", id, "aria-labelledby": `${id}-title` },
      el("h2", { id: `${id}-title` }, title), note ? el("p", { class: "note" }, note) : null, ...children));
  }

  function head() {
    const failed = data.failed_total;
    const status = data.error ? ["bad", "failed"] : failed ? ["warn", `${plural(failed, "task")} failed`] : ["good", "done"];
    const started = new Date(data.started * 1000);
    const envs = data.environments.filter((env) => env.key);
    const built = envs.filter((env) => env.state === "built").length;
    const entered = data.stages.length ? data.stages[0].tasks : 0;
    const tile = (name, value, more) => el("div", { class: "tile" },
      el("dt", {}, name), el("dd", {}, value), more ? el("dd", { class: "more" }, more) : null);
    main.append(el("section", { class: "hero", "aria-label": "Summary" },
      el("div", { class: "title" }, el("h1", {}, data.pipeline), el("span", { class: `badge ${status[0]}` }, status[1])),
      el("p", { class: "sub" }, `Executor ${data.executor}, started `,
        el("time", { datetime: started.toISOString() }, started.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }))),
      data.error ? el("div", { class: "notice bad", role: "alert" },
        el("p", {}, el("strong", {}, "Why it failed: "), data.error.message),
        data.error.hint ? el("p", { class: "hint" }, `Hint: ${data.error.hint}`) : null) : null,
      el("dl", { class: "tiles" },
        tile("Duration", time(data.wall_seconds)),
        tile("Tasks", `${count(entered)} → ${count(data.outputs_total)}`, "into the first stage → out of the last"),
        tile("Failed tasks", count(failed)),
        tile("Throughput", `${rate(entered / total)} /s`, "of the first stage, start-up included"),
        tile("Workers", count(sum(data.stages.map((stage) => stage.workers))), `over ${plural(data.stages.length, "stage")}`),
        tile("Environments", count(envs.length),
          envs.length ? `${built} built, ${envs.length - built} from the cache; ${bytes(sum(envs.map((env) => env.own_bytes)))} of disk` : "the base alone"))));
  }

  // ---- The timeline -------------------------------------------------------------------------

  // One drawing per row, with one path per colour: never an element per task.
  const x = (seconds) => Math.round(Math.min(1, Math.max(0, seconds / total)) * 100000) / 100;
  function box(begin, end, height = 100) {
    // What is too short to be seen is drawn two pixels wide or so.
    const left = Math.min(x(begin), 998), width = Math.max(x(end) - left, 2);
    return `M${left} 100v${-height}h${width}v${height}z`;
  }
  function area(values, most) {
    if (!most) return "";
    const step = data.bin_seconds;
    let path = "", open = false;
    values.forEach((value, bin) => {
      if (!value) { if (open) path += "V100z"; open = false; return; }
      const height = Math.max(4, Math.min(100, (value / most) * 100));
      if (!open) path += `M${x(bin * step)} 100`;
      open = true;
      path += `V${Math.round((100 - height) * 10) / 10}H${x((bin + 1) * step)}`;
    });
    return open ? `${path}V100z` : path;
  }
  function strip(paths) {
    const svg = document.getElementById("strip").content.firstElementChild.cloneNode(true);
    for (const path of [...svg.children]) {
      const d = paths[path.getAttribute("class")];
      if (d) path.setAttribute("d", d); else path.remove();
    }
    return svg;
  }

  const PHASES = {
    locating: "fetch", resolving: "fetch", downloading: "fetch",
    creating: "make", installing: "make", checking: "check", compiling: "check",
  };

  function timeline() {
    const rows = [];
    const plot = el("div", { class: "plot" });
    const readout = el("p", { class: "readout" }, "Point at the timeline, or focus its time axis and use the arrow keys.");
    const axis = el("div", {
      class: "axis", tabindex: "0", role: "slider", "aria-label": "Moment in the run; up and down choose a row",
      "aria-valuemin": "0", "aria-valuemax": String(total), "aria-valuenow": "0", "aria-valuetext": "0 s",
    });
    const narrow = matchMedia("(max-width: 42rem)").matches;
    const steps = [1, 2, 5].flatMap((digit) => [...Array(11).keys()].map((power) => digit * 10 ** (power - 4))).sort((a, b) => a - b)
      .filter((step) => total / step <= (narrow ? 4 : 9));
    const nice = total < 90 ? steps[0] : [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800].find((step) => total / step <= (narrow ? 4 : 9)) || steps[0];
    const places = Math.max(0, -Math.floor(Math.log10(nice) + 1e-9));
    for (let at = 0; at < total * 0.96; at += nice) {
      const text = total < 90 ? `${digits(at, places)} s` : time(Math.round(at));
      const mark = el("span", {}, text);
      mark.style.left = `${(at / total) * 100}%`;
      axis.append(mark);
    }
    plot.append(axis);

    const cursor = el("div", { class: "cursor", hidden: true });
    let at = 0, chosen = 0;
    function point(seconds, row) {
      at = Math.min(total, Math.max(0, seconds));
      rows.forEach((other) => other.node.classList.remove("sel"));
      chosen = row;
      const current = rows[row];
      if (!current) return;
      current.node.classList.add("sel");
      cursor.hidden = false;
      plot.style.setProperty("--at", at / total);
      const text = `${time(at)} · ${current.title} · ${current.tell(at)}`;
      readout.textContent = text;
      axis.setAttribute("aria-valuenow", String(Math.round(at * 1000) / 1000));
      axis.setAttribute("aria-valuetext", text);
    }
    axis.addEventListener("keydown", (event) => {
      const visible = rows.map((_, index) => index).filter((index) => !rows[index].node.hidden);
      const place = visible.indexOf(chosen), step = event.shiftKey ? total / 20 : Math.max(data.bin_seconds, total / 400);
      if (event.key === "ArrowRight") point(at + step, chosen);
      else if (event.key === "ArrowLeft") point(at - step, chosen);
      else if (event.key === "Home") point(0, chosen);
      else if (event.key === "End") point(total, chosen);
      else if (event.key === "ArrowDown") point(at, visible[Math.min(visible.length - 1, place + 1)]);
      else if (event.key === "ArrowUp") point(at, visible[Math.max(0, place - 1)]);
      else return;
      event.preventDefault();
    });
    function moment(event) {
      const frame = axis.getBoundingClientRect();
      return ((event.clientX - frame.left) / frame.width) * total;
    }
    axis.addEventListener("pointermove", (event) => point(moment(event), chosen));
    function row(kind, title, name, paths, tell, after) {
      const lane = el("div", { class: "lane", "aria-hidden": "true" }, strip(paths));
      const node = el("div", { class: `row ${kind}` }, el("div", { class: "name" }, name), lane);
      const entry = { node, title, tell };
      lane.addEventListener("pointermove", (event) => point(moment(event), rows.indexOf(entry)));
      if (after) { after.node.after(node); rows.splice(rows.indexOf(after) + 1, 0, entry); }
      else { plot.append(node); rows.push(entry); }
      return entry;
    }

    const preparations = [...data.preparations].sort((a, b) => a.begin - b.begin);
    if (preparations.length) plot.append(el("p", { class: "group" }, "Environments"));
    for (const env of preparations) {
      const paths = { wait: "", fetch: "", make: "", check: "", fail: "" };
      const end = env.end ?? total;
      const first = env.phases.length ? env.phases[0][0] : end;
      if (!env.phases.length || first > env.begin + total / 500) paths.wait += box(env.begin, first);
      env.phases.forEach(([begin, phase], index) => {
        paths[PHASES[phase] || "make"] += box(begin, env.phases[index + 1] ? env.phases[index + 1][0] : end);
      });
      if (env.end === null) paths.fail = box(end - total / 300, end);
      const title = env.key ? short(env.key) : env.base ? "base" : "environment";
      const isBase = env.key && !env.stages.length;
      const state = env.end === null ? `${isBase ? "base, " : ""}${env.failed ? "failed" : "given up"}` : env.built ? `${isBase ? "base, " : ""}built ${time(env.end - first)}` : env.key ? "cached" : "ready";
      const of = env.stages.length ? ` for ${env.stages.join(", ")}` : "";
      row("env", `environment ${title}${of}`, [el("span", { class: env.key ? "mono" : null, title: env.stages.join(", ") }, title), el("small", {}, state)], paths, (now) => {
        if (now < env.begin) return "not wanted yet";
        if (env.end !== null && now >= env.end) return "ready";
        const phase = [...env.phases].reverse().find(([begin]) => begin <= now);
        return phase ? phase[1] : "looked up, or waiting for its base or another build";
      });
    }

    plot.append(el("p", { class: "group" }, "Stages"));
    for (const stage of data.stages) {
      const { done, busy, failed } = stage.series, width = data.bin_seconds;
      const most = Math.max(stage.most_workers, 1);
      const lives = stage.lanes.flatMap((lane) => lane.lives);
      const begin = lives.length ? Math.min(...lives.map((life) => life.begin)) : 0;
      const ready = lives.length ? Math.min(...lives.map((life) => life.ready)) : 0;
      const end = lives.length ? Math.max(...lives.map((life) => life.end ?? total)) : 0;
      const marks = failed.map((number, bin) => (number ? box(bin * width, (bin + 1) * width) : "")).join("");
      const paths = lives.length || busy.length
        ? { start: lives.length ? box(begin, ready) : "", up: lives.length ? box(ready, end) : "", busy: area(busy.map((seconds) => seconds / width), most), fail: marks }
        : {};
      const name = stage.lanes.length
        ? el("button", { type: "button", "aria-expanded": "false", title: `Workers of ${stage.name}` }, stage.name)
        : el("span", {}, stage.name);
      const entry = row("stage", stage.name, [name, el("small", {}, `${count(stage.tasks)}`)], paths, (now) => {
        const bin = Math.min(Math.floor(now / width), Math.ceil(total / width) - 1);
        const lost = failed[bin] ? `, ${plural(failed[bin], "task")} failed` : "";
        const mean = (busy[bin] || 0) / Math.min(width, Math.max(total - bin * width, width / 100));
        return `${plural(done[bin] || 0, "task")} done in ${time(width)}${lost}, ${digits(Math.min(mean, most), 1)} of ${plural(most, "worker")} busy`;
      });
      if (!stage.lanes.length) continue;
      let workers = null;
      name.addEventListener("click", () => {
        const open = name.getAttribute("aria-expanded") !== "true";
        name.setAttribute("aria-expanded", String(open));
        if (!workers) {
          workers = [];
          for (const lane of stage.lanes) {
            const shares = [...lane.busy].map((digit) => parseInt(digit, 36) / 35);
            const dead = lane.lives.filter((life) => life.trouble);
            const drawn = {
              start: lane.lives.map((life) => box(life.begin, life.ready)).join(""),
              up: lane.lives.map((life) => box(life.ready, life.end ?? total)).join(""),
              busy: area(shares, 1),
              fail: dead.map((life) => box((life.end ?? total) - total / 400, life.end ?? total)).join(""),
            };
            workers.push(row("worker", `${stage.name}, worker ${lane.worker}`,
              [el("span", {}, `worker ${lane.worker}`), el("small", {}, count(lane.tasks))], drawn, (now) => {
                const life = [...lane.lives].reverse().find((one) => one.begin <= now);
                if (!life) return "not started";
                if (now < life.ready) return "starting";
                if (life.end !== null && now > life.end) return life.trouble ? `it ${life.trouble}` : "ended";
                return `busy ${percent(shares[Math.floor(now / data.bin_seconds)] || 0)}${life.pid ? `, process ${life.pid}${life.forked ? ", forked" : ""}` : ""}`;
              }, workers.length ? workers[workers.length - 1] : entry));
          }
        }
        for (const worker of workers) worker.node.hidden = !open;
      });
    }
    plot.append(cursor);
    const sign = (kind, text) => el("li", {}, swatch(kind), text);
    const notes = ["A row of a stage shows how many of its workers are busy; open it to see each."];
    if (data.workers_left_out) notes.push(`${plural(data.workers_left_out, "worker")} more have no row of their own.`);
    section("timeline", "Timeline", notes.join(" "),
      el("ul", { class: "legend" },
        sign("idle", "waiting"), sign("fetch", "resolving, downloading"), sign("make", "creating, installing"), sign("check", "checking, compiling"),
        sign("start", "worker starting"), sign("up", "worker up"), sign("busy", "busy"), sign("bad", "failure")),
      plot, readout);
  }
  function swatch(kind) {
    const node = el("i", { "aria-hidden": "true" });
    node.style.background = `var(--${kind})`;
    return node;
  }

  // ---- Stages -------------------------------------------------------------------------------

  function stages() {
    const load = (stage) => stage.process_seconds / Math.max(stage.most_workers, 1);
    const slowest = data.stages.length > 1 ? [...data.stages].sort((a, b) => load(b) - load(a))[0] : null;
    const cell = (text, more, kind) => el("td", { class: kind }, text, more ? el("small", {}, more) : null);
    // How many workers there were at once, and which were forked; why others were not, on a closer look.
    const births = (stage) => {
      const warm = stage.warm ? `, ${count(stage.warm)} from a warm process` : "";
      const told = [
        stage.most_workers < stage.workers ? `${stage.most_workers} at once` : null,
        stage.forked ? `${count(stage.forked)} forked${warm}` : null,
      ].filter(Boolean).join(", ");
      const why = stage.not_forked ? el("span", { title: `not forked: ${stage.not_forked}` }, "started") : null;
      return told || why ? el("span", {}, told, told && why ? ", others " : null, why) : null;
    };
    const rows = data.stages.map((stage) => {
      const env = stage.environment === null ? null : data.environments[stage.environment];
      const meter = el("span", { class: "meter", "aria-hidden": "true" }, el("i"));
      meter.firstChild.style.width = `${(stage.utilisation || 0) * 100}%`;
      const longest = (times) => (times.max === null ? null : `max ${time(times.max)}`);
      return el("tr", {},
        el("th", { scope: "row" }, stage.name,
          stage === slowest && load(stage) > 0 ? el("div", {}, el("span", { class: "badge warn", title: "The most work for each of its workers: what the run waits for" }, "slowest")) : null),
        el("td", { class: "left" }, env ? el("a", { href: `#env-${stage.environment}`, class: env.key ? "mono" : null }, short(env.key) || env.state) : "–"),
        cell(count(stage.tasks), stage.retries ? `${count(stage.retries)} retried` : null),
        cell(count(stage.outputs)),
        cell(count(stage.failed), null, stage.failed ? "bad" : "zero"),
        cell(rate(stage.throughput)),
        el("td", {}, meter, percent(stage.utilisation), el("small", {}, `of ${time(stage.up_seconds)}`)),
        cell(time(stage.wait_seconds.mean), longest(stage.wait_seconds)),
        cell(time(stage.task_seconds.mean), longest(stage.task_seconds)),
        cell(time(stage.process_seconds), plural(stage.batches, "batch").replace("batchs", "batches")),
        cell(time(stage.transfer_seconds)),
        cell(count(stage.workers), births(stage)));
    });
    const names = [["Stage"], ["Environment", "left"], ["Tasks"], ["Out"], ["Failed"], ["Tasks/s"], ["Utilisation"], ["In queue"], ["Per task"], ["In its code"], ["On the way"], ["Workers"]];
    section("stages", "Stages",
      "Tasks/s: while it had work. Utilisation: the part of its workers' time in the stage's own code. In queue and per task: means over the tasks that came out of the run. On the way: to its workers and back, while these had nothing else to do.",
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of stages" },
        el("table", {}, el("thead", {}, el("tr", {}, names.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)))), el("tbody", {}, rows))));
  }

  // ---- The way to the first output ----------------------------------------------------------

  function waterfall() {
    const stages = data.stages.filter((stage) => stage.waterfall);
    if (!stages.length) return;
    const rows = stages.map((stage) => el("tr", {},
      el("th", { scope: "row" }, stage.name),
      el("td", {}, time(stage.waterfall.first_task_seconds)),
      el("td", {}, time(stage.waterfall.first_output_seconds)),
      el("td", { class: "left" }, stage.waterfall.steps.map((step) => `${step.name} ${time(step.seconds)}`).join(", "))));
    section("waterfall", "First output",
      "When each stage began with its first task, and had its first output, and where the time until then went, one after the other.",
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of the ways to the first output" },
        el("table", {}, el("thead", {}, el("tr", {}, [["Stage"], ["First task"], ["First output"], ["Steps", "left"]].map(([name, kind]) => el("th", { scope: "col", class: kind }, name)))), el("tbody", {}, rows))));
  }

  // ---- What classes declare -----------------------------------------------------------------

  function declared() {
    if (!data.declared.length) return;
    const text = (value) => (value === null ? "the engine's default" : JSON.stringify(value));
    const rows = data.declared.map((one) => el("tr", {},
      el("th", { scope: "row" }, one.stage),
      el("td", { class: "left" }, one.setting),
      el("td", { class: "left wide" }, el("code", {}, text(one.is_overridden ? one.value : one.declared))),
      el("td", { class: "left wide" }, one.is_overridden
        ? ["the pipeline, in place of the class's ", el("code", {}, text(one.declared))]
        : "the class")));
    section("declared", "Settings", "What the classes of the stages declare, and what the pipeline has in its place.",
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of settings" },
        el("table", {}, el("thead", {}, el("tr", {}, ["Stage", "Setting", "Runs with", "From"].map((name) => el("th", { scope: "col", class: "left" }, name)))), el("tbody", {}, rows))));
  }

  // ---- Environments -------------------------------------------------------------------------

  function environments() {
    if (!data.environments.length) return;
    const items = data.environments.map((env, index) => {
      const replaced = env.packages.filter((one) => one.replaces).length;
      const state = { built: ["warn", `built in ${time(env.seconds)}`], hit: ["good", "from the cache"], base: ["", "base"], prebuilt: ["", "prebuilt"] }[env.state] || ["", env.state];
      const what = env.key
        ? `${plural(env.packages_total, "package")} added${replaced ? `, ${replaced} in place of the base's` : ""}, ${bytes(env.own_bytes)}`
        : "nothing built";
      const fact = (name, value) => (value ? [el("dt", {}, name), el("dd", {}, value)] : []);
      const rows = env.packages.map((one) => el("tr", {}, el("th", { scope: "row" }, one.name), el("td", {}, one.version), el("td", {}, one.replaces ? `replaces ${one.replaces}` : "")));
      return el("details", { class: "item", id: `env-${index}`, open: data.environments.length <= 4 },
        el("summary", {}, el("h3", { class: env.key ? "mono" : null }, short(env.key) || `${env.state} environment`),
          el("span", { class: `badge ${state[0]}` }, state[1]), el("span", { class: "cause" }, env.stages.join(", ")), el("span", { class: "soft" }, what)),
        el("div", { class: "body" },
          el("dl", { class: "facts" }, fact("Interpreter", env.python ? el("code", {}, env.python) : null), fact("Key", env.key ? el("code", {}, env.key) : null), fact("How", env.strategy)),
          env.warnings.length ? [el("h4", {}, "Packages of the base that do not get what they ask for"), el("ul", { class: "warnings" }, env.warnings.map((text) => el("li", {}, text)))] : null,
          rows.length ? [el("h4", {}, "Packages"), el("div", { class: "packages", tabindex: "0", role: "region", "aria-label": `Packages of ${short(env.key)}` },
            el("table", {}, el("thead", {}, el("tr", {}, ["Name", "Version", "In the base"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows))),
          env.packages_total > rows.length ? el("p", { class: "note" }, `and ${count(env.packages_total - rows.length)} more`) : null] : null));
    });
    section("environments", "Environments", "What each adds to its base, and what it puts in place of the base's packages.", items);
  }

  // ---- Failures and warnings ----------------------------------------------------------------

  function failures() {
    if (!data.failed_total) return;
    const left = data.failed_total - data.failed_shown;
    const items = data.failed.map((one, index) => {
      const more = one.tasks_total > one.tasks.length ? `, … (${count(one.tasks_total)} in all)` : "";
      return el("details", { class: "item", open: index === 0 },
        el("summary", {}, el("h3", { class: "mono" }, `${one.tasks.slice(0, 3).join(", ")}${one.tasks_total > 3 ? "…" : ""}`), el("span", { class: "badge bad" }, one.stage), el("span", { class: "cause" }, one.cause),
          el("span", { class: "soft" }, `at ${time(one.seconds)}`)),
        el("div", { class: "body" },
          el("dl", { class: "facts" }, el("dt", {}, one.tasks_total === 1 ? "Task" : "Tasks"), el("dd", { class: "mono" }, one.tasks.join(", ") + more),
            el("dt", {}, "Environment"), el("dd", { class: one.environment ? "mono" : null }, short(one.environment) || "base"),
            el("dt", {}, "Tries"), el("dd", {}, count(one.tries))),
          one.traceback ? [el("h4", {}, "Traceback"), el("pre", { tabindex: "0", "aria-label": "Traceback" }, one.traceback.trimEnd())] : null,
          one.log ? [el("h4", {}, "The worker's last lines"), el("pre", { tabindex: "0", "aria-label": "The worker's last lines" }, one.log)] : null));
    });
    section("failures", "Failed tasks", left ? `The first ${count(data.failed_shown)} of ${count(data.failed_total)}.` : plural(data.failed_total, "task") + ".", items);
  }

  function warnings() {
    if (!data.warnings_total) return;
    const left = data.warnings_total - data.warnings.length;
    section("warnings", "Warnings", left ? `The first ${count(data.warnings.length)} of ${count(data.warnings_total)}.` : null,
      el("ul", { class: "warnings" }, data.warnings.map((one) => el("li", {}, one.stage ? el("strong", {}, `${one.stage}: `) : null, one.message))));
  }

  head();
  timeline();
  stages();
  waterfall();
  declared();
  environments();
  failures();
  warnings();
  document.getElementById("footer").textContent = `Written by curator ${data.version}. This file needs no network.`;

  // A link to what is folded opens it.
  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  }
  addEventListener("hashchange", reveal);
  reveal();
  root.dataset.ready = String(Math.round(performance.now()));
})();
