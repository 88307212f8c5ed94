// Takes pictures and frames of the camera, one thing at a time, and has them analysed and shown.

import { analyse, encode, toJpeg } from "./analysis.js";
import { addCard, count, facesOf, show, summary } from "./view.js";

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

/** Announce something; what is written below as well is only for screen readers. */
function say(text, { isBelow = false } = {}) {
  status.textContent = text;
  status.classList.toggle("aloud", isBelow);
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
      const result = await analyse(await toJpeg(file, image), file.name, token, signal);
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
      const result = await analyse(jpeg, "camera.jpg", token, signal);
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
