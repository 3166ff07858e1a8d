// Calls aixgo agents from Node.js: node client.mjs [ADDRESS]
//
// Everything it knows comes from proto/aixgo/v1, read when it starts; nothing is generated.

import { fileURLToPath } from "node:url";
import path from "node:path";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const address = process.argv[2] ?? "127.0.0.1:50051";
const protos = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..", "proto");

// `oneofs` names the field of a oneof that is set; without `defaults` a field that is absent stays absent.
const wire = loader.loadSync("aixgo/v1/agent_service.proto", {
  includeDirs: [protos],
  keepCase: true,
  longs: Number,
  oneofs: true,
});
const { AgentService } = grpc.loadPackageDefinition(wire).aixgo.v1;

// google.rpc.Status, which carries an ErrorDetail in the trailing metadata of a failed call.
const status = loader.fromJSON({
  nested: {
    google: {
      nested: {
        protobuf: {
          nested: { Any: { fields: { type_url: { type: "string", id: 1 }, value: { type: "bytes", id: 2 } } } },
        },
        rpc: {
          nested: {
            Status: {
              fields: {
                code: { type: "int32", id: 1 },
                message: { type: "string", id: 2 },
                details: { rule: "repeated", type: "google.protobuf.Any", id: 3 },
              },
            },
          },
        },
      },
    },
  },
}, { keepCase: true });

/** What a failed call says about itself: an ErrorDetail, or null when no aixgo server answered. */
function detailOf(error) {
  const [encoded] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!encoded) return null;
  const { details = [] } = status["google.rpc.Status"].deserialize(encoded);
  const found = details.find((any) => any.type_url.endsWith("/aixgo.v1.ErrorDetail"));
  return found ? wire["aixgo.v1.ErrorDetail"].deserialize(found.value) : null;
}

const MAX_BYTES = 65 * 1024 * 1024; // the limit of aixgo; the stock one for receiving is 4 MiB
const client = new AgentService(address, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": MAX_BYTES,
  "grpc.max_send_message_length": MAX_BYTES,
});

/** A unary method as a promise. The time for the call travels in the envelope; gRPC's deadline is a little later. */
function ask(method, request, seconds = 10) {
  const envelope = { timeout_nanos: seconds * 1e9 };
  const deadline = Date.now() + seconds * 1000 + 250;
  return new Promise((resolve, reject) => {
    client[method]({ envelope, ...request }, { deadline }, (error, reply) =>
      error ? reject(error) : resolve(reply),
    );
  });
}

const json = (value) => Buffer.from(JSON.stringify(value));
const payload = (message) => (message.payload === "json" ? JSON.parse(message.json) : message[message.payload]);

// Describe: who is there.
const host = await ask("Describe", {});
console.log(`Describe: version ${host.version}, agents ${host.agents.map((agent) => agent.name).sort().join(" ")}`);

// Execute: text in, text out; JSON in, JSON out.
let reply = await ask("Execute", { target: "shout", message: { text: "hello from node" } });
console.log(`Execute: ${payload(reply.message)}, from ${reply.message.source}`);
reply = await ask("Execute", { target: "add", message: { json: json({ a: 1, b: 2.5 }) } });
console.log(`Execute: ${JSON.stringify(payload(reply.message))}`);

// ExecuteStream: chunks, then the final message.
const stream = client.ExecuteStream({ target: "spell", message: { text: "grpc" } });
for await (const part of stream) {
  if (part.part === "chunk") console.log(`ExecuteStream: chunk ${part.chunk.content}`);
  else console.log(`ExecuteStream: final ${payload(part.final)}`);
}

// Send puts a message into a mailbox; Receive takes messages from one. Leaving cancels the call.
await ask("Send", { target: "shout", message: { text: "sent from node" } });
const mail = client.Receive({ name: "loud", envelope: { timeout_nanos: 10e9 } });
mail.on("error", () => {}); // cancelling ends it with CANCELLED
for await (const { message } of mail) {
  console.log(`Receive: ${payload(message)}`);
  mail.cancel();
  break;
}

// A failure: the status is for any client, the detail for one that knows aixgo.
for (const target of ["decline", "nobody"]) {
  try {
    await ask("Execute", { target, message: { text: "please" } });
  } catch (error) {
    const detail = detailOf(error);
    console.log(`Error: ${grpc.status[error.code]} ${detail.kind} ${detail.fields}`);
  }
}

client.close();
