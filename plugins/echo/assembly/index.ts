// A tool that repeats the text it is given.
import { concat, encode, error, input, output } from "../../pdk-as/index";
import { stringMember } from "../../pdk-as/json";

const DESCRIPTION = '{"name":"echo","description":"Repeats the given text","input_schema":{"type":"object","properties":{"text":{"type":"string","description":"The text to repeat"}},"required":["text"],"additionalProperties":false}}';

export function describe(): i32 {
  output(encode(DESCRIPTION));
  return 0;
}

export function handle_tool_call(): i32 {
  const text = stringMember(input(), "text");
  if (text == null) {
    error('Member "text" must be a string');
    return 1;
  }
  output(concat([encode('{"content":'), text, encode(',"is_error":false}')]));
  return 0;
}
