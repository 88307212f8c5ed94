// Pictures as JPEGs, and what the gateway says of them.

const maxBytes = Number(document.body.dataset.maxBytes);
const maxPixels = Number(document.body.dataset.maxPixels);

/** Of a picture that has to be encoded anew: some 4 MB. */
const MAX_ENCODED_PIXELS = 12e6;

/** Why there is no result; with the HTTP status, if there was an answer. */
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Have a JPEG analysed; returns its batch result, and how long the answer took. */
export async function analyse(jpeg, name, token, signal) {
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
export async function toJpeg(file, image) {
  const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
  const isJpeg = start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff;
  await image.decode().catch(() => {}); // one that is broken has no size
  const pixels = image.naturalWidth * image.naturalHeight;
  if (isJpeg && file.size <= maxBytes && pixels <= maxPixels) return file;
  if (!pixels) throw new Error("This browser cannot open it as a picture.");
  return encode(image, image.naturalWidth, image.naturalHeight, document.createElement("canvas"));
}

/** Draw a picture or a frame, upright, and encode it. */
export function encode(source, width, height, canvas) {
  const scale = Math.min(1, Math.sqrt(MAX_ENCODED_PIXELS / (width * height)));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // under what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
}
