// Personal Avatar: the little picture beside each style. The page says which (a hidden element holds their addresses).
(function () {
    "use strict";

    let waiting = 0;

    function addresses() {
        const found = {};
        for (const holder of document.querySelectorAll("#personal_avatar_root [data-pa-previews]")) {
            try {
                Object.assign(found, JSON.parse(holder.dataset.paPreviews));
            } catch (error) {
                // Half of an update; the whole of it follows.
            }
        }
        return found;
    }

    function decorate() {
        waiting = 0;
        const known = addresses();
        for (const label of document.querySelectorAll("#personal_avatar_root .pa-styles label")) {
            const address = known[label.textContent.trim()];
            if (address && label.dataset.paPreview !== address) {
                label.dataset.paPreview = address;
                const absolute = new URL(address, document.baseURI).href; // a style sheet has another base
                label.style.setProperty("--pa-preview", `url("${absolute}")`);
            } else if (!address && label.dataset.paPreview) {
                delete label.dataset.paPreview;
            }
        }
    }

    function soon() {
        waiting = waiting || window.setTimeout(decorate, 100);
    }

    function watch() {
        new MutationObserver(soon).observe(document.body, {childList: true, subtree: true, characterData: true});
        soon();
    }

    if (document.body) {
        watch();
    } else {
        document.addEventListener("DOMContentLoaded", watch);
    }
})();
