// Personal Avatar: the panel of results. The large view of a picture, two pictures against each other, what can be done
// with one. Loaded after personal_avatar.js, whose tools it uses; every text comes from the server.
(function () {
    "use strict";

    if (window.personalAvatar.results) {
        return; // as in personal_avatar.js
    }
    window.personalAvatar.results = true;

    const {action, byId, element, press, region, watch, words} = window.personalAvatar.tools;
    const MOVES = {ArrowRight: 1, ArrowLeft: -1};

    // -- small helpers

    function texts() {
        return (words() || {large: {}}).large;
    }

    function filled(template, values) {
        return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] || whole);
    }

    // Presses a hidden button of gradio's with a value, as a button in the gallery does.
    function ask(name, value) {
        const asking = element("button");
        asking.dataset.paPress = "personal_avatar_press_" + name;
        asking.dataset.paValue = typeof value === "string" ? value : JSON.stringify(value);
        press(asking);
    }

    function openers() {
        return Array.from(document.querySelectorAll("#personal_avatar_gallery [data-pa-large]"));
    }

    function dataOf(opener) {
        return JSON.parse(opener.dataset.paLarge);
    }

    function choice(label, rows) {
        const select = element("select", {class: "pa-select"},
            ...rows.map(([value, name]) => element("option", {value}, name)));
        return [element("label", {class: "pa-field"}, element("span", {}, label), select), select];
    }

    // -- the dialog, one for all that is shown large

    let shown = null; // {id, place, facts} of the picture, or null

    function dialog() {
        let found = byId("large");
        if (!found) {
            found = element("dialog", {id: "personal_avatar_large", class: "pa-dialog"});
            found.addEventListener("close", closed);
            found.addEventListener("click", (event) => event.target === found && found.close());
            found.addEventListener("keydown", turn);
            byId("root").append(found);
        }
        return found;
    }

    function open(title, ...parts) {
        const box = dialog();
        const head = element("h3", {id: "personal_avatar_large_title"}, title);
        box.replaceChildren(head, ...parts);
        box.setAttribute("aria-labelledby", head.id);
        if (!box.open) {
            box.showModal();
        } else {
            box.querySelector("[autofocus]").focus();
        }
    }

    function closed() {
        const opener = shown && openers().find((one) => dataOf(one).id === shown.id);
        const back = opener || document.getElementById("pa-compare");
        shown = null;
        if (back) {
            back.focus();
        }
    }

    function turn(event) {
        const step = MOVES[event.key];
        if (step && shown && !event.target.matches("input, select, textarea")) {
            showNext(step);
        }
    }

    function say(text) {
        const status = dialog().querySelector(".pa-status");
        if (status) {
            status.textContent = text;
        }
    }

    // -- two pictures: a divider that pointer and arrow keys move, or side by side

    function stage(first, second) {
        const frame = element("div", {class: "pa-stage"});
        const below = element("img", {src: second.source, alt: second.name, class: "pa-below"});
        const above = element("img", {src: first.source, alt: first.name, class: "pa-above"});
        const range = element("input", {
            type: "range", min: "0", max: "100", value: "50", class: "pa-divider",
            "aria-label": filled(texts().divider, {a: first.name, b: second.name}),
        });
        const follow = () => {
            frame.style.setProperty("--pa-cut", range.value + "%");
            range.setAttribute("aria-valuetext", first.name + " " + range.value + " %");
        };
        range.addEventListener("input", follow);
        follow();
        frame.append(below, above, element("span", {class: "pa-line", "aria-hidden": "true"}), range);
        const names = element("div", {class: "pa-names"}, element("span", {}, first.name), element("span", {}, second.name));
        return element("div", {class: "pa-slider"}, frame, names);
    }

    function sides(pictures) {
        return element("div", {class: "pa-compare"}, ...pictures.map(({source, name}) =>
            element("figure", {}, element("img", {src: source, alt: name}), element("figcaption", {}, name))));
    }

    let way = "slider";

    function contrast(first, second) {
        const holder = element("div", {class: "pa-contrast"});
        const show = () => holder.replaceChildren(ways, way === "slider" ? stage(first, second) : sides([first, second]));
        const buttons = ["slider", "side"].map((name) => {
            const button = action(texts()[name], () => {
                way = name;
                buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.way === way)));
                show();
                button.focus();
            });
            button.dataset.way = name;
            button.setAttribute("aria-pressed", String(name === way));
            return button;
        });
        const ways = element("div", {class: "pa-buttons", role: "group", "aria-label": texts().way}, ...buttons);
        show();
        return holder;
    }

    // -- one picture

    function versions(facts) {
        return ["original", "restored"].filter((name) => facts[name]).map((name) => ({
            source: facts[name],
            name: [texts()[name], facts[name + "_likeness"]].filter(Boolean).join(" · "),
        }));
    }

    function showLarge(opener) {
        const facts = dataOf(opener);
        const both = versions(facts);
        shown = {id: facts.id, place: openers().indexOf(opener), facts};
        open(facts.title, tools(facts), element("p", {class: "pa-note pa-status", role: "status"}),
            both.length === 2 ? contrast(...both) : sides(both), taking(facts), ...sending(facts), about(facts));
        dialog().scrollTop = 0;
    }

    function showNext(step) {
        const all = openers();
        const place = all.findIndex((one) => dataOf(one).id === shown.id);
        if (all.length) {
            showLarge(all[(place + step + all.length) % all.length]);
        }
    }

    function tools(facts) {
        const close = action(texts().close, () => dialog().close());
        close.setAttribute("autofocus", "");
        const heart = action("", () => ask("like", facts.id + ":" + (heart.getAttribute("aria-pressed") === "true" ? 0 : 1)));
        heart.classList.add("pa-like");
        like(heart, facts.favourite);
        const remove = action(texts()["delete"], () => asking.hidden ? question() : answer());
        const asking = doubt(facts, () => answer());
        const question = () => {
            asking.hidden = false;
            asking.querySelector("button").focus();
        };
        const answer = () => {
            asking.hidden = true;
            remove.focus();
        };
        const row = element("div", {class: "pa-buttons"}, close, action(texts().previous, () => showNext(-1)),
            action(texts().next, () => showNext(1)), heart, action(texts().more, () => more(facts)), remove);
        return element("div", {}, row, asking);
    }

    function like(heart, liked) {
        heart.setAttribute("aria-pressed", String(liked));
        heart.replaceChildren(element("span", {"aria-hidden": "true"}, liked ? "♥ " : "♡ "), texts().favourite);
    }

    function more(facts) {
        say(texts().working);
        ask("more", facts.id);
    }

    // Asks before anything is gone; where the host has saved the file, whether it goes, too.
    function doubt(facts, keep) {
        const host = element("input", {type: "checkbox"});
        const yes = action(texts().delete_yes, () => ask("delete", {id: facts.id, host: host.checked}), " pa-danger");
        const parts = [element("p", {}, texts().delete_ask)];
        if (!facts.owned) {
            parts.push(element("label", {class: "pa-check"}, host, " " + texts().delete_host));
        }
        const buttons = element("div", {class: "pa-buttons"}, action(texts().delete_no, keep), yes);
        const box = element("div", {class: "pa-box pa-warn", role: "group", "aria-label": texts()["delete"]}, ...parts, buttons);
        box.hidden = true;
        return box;
    }

    function taking(facts) {
        const [sizeField, size] = choice(texts().size, texts().sizes);
        const [formatField, format] = choice(texts().format, texts().formats);
        const [versionField, version] = choice(texts().version, [["restored", texts().restored], ["original", texts().original]]);
        const download = action(texts().download, () => {
            say(texts().working);
            ask("take", {id: facts.id, size: size.value, format: format.value, restored: version.value === "restored"});
        });
        const fields = facts.restored ? [sizeField, formatField, versionField] : [sizeField, formatField];
        return element("div", {class: "pa-fields"}, ...fields, download);
    }

    function sending(facts) {
        if (!facts.send || !facts.send.length) {
            return [];
        }
        const buttons = facts.send.map((name) => action(texts()[name], () => {
            say(texts().working);
            ask("send", {id: facts.id, to: name});
        }, name === "txt2img" ? " pa-main" : ""));
        return [element("div", {class: "pa-buttons"}, ...buttons)];
    }

    function about(facts) {
        const rows = [[texts().prompt, facts.prompt], [texts().seed, String(facts.seed)], ...facts.scores];
        const list = element("dl", {class: "pa-facts"}, ...rows.map(([name, value]) =>
            element("div", {}, element("dt", {}, name), element("dd", {}, value))));
        const made = element("details", {}, element("summary", {}, texts().infotext),
            element("pre", {class: "pa-infotext", tabindex: "0"}, facts.infotext));
        return element("div", {}, list, made);
    }

    // -- two chosen pictures: which one is better becomes a favourite

    function showTwo(button) {
        const both = JSON.parse(button.dataset.paAb);
        const named = both.map((facts, index) => ({
            source: facts.restored || facts.original, name: "AB"[index] + " · " + facts.title, id: facts.id,
        }));
        shown = null;
        const close = action(texts().close, () => dialog().close());
        close.setAttribute("autofocus", "");
        const votes = named.map(({id}, index) => action(filled(texts().better, {name: "AB"[index]}), () => {
            ask("like", id + ":1");
            say(filled(texts().better_done, {name: "AB"[index]}));
        }, " pa-main"));
        open(texts().ab, element("div", {class: "pa-buttons"}, close, ...votes),
            element("p", {class: "pa-note pa-status", role: "status"}), contrast(...named));
    }

    // -- what comes back from the server

    const seen = {taken: "", sent: "", told: ""};

    function fresh(name, selector) {
        const found = document.querySelector("#personal_avatar_" + name + " " + selector);
        if (!found || found.dataset.paStamp === seen[name]) {
            return null;
        }
        seen[name] = found.dataset.paStamp;
        return found;
    }

    async function save(found) {
        const blob = await (await fetch(found.dataset.paTaken)).blob();
        const link = element("a", {href: URL.createObjectURL(blob), download: found.dataset.name});
        link.click();
        window.setTimeout(() => URL.revokeObjectURL(link.href), 60000);
        say(filled(texts().taken, {name: found.dataset.name}));
    }

    function goOn(found) {
        const name = found.dataset.paSent;
        dialog().close();
        window.setTimeout(() => byId("to_" + name).click(), 100); // gradio has taken text and picture by then
    }

    // What was told behind the dialog is told in it, too.
    function echo() {
        const alert = document.querySelector("#personal_avatar_results_message [role=alert]");
        const told = alert || document.querySelector("#personal_avatar_results_told [role=status]");
        const text = told ? told.textContent : "";
        if (text !== seen.told) {
            seen.told = text;
            if (text) {
                say(text);
                region().textContent = text;
            }
        }
    }

    // The gallery was made anew: a heart was set, or the picture is gone.
    function follow() {
        const box = byId("large");
        if (!box || !box.open || !shown) {
            return;
        }
        const all = openers();
        const opener = all.find((one) => dataOf(one).id === shown.id);
        if (opener) {
            const facts = dataOf(opener);
            if (facts.favourite !== shown.facts.favourite) {
                like(box.querySelector(".pa-like"), facts.favourite);
            }
            shown.facts = facts;
        } else if (all.length) {
            showLarge(all[Math.min(shown.place, all.length - 1)]);
        } else {
            box.close();
        }
    }

    function look() {
        const taken = fresh("taken", "[data-pa-taken]");
        const sent = fresh("sent", "[data-pa-sent]");
        if (taken) {
            save(taken);
        }
        if (sent) {
            goOn(sent);
        }
        follow();
        echo();
    }

    // -- events

    document.addEventListener("click", (event) => {
        const target = event.target.closest ? event.target.closest("[data-pa-large], [data-pa-ab]") : null;
        if (target && target.dataset.paLarge) {
            showLarge(target);
        } else if (target) {
            showTwo(target);
        } else if (event.target.closest && event.target.closest(".pa-pager [data-pa-press]")) {
            byId("gallery").scrollIntoView({block: "start"});
        }
    });

    watch(look);
})();
