// What every page of Envoi does in the browser. Progress, not need: without it, forms still post.
(() => {
  "use strict";
  const text = (name) => document.body.dataset[name] || "";
  const ANSWER_MS = 60000;
  const DOWNLOAD_MS = 4000;

  // htmx: send the CSRF token, and tell when something went wrong instead of staying silent.
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRFToken"] = document.querySelector("meta[name=csrf-token]").content;
    // What refreshes by itself must never take the page away from somebody who is writing.
    if (event.detail.elt.matches("[data-quiet]")) event.detail.headers["X-Quiet"] = "1";
  });
  let tokenEnded = false;
  document.addEventListener("htmx:responseError", (event) => {
    toast(event.detail.xhr.responseText.slice(0, 400));
    tokenEnded = tokenEnded || [400, 401].includes(event.detail.xhr.status);
  });
  // After a session has ended, its token is worth nothing; once somebody has signed in elsewhere, take the new one.
  // Asked quietly: an answer that carries a cookie could undo the sign-in that is going on in the other window.
  // Returns the id of the user who is signed in, "" when nobody is, null when the server is away.
  window.envoiRenewToken = async () => {
    try {
      const answer = await fetch(window.location.href, { headers: { "X-Quiet": "1" } });
      if (!answer.ok) return null;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const token = page.querySelector("meta[name=csrf-token]")?.content;
      const { user = "" } = page.body.dataset;
      // Another person's token would let this page act as them.
      if (!token || user !== text("user")) return user;
      document.querySelector("meta[name=csrf-token]").content = token;
      document.querySelectorAll("input[name=csrf_token]").forEach((input) => {
        input.value = token;
      });
      tokenEnded = false;
      return user;
    } catch {
      return null;
    }
  };
  const renewing = new WeakSet(); // what is pressed meanwhile is sent once
  document.addEventListener("htmx:confirm", (event) => {
    const { elt, verb, question, issueRequest } = event.detail;
    if (!tokenEnded || verb === "get") return;
    event.preventDefault();
    if (renewing.has(elt)) return;
    renewing.add(elt);
    window.envoiRenewToken().then((user) => {
      renewing.delete(elt);
      if (user && user !== text("user")) toast(text("messageOther"));
      else issueRequest(!question); // and says what is wrong, if anything is
    });
  });
  document.addEventListener("htmx:sendError", (event) => {
    // Panels that refresh by themselves stay quiet; they will try again.
    if (!event.detail.elt.matches("[data-quiet]")) toast(text("messageLost"));
  });

  function toast(message) {
    const box = document.createElement("div");
    box.className = "toast text-bg-danger show";
    box.setAttribute("role", "alert");
    const body = document.createElement("div");
    body.className = "toast-body";
    body.textContent = message;
    box.append(body);
    document.getElementById("toasts").append(box);
    setTimeout(() => box.remove(), 8000);
  }
  window.envoiToast = toast;

  // Ask before what cannot be undone.
  document.addEventListener(
    "submit",
    (event) => {
      const asked = event.submitter?.dataset ?? {};
      const all = event.target.elements.all?.value && asked.confirmAll;
      // What may be done to a few without a word is asked where it is many.
      const many =
        asked.confirmMany && new FormData(event.target).getAll("id").length > 10 && asked.confirmMany;
      const question = all || many || asked.confirm || event.target.dataset.confirm;
      if (question && !window.confirm(question)) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    },
    true,
  );

  // A form is posted once, however often its button is pressed: the page stays until the answer comes, which takes long
  // on a slow line. After a download it stays for good.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    const stays = [form, event.submitter].some((part) => part?.hasAttribute("data-download")) || form.target; // the answer goes elsewhere
    setTimeout(() => delete form.dataset.sent, stays ? DOWNLOAD_MS : ANSWER_MS);
  });
  // Whoever is asked whether to leave, and stays, may press it again.
  window.addEventListener("beforeunload", (event) => {
    setTimeout(() => {
      if (!event.defaultPrevented) return;
      setTimeout(
        () =>
          document.querySelectorAll("form[data-sent]").forEach((form) => {
            delete form.dataset.sent;
          }),
        DOWNLOAD_MS,
      );
    });
  });

  // The dialog: what htmx puts into it is shown; a response without content closes it.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "dialog-content") {
      window.bootstrap.Modal.getOrCreateInstance(document.getElementById("dialog")).show();
    }
  });

  // What only some pages load: a piece that comes in later may be the first that needs it.
  const needed = {};
  function need(name) {
    needed[name] ??= Promise.all(text(name).split(" ").map(loadFile)).catch((error) => {
      delete needed[name];
      toast(text("messageLost"));
      throw error;
    });
    return needed[name];
  }
  window.envoiNeed = need;
  function loadFile(url) {
    if (document.querySelector(`head [src="${url}"], head [href="${url}"]`)) return Promise.resolve();
    const isStyle = url.endsWith(".css");
    const file = document.createElement(isStyle ? "link" : "script");
    const loaded = new Promise((done, failed) => {
      file.onload = done;
      file.onerror = () => {
        file.remove();
        failed(new Error(url));
      };
    });
    if (isStyle) {
      file.rel = "stylesheet";
      file.href = url;
    } else {
      file.async = false; // one after the other, as the page names them
      file.src = url;
    }
    // Our own style comes last.
    document.head.querySelector("[data-shell]").before(file);
    return loaded;
  }

  // The font of a page has the icons that our own source names; a module by others may show any.
  const known = new Set();
  function completeIcons(root) {
    for (const icon of root.querySelectorAll(".bi")) {
      if (known.has(icon.className)) continue;
      known.add(icon.className);
      if (getComputedStyle(icon, "::before").content === "none") need("filesIcons");
    }
  }

  function noResults() {
    const line = document.createElement("div");
    line.className = "no-results";
    // A list of choices holds nothing but choices; this one cannot be taken.
    line.setAttribute("role", "option");
    line.setAttribute("aria-disabled", "true");
    line.textContent = text("messageNone");
    return line;
  }

  // Selects with search: in what the page has, or, with the address in data-people, in what the server finds.
  function enhance(root) {
    if (root.querySelector("trix-editor")) need("filesEditor");
    const selects = [...root.querySelectorAll("select[data-search]")];
    if (selects.length && !window.TomSelect) {
      need("filesSearch").then(() => enhance(root));
      return;
    }
    selects.forEach((select) => {
      if (!select.tomselect) {
        const settings = {
          // Without a pause: Enter right after typing must take what was typed, not what was marked before.
          maxOptions: 1000,
          allowEmptyOption: true,
          refreshThrottle: 0,
          plugins: select.multiple ? { remove_button: { title: text("messageRemove") } } : {},
          render: { no_results: () => noResults() },
        };
        if (select.dataset.people) {
          const render = { ...settings.render, option: personLine };
          searchServer(select, select.dataset.people, { ...settings, allowEmptyOption: false, render });
        } else newChoice(select, settings);
        // The field beside it speaks for it now.
        select.setAttribute("aria-hidden", "true");
      }
    });
  }

  // The library hears of the focus that it gives only when the browser is idle. Until then it swallows what is typed, and
  // then it opens what may have been closed meanwhile.
  function newChoice(select, settings) {
    const choice = new window.TomSelect(select, settings);
    // What was marked may have been taken, and is not among the choices any more.
    choice.hook("after", "refreshOptions", () => {
      const marked = choice.focus_node.getAttribute("aria-activedescendant");
      if (marked && !document.getElementById(marked)) choice.clearActiveOption();
    });
    // What was typed has found what it was typed for: the others are offered again.
    choice.on("item_add", () => choice.setTextboxValue(""));
    choice.hook("instead", "focus", () => {
      if (choice.isDisabled || choice.isReadOnly) return;
      const target = choice.control_input.offsetWidth ? choice.control_input : choice.focus_node;
      choice.ignoreFocus = true;
      target.focus();
      choice.ignoreFocus = false;
      if (document.activeElement === target) choice.onFocus();
    });
    return choice;
  }

  // A field that searches on the server; the page of sales documents has one of its own kind.
  function searchServer(select, address, settings) {
    const keyOf = (item) => String(item[settings.valueField || "value"]);
    let asked = null; // the text that the list will answer, or answers
    let answered = null;
    let wanted = null; // the text with which Enter was pressed before the answer came
    let fits = null; // what was found
    let chosen = false; // something was chosen since somebody came or typed
    let lost = false; // the last answer did not come
    const choice = newChoice(select, {
      ...settings,
      preload: "focus",
      loadThrottle: 150,
      // The server has decided what fits, and in which order.
      score: () => (item) => (fits && !fits.has(keyOf(item)) ? 0 : 1),
      sortField: [{ field: "$order" }],
      searchField: ["text"],
      shouldLoad: () => true,
      load(given, done) {
        choice.loadedSearches = {}; // an answer that came too late, or never, must not be the last word on a text
        // With the focus it asks for everybody, and that a moment later: after the first keys of who is quick.
        const query = given || choice.inputValue();
        asked = query;
        lost = false;
        const url = new URL(typeof address === "function" ? address() : address, window.location.href);
        url.searchParams.set("q", query);
        fetch(url, { headers: { Accept: "application/json" } })
          .then((response) => (response.ok ? response.json() : Promise.reject(response)))
          .then(
            (found) => {
              // Somebody has typed on; who pressed Enter and went on to the next field waits for this answer, though.
              if (asked !== query || (choice.inputValue() !== query && wanted !== query)) {
                done();
                return;
              }
              choice.clearOptions((_item, key) => key === "" || choice.items.includes(key));
              fits = new Set(found.map(keyOf));
              // What stays, as the empty choice does, comes first.
              done(found.map((item, place) => ({ ...item, $order: place + 2 })));
              answered = query;
              if (chosen) choice.close(); // what has come late must not lie over the page again
              if (wanted === query) take(found);
            },
            () => {
              wanted = null;
              lost = true;
              done();
              toast(text("messageLost"));
            },
          );
      },
      render: { ...settings.render, loading: () => waiting() },
      onItemAdd() {
        chosen = true;
      },
      onFocus() {
        chosen = false;
        if (answered !== null && answered !== "") choice.load("");
      },
    });
    function take(found) {
      wanted = null;
      const first = found.find((item) => !item.disabled);
      if (!first) return;
      choice.addItem(keyOf(first));
      choice.setTextboxValue("");
      choice.close();
    }
    // Before the library sees it: what is marked now was found for an earlier text.
    choice.control_input.addEventListener(
      "keydown",
      (event) => {
        const typed = choice.inputValue();
        if (event.key !== "Enter" || !typed || typed === answered) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        wanted = typed;
        if (lost) choice.load(typed);
      },
      true,
    );
    choice.control_input.addEventListener("input", () => {
      wanted = null;
      chosen = false;
    });
    return choice;
  }
  window.envoiSearchServer = searchServer;

  function personLine(person, safe) {
    const more = [person.email, person.detail]
      .filter(Boolean)
      .map((line) => `<span class="choice-more">${safe(line)}</span>`);
    return `<div>${safe(person.text)}${more.join("")}</div>`;
  }

  function waiting() {
    const line = document.createElement("div");
    line.className = "spinner";
    return line;
  }

  document.addEventListener("DOMContentLoaded", () => {
    enhance(document.body);
    completeIcons(document.body);
  });
  document.addEventListener("htmx:load", (event) => {
    enhance(event.detail.elt);
    completeIcons(event.detail.elt);
  });

  // The port that is usual for an encryption follows it, unless somebody has typed one of their own.
  document.addEventListener("change", ({ target }) => {
    const port = target.form?.elements.port;
    if (!target.dataset.ports || !port) return;
    const usual = JSON.parse(target.dataset.ports);
    if (!port.value || Object.values(usual).includes(Number(port.value)))
      port.value = usual[target.value] ?? port.value;
  });

  // Ctrl+S saves, as everywhere: the form in which somebody is, or the one form of the page that can be saved.
  document.addEventListener("keydown", (event) => {
    if (
      !(event.ctrlKey || event.metaKey) ||
      event.altKey ||
      event.shiftKey ||
      event.key.toLowerCase() !== "s"
    )
      return;
    const saves = [...document.querySelectorAll("form")].filter(
      (form) => form.querySelector(".form-actions .btn-primary") && form.offsetParent,
    );
    const form = saves.find((one) => one.contains(event.target)) ?? (saves.length === 1 ? saves[0] : null);
    if (!form) return;
    event.preventDefault();
    // What is typed counts before the field is left.
    document.activeElement?.dispatchEvent(new Event("change", { bubbles: true }));
    if (!event.repeat) form.requestSubmit(form.querySelector(".form-actions .btn-primary"));
  });

  // A customer who was made on the way is the one of the document.
  document.addEventListener("customer-made", (event) => {
    const choice = document.querySelector("select[name=partner_id]")?.tomselect;
    window.bootstrap.Modal.getInstance(document.getElementById("dialog"))?.hide();
    if (!choice) return;
    choice.addOption(event.detail);
    choice.setValue(event.detail.value);
    choice.focus();
  });

  // A page brought back from the browser's memory shows old states: fetch it anew.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });

  // Copying what stands beside a button; where the browser does not let us, it is selected, ready for the keyboard.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      const word = document.createElement("span");
      word.setAttribute("role", "status");
      word.className = "small-print";
      word.textContent = button.dataset.copied;
      button.after(word);
      setTimeout(() => word.remove(), 2000);
    } catch {
      const field = button.parentElement.querySelector("input");
      if (field) field.select();
      else window.getSelection().selectAllChildren(button.parentElement.querySelector("code"));
    }
  });
})();
