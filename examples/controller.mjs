// A controller for Node.js 18 or later, with amqplib.
//
// It knows only what docs/protocol.md says: copy it, and package.json, into a project of your own.
//
//     npm install
//     node controller.mjs [amqp://guest:guest@127.0.0.1:5672/]
//
// The broker is the argument, else FER_WORKER_AMQP_URL, else the one on this machine.
// FER_WORKER_NAMESPACE says under which namespace the workers run. Exit codes: 0 every batch has
// its result, 1 some have not, 3 the broker cannot be used.

import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { encode } from "@msgpack/msgpack";
import amqp from "amqplib";

const FRAMES = new URL("frames/", import.meta.url);
const BATCH_SIZE = 4;
const IN_FLIGHT = 8; // batches without an answer: what bounds memory when workers are slow
const PATIENCE_MS = 60_000;
const REPLY_QUEUE_EXPIRES_MS = 60 * 60 * 1000;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024; // with a larger one the broker closes the channel

/** The broker refuses us: to try again would not help. */
class RefusedError extends Error {}

/** Sends batches of JPEG frames to the workers; mends its connection by itself. */
class FerClient {
  #url;
  #namespace;
  #user;
  #replyQueue;
  #connection = null;
  #channel = null; // null while there is no connection
  #pending = new Map(); // by correlation id: the batches that have no answer yet
  #closed = false;

  constructor(url, namespace = "fer") {
    this.#url = withHeartbeat(url);
    this.#namespace = namespace;
    this.#user = decodeURIComponent(new URL(url).username) || "guest";
    // With the user's name in it, permissions can keep the replies of users apart.
    this.#replyQueue = `${namespace}.replies.${this.#user}.${randomUUID()}`;
  }

  /**
   * Sends a batch and returns a promise of its result. It is rejected if the queue of requests is
   * full, if no queue takes them, if the broker refuses us, or if there is no answer in time.
   *
   * @param {{jpeg: Uint8Array, id?: string}[]} frames 1 to 64 of them
   * @param {string} [cameraId] echoed in the result
   */
  analyze(frames, cameraId) {
    const batch = { version: 1, camera_id: cameraId, sent_at: new Date().toISOString(), frames };
    const body = Buffer.from(encode(batch, { ignoreUndefined: true }));
    if (body.length > MAX_MESSAGE_BYTES) {
      return Promise.reject(new Error(`${body.length} bytes are too many for one message`));
    }
    return new Promise((resolve, reject) => {
      const id = randomUUID();
      const timer = setTimeout(() => this.#fail(id, new Error("no answer in time")), PATIENCE_MS);
      // The body is kept until the answer is there: it may have to be sent again.
      this.#pending.set(id, { body, resolve, reject, timer, confirmed: false });
      if (this.#channel !== null) this.#publish(id);
    });
  }

  /** Serves until `close`, over as many connections as it takes. */
  async run() {
    while (!this.#closed) {
      try {
        await this.#serve();
      } catch (error) {
        if (error instanceof RefusedError) {
          this.#closed = true;
          for (const id of [...this.#pending.keys()]) this.#fail(id, error);
          throw error;
        }
        console.error(`no connection (${error.message}); trying again`);
        await sleep(1000);
      }
    }
  }

  /** Hangs up, and removes the reply queue. */
  async close() {
    this.#closed = true;
    try {
      await this.#channel?.deleteQueue(this.#replyQueue);
      await this.#connection?.close();
    } catch {
      // The line was lost meanwhile. The queue expires by itself.
    }
  }

  /** One connection, from its opening to its end. */
  async #serve() {
    const connection = await this.#connect();
    let reason = new Error("the connection was closed");
    connection.on("error", (error) => (reason = error)); // "close" follows
    const closed = new Promise((resolve) => connection.once("close", resolve));
    try {
      const channel = await connection.createConfirmChannel();
      channel.on("error", (error) => (reason = error));
      // First of all, since what is unconfirmed is called back now; then all is made anew.
      channel.prependListener("close", () => {
        this.#channel = null;
        connection.close().catch(() => {});
      });
      channel.on("return", ({ properties }) =>
        this.#fail(properties.correlationId, new Error("no queue takes requests")),
      );
      // Durable and not exclusive: it outlives a lost connection, and so do the answers in it.
      await channel.assertQueue(this.#replyQueue, {
        durable: true,
        expires: REPLY_QUEUE_EXPIRES_MS,
        arguments: { "x-queue-type": "quorum" },
      });
      await channel.consume(this.#replyQueue, (message) => this.#receive(channel, message));
      this.#connection = connection;
      this.#channel = channel;
      if (this.#closed) {
        await this.close(); // it was called when there was nothing to hang up yet
      } else {
        // What the broker had confirmed will be answered; what it had not is sent again.
        for (const [id, { confirmed }] of this.#pending) if (!confirmed) this.#publish(id);
      }
    } catch (error) {
      reason = error;
      connection.close().catch(() => {});
    }
    await closed;
    this.#connection = null;
    if (!this.#closed) throw asRefusal(reason);
  }

  async #connect() {
    try {
      const clientProperties = { connection_name: "controller.mjs" };
      return await amqp.connect(this.#url, { timeout: 5000, clientProperties });
    } catch (error) {
      throw asRefusal(error);
    }
  }

  #publish(id) {
    const channel = this.#channel;
    const { body } = this.#pending.get(id);
    const properties = {
      contentType: "application/msgpack",
      correlationId: id,
      replyTo: this.#replyQueue,
      userId: this.#user, // the broker takes no other; some workers ask for it
      persistent: true,
      expiration: PATIENCE_MS, // later nobody would read the result
      mandatory: true, // else the broker drops what no queue takes, and confirms it
    };
    channel.publish(`${this.#namespace}.requests`, "frames", body, properties, (error) => {
      const pending = this.#pending.get(id);
      if (pending === undefined) return; // returned, answered or too late already
      if (error === null) pending.confirmed = true;
      else if (channel === this.#channel) this.#fail(id, new Error("the queue is full")); // a nack
      // Otherwise the connection was lost before the broker said anything: it is sent again.
    });
  }

  #receive(channel, message) {
    if (message === null) return channel.close(); // somebody deleted the queue
    channel.ack(message);
    // The first answer counts; there may be a second one after a crash.
    this.#take(message.properties.correlationId)?.resolve(JSON.parse(message.content));
  }

  #fail(id, error) {
    this.#take(id)?.reject(error);
  }

  /** The caller that takes a batch out ends its promise; no other does. */
  #take(id) {
    const pending = this.#pending.get(id);
    clearTimeout(pending?.timer);
    this.#pending.delete(id);
    return pending;
  }
}

/** amqplib takes it from the URL only. A line that has gone dead is noticed after two of them. */
function withHeartbeat(url) {
  const withQuery = new URL(url);
  if (!withQuery.searchParams.has("heartbeat")) withQuery.searchParams.set("heartbeat", "10");
  return withQuery.href;
}

/** 403: wrong password or no permission. 404: no exchange, for no worker has ever run here. */
function asRefusal(error) {
  const code = error.code ?? Number(/\b(403|404|530)\b/.exec(error.message)?.[1]);
  return [403, 404, 530].includes(code) ? new RefusedError(error.message) : error;
}

/** The sample frames, in batches. */
function* sampleBatches() {
  const names = readdirSync(FRAMES).filter((name) => name.endsWith(".jpg")).sort();
  for (let first = 0; first < names.length; first += BATCH_SIZE) {
    yield names
      .slice(first, first + BATCH_SIZE)
      .map((name) => ({ id: name, jpeg: readFileSync(new URL(name, FRAMES)) }));
  }
}

/** Prints the first face of each frame, and what could not be analysed. */
function show(result) {
  console.log(`${result.camera_id}: ${result.status}, most relevant: ${result.most_relevant_frame}`);
  result.emotions.forEach(({ emotion, confidence }, index) => {
    const { id } = result.frames[index];
    console.log(`  ${id}: ${emotion ?? "no face"} ${confidence.toFixed(2)}`);
  });
  for (const { frame, code, message } of result.errors) {
    console.log(`  frame ${frame} failed: ${code}: ${message}`);
  }
}

async function main(url) {
  const client = new FerClient(url, process.env.FER_WORKER_NAMESPACE);
  const running = client.run();
  let failed = 0;
  const batches = sampleBatches();
  // Each takes the next batch when its last one is answered, so no more than these are under way.
  const lanes = Array.from({ length: IN_FLIGHT }, async () => {
    for (const batch of batches) {
      try {
        show(await client.analyze(batch, "door-1"));
      } catch (error) {
        if (error instanceof RefusedError) return;
        failed += 1;
        console.error(`controller: ${error.message}`);
      }
    }
  });
  try {
    await Promise.race([Promise.all(lanes), running]);
    await client.close();
    await running;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    console.error(`the broker refuses us: ${error.message}`);
    return 3;
  }
  return failed > 0 ? 1 : 0;
}

const environment = process.env.FER_WORKER_AMQP_URL?.split(",")[0];
process.exitCode = await main(
  process.argv[2] ?? environment ?? "amqp://guest:guest@127.0.0.1:5672/",
);
