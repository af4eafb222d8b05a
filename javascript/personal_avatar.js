// Personal Avatar: what the page needs in the browser, in the WebUI and without it.
// Texts come from the server (a hidden element holds them); nothing here is spoken in a language of its own.
(function () {
    "use strict";

    if (window.personalAvatar) {
        return; // the extension is installed twice: one copy does the work
    }

    const BUSY_MS = 2000;
    const IDLE_MS = 15000;
    const KEY = "personal_avatar_key";
    const LANGUAGE = "personal_avatar_language";

    let pressed = "";
    let lastRefresh = 0;
    let spoken = "";
    const opened = new Set();

    // -- small helpers

    function byId(name) {
        return document.getElementById("personal_avatar_" + name);
    }

    function stored(name, fresh) {
        try {
            let value = window.localStorage.getItem(name);
            if (!value && fresh) {
                value = fresh();
                window.localStorage.setItem(name, value);
            }
            return value || "";
        } catch (error) {
            return fresh ? fresh() : "";
        }
    }

    function remember(name, value) {
        try {
            window.localStorage.setItem(name, value);
        } catch (error) {
            // A browser that forbids storage forgets the choice; nothing else depends on it.
        }
    }

    function randomKey() {
        const bytes = new Uint8Array(16);
        window.crypto.getRandomValues(bytes);
        return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    }

    const sessionKey = stored(KEY, randomKey);

    function element(name, attributes, ...children) {
        const made = document.createElement(name);
        for (const [key, value] of Object.entries(attributes || {})) {
            made.setAttribute(key, value);
        }
        made.append(...children);
        return made;
    }

    function words() {
        const holder = document.querySelector("#personal_avatar_words [data-pa-words]");
        try {
            return holder ? JSON.parse(holder.dataset.paWords) : null;
        } catch (error) {
            return null;
        }
    }

    // -- called by gradio's events (the `_js` of ui/page.py and ui/jobs.py)

    function arrive(language, key, ...rest) {
        return [stored(LANGUAGE) || "", sessionKey, ...rest];
    }

    function speak(language, key, ...rest) {
        remember(LANGUAGE, language);
        window.setTimeout(refresh, 1500); // in case an answer in the old language was still on its way
        return [language, sessionKey, ...rest];
    }

    function take(language, key, value, ...rest) {
        const taken = pressed || value;
        pressed = "";
        return [language, key, taken, ...rest];
    }

    // Ids of the parts that a value was put into, and which touch it was, until the server has answered to that one.
    const touched = new Map();
    let touches = 0;

    function noted(names, ...rest) {
        return [Array.from(touched, (touch) => touch.join(":")).join(" "), ...rest];
    }

    // All is as it was proposed: what has not been told yet is not to be told any more.
    function untouched(...all) {
        touched.clear();
        return all;
    }

    function forget() {
        const holder = document.querySelector("#personal_avatar_heard [data-pa-heard]");
        for (const one of holder ? holder.dataset.paHeard.split(" ") : []) {
            const [id, touch] = one.split(":");
            if (touched.get(id) === Number(touch)) {
                touched.delete(id);
            }
        }
    }

    // Gradio tells of a value also when its field is only left: what counts is what the browser saw happen in it.
    function noteTouch(event) {
        const part = event.target.closest && event.target.closest("#personal_avatar_root [id^=personal_avatar_]");
        if (part && (event.type === "input" || event.key === "Enter" || event.target.closest("li"))) {
            touches += 1;
            touched.set(part.id, touches);
        }
    }

    // `tools` are for the other scripts of this folder, which are loaded after this one.
    window.personalAvatar = {arrive, noted, speak, take, untouched, tools: {action, byId, element, press, region, watch, words}};

    // -- refreshing

    function visible() {
        const root = byId("root");
        return document.visibilityState === "visible" && root !== null && root.offsetParent !== null;
    }

    function busy() {
        return document.querySelector('#personal_avatar_root [data-pa-busy="1"]') !== null;
    }

    // A server that is away is asked quietly until it is back: gradio would show an error for every try.
    async function refresh() {
        const button = byId("refresh");
        if (!button || !words() || uploading()) {
            return; // not filled yet (gradio does not know its language and key), or an upload must not be disturbed
        }
        lastRefresh = Date.now();
        try {
            await fetch("robots.txt", {cache: "no-store"});
        } catch (error) {
            away(true);
            return;
        }
        away(false);
        button.click();
    }

    function away(now) {
        const texts = words();
        const notice = byId("away") || element("div", {id: "personal_avatar_away", class: "pa-away", role: "status"});
        if (!notice.isConnected && byId("root")) {
            byId("root").append(notice);
        }
        const text = now && texts ? texts.away : "";
        if (notice.textContent !== text) {
            notice.textContent = text;
        }
        hush();
    }

    // Gradio's own words about a server that is away, in English and one for each press, say nothing more.
    function hush() {
        const notice = byId("away");
        document.body.classList.toggle("pa-hush", visible() && notice !== null && notice.textContent !== "");
    }

    function tick() {
        rescueUpload();
        hush();
        if (visible() && Date.now() - lastRefresh >= (busy() ? BUSY_MS : IDLE_MS) - 50) {
            refresh();
        }
    }

    // Once the page is there: `begun`, and from then on `look` whenever something in it has changed, at most once a frame.
    // `keep` is called at once, before a key can be pressed: the focus, and what is being typed.
    function watch(look, begun, keep) {
        let pending = false;
        const root = byId("root");
        if (!root) {
            window.setTimeout(watch, 300, look, begun, keep);
            return;
        }
        new MutationObserver(() => {
            if (keep) {
                keep();
            }
            if (!pending) {
                pending = true;
                window.requestAnimationFrame(() => {
                    pending = false;
                    look();
                });
            }
        }).observe(root, {childList: true, subtree: true});
        if (begun) {
            begun();
        }
    }

    // -- telling a screen reader: one region that stays, whatever gradio replaces

    function region() {
        let found = byId("live_region");
        if (!found) {
            found = element("div", {id: "personal_avatar_live_region", role: "status", "aria-live": "polite", class: "pa-hidden"});
            document.body.append(found);
        }
        return found;
    }

    function announce() {
        const strip = document.querySelector("#personal_avatar_status [data-pa-say]");
        const text = strip ? strip.dataset.paSay : "";
        if (text !== spoken) {
            const first = spoken === "";
            spoken = text;
            if (!first || busy()) {
                region().textContent = text;
            }
        }
    }

    // -- what gradio leaves out: labels of tabs in other languages, roles, names, the keyboard

    function mark(found, values) {
        for (const [name, value] of Object.entries(values)) {
            if (found.getAttribute(name) !== value) {
                found.setAttribute(name, value);
            }
        }
    }

    function labelTabs(texts) {
        const list = document.querySelector("#personal_avatar_panels > .tab-nav");
        if (!list) {
            return;
        }
        mark(list, {role: "tablist", "aria-label": "Personal Avatar"});
        Array.from(list.children).forEach((button, index) => {
            const chosen = button.classList.contains("selected");
            const label = texts.tabs[index];
            if (label && button.firstChild && button.firstChild.data !== label) {
                button.firstChild.data = label;
            }
            mark(button, {role: "tab", "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1"});
        });
        document.querySelectorAll("#personal_avatar_panels > .tabitem").forEach((panel, index) => {
            mark(panel, {role: "tabpanel", "aria-label": texts.tabs[index] || ""});
        });
    }

    function labelDrops(root, texts) {
        for (const input of root.querySelectorAll(".pa-files input[type=file]")) {
            mark(input, {accept: "image/*,.heic,.heif,.avif", "aria-label": texts.drop, tabindex: "-1"});
            mark(input.parentElement, {role: "button", tabindex: "0", "aria-label": texts.drop, "data-pa-drop": texts.drop});
        }
    }

    function labelControls(root) {
        for (const header of root.querySelectorAll(".label-wrap")) {
            mark(header, {role: "button", tabindex: "0", "aria-expanded": String(header.classList.contains("open"))});
        }
        for (const slider of root.querySelectorAll("input[type=range]")) {
            const label = slider.parentElement.querySelector("label span");
            const number = slider.parentElement.querySelector("input[type=number]");
            if (label && number) {
                mark(slider, {"aria-label": label.textContent});
                mark(number, {"aria-label": label.textContent});
            }
        }
        for (const group of root.querySelectorAll("fieldset > span")) {
            mark(group.parentElement, {"aria-label": group.textContent});
        }
    }

    function complete() {
        const texts = words();
        const root = byId("root");
        if (!texts || !root) {
            return;
        }
        mark(root, {lang: texts.language, role: "region", "aria-label": "Personal Avatar"});
        labelTabs(texts);
        labelDrops(root, texts);
        labelControls(root);
    }

    // Two frames later: gradio draws what an event changed in the next one.
    function onceDrawn(then) {
        window.requestAnimationFrame(() => window.requestAnimationFrame(then));
    }

    function pressByKey(event) {
        const wanted = event.key === "Enter" || event.key === " ";
        if (wanted && event.target.matches && event.target.matches("#personal_avatar_root div[role=button]")) {
            event.preventDefault();
            event.target.click();
        }
    }

    function moveBetweenTabs(event) {
        const list = event.target.closest ? event.target.closest("#personal_avatar_panels > .tab-nav") : null;
        const steps = {ArrowRight: 1, ArrowLeft: -1};
        if (!list || !(event.key in steps)) {
            return;
        }
        const buttons = Array.from(list.children);
        const next = (buttons.indexOf(event.target) + steps[event.key] + buttons.length) % buttons.length;
        buttons[next].click();
        event.preventDefault();
        onceDrawn(() => {
            complete();
            list.children[next].focus();
        });
    }

    // -- keeping what the user has in hand when a part of the page is replaced

    let focused = null; // an element with an id, below our root

    function noteFocus(event) {
        focused = event.target.id && event.target.closest("#personal_avatar_root") ? event.target : null;
    }

    // Asked when the event is over, before anything else can happen: a part that is taken away is gone by then, and a
    // window that is left keeps its active element.
    function noteLeaving(event) {
        const left = event.target;
        window.queueMicrotask(() => {
            if (left === focused && left.isConnected && document.activeElement !== left) {
                focused = null;
            }
        });
    }

    function noteToggle(event) {
        if (event.target.id && event.target.id.startsWith("pa-")) {
            opened[event.target.open ? "add" : "delete"](event.target.id);
        }
    }

    function reopen() {
        for (const id of opened) {
            const found = document.getElementById(id);
            if (found && !found.open) {
                found.open = true;
            }
        }
    }

    // Only for what was taken away with its part, not for what was left.
    function refocus() {
        if (focused && !focused.isConnected && document.activeElement === document.body) {
            const found = document.getElementById(focused.id);
            if (found) {
                found.focus({preventScroll: true});
            }
        }
    }

    // -- what a button begins is brought into sight: it is told beside a column that may be longer than the window

    const BEGINS_MS = 30000;
    let awaited = null;

    function noteBegin(target) {
        const panel = target.closest("#personal_avatar_root .pa-panel");
        if (panel && target.closest("button")) {
            awaited = {panel, known: told(panel).map(wordsOf), until: Date.now() + BEGINS_MS};
        }
    }

    // Bars, which are all alike here, refusals, and what else answers a press.
    function told(panel) {
        return Array.from(panel.querySelectorAll("[role=progressbar], [role=alert], .pa-answer"));
    }

    function wordsOf(found) {
        return found.textContent;
    }

    function bringIntoSight() {
        const news = awaited && told(awaited.panel).find((found) => !awaited.known.includes(wordsOf(found)));
        if (news) {
            showWhole(news);
        }
        if (awaited && (news || Date.now() > awaited.until)) {
            awaited = null;
        }
    }

    const MARGIN_PX = 16;

    // No farther than needed, so that the button stays in sight where it can; of what is too tall the beginning.
    function showWhole(found) {
        const {top, bottom, height} = found.getBoundingClientRect();
        if (top < MARGIN_PX || bottom > window.innerHeight - MARGIN_PX) {
            found.style.scrollMargin = `${MARGIN_PX}px`;
            found.scrollIntoView({block: height + 2 * MARGIN_PX > window.innerHeight ? "start" : "nearest"});
        }
    }

    // -- buttons inside HTML press gradio's hidden ones

    function press(button) {
        pressed = button.dataset.paValue;
        const target = document.getElementById(button.dataset.paPress);
        if (target) {
            target.click();
        }
    }

    // The browser tells of no click when the button was made anew between the mouse's going down and up: then the new
    // one is pressed, once, whatever the browser still tells.

    const SAME_CLICK_MS = 400;
    let held = null;
    let rescued = null;

    function hold(event) {
        held = event.isPrimary && event.button === 0 && event.target.closest
            ? event.target.closest("[data-pa-press][id]") : null;
    }

    function letGo(event) {
        const gone = held && !held.isConnected ? held : null;
        const below = gone && document.elementFromPoint(event.clientX, event.clientY);
        const now = below && below.closest("[data-pa-press]");
        held = null;
        if (now && areTheSame(now, gone)) {
            rescued = now.id;
            window.setTimeout(() => { rescued = null; }, SAME_CLICK_MS);
            now.click();
        }
    }

    function areTheSame(one, other) {
        return one.id === other.id && one.dataset.paPress === other.dataset.paPress
            && one.dataset.paValue === other.dataset.paValue;
    }

    function action(label, handler, kind) {
        const button = element("button", {type: "button", class: "pa-button" + (kind || "")}, label);
        button.addEventListener("click", handler);
        return button;
    }

    // -- uploads: gradio 3.41 drops the answer to an upload when any part of the page is updated meanwhile, and goes on
    // showing "Uploading...". The same files are then given to it once more.

    const UPLOAD_GRACE_MS = 1500;
    let chosen = [];
    let chosenIn = "";
    let answeredAt = 0;

    function uploading() {
        return Array.from(document.querySelectorAll("#personal_avatar_root .pa-files"))
            .some((box) => box.textContent.includes("Uploading"));
    }

    function noteFiles(event) {
        const inside = event.target.closest && event.target.closest("#personal_avatar_root .pa-files");
        const files = event.type === "drop" ? event.dataTransfer && event.dataTransfer.files : event.target.files;
        if (inside && files && files.length) {
            chosen = Array.from(files);
            chosenIn = inside.id;
            answeredAt = 0;
        }
    }

    function noteAnswers(list) {
        if (list.getEntries().some((entry) => new URL(entry.name).pathname.endsWith("/upload"))) {
            answeredAt = Date.now();
        }
    }

    function inChosen(selector) {
        const box = document.getElementById(chosenIn);
        return box && box.querySelector(selector);
    }

    function rescueUpload() {
        if (!chosen.length || !answeredAt || Date.now() - answeredAt < UPLOAD_GRACE_MS || !uploading()) {
            return;
        }
        answeredAt = 0;
        const clear = inChosen("button[aria-label]");
        if (clear) {
            clear.click();
            window.setTimeout(giveAgain, 100);
        }
    }

    function giveAgain() {
        const input = inChosen("input[type=file]");
        if (input) {
            const transfer = new DataTransfer();
            chosen.forEach((file) => transfer.items.add(file));
            input.files = transfer.files;
            input.dispatchEvent(new Event("change", {bubbles: true}));
        }
    }

    document.addEventListener("change", noteFiles, true);
    document.addEventListener("drop", noteFiles, true);
    new PerformanceObserver(noteAnswers).observe({type: "resource"});

    // -- one listener for each kind of event, on the document: gradio may replace anything below

    document.addEventListener("click", (event) => {
        if (event.target.closest) {
            noteBegin(event.target);
            if (event.target.closest("#personal_avatar_root")) {
                onceDrawn(complete); // a fold that opens changes a class, which nobody watches
            }
        }
        const target = event.target.closest ? event.target.closest("[data-pa-press]") : null;
        if (target && event.isTrusted && rescued === target.id) {
            rescued = null; // pressed already
        } else if (target) {
            // Another button may stand there by now: the second click of a double click was not meant for it.
            if (!(event.detail > 1 && target.classList.contains("pa-once"))) {
                press(target);
            }
        } else if (event.target.closest && event.target.closest("#personal_avatar_panels > .tab-nav, #tabs > .tab-nav")) {
            window.setTimeout(() => visible() && refresh(), 50);
        }
    });
    document.addEventListener("pointerdown", hold, true);
    document.addEventListener("pointerup", letGo, true);
    document.addEventListener("pointercancel", () => { held = null; }, true);
    document.addEventListener("keydown", moveBetweenTabs);
    document.addEventListener("keydown", pressByKey);
    for (const kind of ["input", "keydown", "mousedown"]) {
        document.addEventListener(kind, noteTouch, true);
    }
    document.addEventListener("focusin", noteFocus);
    document.addEventListener("focusout", noteLeaving);
    document.addEventListener("toggle", noteToggle, true);
    document.addEventListener("visibilitychange", () => visible() && refresh());

    watch(() => {
        forget();
        complete();
        announce();
        reopen();
        bringIntoSight();
    }, () => {
        region();
        complete();
        window.setInterval(tick, 500);
    }, refocus);
})();
