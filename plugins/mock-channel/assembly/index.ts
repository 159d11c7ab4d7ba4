// A channel that takes and gives plain JSON: a webhook to try the gateway with, without a platform.
import { concat, encode, error, input, output } from "../../pdk-as/index";
import { stringMember } from "../../pdk-as/json";

const DESCRIPTION = '{"name":"mock-channel","type":"channel_adapter","channel":"mock","description":"Plain JSON over a webhook, for trying things out","transport":"webhook","verify":{"kind":"none"}}';

export function describe(): i32 {
  output(encode(DESCRIPTION));
  return 0;
}

// {text, user, chat?, id?}: the chat is the peer where there is one.
export function parse_incoming(): i32 {
  const payload = input();
  const text = stringMember(payload, "text");
  const user = stringMember(payload, "user");
  if (text == null || user == null) {
    error('Members "text" and "user" must be strings');
    return 1;
  }
  const chat = stringMember(payload, "chat");
  const id = stringMember(payload, "id");
  const parts = new Array<Uint8Array>();
  parts.push(encode('{"content":'));
  parts.push(text);
  parts.push(encode(',"account":"mock","peer":'));
  parts.push(chat != null ? chat : user);
  if (id != null) {
    parts.push(encode(',"message_id":'));
    parts.push(id);
  }
  parts.push(encode("}"));
  output(concat(parts));
  return 0;
}

export function format_outgoing(): i32 {
  const content = stringMember(input(), "content");
  if (content == null) {
    error('Member "content" must be a string');
    return 1;
  }
  output(concat([encode('{"text":'), content, encode("}")]));
  return 0;
}
