// Attachments: chosen or dropped anywhere on the composer, sent up at once with progress, summed against the limit.
import { upload } from "./server.js";

export function begin(composer) {
  const { root, form, urls, signal } = composer;
  const list = form.querySelector("[data-files]");
  const picker = form.querySelector("#compose-files");
  const sum = form.querySelector("[data-file-sum]");
  const reset = form.querySelector("[data-reset-files]");
  const limit = Number(urls.limit);

  /** The sum of all sizes, beside what a mail may carry. */
  function count() {
    const rows = [...form.querySelectorAll("#compose-pdf[data-size], [data-file][data-size]")];
    const total = rows.reduce((size, row) => size + Number(row.dataset.size), 0);
    const over = total > limit;
    sum.querySelector("meter").value = total;
    sum.classList.toggle("file-sum-over", over);
    const words = composer.word(over ? "tooLarge" : "sum", {
      size: composer.size(total),
      limit: composer.size(limit),
    });
    const place = sum.querySelector("[data-sum-words]");
    if (place.textContent !== words) place.textContent = words;
    reset.hidden = !list.querySelector("[data-file=added]");
  }

  /** Resolves to false where the file did not arrive, and is still wanted. */
  async function add(file) {
    const row = form.querySelector("#compose-file-row").content.firstElementChild.cloneNode(true);
    const link = row.querySelector(".file-name");
    const bar = row.querySelector("progress");
    const stop = new AbortController();
    link.firstElementChild.textContent = file.name;
    row.dataset.name = file.name;
    row.querySelector("[data-file-size]").textContent = composer.size(file.size);
    row
      .querySelector("[data-remove-file]")
      .setAttribute("aria-label", composer.word("removeFile", { name: file.name }));
    bar.setAttribute("aria-label", file.name);
    row.stop = () => stop.abort();
    list.append(row);
    count();
    try {
      const stored = await upload(urls.urlFile, file, {
        signal: stop.signal,
        progress: (share) => {
          bar.value = share;
        },
      });
      row.prepend(
        Object.assign(document.createElement("input"), { type: "hidden", name: "file", value: stored.token }),
      );
      row.dataset.size = stored.size;
      link.firstElementChild.textContent = stored.name;
      link.href = stored.url;
      row.querySelector("[data-file-size]").textContent = stored.size_text;
      composer.tell(composer.word("added", { name: stored.name }));
      composer.changed("files");
      return true;
    } catch (sentence) {
      if (stop.signal.aborted) return true; // removed while it was on its way
      const words = sentence || composer.word("notStored", { name: file.name });
      row.classList.add("file-failed");
      const note = row.querySelector(".file-note");
      note.setAttribute("role", "alert");
      note.replaceChildren(
        Object.assign(document.createElement("i"), {
          className: "bi bi-exclamation-triangle-fill",
          ariaHidden: "true",
        }),
        ` ${words}`,
      );
      return false;
    } finally {
      bar.remove();
      count();
    }
  }

  const addAll = (files) => {
    for (const file of files) composer.wait(add(file));
  };

  function remove(rows) {
    const places = rows.map((row) => [row, row.nextElementSibling]);
    for (const row of rows) {
      row.stop?.();
      row.remove();
    }
    count();
    composer.changed("files");
    const words =
      rows.length === 1
        ? composer.word("removed", { name: rows[0].dataset.name })
        : composer.word("removedMany", { count: rows.length });
    const whole = places.filter(([row]) => row.querySelector("input[name=file]"));
    composer.tell(
      words,
      whole.length &&
        (() => {
          for (const [row, next] of whole.reverse())
            list.insertBefore(row, next?.parentElement === list ? next : null);
          count();
          composer.changed("files");
        }),
    );
    picker.focus();
  }

  picker.addEventListener("change", () => {
    addAll([...picker.files]);
    picker.value = "";
  });
  form.addEventListener("click", (event) => {
    const row = event.target.closest("[data-remove-file]")?.closest("[data-file]");
    if (row) remove([row]);
    if (event.target.closest("[data-reset-files]")) remove([...list.querySelectorAll("[data-file=added]")]);
  });

  // Files may be dropped anywhere; pictures that are dropped into the text belong to it.
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let leaving;
  const zone = composer.dialog || root;
  zone.addEventListener(
    "dragover",
    (event) => {
      if (!carriesFiles(event)) return;
      clearTimeout(leaving);
      root.classList.add("drop-ready");
      if (!event.target.closest("trix-editor")) {
        event.preventDefault();
        event.dataTransfer.dropEffect = "copy";
      }
    },
    { signal },
  );
  zone.addEventListener(
    "dragleave",
    () => {
      leaving = setTimeout(() => root.classList.remove("drop-ready"), 80);
    },
    { signal },
  );
  zone.addEventListener(
    "drop",
    (event) => {
      root.classList.remove("drop-ready");
      if (!carriesFiles(event) || event.target.closest("trix-editor")) return;
      event.preventDefault();
      addAll([...event.dataTransfer.files]);
    },
    { signal },
  );

  form.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== "compose-pdf" && !event.target.querySelector?.("#compose-pdf")) return;
    count();
    form.dispatchEvent(new CustomEvent("compose-look"));
  });
  count();
  if (picker.files.length) {
    addAll([...picker.files]);
    picker.value = "";
  } // chosen before this was here
  return { addAll };
}
