// Sends pictures and frames of a camera to the gateway, and shows what its workers find in them.

const maxBytes = Number(document.body.dataset.maxBytes);
const maxPixels = Number(document.body.dataset.maxPixels);

/** Of a picture that has to be encoded anew: some 4 MB. */
const MAX_ENCODED_PIXELS = 12e6;

/** Hundredths between two leading scores; less than this leave a face undecided. */
const CLOSE = 5;

const RETRY_MS = 1000;

/** Between two announcements of what the camera shows. */
const ANNOUNCE_MS = 4000;

/** Between two frames of the camera, beside the time that an answer takes. */
const PAUSE_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 0;

const CAMERA_ERRORS = {
  NotAllowedError: "The browser may not use the camera. Allow it in the settings of this page.",
  NotFoundError: "This device has no camera.",
  NotReadableError: "The camera cannot be read. Another program may be using it.",
};

const status = document.querySelector("#status");
const results = document.querySelector("#results");
const cameraButton = document.querySelector("#camera");
const access = document.querySelector("#access");
const tokenField = document.querySelector("#token");

let token = "";
/** What is under way; it is ended before something else begins. */
let current = new AbortController();
let again = () => {};

/** The gateway's word on why there is no result. */
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// What is asked of the gateway

/** Have a JPEG analysed; returns its batch result, and how long the answer took. */
async function analyse(jpeg, name, signal) {
  const form = new FormData();
  form.append("files", jpeg, name);
  form.append("faces", "all");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const sentAt = performance.now();
  let answer, body;
  try {
    answer = await fetch("detect_batch", { method: "POST", body: form, headers, signal });
    body = await answer.json();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refusal(answer?.status, "The gateway does not answer. Is it still running?");
  }
  if (!answer.ok) throw new Refusal(answer.status, `${body.title}: ${body.detail}.`);
  return { ...body, tookMs: performance.now() - sentAt };
}

/** A picture as a JPEG that the gateway takes: the file as it is, if it can be. */
async function toJpeg(file, image) {
  const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
  const isJpeg = start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff;
  await image.decode().catch(() => {}); // one that is broken has no size
  const pixels = image.naturalWidth * image.naturalHeight;
  if (isJpeg && file.size <= maxBytes && pixels <= maxPixels) return file;
  if (!pixels) throw new Error("This browser cannot open it as a picture.");
  return encode(image, image.naturalWidth, image.naturalHeight, document.createElement("canvas"));
}

/** Draw a picture or a frame, upright, and encode it. */
function encode(source, width, height, canvas) {
  const scale = Math.min(1, Math.sqrt(MAX_ENCODED_PIXELS / (width * height)));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // under what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
}

// What is shown

function make(id) {
  return document.querySelector(`#${id}`).content.firstElementChild.cloneNode(true);
}

/** Announce something; what is written below as well is only for screen readers. */
function say(text, { isBelow = false } = {}) {
  status.textContent = text;
  status.classList.toggle("aloud", isBelow);
}

/** Add the place of one picture, or of the camera. */
function addCard(title, view) {
  const card = make("card");
  card.querySelector("h2").textContent = title;
  card.querySelector(".frame").append(view);
  results.append(card);
  return card;
}

function show(card, result) {
  const faces = facesOf(result);
  const boxes = faces.map((face, index) => makeBox(face, index, result.frames[0]));
  card.querySelectorAll(".box").forEach((box) => box.remove());
  card.querySelector(".frame").append(...boxes);
  card.querySelector(".faces").replaceChildren(...faces.map(makeFace));
  card.querySelector(".outcome").textContent = summary(result);
  const worker = result.timings_ms ? `, ${ms(result.timings_ms.total)} of it in the worker` : "";
  card.querySelector(".latency").textContent = `${ms(result.tookMs)} from sending to answer${worker}`;
}

/** Boxes are in pixels of the upright picture, as it is shown here. Some cross its edge. */
function makeBox(face, index, frame) {
  const [x, y, width, height] = face.box;
  const share = (pixels, of) => Math.min(Math.max((100 * pixels) / of, 0), 100);
  const left = share(x, frame.width);
  const top = share(y, frame.height);
  const right = share(x + width, frame.width);
  const bottom = share(y + height, frame.height);
  const box = make("box");
  const { emotion, word } = leading(face);
  box.classList.add(emotion);
  box.classList.toggle("at-top", top < 6);
  box.classList.toggle("at-right", left + right > 100);
  box.style.inset = `${top}% ${100 - right}% ${100 - bottom}% ${left}%`;
  box.querySelector("b").textContent = index + 1;
  box.querySelector(".word").textContent = word;
  return box;
}

function makeFace(face, index) {
  const item = make("face");
  item.querySelector("h3").textContent = `${index + 1} ${leading(face).text}`;
  for (const [emotion, score] of Object.entries(face.emotions)) {
    const row = make("score");
    row.querySelector("dt").textContent = emotion;
    row.querySelector(".value").textContent = score.toFixed(2);
    const bar = row.querySelector(".bar span");
    bar.classList.add(emotion);
    bar.style.width = `${100 * score}%`;
    bar.hidden = score === 0;
    item.querySelector("dl").append(row);
  }
  return item;
}

/** The leading emotion of a face, its word on a box, and both with scores. */
function leading(face) {
  const ranked = Object.entries(face.emotions).sort((a, b) => b[1] - a[1]);
  const [[emotion, first], [, second]] = ranked;
  const isClose = Math.round(100 * (first - second)) < CLOSE; // scores have two decimals
  const named = ranked.slice(0, isClose ? 2 : 1).map(([name, score]) => `${name} ${score.toFixed(2)}`);
  return isClose
    ? { emotion, word: "undecided", text: `undecided: ${named.join(", ")}` }
    : { emotion, word: emotion, text: named[0] };
}

/** "6 faces: 4 happy, 2 neutral", and what went wrong. */
function summary(result) {
  const errors = result.errors.map((error) => error.message);
  if (result.status === "error") return `Not analysed: ${errors.join("; ")}.`;
  const faces = facesOf(result);
  const counts = new Map();
  for (const { word } of faces.map(leading)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const words = [...counts].map(([word, count]) => (faces.length > 1 ? `${count} ${word}` : word));
  const found = [count(faces.length, "face"), words.join(", ")].filter(Boolean).join(": ");
  return [found, ...errors].join("; ");
}

/** A batch that was refused as a whole has no frame. */
function facesOf(result) {
  return result.frames[0]?.faces ?? [];
}

function count(number, noun) {
  return `${number || "no"} ${noun}${number === 1 ? "" : "s"}`;
}

function ms(milliseconds) {
  return `${Math.round(milliseconds)} ms`;
}

// What is done, one thing at a time

/** End what is under way, and begin something else. */
function begin(task) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  results.replaceChildren();
  access.hidden = true;
  say("");
  again = () => begin(task);
  task(signal).catch((error) => {
    if (!signal.aborted) say(error.message);
  });
}

async function analysePictures(files, signal) {
  let faces = 0;
  let failed = 0;
  for (const [index, file] of files.entries()) {
    say(`Picture ${index + 1} of ${files.length}: ${file.name} …`);
    const image = new Image();
    image.alt = "";
    image.src = URL.createObjectURL(file);
    signal.addEventListener("abort", () => URL.revokeObjectURL(image.src));
    const card = addCard(file.name, image);
    try {
      const result = await analyse(await toJpeg(file, image), file.name, signal);
      if (signal.aborted) return;
      show(card, result);
      faces += facesOf(result).length;
      failed += result.errors.length;
    } catch (error) {
      if (signal.aborted) return;
      card.querySelector(".outcome").textContent = error.message;
      failed += 1;
      if (error.status === 401) return askForToken();
    }
  }
  if (files.length === 1) {
    say(results.querySelector(".outcome").textContent, { isBelow: true });
  } else {
    const total = `${files.length} pictures: ${count(faces, "face")}`;
    say(failed ? `${total}, ${failed} failed` : total);
  }
}

/** Have the newest frame analysed, again and again, until the signal. */
async function watchCamera(signal) {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  video.setAttribute("aria-label", "What the camera shows");
  const stream = await openCamera();
  const end = () => stream.getTracks().forEach((track) => track.stop());
  if (signal.aborted) return end();
  const canvas = document.createElement("canvas");
  signal.addEventListener("abort", () => {
    end();
    video.replaceWith(canvas); // the last frame stays
    cameraButton.textContent = "Start camera";
  });
  stream.getVideoTracks()[0].addEventListener("ended", () => stopCamera("The camera is gone."));
  cameraButton.textContent = "Stop camera";
  const card = addCard("Camera", video);
  video.srcObject = stream;
  await video.play();
  let announcedAt = -Infinity;
  while (!signal.aborted) {
    const began = performance.now();
    try {
      const jpeg = await encode(video, video.videoWidth, video.videoHeight, canvas);
      const result = await analyse(jpeg, "camera.jpg", signal);
      if (signal.aborted) return;
      show(card, result);
      if (began - announcedAt > ANNOUNCE_MS) {
        say(summary(result), { isBelow: true });
        announcedAt = began;
      }
      await pause(PAUSE_MS);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401) {
        stopCamera("");
        return askForToken();
      }
      say(error.message);
      announcedAt = -Infinity;
      await pause(RETRY_MS);
    }
    await new Promise((done) => video.requestVideoFrameCallback(done));
  }
}

async function openCamera() {
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1280 }, height: { ideal: 720 } },
    });
  } catch (error) {
    throw new Error(CAMERA_ERRORS[error.name] ?? `The camera does not start: ${error.message}`);
  }
}

function stopCamera(why) {
  current.abort();
  say(why);
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

function askForToken() {
  access.hidden = false;
  say("This gateway asks for a token, or for another one.");
  tokenField.value = "";
  tokenField.focus();
}

function isWatching() {
  return document.querySelector("video") !== null;
}

function analyseFiles(files) {
  const pictures = [...files];
  if (pictures.length) begin((signal) => analysePictures(pictures, signal));
}

document.querySelector("#files").addEventListener("change", ({ target }) => {
  analyseFiles(target.files);
  target.value = ""; // the same picture may be chosen once more
});

cameraButton.addEventListener("click", () => {
  if (isWatching()) stopCamera("The camera is off.");
  else begin(watchCamera);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden && isWatching()) stopCamera("The camera stopped while this page was hidden.");
});

access.addEventListener("submit", (event) => {
  event.preventDefault();
  token = tokenField.value;
  again();
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});

addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dropping");
});

addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  analyseFiles(event.dataTransfer.files);
});

if (!navigator.mediaDevices) {
  cameraButton.disabled = true;
  document.querySelector("#no-camera").hidden = false;
}
