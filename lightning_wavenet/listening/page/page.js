"use strict";

// One listener's session. What has been answered is kept in the browser, so that a reload loses nothing.
(() => {
  const study = window.STUDY;
  const key = `listening-${study.study}`;
  const parameters = new URLSearchParams(location.search);
  const find = (id) => document.getElementById(id);
  const pairs = study.kind === "preference";
  const choices = pairs
    ? [["left", "A sounds more natural"], ["none", "No preference"], ["right", "B sounds more natural"]]
    : [["5", "5 Excellent"], ["4", "4 Good"], ["3", "3 Fair"], ["2", "2 Poor"], ["1", "1 Bad"]];
  const columns = ["study", "listener", "form", "trial", "first", "second", "answer", "seconds", "headphones", "native",
    "time"];

  const state = load() ?? { listener: "", form: pick(), headphones: "", native: "", begun: false, level: false,
    answers: [], sent: 0 };
  const form = study.forms[state.form];
  const examples = form.filter((trial) => trial[0]).length;
  let audio = null;
  let shownAt = 0;

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(key));
      return kept && Array.isArray(kept.answers) && study.forms[kept.form] ? kept : null;
    } catch {
      return null;
    }
  }

  function save() {
    try {
      localStorage.setItem(key, JSON.stringify(state));
    } catch {
      // A browser that keeps nothing still runs the test; only a reload begins anew.
    }
  }

  function pick() {
    const asked = Number.parseInt(parameters.get("form") ?? "", 10);
    if (asked >= 0) return asked % study.forms.length;
    return Math.floor(Math.random() * study.forms.length);
  }

  function identify() {
    const given = parameters.get("listener") ?? parameters.get("PROLIFIC_PID") ?? parameters.get("workerId") ?? "";
    if (/^[A-Za-z0-9_-]{1,64}$/.test(given)) return given;
    const bytes = crypto.getRandomValues(new Uint8Array(6));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function show(id) {
    stop();
    for (const section of document.querySelectorAll("section")) section.hidden = section.id !== id;
    const heading = find(`${id}-heading`);
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  function stop() {
    if (audio) audio.pause();
    audio = null;
    for (const button of document.querySelectorAll(".play")) button.classList.remove("playing");
  }

  // Plays a clip from its beginning; `done` is called at its end, and never before.
  function play(id, button, done) {
    stop();
    const own = new Audio(`audio/${id}.wav`);
    audio = own;
    button.classList.add("playing");
    own.addEventListener("ended", () => {
      if (audio !== own) return;
      stop();
      button.classList.add("heard");
      done();
    });
    const failed = () => {
      if (audio !== own) return;
      stop();
      find("hint").textContent = "The clip could not be played. Check your connection, and press Play again.";
    };
    own.addEventListener("error", failed);
    own.play().catch(failed);
  }

  function next() {
    if (!state.begun) welcome();
    else if (!state.level) level();
    else if (state.answers.length < form.length) trial();
    else end();
  }

  function welcome() {
    find("listener").value ||= identify();
    show("welcome");
  }

  function level() {
    show("level");
  }

  function trial() {
    const number = state.answers.length;
    const [isExample, ...ids] = form[number];
    const heard = new Set();
    const rated = form.length - examples;
    find("trial-heading").textContent = isExample
      ? `Example ${number + 1} of ${examples}` : `${pairs ? "Pair" : "Clip"} ${number - examples + 1} of ${rated}`;
    find("example").hidden = !isExample;
    find("progress").max = form.length;
    find("progress").value = number;
    find("answer").reset();
    find("answers").disabled = true;
    find("next").disabled = true;
    const all = pairs ? "Play both to the end, then answer." : "Play the clip to the end, then answer.";
    find("hint").textContent = all;
    const players = ids.map((id, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "play";
      button.textContent = pairs ? `Play ${"AB"[place]}` : "Play";
      button.addEventListener("click", () => play(id, button, () => {
        heard.add(place);
        if (heard.size === ids.length) {
          find("answers").disabled = false;
          find("hint").textContent = "You can answer now, or play again.";
        }
      }));
      return button;
    });
    find("players").replaceChildren(...players);
    shownAt = performance.now();
    show("trial");
    // The next clips are fetched while this one is rated.
    for (const id of (form[number + 1] ?? []).slice(1)) new Audio(`audio/${id}.wav`).preload = "auto";
  }

  function answer(value) {
    const number = state.answers.length;
    const [, first, second = ""] = form[number];
    stop();
    state.answers.push({
      study: study.study, listener: state.listener, form: state.form, trial: number, first, second, answer: value,
      seconds: Math.round((performance.now() - shownAt) / 100) / 10, headphones: state.headphones, native: state.native,
      time: new Date().toISOString(),
    });
    save();
    send();
    next();
  }

  let sending = false;

  // Answers go one by one, in order; what does not arrive is tried again with the next one and at the end.
  async function send() {
    if (!study.post || sending) return;
    sending = true;
    try {
      while (state.sent < state.answers.length) {
        const reply = await fetch(study.post, {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(state.answers[state.sent]),
        });
        if (!reply.ok) break;
        state.sent += 1;
        save();
      }
    } catch {
      // Offline, or the receiver is away.
    }
    sending = false;
    if (!find("end").hidden) told();
  }

  function told() {
    const left = state.answers.length - state.sent;
    find("sent").textContent = !study.post
      ? "Please download your answers, and send the file to the person who invited you."
      : left
        ? `${left} of ${state.answers.length} answers have not arrived yet. Send again, or download them and send the file.`
        : "All your answers have arrived. You can close this page.";
    find("resend").hidden = !study.post || !left;
  }

  function end() {
    find("own-id").textContent = state.listener;
    show("end");
    told();
    send();
  }

  function download(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function csv() {
    const cell = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
    return [columns, ...state.answers.map((row) => columns.map((name) => row[name]))]
      .map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  document.title = study.title;
  find("title").textContent = study.title;
  find("language").textContent = study.language;
  find("task").textContent = pairs
    ? "You will hear pairs of clips, A and B, of the same sentence. Say which of the two sounds more natural."
    : "You will hear clips of speech, one at a time. Say how natural each of them sounds, from 1 (bad) to 5 (excellent).";
  find("count").textContent = `${form.length} ${pairs ? "pairs" : "clips"}`;
  find("question").textContent = pairs ? "Which sounds more natural?" : "How natural is the speech?";
  find("keys").textContent = pairs
    ? "Keys: A and B play, 1, 2 and 3 answer (A, no preference, B), Enter goes on."
    : "Keys: P plays, 1 to 5 answer, Enter goes on.";
  find("choices").replaceChildren(...choices.map(([value, text]) => {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "choice";
    radio.value = value;
    radio.required = true;
    radio.addEventListener("change", () => { find("next").disabled = false; });
    label.append(radio, ` ${text}`);
    return label;
  }));

  find("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    Object.assign(state, { listener: given.get("listener"), headphones: given.get("headphones"),
      native: given.get("native"), begun: true });
    save();
    next();
  });
  find("level-play").addEventListener("click", (event) => {
    const [, ...ids] = form[0];
    play(ids[0], event.target, () => { find("level-done").disabled = false; });
  });
  find("level-done").addEventListener("click", () => {
    state.level = true;
    save();
    next();
  });
  find("answer").addEventListener("submit", (event) => {
    event.preventDefault();
    answer(new FormData(event.target).get("choice"));
  });
  find("save-csv").addEventListener("click", () => download(`${state.listener}.csv`, "text/csv", csv()));
  find("save-json").addEventListener("click", () =>
    download(`${state.listener}.json`, "application/json", JSON.stringify(state.answers, null, 1)));
  find("resend").addEventListener("click", send);
  document.addEventListener("keydown", (event) => {
    if (find("trial").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const pressed = event.key.toLowerCase();
    const players = [...document.querySelectorAll("#players .play")];
    const player = pairs ? players["ab".indexOf(pressed)] : pressed === "p" ? players[0] : undefined;
    if (player) player.click();
    const value = pairs ? choices[Number(pressed) - 1]?.[0] : /^[1-5]$/.test(pressed) ? pressed : undefined;
    if (value && !find("answers").disabled) {
      const radio = document.querySelector(`#choices input[value="${value}"]`);
      radio.checked = true;
      radio.dispatchEvent(new Event("change"));
      radio.focus();
    }
  });
  next();
})();
