/**
 * What a run has added to its session so far: answers and tool results, in order. It can be
 * restored from the journal of a cut attempt, and closed so that no tool call is left without a
 * result, which every provider insists on.
 */
import type {
  AssistantMessage,
  RunStep,
  ToolCallBlock,
  ToolResultMessage,
} from '../store/store.ts';

export type TranscriptMessage = AssistantMessage | ToolResultMessage;

const OUTCOME_UNKNOWN =
  'The runtime was stopped while this tool ran. Its outcome is unknown; it was not run again.';

function toolCallsOf(message: AssistantMessage): readonly ToolCallBlock[] {
  return message.content.filter((block) => block.type === 'tool-call');
}

export class Transcript {
  readonly #messages: TranscriptMessage[] = [];
  #pending: ToolCallBlock[] = [];
  #answers = 0;

  /** Rebuilds the transcript of a cut attempt: a tool that had begun counts as run. */
  static restore(steps: readonly RunStep[]): Transcript {
    const transcript = new Transcript();
    const begun = new Set<string>();
    for (const step of steps) {
      if (step.kind === 'answer') transcript.addAnswer(step.message);
      else if (step.kind === 'intent') begun.add(step.toolCallId);
      else transcript.addResult(step.message);
    }
    for (const call of transcript.#pending.filter(({ id }) => begun.has(id))) {
      transcript.addResult(toErrorResult(call, OUTCOME_UNKNOWN));
    }
    return transcript;
  }

  get messages(): readonly TranscriptMessage[] {
    return this.#messages;
  }

  /** Tool calls of the last answer that have no result yet, in the model's order. */
  get pending(): readonly ToolCallBlock[] {
    return this.#pending;
  }

  /** Model calls that gave an answer. */
  get answers(): number {
    return this.#answers;
  }

  /** The last answer, when nothing came after it: the final one, unless it asks for tools. */
  get lastAnswer(): AssistantMessage | undefined {
    const last = this.#messages.at(-1);
    return last?.role === 'assistant' ? last : undefined;
  }

  addAnswer(message: AssistantMessage): void {
    this.#messages.push(message);
    this.#pending = [...toolCallsOf(message)];
    this.#answers += 1;
  }

  addResult(message: ToolResultMessage): void {
    this.#messages.push(message);
    this.#pending = this.#pending.filter(({ id }) => id !== message.toolCallId);
  }

  /** Gives every pending call an error result. @returns the results that were added. */
  close(reason: string): readonly ToolResultMessage[] {
    const added = this.#pending.map((call) => toErrorResult(call, reason));
    for (const result of added) this.addResult(result);
    return added;
  }
}

function toErrorResult(call: ToolCallBlock, content: string): ToolResultMessage {
  return { role: 'tool-result', toolCallId: call.id, name: call.name, content, isError: true };
}
