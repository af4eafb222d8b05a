// Personal Avatar: the panel of photos. The large view of a photo, captions that keep what is being typed, and where the
// focus goes when a part is made anew. Loaded after personal_avatar.js, whose tools it uses.
(function () {
    "use strict";

    if (window.personalAvatar.photos) {
        return; // as in personal_avatar.js
    }
    window.personalAvatar.photos = true;

    const {action, byId, element, press, region, watch, words} = window.personalAvatar.tools;
    const TYPING = "[data-pa-typing]";

    // -- the large view of a photo: what its card says, with the picture as large as it gets

    let shown = "";
    let place = 0;

    function cards() {
        return Array.from(document.querySelectorAll("#personal_avatar_photo_cards [data-photo]"))
            .filter((card) => card.querySelector("[data-pa-photo]"));
    }

    function cardOf(name) {
        return cards().find((card) => card.dataset.photo === name);
    }

    function dialog() {
        let found = byId("photo_large");
        if (!found) {
            found = element("dialog", {id: "personal_avatar_photo_large", class: "pa-dialog pa-photo-large"});
            found.addEventListener("close", left);
            found.addEventListener("click", (event) => event.target === found && found.close());
            found.addEventListener("keydown", turn);
            byId("root").append(found);
        }
        return found;
    }

    function left() {
        const card = cardOf(shown) || cards()[Math.min(place, cards().length - 1)];
        shown = "";
        if (card) {
            card.querySelector("[data-pa-photo]").focus();
        }
    }

    function turn(event) {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (step) {
            showNext(step);
        }
    }

    function showNext(step) {
        const all = cards();
        if (all.length) {
            show(all[(place + step + all.length) % all.length].dataset.photo);
        }
    }

    function copyOf(part) {
        const copy = part.cloneNode(true);
        for (const found of [copy, ...copy.querySelectorAll("[id]")]) {
            found.removeAttribute("id");
        }
        return copy;
    }

    function show(name) {
        const card = cardOf(name);
        if (!card) {
            return;
        }
        const fresh = name !== shown;
        const box = dialog();
        shown = name;
        place = cards().indexOf(card);
        fill(box, card, fresh);
        if (!box.open) {
            box.showModal();
        }
        if (fresh) {
            const asking = element("button");
            asking.dataset.paPress = "personal_avatar_press_photo";
            asking.dataset.paValue = JSON.stringify({"do": "large", photo: name});
            press(asking);
        }
    }

    function fill(box, card, fresh) {
        const texts = (words() || {large: {}}).large;
        const title = element("h3", {id: "personal_avatar_photo_large_title"}, card.dataset.photo);
        const close = action(texts.close, () => box.close());
        close.setAttribute("autofocus", "");
        const steps = element("div", {class: "pa-buttons"}, close,
            action(texts.previous, () => showNext(-1)), action(texts.next, () => showNext(1)));
        const small = card.querySelector("img");
        const source = fresh || !box.querySelector("img") ? small.src : box.querySelector("img").src;
        const shot = element("div", {class: "pa-shot"}, element("img", {src: source, alt: small.alt}),
            ...Array.from(card.querySelectorAll(".pa-facebox"), copyOf));
        const focus = Array.from(box.querySelectorAll("button")).indexOf(document.activeElement);
        box.setAttribute("aria-labelledby", title.id);
        box.replaceChildren(title, steps, element("div", {class: "pa-large-photo"}, shot, copyOf(card.querySelector(".pa-words"))));
        if (fresh) {
            close.focus();
        } else if (focus >= 0) {
            const buttons = box.querySelectorAll("button");
            buttons[Math.min(focus, buttons.length - 1)].focus();
        }
    }

    // The large picture comes a moment later.
    function enlarge() {
        const come = document.querySelector("#personal_avatar_photo_view [data-pa-photo-large]");
        const image = shown && byId("photo_large").querySelector("img");
        if (come && image && come.dataset.paPhotoLarge === shown) {
            const wanted = new URL(come.dataset.source, document.baseURI).href;
            if (image.src !== wanted) {
                image.src = wanted;
            }
        }
    }

    // The card was made anew, after a decision for instance; or its photo is gone.
    function follow() {
        const box = byId("photo_large");
        if (!shown || !box || !box.open) {
            return;
        }
        const card = cardOf(shown);
        if (!card) {
            box.close();
        } else if (box.querySelector(".pa-words").innerHTML !== copyOf(card.querySelector(".pa-words")).innerHTML) {
            fill(box, card, false);
        }
    }

    // -- the focus: a button that does something else afterwards, or is gone, hands it on within its card

    let last = null;

    function noteFocus(event) {
        const card = event.target.closest && event.target.closest("#personal_avatar_photo_cards [data-photo]");
        last = card ? {card: card.id, place: cards().indexOf(card), button: event.target.id} : null;
    }

    function refocus() {
        if (!last || document.activeElement !== document.body || document.getElementById(last.button)) {
            return;
        }
        const card = document.getElementById(last.card) || cards()[Math.min(last.place, cards().length - 1)];
        const button = card && (card.querySelector(".pa-buttons button") || card.querySelector("button"));
        if (button) {
            button.focus({preventScroll: true});
        }
    }

    // -- told to a screen reader

    let spoken = "";

    function speak() {
        const found = document.querySelector("#personal_avatar_report [data-pa-spoken]");
        const text = found ? found.dataset.paSpoken : "";
        if (text && text !== spoken) {
            region().textContent = text;
        }
        spoken = text;
    }

    // -- parts that are open by themselves stay closed once they were closed, also when they are made anew

    const closed = new Set();

    function noteFold(summary) {
        const part = summary.parentElement;
        if (part.id) {
            closed[part.open ? "add" : "delete"](part.id); // it is asked before it turns
        }
    }

    function keepFolded() {
        for (const id of closed) {
            const part = document.getElementById(id);
            if (part && part.open) {
                part.open = false;
            }
        }
    }

    // A number typed beside a slider counts like one that was dragged to: gradio tells only of the latter.
    function release(event) {
        const field = event.target;
        if (field.matches && field.matches("#personal_avatar_photo_settings input[type=number]")) {
            window.setTimeout(() => field.dispatchEvent(new Event("pointerup", {bubbles: true})), 50);
        }
    }

    // -- captions: what is being typed stays when the list is made anew, and is sent when the field is left

    const LONGEST_WAIT_MS = 5000;
    const SEND_AFTER_MS = 400;
    const MOST_TRIES = 20;
    const typed = new Map(); // by the id of the field: {photo, text, tries}
    let sent = null; // what is on its way, by the id of the field: {text, before}

    function noteTyping(event) {
        const field = event.target;
        if (field.matches && field.matches(TYPING)) {
            typed.set(field.id, {photo: field.dataset.paTyping, text: field.value, tries: 0});
        }
    }

    // Not at once: the answer makes the list anew, and a button that is pressed just now must still be there when the
    // mouse is let go. A click sends what waits before it does anything else.
    function sendSoon(event) {
        if (typed.has(event.target.id)) {
            window.setTimeout(send, SEND_AFTER_MS);
        }
    }

    // The presses of our own script are no clicks of the user's: sending is one of them.
    function sendNow(event) {
        if (event.isTrusted) {
            typed.forEach((entry) => { entry.tries = 0; });
            send();
        }
    }

    function isInHand(field) {
        return field === document.activeElement && document.hasFocus();
    }

    // All that waits, when nothing is on its way: gradio drops a press until the last one of the same button is answered.
    function send(leaving) {
        if (sent) {
            return;
        }
        const asked = new Map();
        for (const [id, entry] of typed) {
            const field = document.getElementById(id);
            if (field && entry.text.trim() === field.defaultValue) {
                typed.delete(id);
            } else if (entry.tries < MOST_TRIES && (leaving === true || !field || !isInHand(field))) {
                entry.tries += 1;
                asked.set(id, {text: entry.text, before: field && field.defaultValue});
            }
        }
        if (asked.size) {
            sent = asked;
            window.setTimeout(answered, LONGEST_WAIT_MS, asked);
            const asking = element("button");
            const texts = Object.fromEntries(Array.from(asked, ([id, {text}]) => [typed.get(id).photo, text]));
            asking.dataset.paPress = "personal_avatar_press_typed";
            asking.dataset.paValue = JSON.stringify({"do": "write", texts});
            press(asking);
        }
    }

    // What came is done with; what was lost on its way, or is not to be seen just now, is sent once more.
    function answered(asked) {
        if (sent !== asked) {
            return;
        }
        sent = null;
        for (const [id, {text, before}] of asked) {
            const field = document.getElementById(id);
            const entry = typed.get(id);
            if (entry && entry.text === text && field && field.defaultValue !== before) {
                typed.delete(id);
            }
        }
        window.setTimeout(send, 0);
    }

    function hasCome() {
        return Array.from(sent).some(([id, {before}]) => {
            const field = document.getElementById(id);
            return field && field.defaultValue !== before;
        });
    }

    function keepTyped() {
        if (sent && hasCome()) {
            answered(sent);
        }
        for (const [id, entry] of typed) {
            const field = document.getElementById(id);
            if (field && field.value !== entry.text) {
                field.value = entry.text;
            }
        }
    }

    // -- one listener for each kind of event, on the document: gradio may replace anything below

    document.addEventListener("click", (event) => {
        const found = event.target.closest ? event.target.closest("[data-pa-photo], #personal_avatar_root summary") : null;
        if (found && found.dataset.paPhoto) {
            show(found.dataset.paPhoto);
        } else if (found) {
            noteFold(found);
        }
    });
    document.addEventListener("focusin", noteFocus);
    document.addEventListener("input", noteTyping);
    document.addEventListener("focusout", sendSoon);
    document.addEventListener("click", sendNow, true);
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && send(true));
    window.addEventListener("pagehide", () => send(true));
    document.addEventListener("change", release);

    watch(() => {
        enlarge();
        follow();
        refocus();
        speak();
        keepFolded();
    }, null, keepTyped);
})();
