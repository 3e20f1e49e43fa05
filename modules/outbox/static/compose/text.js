// The text: pictures inside it go up at once and are shown by their address; what is posted holds plain <img>.
import { upload } from "./server.js";

const isPicture = (file) => /^image\/(png|jpeg|gif)$/.test(file.type);

/** HTML of the editor, with its figures as plain pictures; their captions describe them. */
export function plainHtml(html) {
  if (!html.includes("<figure")) return html;
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const figure of page.querySelectorAll("figure")) {
    const image = figure.querySelector("img");
    const picture = page.createElement("img");
    if (!image?.getAttribute("src")) {
      figure.remove();
      continue;
    }
    picture.setAttribute("src", image.getAttribute("src"));
    const attachment = JSON.parse(figure.dataset.trixAttachment || "{}");
    const attributes = JSON.parse(figure.dataset.trixAttributes || "{}");
    picture.setAttribute("alt", attributes.caption || attachment.alt || "");
    for (const side of ["width", "height"]) {
      const value = image.getAttribute(side) || attachment[side];
      if (value) picture.setAttribute(side, value);
    }
    figure.replaceWith(picture);
  }
  return page.body.innerHTML;
}

/** The other way round: the editor keeps descriptions only of its own figures. */
function figured(html) {
  if (!html.includes("<img")) return html;
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const image of page.querySelectorAll("img")) {
    if (image.closest("figure")) continue;
    const figure = page.createElement("figure");
    const [alt, width, height] = ["alt", "width", "height"].map((name) => image.getAttribute(name));
    const about = { contentType: "image", url: image.getAttribute("src") };
    if (width) about.width = Number(width);
    if (height) about.height = Number(height);
    figure.dataset.trixAttachment = JSON.stringify(about);
    if (alt) figure.dataset.trixAttributes = JSON.stringify({ caption: alt });
    image.replaceWith(figure);
    figure.append(image);
  }
  return page.body.innerHTML;
}

export function begin(composer) {
  const { form, urls } = composer;
  const editor = form.querySelector("trix-editor");
  const input = form.querySelector("#compose-body");
  if (!editor) return;
  const asItCame = input.defaultValue;
  let untouched = null; // what the editor makes of the text as it came

  function start() {
    const early = editor.value !== editor.shownValue; // typed on a slow line, before this was here
    if (!early && asItCame.includes("<img")) {
      const focused = document.activeElement;
      editor.editor.loadHTML(figured(asItCame));
      if (document.activeElement !== focused) focused?.focus();
    }
    untouched = early ? editor.shownValue : editor.value;
    if (early) queueMicrotask(() => composer.changed("body"));
  }
  if (editor.shownValue !== undefined) start();
  else editor.addEventListener("trix-initialize", start, { once: true });

  editor.addEventListener("trix-change", () => {
    if (untouched !== null && editor.value !== untouched) composer.changed("body");
  });
  // A text that nobody has touched goes back as it came, not as the editor would write it.
  form.addEventListener("formdata", (event) => {
    const changed = untouched !== null && editor.value !== untouched;
    event.formData.set("body", changed ? plainHtml(editor.value) : asItCame);
  });

  editor.addEventListener("trix-file-accept", (event) => {
    const { file } = event;
    if (isPicture(file)) return;
    event.preventDefault();
    composer.files.addAll([file]);
  });
  editor.addEventListener("trix-attachment-add", (event) => {
    const { attachment } = event;
    const { file } = attachment;
    if (file) {
      const sending = upload(urls.urlFile, file, {
        picture: true,
        progress: (share) => attachment.setUploadProgress(share * 100),
      });
      composer.wait(
        sending.then(
          (stored) => {
            const [width, height] = stored.shown;
            attachment.setAttributes({ url: stored.url, width, height });
            return true;
          },
          (sentence) => {
            attachment.remove();
            composer.tell(sentence || composer.word("notStored", { name: file.name }));
            return false;
          },
        ),
      );
    } else if (!String(attachment.getURL() || "").startsWith(`${urls.urlFile}/`)) {
      attachment.remove();
      composer.tell(composer.word("noPicture"));
    }
  });
}
