// What was found, as elements of the page.

/** Two leading scores less than this apart leave a face undecided. */
const CLOSE = Number(document.body.dataset.close);

/** Add the place of one picture, or of the camera. */
export function addCard(title, view) {
  const card = make("card");
  card.querySelector("h2").textContent = title;
  card.querySelector(".frame").append(view);
  document.querySelector("#results").append(card);
  return card;
}

/** Show a batch result of one frame. */
export function show(card, result) {
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
  const isClose = Number((first - second).toFixed(4)) < CLOSE;
  const named = ranked.slice(0, isClose ? 2 : 1).map(([name, score]) => `${name} ${score.toFixed(2)}`);
  return isClose
    ? { emotion, word: "undecided", text: `undecided: ${named.join(", ")}` }
    : { emotion, word: emotion, text: named[0] };
}

/** "6 faces: 4 happy, 2 neutral", and what went wrong. */
export function summary(result) {
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
export function facesOf(result) {
  return result.frames[0]?.faces ?? [];
}

export function count(number, noun) {
  return `${number || "no"} ${noun}${number === 1 ? "" : "s"}`;
}

function ms(milliseconds) {
  return `${Math.round(milliseconds)} ms`;
}

function make(id) {
  return document.querySelector(`#${id}`).content.firstElementChild.cloneNode(true);
}
